"""Data for tasks that the public sets have no data set for, made from those that there are."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hub_core as hub
from hub_core.examples import Example

#: The vocabulary of bert-base-chinese, for networks that read word pieces.
VOCABULARY = Path(os.environ.get("HUB_DATA_HOME", "")) / "vocab" / "bert-base-chinese.vocab.txt"
#: The kinds of titles by THUCNews' names, and in two characters.
_KINDS = {
    "finance": "财经",
    "realty": "房产",
    "stocks": "股票",
    "education": "教育",
    "science": "科技",
    "society": "社会",
    "politics": "时政",
    "sports": "体育",
    "game": "游戏",
    "entertainment": "娱乐",
}
_SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
#: As many training rows of MSRA-NER as PaddleHub has.
_ROWS = 20_864


def entity_types(folder: Path) -> None:
    """Which kinds of entities a sentence of MSRA-NER names: none, or any of PER, ORG, LOC."""
    _from_entities(folder, lambda row: ",".join(sorted({tag[2:] for tag in row.label or () if tag != "O"})))


def entity_share(folder: Path) -> None:
    """The share of a sentence of MSRA-NER that belongs to entities, 0 to 1."""
    _from_entities(folder, lambda row: f"{sum(tag != 'O' for tag in row.label or ()) / len(row.label or 'O'):.6f}")


def named_titles(folder: Path) -> None:
    """Every third title of THUCNews after the name of its kind, two characters, both hidden; and ``vocab.txt``.

    The vocabulary are the characters of the titles that are learnt from.
    """
    seen = set("".join(_KINDS.values()))
    for mode, name in {"train.clean": "train", "dev": "dev", "test": "test"}.items():
        titles = list(hub.datasets.THUCNews(mode=mode))[::3]
        rows = [{"text": f"[MASK][MASK]：{row.text}", "label": list(_KINDS[str(row.label)])} for row in titles]
        _write_rows(folder / f"{name}.jsonl", rows)
        if name == "train":
            seen |= {character for row in titles for character in row.text.lower() if character.strip()}
    _write(folder / "vocab.txt", "".join(f"{token}\n" for token in (*_SPECIALS, *sorted(seen))))


def questions_of_finance(folder: Path) -> None:
    """AFQMC, with its dev in place of a test."""
    rows, held = (
        [{"text_a": row.text, "text_b": row.pair, "label": row.label} for row in hub.datasets.AFQMC(mode=mode)]
        for mode in ("train", "dev")
    )
    _with_dev(folder, rows, held)


def kinds_of_news(folder: Path) -> None:
    """TNEWS without train's leaks, with its dev in place of a test."""
    rows, held = (
        [{"text": row.text, "label": row.label} for row in hub.datasets.TNEWS(mode=mode)]
        for mode in ("train.clean", "dev")
    )
    _with_dev(folder, rows, held)


def _with_dev(folder: Path, rows: Sequence[Mapping[str, Any]], held: Sequence[Mapping[str, Any]]) -> None:
    """The one held-out split with labels is test, and every tenth row of train is dev."""
    learnt = [row for place, row in enumerate(rows) if place % 10]
    for split, part in {"train": learnt, "dev": rows[::10], "test": held}.items():
        _write_rows(folder / f"{split}.jsonl", part)


def questions(folder: Path) -> None:
    """CMRC2018's trial and dev, of whose passages every fourth is held out: test is published without its answers.

    Answers that do not stand in their context are left out, as `hub.datasets.CMRC2018` says.
    """
    dev = list(hub.datasets.CMRC2018(mode="dev"))
    passages = list(dict.fromkeys(row.pair for row in dev))
    held = set(passages[::4])
    learnt = [*hub.datasets.CMRC2018(mode="trial"), *(row for row in dev if row.pair not in held)]
    _write_rows(folder / "train.jsonl", [_question(row) for row in learnt if row.pair not in held])
    _write_rows(folder / "test.jsonl", [_question(row) for row in dev if row.pair in held])


def _question(row: Example) -> dict[str, Any]:
    if not row.label:
        raise SystemExit(f"{row.key}: nobody knows the answer")
    answers = [{"text": one.text, "answer_start": one.start} for one in row.label]
    return {"question": row.text, "context": row.pair, "answers": answers}


def _from_entities(folder: Path, label: Callable[[Example], str]) -> None:
    for mode in ("train", "dev", "test"):
        rows = list(hub.datasets.MSRA_NER(mode=mode))[:_ROWS]
        _write_rows(folder / f"{mode}.jsonl", [{"text": row.text, "label": label(row)} for row in rows])


def _write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    _write(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
