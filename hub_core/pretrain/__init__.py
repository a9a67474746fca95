"""Pre-training: rows of a corpus, what is hidden in them, and what is learnt from that."""

from collections.abc import Mapping
from typing import Any

#: What may be learnt: hidden words, alone or with the order of sentences; replaced tokens.
OBJECTIVES = ("mlm", "mlm+sop", "mlm+nsp", "rtd")

#: What pre-training usually takes (Devlin et al. 2019; Liu et al. 2019), where it differs from fine-tuning.
PRETRAINING: Mapping[str, Any] = {
    "learning_rate": 1e-4,
    "weight_decay": 0.01,
    "schedule": "linear",
    "warmup_ratio": 0.01,
    "max_grad_norm": 1.0,
    "state_steps": 500,
    "eval_interval": 1000,
}
