"""Encodings that are kept: encoded once, the same afterwards, and made anew where anything they depend on changes."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import python
from tiny import CHARACTERS, LABELS, tiny_module

from hub_core.data import encodings
from hub_core.data.encodings import clear_encodings, keep_encodings
from hub_core.errors import DataError
from hub_core.examples import Example, Features
from hub_core.tasks.seq_cls import SeqCls
from hub_core.tasks.token_cls import TokenCls
from hub_core.text.words import CharTokenizer
from hub_core.train.batches import encode_all

ROWS = 40


@pytest.fixture(autouse=True)
def few_rows_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encodings, "LEAST_ROWS", 10)
    monkeypatch.delenv("HUB_CACHE_ENCODINGS", raising=False)


def characters(path: Path, *more: str) -> CharTokenizer:
    path.write_text("\n".join(["[PAD]", "[UNK]", *dict.fromkeys(CHARACTERS), *more]) + "\n", encoding="utf-8")
    return CharTokenizer.from_files({"vocab": path}, {})


def classified(count: int = ROWS) -> list[Example]:
    return [Example(CHARACTERS[n % 7 : n % 7 + n % 5 + 1], label=LABELS[n % 2], key=f"t:{n}") for n in range(count)]


def labelled(count: int = ROWS) -> list[Example]:
    rows = []
    for n in range(count):
        units = tuple((CHARACTERS * 3)[: 3 + n % 30])
        rows.append(Example("".join(units), None, units, tuple(LABELS[n % 2] for _ in units), f"t:{n}"))
    return rows


class Counting:
    """A task that counts how many rows it encodes."""

    def __init__(self, task: Any) -> None:
        self.task, self.count = task, 0
        self.name, self.labels, self.options = task.name, task.labels, task.options

    def encode(self, example: Example, tokenizer: Any, max_seq_len: int) -> list[Features]:
        self.count += 1
        found: list[Features] = self.task.encode(example, tokenizer, max_seq_len)
        return found

    def check_labelled(self, example: Example) -> None:
        self.task.check_labelled(example)


def assert_same(ours: Sequence[Sequence[Features]], theirs: Sequence[Sequence[Features]]) -> None:
    assert [len(row) for row in ours] == [len(row) for row in theirs]
    for one, other in zip((w for row in ours for w in row), (w for row in theirs for w in row), strict=True):
        assert list(one.inputs) == list(other.inputs)
        for name in one.inputs:
            np.testing.assert_array_equal(one.inputs[name], other.inputs[name])
            assert one.inputs[name].dtype == other.inputs[name].dtype
        np.testing.assert_array_equal(np.asarray(one.target), np.asarray(other.target))
        assert type(one.target) is type(other.target)
        assert (one.key, one.weight, type(one.meta)) == (other.key, other.weight, type(other.meta))
        if hasattr(one.meta, "__dataclass_fields__"):
            for name, value in vars(one.meta).items():
                np.testing.assert_array_equal(value, vars(other.meta)[name])
                assert type(value) is type(vars(other.meta)[name])
        else:
            assert one.meta == other.meta


CASES = [(lambda: SeqCls(LABELS), classified, 16), (lambda: TokenCls(LABELS), labelled, 8)]


class TestKept:
    @pytest.mark.parametrize(("task", "rows", "length"), CASES, ids=["seq-cls", "token-cls"])
    def test_the_second_time_nothing_is_encoded(self, task: Any, rows: Any, length: int, tmp_path: Path) -> None:
        tokenizer, counting, examples = characters(tmp_path / "vocab.txt"), Counting(task()), rows()
        first = encode_all(examples, counting, tokenizer, length)
        assert counting.count == ROWS
        second = encode_all(examples, counting, tokenizer, length)
        assert counting.count == ROWS + 1  # one row, to see that what is kept is what encoding gives
        assert_same(second, first)
        again = encode_all(examples, Counting(task()), characters(tmp_path / "other.txt"), length)
        assert_same(again, first)

    def test_arrays_are_views_of_the_file(self, tmp_path: Path) -> None:
        tokenizer, task = characters(tmp_path / "vocab.txt"), SeqCls(LABELS)
        encode_all(classified(), task, tokenizer, 16)
        (row,), *_ = encode_all(classified(), task, tokenizer, 16)
        base = row.inputs["input_ids"]
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert isinstance(base, np.memmap)

    def test_keys_are_the_rows_own(self, tmp_path: Path) -> None:
        tokenizer, task = characters(tmp_path / "vocab.txt"), SeqCls(LABELS)
        encode_all(classified(), task, tokenizer, 16)
        counting = Counting(task)
        found = encode_all(
            [replace(row, key=f"other:{n}") for n, row in enumerate(classified())], counting, tokenizer, 16
        )
        assert counting.count == ROWS  # not SeqCls itself, so another task
        counting.count = 0
        found = encode_all(
            [replace(row, key=f"other:{n}") for n, row in enumerate(classified())], counting, tokenizer, 16
        )
        assert counting.count == 1
        assert [row.key for (row,) in found] == [f"other:{n}" for n in range(ROWS)]

    def test_a_trainer_encodes_once(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from hub_core.train.settings import TrainSettings
        from hub_core.train.trainer import Trainer

        counted: list[str] = []
        encode = TokenCls.encode

        def counting(self: TokenCls, example: Example, *rest: Any) -> list[Features]:
            counted.append(example.key)
            return encode(self, example, *rest)

        monkeypatch.setattr(TokenCls, "encode", counting)
        train, dev, settings = labelled(), labelled(30)[10:], TrainSettings(seed=1)
        weights = []
        for at in range(2):
            module = tiny_module(tmp_path / str(at), family="bilstm")
            trainer = Trainer(module, use_vdl=False, checkpoint_dir=tmp_path / f"ckpt{at}", settings=settings)
            trainer.train(train, epochs=1, batch_size=8, eval_dataset=dev)
            weights.append([parameter.detach().numpy().copy() for parameter in module.parameters()])
            assert len(counted) == (ROWS + 20 if at == 0 else ROWS + 20 + 2)
        for one, other in zip(*weights, strict=True):
            np.testing.assert_array_equal(one, other)


class TestAnew:
    def counts(self, tmp_path: Path) -> tuple[Counting, CharTokenizer]:
        counting, tokenizer = Counting(SeqCls(LABELS)), characters(tmp_path / "vocab.txt")
        encode_all(classified(), counting, tokenizer, 16)
        counting.count = 0
        return counting, tokenizer

    @pytest.mark.parametrize("change", ["text", "label", "row", "order", "columns"])
    def test_other_rows(self, change: str, tmp_path: Path) -> None:
        counting, tokenizer = self.counts(tmp_path)
        rows = classified()
        match change:
            case "text":
                rows[-1] = replace(rows[-1], text=CHARACTERS[:2])
            case "label":
                rows[-1] = replace(rows[-1], label=LABELS[0] if rows[-1].label == LABELS[1] else LABELS[1])
            case "row":
                rows.append(rows[0])
            case "order":
                rows.reverse()
            case "columns":
                rows[3] = replace(rows[3], columns={"negative": ["x"]})
        encode_all(rows, counting, tokenizer, 16)
        assert counting.count == len(rows)

    def test_another_length_tokenizer_or_task(self, tmp_path: Path) -> None:
        counting, tokenizer = self.counts(tmp_path)
        encode_all(classified(), counting, tokenizer, 15)
        assert counting.count == ROWS
        encode_all(classified(), counting, characters(tmp_path / "more.txt", "龘"), 16)
        assert counting.count == 2 * ROWS
        other = Counting(SeqCls((LABELS[1], LABELS[0], *LABELS[2:])))
        encode_all(classified(), other, tokenizer, 16)
        assert other.count == ROWS
        other = Counting(SeqCls(LABELS, {"max_seq_len": 16}))
        encode_all(classified(), other, tokenizer, 16)
        assert other.count == ROWS

    def test_another_version(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        counting, tokenizer = self.counts(tmp_path)
        monkeypatch.setattr(encodings, "__version__", "0.0.0")
        encode_all(classified(), counting, tokenizer, 16)
        assert counting.count == ROWS

    def test_few_rows_and_a_switch(self, tmp_path: Path, hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        tokenizer, task = characters(tmp_path / "vocab.txt"), SeqCls(LABELS)
        encode_all(classified(9), task, tokenizer, 16)
        monkeypatch.setenv("HUB_CACHE_ENCODINGS", "0")
        encode_all(classified(), task, tokenizer, 16)
        assert not (hub_home / "cache").exists()

    def test_rows_without_labels_are_still_refused(self, tmp_path: Path, hub_home: Path) -> None:
        rows = [*classified(), Example("x", label=None, key="t:99")]
        with pytest.raises(DataError, match="t:99"):
            encode_all(rows, SeqCls(LABELS), characters(tmp_path / "vocab.txt"), 16)
        assert not (hub_home / "cache").exists()

    @pytest.mark.parametrize("damage", ["truncated", "missing", "empty", "emptied", "other", "pickle", "lengths"])
    def test_damaged_files(self, damage: str, tmp_path: Path, hub_home: Path) -> None:
        tokenizer, counting = characters(tmp_path / "vocab.txt"), Counting(TokenCls(LABELS))
        first = encode_all(labelled(), counting, tokenizer, 8)
        (folder,) = (hub_home / "cache" / "encodings").iterdir()
        path = folder / "input.input_ids.npy"
        match damage:
            case "truncated":
                os.truncate(path, path.stat().st_size - 8)
            case "missing":
                path.unlink()
            case "empty":
                path.write_bytes(b"")
            case "emptied":
                for one in folder.iterdir():
                    one.unlink()
            case "other":
                array = np.load(path)
                array[:3] += 1
                np.save(path, array)
            case "pickle":
                np.save(path, np.array([object()], dtype=object), allow_pickle=True)
            case "lengths":
                np.save(folder / "windows.npy", np.load(folder / "windows.npy") + 1)
        again = encode_all(labelled(), counting, tokenizer, 8)
        assert counting.count >= 2 * ROWS
        assert_same(again, first)
        counting.count = 0
        assert_same(encode_all(labelled(), counting, tokenizer, 8), first)
        assert counting.count == 1

    def test_a_disk_that_fails(self, tmp_path: Path, hub_home: Path, caplog: pytest.LogCaptureFixture) -> None:
        hub_home.mkdir()
        (hub_home / "cache").write_bytes(b"")
        with caplog.at_level(logging.WARNING):
            found = encode_all(classified(), SeqCls(LABELS), characters(tmp_path / "vocab.txt"), 16)
        assert len(found) == ROWS
        assert "encodings are not kept: " in caplog.text
        assert "HUB_CACHE_ENCODINGS=0" in caplog.text


@dataclass(frozen=True)
class Noted:
    """A note that arrays hold."""

    offsets: np.ndarray
    cut: bool


class Odd:
    """A task whose features have other forms."""

    name, labels, options = "odd", ("a",), {}

    def __init__(self, make: Any) -> None:
        self.make, self.count = make, 0

    def encode(self, example: Example, tokenizer: Any, max_seq_len: int) -> list[Features]:
        self.count += 1
        made: list[Features] = self.make(int(example.text))
        return made


def side_by_side(n: int) -> list[Features]:
    return [Features({"input_ids": np.full((2, n % 3 + 1), n)}, n / 2)]


def noted(n: int) -> list[Features]:
    return [Features({"a": np.arange(n % 4)}, None, meta=Noted(np.full((n % 3, 2), n), n > 3))]


def vectors(n: int) -> list[Features]:
    return [Features({"a": np.arange(3)}, np.array([n, 0.5], np.float32))] * (n % 3 + 1)


FORMS = {
    "two texts side by side": (side_by_side, True),
    "a dataclass of its own": (noted, True),
    "a vector as target": (vectors, True),
    "a note of another kind": (lambda n: [Features({"a": np.arange(3)}, n, meta={"n": n})], False),
    "mixed targets": (lambda n: [Features({"a": np.arange(3)}, n if n % 2 else None)], False),
    "inputs by turns": (lambda n: [Features({"ab"[n % 2]: np.arange(3)}, n)], False),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_features(form: str, tmp_path: Path) -> None:
    make, kept = FORMS[form]
    task, tokenizer = Odd(make), characters(tmp_path / "vocab.txt")
    rows = [Example(str(n), key=f"t:{n}") for n in range(20)]

    def encode() -> list[list[Features]]:
        return [[replace(one, key=row.key) for one in task.encode(row, tokenizer, 8)] for row in rows]

    first = keep_encodings(rows, task, tokenizer, 8, encode)
    task.count = 0
    assert_same(keep_encodings(rows, task, tokenizer, 8, encode), first)
    assert task.count == (1 if kept else 20)


def test_several_threads_at_once(tmp_path: Path, hub_home: Path) -> None:
    tokenizer, task = characters(tmp_path / "vocab.txt"), TokenCls(LABELS)
    expected = [task.encode(row, tokenizer, 8) for row in labelled()]
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda: found.append(encode_all(labelled(), task, tokenizer, 8))) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    for one in found:
        assert_same(one, expected)
    assert [path.name for path in (hub_home / "cache" / "encodings").iterdir() if path.name.startswith(".")] == []


PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, "tests")
from hub_core.data import encodings
encodings.LEAST_ROWS = 10
from test_encodings import characters, classified, LABELS, SeqCls, encode_all
rows = encode_all(classified(), SeqCls(LABELS), characters(Path(sys.argv[1])), 16)
print(sum(int(row.inputs["input_ids"].sum()) for (row,) in rows))
"""


def test_several_processes_at_once(tmp_path: Path) -> None:
    running = [python("-c", PROCESS, str(tmp_path / f"{n}.txt"), env=dict(os.environ)) for n in range(3)]
    ends = [one.communicate() for one in running]
    assert [one.returncode for one in running] == [0, 0, 0], ends
    assert len({out for out, _ in ends}) == 1


def test_clear(tmp_path: Path, hub_home: Path) -> None:
    assert clear_encodings() == 0
    encode_all(classified(), SeqCls(LABELS), characters(tmp_path / "vocab.txt"), 16)
    folder = hub_home / "cache" / "encodings"
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    assert clear_encodings() == size > 0
    assert not folder.exists()
