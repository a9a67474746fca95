"""Which network learns fastest from few tokens: ``python -m benchmarks.shapes --corpus c/learn --validation c/held``.

Every shape has about as many weights, and is pre-trained for the same number of steps of the same rows; what it has
learnt is measured on the same held-out rows. `--vocabulary` is the corpus's.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from benchmarks.measure import print_table
from hub_core.corpus.store import Corpus
from hub_core.pretrain.masking import MaskOptions
from hub_core.pretrain.run import pretrain
from hub_core.pretrain.stream import RowOptions
from hub_core.scratch import new_module
from hub_core.text.files import tokenizer_from_files
from hub_core.train.settings import TrainSettings

_COMMON = {"hidden_size": 256, "num_attention_heads": 4, "max_position_embeddings": 512, "pad_token_id": 0}
_BERT = {
    **_COMMON,
    "num_hidden_layers": 4,
    "intermediate_size": 1024,
    "type_vocab_size": 2,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
_ENDS = {"cls_token_id": 2, "sep_token_id": 3, "bos_token_id": 2, "eos_token_id": 3}
_ROTARY = {name: {"rope_type": "default", "rope_theta": 1e4} for name in ("full_attention", "sliding_attention")}


def modern(layers: int, inner: int, every: int, window: int) -> dict[str, Any]:
    """ModernBERT with full attention in every so many layers, and in the others over a window of so many tokens."""
    shape = {"num_hidden_layers": layers, "intermediate_size": inner, "rope_parameters": _ROTARY}
    return {**_COMMON, **_ENDS, **shape, "global_attn_every_n_layers": every, "local_attention": window}


#: Family, objective, configuration.
SHAPES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "BERT, 4 layers": ("bert", "mlm", _BERT),
    "ELECTRA, 4 layers": ("electra", "rtd", {**_BERT, "embedding_size": 256}),
    "ModernBERT, 4 layers, window 64": ("modernbert", "mlm", modern(4, 680, 2, 64)),
    "ModernBERT, 4 layers, window 16": ("modernbert", "mlm", modern(4, 680, 2, 16)),
    "ModernBERT, 6 layers, window 16": ("modernbert", "mlm", modern(6, 384, 3, 16)),
    "ModernBERT, 6 layers, no window": ("modernbert", "mlm", modern(6, 384, 1, 128)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", required=True)
    parser.add_argument("--validation", required=True)
    parser.add_argument("--vocabulary", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--only", nargs="*", default=list(SHAPES))
    options = parser.parse_args()
    tokenizer = tokenizer_from_files("wordpiece", vocab=options.vocabulary, max_length=512)
    corpus, held = Corpus.open(options.corpus, tokenizer), Corpus.open(options.validation, tokenizer)
    settings = TrainSettings(
        learning_rate=1e-3,
        weight_decay=0.01,
        schedule="constant",
        warmup_steps=200,
        max_grad_norm=1.0,
        max_steps=options.steps,
        eval_interval=options.steps,
        state_steps=0,
        seed=1,
    )
    table = []
    for name in options.only:
        family, objective, config = SHAPES[name]
        torch.manual_seed(1)
        module = new_module(family=family, config=config, tokenizer=tokenizer, task="masked-lm", name="shape")
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            done = pretrain(
                module,
                corpus,
                checkpoint_dir=folder,
                validation=held,
                objective=objective,
                batch_size=16,
                rows=RowOptions(128, mask=MaskOptions(share=0.2)),
                settings=settings,
                use_vdl=False,
                log_interval=100,
            )
            rate = options.steps / (time.perf_counter() - start)
        best = done.result.best or {}
        weights = sum(parameter.numel() for parameter in done.module.parameters()) / 1e6
        told = {part: round(score, 4) for part, score in best.items() if part not in ("loss", "accuracy")}
        row = [name, f"{weights:.1f} M", f"{rate:.2f}", json.dumps(told), f"{best.get('accuracy', 0.0):.4f}"]
        table.append(row)
    columns = ("network", "weights", "steps/s, measuring included", "losses on held-out rows", "accuracy")
    print_table(f"After {options.steps} steps of 16 rows of up to 128 tokens", columns, table)


if __name__ == "__main__":
    main()
