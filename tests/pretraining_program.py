"""A pre-training run small enough to be killed many times: what the resume tests start in other processes."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tiny import CHARACTERS, tiny_module
from training_program import weights_hash

from hub_core.corpus.building import build_corpus
from hub_core.corpus.store import Corpus
from hub_core.paths import sha256_file
from hub_core.pretrain.run import PreTrained, pretrain
from hub_core.pretrain.stream import RowOptions
from hub_core.spec import WEIGHTS
from hub_core.text.tokenizer import Tokenizer
from hub_core.train.callbacks import Callback, Moment
from hub_core.train.settings import TrainSettings


def sample_text(documents: int = 30) -> str:
    """Sentences of common characters, the same every time."""
    draw = random.Random(3)
    lines = []
    for _ in range(documents):
        for _ in range(draw.randint(1, 6)):
            lines.append("".join(draw.choices(CHARACTERS, k=draw.randint(3, 30))) + "。")
        lines.append("")
    return "\n".join(lines)


def sample_corpus(folder: Path, tokenizer: Tokenizer, documents: int = 30) -> Corpus:
    """A corpus of `sample_text`, built once."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "text.txt").write_text(sample_text(documents), encoding="utf-8")
    return build_corpus(tokenizer, [folder / "text.txt"], folder / "corpus")


def one_row(folder: Path, tokenizer: Tokenizer) -> Corpus:
    """A corpus of two sentences, which are one row."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "row.txt").write_text("新华社北京日报。我们在上海。", encoding="utf-8")
    return build_corpus(tokenizer, [folder / "row.txt"], folder / "row")


class Pause(Callback):
    """Waits after every step, so that a process can be killed there."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    def on_step(self, moment: Moment) -> None:
        time.sleep(self._seconds)


def run(
    folder: Path,
    *,
    objective: str = "mlm",
    family: str = "bert",
    pause: float = 0.0,
    dropout: float = 0.2,
    measure_one_row: bool = False,
    rows: Mapping[str, Any] | None = None,
    call: Mapping[str, Any] | None = None,
    **settings: Any,
) -> PreTrained:
    """Pre-train the tiny module with dropout and accumulation, a state at every step."""
    torch.manual_seed(1)
    drop = {"hidden_dropout_prob": dropout, "attention_probs_dropout_prob": dropout}
    module = tiny_module(folder.parent, family=family, task="masked-lm", labels=(), seed=1, **drop)
    chosen = TrainSettings(
        **{
            "learning_rate": 3e-3,
            "accumulation": 2,
            "max_grad_norm": 1.0,
            "state_steps": 1,
            "schedule": "linear",
            "seed": 7,
            "max_steps": 12,
            "eval_interval": 5,
            **settings,
        }
    )
    data = folder.parent / "data"
    validation = one_row(data, module.tokenizer) if measure_one_row else None
    return pretrain(
        module,
        sample_corpus(data, module.tokenizer),
        validation=validation,
        checkpoint_dir=folder,
        objective=objective,
        rows=RowOptions(32, **(rows or {})),
        settings=chosen,
        use_vdl=False,
        callbacks=[Pause(pause)],
        **{"batch_size": 3, "held_out": 0.1, "log_interval": 4, **(call or {})},
    )


def report(done: PreTrained, folder: Path) -> str:
    """What a run left: hashes of the weights and of the modules on disk, all that was logged and measured."""
    modules = {path.parent.name: sha256_file(path) for path in sorted(folder.glob(f"*/{WEIGHTS}"))}
    return json.dumps([weights_hash(done.module), modules, done.result.best, done.result.history])


def run_and_report(folder: str, objective: str, family: str, pause: float) -> None:
    """Pre-train, and leave the `report` in ``folder/../report`` when done; for other processes."""
    torch.set_num_threads(1)
    done = run(Path(folder), objective=objective, family=family, pause=pause)
    Path(folder).with_name("report").write_text(report(done, Path(folder)))
