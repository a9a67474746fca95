"""Scores of answers, against the official programs as their sources state them, and NLTK's words."""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from pathlib import Path

import nltk
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hub_core.errors import SettingsError
from hub_core.metrics import answer_scores, best_threshold, cmrc2018, squad_v1, squad_v2
from hub_core.metrics.treebank import treebank_words

words = st.lists(
    st.sampled_from(["the", "The", "a", "cat", "Cat,", "sat.", "an", "on", "mat", "...", "U.S.", "3.5", "it's"]),
    max_size=6,
).map(" ".join)
chinese = st.text(alphabet="战国无双光荣2008年CG-73 abc,。：“”《》…·.()!?'\"", max_size=14)
sentence = st.text(alphabet="abcX's \"()[]{}<>.,:;!?@#$%&*-–—'`«»“”‘’0123\t", max_size=24) | st.lists(
    st.sampled_from(["can't", "cannot", "gonna", "'tis", "I'm", "we'll", "$5.00", "U.S.", "--", "...", '"so"', "wanna"])
).map(" ".join)


def official_squad(gold: str, answer: str) -> tuple[int, float]:
    """One right answer, as evaluate-v1.1.py states it."""

    def normalised(text: str) -> str:
        kept = "".join(character for character in text.lower() if character not in set(string.punctuation))
        return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())

    tokens, right = normalised(answer).split(), normalised(gold).split()
    same = sum((Counter(tokens) & Counter(right)).values())
    if same == 0:
        return int(normalised(answer) == normalised(gold)), 0.0
    precision, recall = same / len(tokens), same / len(right)
    return int(normalised(answer) == normalised(gold)), 2 * precision * recall / (precision + recall)


def official_squad2(gold: list[str], answer: str) -> tuple[int, float]:
    """As evaluate-v2.0.py: answers of which nothing is left are none; against none only silence is right."""

    def left(text: str) -> bool:
        return official_squad(text, "") != (1, 0.0)

    rights = [one for one in gold if left(one)] or [""]
    scores = []
    for one in rights:
        exact, f1 = official_squad(one, answer)
        if not left(one) or not left(answer):
            f1 = float(left(one) == left(answer))
        scores.append((exact, f1))
    return max(exact for exact, _ in scores), max(f1 for _, f1 in scores)


def official_cmrc(gold: list[str], answer: str) -> tuple[int, float]:
    """As cmrc2018_evaluate.py, with NLTK's words of a whole run for those of its sentences."""
    marks = [*"-:_*^/\\~`+=，。：？！“”；’《》", "……", *"·、「」（）－～『』"]
    tokenizer = nltk.NLTKWordTokenizer()

    def segments(text: str) -> list[str]:
        found, run = [], ""
        for character in text.lower().strip():
            if character in marks:
                continue
            if re.search("[\u4e00-\u9fa5]", character):
                found += tokenizer.tokenize(run) if run else []
                run = ""
                found.append(character)
            else:
                run += character
        return found + (tokenizer.tokenize(run) if run else [])

    def common(first: list[str], second: list[str]) -> int:
        table = [[0] * (len(second) + 1) for _ in range(len(first) + 1)]
        for i, one in enumerate(first):
            for j, two in enumerate(second):
                if one == two:
                    table[i + 1][j + 1] = table[i][j] + 1
        return max(map(max, table))

    def bare(text: str) -> str:
        return "".join(character for character in text.lower().strip() if character not in marks)

    f1s = []
    for one in gold:
        right, given = segments(one), segments(answer)
        run = common(right, given)
        precision, recall = (run / len(given), run / len(right)) if run else (0, 0)
        f1s.append(2 * precision * recall / (precision + recall) if run else 0.0)
    return int(any(bare(one) == bare(answer) for one in gold)), max(f1s)


@given(st.lists(words, min_size=1, max_size=3), words)
def test_squad_v1_is_the_official_program(gold: list[str], answer: str) -> None:
    scores = [official_squad(one, answer) for one in gold]
    expected = max(exact for exact, _ in scores), max(f1 for _, f1 in scores)
    assert squad_v1(gold, answer) == pytest.approx(expected, abs=1e-12)


@given(st.lists(words, max_size=3), words)
def test_squad_v2_is_the_official_program(gold: list[str], answer: str) -> None:
    assert squad_v2(gold, answer) == pytest.approx(official_squad2(gold, answer), abs=1e-12)


@given(st.lists(chinese, min_size=1, max_size=3), chinese)
def test_cmrc2018_is_the_official_program(gold: list[str], answer: str) -> None:
    assert cmrc2018(gold, answer) == pytest.approx(official_cmrc(gold, answer), abs=1e-12)


def test_cmrc2018_on_its_own_answers(data_home: Path) -> None:
    document = json.loads((data_home / "cmrc2018" / "cmrc2018_trial.json").read_text(encoding="utf-8"))
    questions = [q for article in document["data"] for part in article["paragraphs"] for q in part["qas"]]
    answers = [[answer["text"] for answer in question["answers"]] for question in questions]
    for gold, other in list(zip(answers, [*answers[1:], answers[0]], strict=True))[::8]:
        for given_answer in (gold[0], gold[0][:-1], "，" + gold[0] + " and", other[0]):
            assert cmrc2018(gold, given_answer) == pytest.approx(official_cmrc(gold, given_answer), abs=1e-12)
    scores = answer_scores(answers, [gold[0] for gold in answers], judge=cmrc2018)
    assert (scores.exact, scores.f1, scores.without_answer) == (1.0, 1.0, None)


@given(sentence)
def test_words_are_nltks(text: str) -> None:
    assert treebank_words(text) == nltk.NLTKWordTokenizer().tokenize(text)


def test_cmrc2018_by_hand() -> None:
    assert cmrc2018(["1918年"], "1918年。") == (1.0, 1.0)
    assert cmrc2018(["CG-73"], "cg73") == (1.0, 1.0)  # a mark goes before words are cut
    assert cmrc2018(["北京大学"], "北京的大学") == (0.0, pytest.approx(2 * (2 / 5) * (2 / 4) / (2 / 5 + 2 / 4)))
    assert cmrc2018(["走……"], "走")[0] == 0.0  # the official list of marks names two dots at once, which it never meets
    assert cmrc2018([], "") == (1.0, 1.0)
    assert cmrc2018([], "北京") == (0.0, 0.0)


def test_scores_over_a_corpus() -> None:
    gold = [["the cat"], [], ["a dog", "dog and cat"], []]
    scores = answer_scores(gold, ["Cat.", "", "cat", "sea"], judge=squad_v2)
    assert (scores.exact, scores.f1) == (0.5, pytest.approx((1 + 1 + 0.5 + 0) / 4))
    assert scores.with_answer == (0.5, pytest.approx(0.75))
    assert scores.without_answer == (0.5, 0.5)
    assert answer_scores([["x"]], ["x"], judge=squad_v1).without_answer is None


def official_threshold(scores: list[float], silent: list[bool], spans: list[str], chances: list[float]) -> float:
    """The best total as evaluate-v2.0.py's `find_best_thresh` finds it."""
    total = best = float(sum(silent))
    for at in sorted(range(len(chances)), key=lambda at: chances[at]):
        total += scores[at] if not silent[at] else -1 if spans[at] else 0
        best = max(best, total)
    return best / len(scores)


@given(
    st.lists(
        st.tuples(st.lists(st.just("cat sat"), max_size=1), st.sampled_from(["cat", "cat sat", "sea"])), min_size=1
    ),
    st.randoms(use_true_random=False),
)
def test_the_best_threshold_is_the_official_one(rows: list[tuple[list[str], str]], draw: object) -> None:
    gold, spans = [row[0] for row in rows], [row[1] for row in rows]
    chances = [number / len(rows) for number in range(len(rows))]
    draw.shuffle(chances)  # type: ignore[attr-defined]
    score, threshold = best_threshold(gold, spans, chances, judge=squad_v2)
    raw = [squad_v2(one, span)[1] for one, span in zip(gold, spans, strict=True)]
    assert score == pytest.approx(official_threshold(raw, [not one for one in gold], spans, chances), abs=1e-12)
    chosen = ["" if chance > threshold else span for span, chance in zip(spans, chances, strict=True)]
    assert answer_scores(gold, chosen, judge=squad_v2).f1 == pytest.approx(score, abs=1e-12)  # it can be had


def test_questions_of_equal_chance_stand_on_one_side() -> None:
    score, threshold = best_threshold([["x"], []], ["x", "y"], [0.5, 0.5], judge=squad_v2, of="exact")
    assert score == 0.5
    assert threshold < 0.5


def test_rows_that_do_not_correspond() -> None:
    with pytest.raises(SettingsError, match="1 gold rows cannot be compared with 2 predicted"):
        answer_scores([["a"]], ["a", "b"], judge=squad_v1)
    with pytest.raises(SettingsError, match="a score of answers of no rows"):
        answer_scores([], [], judge=squad_v1)
    with pytest.raises(SettingsError, match="no-answer scores must be finite"):
        best_threshold([["a"]], ["a"], [float("inf")], judge=squad_v2)
    with pytest.raises(SettingsError, match="unknown score of answers 'F1'; known: exact, f1"):
        best_threshold([["a"]], ["a"], [0.5], judge=squad_v2, of="F1")
