"""The report of tasks that fill in tokens (masked-lm)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from hub_core.examples import Example, Prediction
from hub_core.metrics import Measure, calibration_error, reliability
from hub_core.metrics.resampling import ratio
from hub_core.report.any_task import SHOWN, Record, TaskReport, by_length
from hub_core.report.sections import Line, Passage, Piece, Reliability, Section, Table
from hub_core.tasks.masked_lm import MASK, MaskPrediction
from hub_core.tasks.task import Task

#: How many of the most confused tokens are listed.
FREQUENT = 12


class PlaceReport(TaskReport):
    """At which rank the right token stands, the most confused tokens, calibration, lengths, and the worst texts."""

    def record(self, task: Task, example: Example, prediction: Prediction) -> dict[str, Any]:
        """With the right token of every place, the likeliest, and all candidates."""
        if not isinstance(prediction, MaskPrediction) or not isinstance(example.label, tuple):
            return super().record(task, example, prediction)
        return {
            **self.asked(task, example),
            "gold": [str(token) for token in example.label],
            "predicted": [candidates[0].token for candidates in prediction.places],
            "candidates": [[vars(one) for one in candidates] for candidates in prediction.places],
            "truncated": prediction.truncated,
        }

    def fits(self, record: Record) -> bool:
        """See `TaskReport.fits`."""
        return "candidates" in record

    def fault(self, record: Record) -> str | None:
        """See `TaskReport.fault`."""
        places = record["text"].count(MASK)
        for name in ("gold", "predicted"):
            if not isinstance(record[name], list) or not all(isinstance(one, str) for one in record[name]):
                return f"{name} must be a list of tokens, not {record[name]!r}"
        sizes = {name: len(record[name]) for name in ("gold", "predicted")}
        candidates = record.get("candidates")
        if not isinstance(candidates, list) or not all(map(_are_candidates, candidates)):
            return "candidates must be lists of objects with token and probability"
        for name, size in {**sizes, "candidates": len(candidates)}.items():
            if size != places:
                return f"{places} places in the text, but {size} as {name}"
        return None

    def measures(self, records: Sequence[Record]) -> Sequence[Measure]:
        """Accuracy over places, and the share of places with the right token among the candidates."""
        found: dict[str, list[tuple[int, int]]] = {"accuracy": [], "recall@k": []}
        for record in records:
            ranks = [rank for _, _, rank in _places(record)]
            found["accuracy"].append((ranks.count(1), len(ranks)))
            found["recall@k"].append((sum(rank is not None for rank in ranks), len(ranks)))
        return [
            Measure(name, np.array(counts, dtype=np.float64), lambda sums: ratio(sums[..., 0], sums[..., 1]))
            for name, counts in found.items()
        ]

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:  # noqa: ARG002
        """The expected calibration error (15 bins) of the likeliest tokens."""
        return {"calibration_error": calibration_error(*_confidence(records))}

    def sections(self, records: Sequence[Record], labels: Sequence[str]) -> list[Section]:  # noqa: ARG002
        """See `TaskReport.sections`."""
        about = f"The {SHOWN} texts with most wrong places, of equally many those of which the module was surest."
        return [
            _ranks(records),
            _confusions(records),
            _calibration(records),
            by_length(self.measures(records)[0], [self.length(record) for record in records]),
            self.worst(records, about),
        ]

    def errors(self, record: Record) -> float:
        """How many places are wrong."""
        return float(sum(map(str.__ne__, record["gold"], record["predicted"])))

    def surprise(self, record: Record) -> float:
        """The mean probability of the tokens that are wrong."""
        wrong = [best["probability"] for token, best, _ in _places(record) if best["token"] != token]
        return float(np.mean(wrong)) if wrong else 0.0

    def passage(self, record: Record, answers: Mapping[str, Record]) -> Passage:
        """See `TaskReport.passage`; each line is the text with its tokens filled in."""
        gold = record["gold"]
        found = [all(one["predicted"][at] == token for one in answers.values()) for at, token in enumerate(gold)]
        wanted = [(token, "gold" if hit else "missed", "") for token, hit in zip(gold, found, strict=True)]
        lines = [_line("gold", record["text"], wanted)]
        for name, one in answers.items():
            filled = [
                (best["token"], "right" if best["token"] == token else "wrong", f"{best['probability']:.4f}")
                for token, best, _ in _places(one)
            ]
            lines.append(_line(name, one["text"], filled))
        note = f"{int(self.errors(record))} of {len(gold)} wrong" if len(answers) == 1 else ""
        return Passage(record["key"], note, "", tuple(lines))


def _are_candidates(value: object) -> bool:
    if not isinstance(value, list) or not value:
        return False
    return all(
        isinstance(one, dict) and isinstance(one.get("token"), str) and isinstance(one.get("probability"), int | float)
        for one in value
    )


def _places(record: Record) -> Iterator[tuple[str, Mapping[str, Any], int | None]]:
    """Of each place the right token, the likeliest candidate, and the right one's rank (None: no candidate)."""
    for token, candidates in zip(record["gold"], record["candidates"], strict=True):
        ranks = [rank for rank, one in enumerate(candidates, start=1) if one["token"] == token]
        yield token, candidates[0], ranks[0] if ranks else None


def _confidence(records: Sequence[Record]) -> tuple[list[float], list[bool]]:
    """The probability of the likeliest token of every place, and whether it is right."""
    places = [place for record in records for place in _places(record)]
    return [best["probability"] for _, best, _ in places], [best["token"] == token for token, best, _ in places]


def _ranks(records: Sequence[Record]) -> Section:
    most = max(len(candidates) for record in records for candidates in record["candidates"])
    ranks = Counter(rank for record in records for _, _, rank in _places(record))
    rows = [(str(rank), ranks[rank], ranks[rank] / ranks.total()) for rank in range(1, most + 1)]
    rows.append(("none of them", ranks[None], ranks[None] / ranks.total()))
    about = f"At which rank among the {most} candidates of a place the right token stands."
    return Section("ranks", "Ranks", about, (Table(("rank", "places", "share"), rows, bars=("share",)),))


def _confusions(records: Sequence[Record]) -> Section:
    """The pairs of tokens that are confused most often, and the right tokens that are missed most often."""
    asked, missed, pairs = Counter[str](), Counter[str](), Counter[tuple[str, str]]()
    for record in records:
        for token, best, _ in _places(record):
            asked[token] += 1
            if best["token"] != token:
                missed[token] += 1
                pairs[token, best["token"]] += 1
    frequent = sorted(pairs.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
    lost = sorted(missed.items(), key=lambda item: (-item[1], item[0]))[:FREQUENT]
    rows = [(token, asked[token], count, 1 - count / asked[token]) for token, count in lost]
    blocks = (
        Table(("gold", "predicted", "places"), [(*both, count) for both, count in frequent]),
        Table(("gold", "places", "wrong", "accuracy"), rows, bars=("accuracy",), title="Most often wrong"),
    )
    about = f"The {FREQUENT} most frequent confusions, and the {FREQUENT} tokens that are missed most often."
    return Section("confusion", "Confused tokens", about, blocks)


def _calibration(records: Sequence[Record]) -> Section:
    confidence, right = _confidence(records)
    about = (
        "The likeliest token of every place by its probability. Believable ones lie on the diagonal: here they are "
        f"given with {np.mean(confidence):.1%} on average and {np.mean(right):.1%} are right. The expected calibration "
        f"error is {calibration_error(confidence, right):.4f} over 15 bins."
    )
    return Section("calibration", "Calibration", about, (Reliability(reliability(confidence, right), "tokens"),))


def _line(name: str, text: str, filled: Sequence[tuple[str, str, str]]) -> Line:
    """The text with a token, its mark and its label in every place."""
    first, *rest = text.split(MASK)
    pieces = [Piece(first)]
    for place, after in zip(filled, rest, strict=True):
        pieces += [Piece(*place), Piece(after)]
    said = ", ".join(f"{token} {label}".strip() for token, _, label in filled)
    return Line(name, tuple(piece for piece in pieces if piece.text), said)
