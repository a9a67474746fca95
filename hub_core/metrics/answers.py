"""Scores of answers that are spans of a text, as the evaluations of SQuAD and CMRC2018 define them.

Every judge takes the right answers to one question (none: it has no answer) and the given one ("" for "no answer"),
and returns exact match (0 or 1) and F1 (0 to 1), the best over the right answers. The official programs print percent.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from hub_core.errors import SettingsError, unknown
from hub_core.metrics.rows import check_rows, check_some, numbers
from hub_core.metrics.treebank import treebank_words

Judged = tuple[float, float]
_JUDGED = ("exact", "f1")
Judge = Callable[[Sequence[str], str], Judged]


@dataclass(frozen=True)
class AnswerScores:
    """Mean exact match and F1 over all questions, over those that have an answer, and over those that have none.

    A pair is None where there is no such question; `with_answer` and `without_answer` are ``(exact, f1)``.
    """

    exact: float
    f1: float
    with_answer: Judged | None
    without_answer: Judged | None


def answer_scores(gold: Sequence[Sequence[str]], predicted: Sequence[str], *, judge: Judge) -> AnswerScores:
    """Scores over a corpus: per question its right answers (none: it has no answer), and the given one.

    `judge` is `squad_v1`, `squad_v2` or `cmrc2018`. A question that nobody answered counts with "", as the official
    programs count it.
    """
    check_rows(gold, predicted)
    check_some(gold, "a score of answers")
    judged = np.array([judge(*row) for row in zip(gold, predicted, strict=True)], dtype=np.float64)
    has = np.array([bool(answers) for answers in gold])
    exact, f1 = judged.mean(axis=0).tolist()
    kinds = [
        (float(part[:, 0].mean()), float(part[:, 1].mean())) if len(part) else None
        for part in (judged[has], judged[~has])
    ]
    return AnswerScores(exact, f1, *kinds)


def squad_v1(gold: Sequence[str], answer: str) -> Judged:
    """SQuAD v1.1: lower-case words without articles and ASCII punctuation; F1 over the bag of words.

    Source: evaluate-v1.1.py (Rajpurkar et al. 2016). A question must have an answer.
    """
    best = (0.0, 0.0)
    given = _squad_words(answer)
    for one in gold:
        right = _squad_words(one)
        shared = (Counter(right) & Counter(given)).total()
        best = max(best[0], float(right == given)), max(best[1], _f1(shared, len(given), len(right)))
    return best


def squad_v2(gold: Sequence[str], answer: str) -> Judged:
    """SQuAD v2.0: as v1.1, and "" is the one right answer to a question without an answer.

    Right answers of which nothing is left ("The") are passed over, and a question with none but those counts as
    without an answer. Source: evaluate-v2.0.py (Rajpurkar et al. 2018).
    """
    rights = [one for one in gold if _squad_words(one)]
    if not rights or not _squad_words(answer):
        same = float(not rights and not _squad_words(answer))
        return same, same
    return squad_v1(rights, answer)


def cmrc2018(gold: Sequence[str], answer: str) -> Judged:
    """CMRC2018: lower-case text without certain punctuation; F1 over the longest run of segments that both have.

    Chinese characters are segments, and so are the words between them (`treebank_words`; the official program first
    asks a trained model where an English sentence ends). The run is contiguous, as the official program has it.
    Punctuation goes before the words are cut, so that "CG-73" becomes one; of all marks only `_DROPPED` does. A
    question without an answer is not foreseen there; here "" is right. Source: cmrc2018_evaluate.py (Cui et al. 2019).
    """
    if not gold:
        return float(not answer), float(not answer)
    best = (0.0, 0.0)
    given = _cmrc_text(answer)
    segments = _cmrc_segments(given)
    for one in gold:
        right = _cmrc_text(one)
        wanted = _cmrc_segments(right)
        shared = _longest_common_run(wanted, segments)
        best = max(best[0], float(right == given)), max(best[1], _f1(shared, len(segments), len(wanted)))
    return best


def best_threshold(
    gold: Sequence[Sequence[str]], predicted: Sequence[str], no_answer: Sequence[float], *, judge: Judge, of: str = "f1"
) -> tuple[float, float]:
    """The threshold above which "no answer" is the best answer, as SQuAD v2.0 searches it: ``(score, threshold)``.

    `predicted` are the best spans (not ""), `no_answer` how likely each question is to have no answer (in any unit).
    A question whose value is at most the threshold gets its span. The score is the mean exact match or F1 (`of`)
    at that threshold, the lowest of the best ones.
    """
    check_rows(gold, predicted)
    check_rows(gold, no_answer)
    check_some(gold, "a threshold")
    values = numbers(no_answer, "no-answer scores")
    if of not in _JUDGED:
        raise SettingsError(unknown("score of answers", of, _JUDGED))
    column = _JUDGED.index(of)
    spans = np.array([judge(*row)[column] for row in zip(gold, predicted, strict=True)])
    silence = np.array([judge(answers, "")[column] for answers in gold])
    order = np.argsort(values, kind="stable")
    # Score if the first n questions, by value, get their span and the others none.
    totals = np.concatenate([[0.0], np.cumsum(spans[order] - silence[order])]) + silence.sum()
    ends = np.flatnonzero(np.append(np.diff(values[order]) > 0, True)) + 1  # equal values stand on one side
    best = max([0, *ends.tolist()], key=lambda answered: (totals[answered], -answered))
    threshold = values[order[best - 1]] if best else np.nextafter(values.min(), -np.inf)
    return float(totals[best] / len(gold)), float(threshold)


def _squad_words(text: str) -> list[str]:
    bare = "".join(character for character in text.lower() if character not in _ASCII_PUNCTUATION)
    return _ARTICLES.sub(" ", bare).split()


def _cmrc_text(text: str) -> str:
    return "".join(character for character in text.lower().strip() if character not in _DROPPED)


def _cmrc_segments(text: str) -> list[str]:
    segments: list[str] = []
    for part in _CHINESE.split(text):  # every second part is one Chinese character
        segments += [part] if _CHINESE.fullmatch(part) else treebank_words(part)
    return segments


def _longest_common_run(first: Sequence[str], second: Sequence[str]) -> int:
    """The length of the longest contiguous run that both have."""
    longest, ending = 0, [0] * (len(second) + 1)  # `ending[j]`: of the runs that end before j
    for one in first:
        ending = [0, *(before + 1 if one == two else 0 for before, two in zip(ending, second, strict=False))]
        longest = max(longest, *ending)
    return longest


def _f1(shared: int, answered: int, asked: int) -> float:
    if not shared:
        return 0.0
    precision, recall = shared / answered, shared / asked
    return 2 * precision * recall / (precision + recall)


_ASCII_PUNCTUATION = frozenset(string.punctuation)
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_CHINESE = re.compile("([\u4e00-\u9fa5])")
#: The marks of the official program; its list has "……" too, which is two characters and so meets none.
_DROPPED = frozenset("-:_*^/\\~`+=，。：？！“”；’《》·、「」（）－～『』")
