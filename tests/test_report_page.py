"""Pages: whole in one file, nothing loaded, nothing run, whatever the texts are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from reports import (
    answer_rows,
    class_rows,
    entity_rows,
    few_samples,
    label_set_rows,
    made,
    number_rows,
    pair_rows,
    place_rows,
    vector_rows,
)

from hub_core.examples import Answer, Example, Prediction
from hub_core.report import Comparison, Report, compare
from hub_core.report.elements import element, html, shown
from hub_core.report.page import comparison_page, report_page
from hub_core.report.pictures import _ticks
from hub_core.tasks.masked_lm import Candidate, MaskPrediction
from hub_core.tasks.question_answering import AnswerPrediction
from hub_core.tasks.task import Task

Rows = tuple[Task, Sequence[Example], Sequence[Prediction]]

HOSTILE = (
    "<script>alert(1)</script></style><img src=x onerror=alert(2)>&amp;\"'--> ]]> \x00\x1b[2J\u202eabc\ud800\ufffe"
)
VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


#: Rows of the other tasks, by a name for their pages.
ROWS: Mapping[str, Callable[[int], Rows]] = {
    "labels": lambda seed: label_set_rows(40, seed=seed),
    "numbers": lambda seed: number_rows(40, seed=seed),
    "pairs": lambda seed: pair_rows(40, seed=seed),
    "graded vectors": lambda seed: vector_rows(40, (0, 1, 2, 3, 4, 5, 6), seed=seed),
    "vectors": lambda seed: vector_rows(40, seed=seed),
    "answers": lambda seed: answer_rows(40, seed=seed),
    "places": lambda seed: place_rows(40, seed=seed),
}


def poisoned(task: Task, rows: Sequence[Example], answers: Sequence[Prediction]) -> Report:
    """The same rows and answers, whose texts, labels and tokens are hostile."""
    changed: list[Any] = []
    poisoned_rows = []
    for row, answer in zip(rows, answers, strict=True):
        label = row.label
        if isinstance(answer, AnswerPrediction):
            label = (Answer(HOSTILE, 0),)
            text, pair = HOSTILE + row.text, f"{HOSTILE}{row.pair}{HOSTILE}"
            answer = replace(answer, text=HOSTILE + "x", start=len(pair) - len(HOSTILE), end=len(pair))
        elif isinstance(answer, MaskPrediction):
            text, pair = HOSTILE + row.text, row.pair
            label = tuple(HOSTILE for _ in answer.places)
            answer = replace(answer, places=tuple((Candidate(HOSTILE + "!", 0.5),) for _ in answer.places))
        else:
            text, pair = f"{row.text} {HOSTILE}", None if row.pair is None else f"{row.pair} {HOSTILE}"
        poisoned_rows.append(replace(row, text=text, pair=pair, label=label))
        changed.append(answer)
    return made(task, poisoned_rows, changed)


def hostile(report: Report) -> Report:
    task, rows, answers = class_rows(30)
    wrong = [replace(row, text=HOSTILE, label=answer.label) for row, answer in zip(rows, answers, strict=True)]
    wrong = [replace(row, label=next(one for one in task.labels if one != row.label)) for row in wrong]
    again = made(task, wrong, answers)
    return replace(again, about={"module": HOSTILE, HOSTILE: HOSTILE})


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    with few_samples():
        return _pages()


def _pages() -> dict[str, str]:
    classes, entities = made(*class_rows(200)), made(*entity_rows(60))
    others = made(*class_rows(200, seed=1)), made(*entity_rows(60, seed=1))
    pairs = [compare(one.records, two.records) for one, two in zip((classes, entities), others, strict=True)]
    same = compare(classes.records, classes.records)
    reports = {"classes": classes, "entities": entities, "hostile": hostile(classes)}
    reports |= {name: made(*rows(0)) for name, rows in ROWS.items()}
    reports |= {f"hostile {name}": poisoned(*rows(0)) for name, rows in ROWS.items()}
    compared = {"compared classes": pairs[0], "compared entities": pairs[1], "compared with itself": same}
    compared |= {
        f"compared {name}": compare(reports[name].records, made(*rows(1)).records) for name, rows in ROWS.items()
    }
    return {name: report_page(one) for name, one in reports.items()} | {
        name: comparison_page(one) for name, one in compared.items()
    }


NAMES = ["classes", "entities", "hostile", "compared classes", "compared entities", "compared with itself"]
NAMES += [kind + name for name in ROWS for kind in ("", "hostile ", "compared ")]


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_whole_and_loads_nothing(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert page.open == []
    assert not {"script", "img", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert {"svg", "table", "style", "h1"} <= set(page.tags)
    assert not [key for key, _ in page.attributes if key.startswith("on") or key in ("src", "srcset", "xlink:href")]
    links = [value or "" for key, value in page.attributes if key == "href"]
    assert all(link.startswith("#") for link in links)
    anchors = {value for key, value in page.attributes if key == "id"}
    assert {link[1:] for link in links} <= anchors
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    style = pages[name].split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import|https?:|expression", style)
    pages[name].encode("utf-8")


def test_what_a_text_holds_is_shown(pages: dict[str, str]) -> None:
    page = Page(pages["hostile"])
    expected = (
        "<script>alert(1)</script></style><img src=x onerror=alert(2)>&amp;\"'--> ]]> \\x00\\x1b[2J\\u202eabc\\ud800"
    )
    assert sum(expected in text for text in page.texts) >= 25 + 3
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202e]", pages["hostile"])


@pytest.mark.parametrize("name", [f"hostile {name}" for name in ROWS])
def test_what_a_text_of_any_task_holds_is_shown(pages: dict[str, str], name: str) -> None:
    page = Page(pages[name])
    assert sum("<script>alert(1)</script></style><img src=x" in text for text in page.texts) >= 5
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\u202e]", pages[name])


@given(st.text())
def test_any_text_is_one_text(text: str) -> None:
    page = Page(html(element("p", text, title=text)))
    assert page.tags == ["p"]
    assert "".join(page.texts).strip("\n").replace("\r", "") == shown(text).strip("\n")
    assert page.attributes == [("title", shown(text))]


def test_the_same_report_is_the_same_page() -> None:
    with few_samples():
        assert report_page(made(*entity_rows(20))) == report_page(made(*entity_rows(20)))


def test_numbers_of_the_page_are_those_of_the_report(pages: dict[str, str]) -> None:
    report = made(*class_rows(200))
    said = Page(pages["classes"]).texts
    for figure in report.figures:
        assert f"{figure.value:.4f}" in said
    for one in report.sections[0].blocks[0].as_table().rows:
        assert f"{one[3]:.4f}" in said


def test_pictures_stay_in_their_frame(pages: dict[str, str]) -> None:
    for name in NAMES:
        for box, picture in re.findall(r'<svg viewBox="0 0 ([\d. ]+)"(.*?)</svg>', pages[name], flags=re.DOTALL):
            width, height = map(float, box.split())
            for axis, limit in (("x", width), ("y", height)):
                places = re.findall(rf'\b(?:{axis}|{axis}1|{axis}2|c{axis})="([-\d.]+)"', picture)
                assert places
                assert all(0 <= float(place) <= limit for place in places), (name, axis)


@given(st.floats(-1, 1), st.floats(1e-4, 1))
def test_ticks_are_few_round_and_inside(low: float, width: float) -> None:
    ticks = _ticks(low, low + width)
    assert 2 <= len(ticks) <= 7
    assert all(low - 1e-9 <= tick <= low + width + 1e-9 for tick in ticks)


def test_a_comparison_says_what_is_clear(pages: dict[str, str]) -> None:
    assert "no clear difference" in Page(pages["compared with itself"]).texts
    report = made(*class_rows(200))
    right = [dict(row, predicted=row["gold"]) for row in report.records]
    found: Comparison = compare(report.records, right, names=("before", "after"))
    assert "B is better" in Page(comparison_page(found)).texts
    assert "A is better" in Page(comparison_page(compare(right, report.records))).texts


def test_the_style_is_part_of_the_package() -> None:
    import hub_core.report

    assert (Path(hub_core.report.__file__).parent / "page.css").is_file()
