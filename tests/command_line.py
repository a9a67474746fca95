"""The command line called in this process, and small things for it to work on."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hub_core.cli import main

ROOT = Path(__file__).parent.parent
GOOD, BAD = "好喜欢满意干净热情", "差脏吵贵坏破"


@dataclass(frozen=True)
class Outcome:
    """What a call printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What stdout says as JSON; for a call that went well."""
        assert self.code == 0, self.err
        return json.loads(self.out)


class Hub:
    """Calls ``hub``: ``hub("list", "--json")``."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Outcome:
        """Run one command."""
        self._capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *self._capsys.readouterr())

    def fails(self, *arguments: object, code: int = 1) -> str:
        """What a command that must fail says on stderr; it prints nothing else and shows no traceback."""
        outcome = self(*arguments)
        assert (outcome.code, outcome.out) == (code, ""), outcome
        assert outcome.err.startswith("error: ")
        assert "Traceback" not in outcome.err
        return outcome.err.removeprefix("error: ")


def python(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    """Another process of this Python, in the project's root, with pipes for its output."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "encoding": "utf-8"}
    return subprocess.Popen([sys.executable, *arguments], **{"cwd": ROOT, **pipes, **options})


def review_rows(count: int, *, seed: int = 0) -> list[tuple[str, str]]:
    """Rows ``(label, text)`` that can be learnt: 1 for good words, 0 for bad ones."""
    chosen = random.Random(seed)
    texts = ("".join(chosen.choice(GOOD if at % 2 else BAD) for _ in range(6)) for at in range(count))
    return [(str(at % 2), text) for at, text in enumerate(texts)]


def write_reviews(folder: Path, *, train: int = 40, dev: int = 10, test: int = 10) -> Path:
    """A folder with train.tsv, dev.tsv and test.tsv."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, (name, count) in enumerate({"train": train, "dev": dev, "test": test}.items()):
        rows = "".join(f"{label}\t{text}\n" for label, text in review_rows(count, seed=seed))
        (folder / f"{name}.tsv").write_text("label\ttext_a\n" + rows, encoding="utf-8")
    return folder


def write_manifest(path: Path, **changes: Any) -> Path:
    """The manifest of a new, tiny module of characters, for ``hub train --manifest``."""
    record = {
        "name": "student",
        "version": "0.1.0",
        "family": "bilstm",
        "config": {"embedding_size": 8, "hidden_size": 8, "num_layers": 1},
        "tokenizer": {"type": "char"},
        **changes,
    }
    path.write_text(json.dumps(record), encoding="utf-8")
    return path
