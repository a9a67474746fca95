"""Tagging schemes, against seqeval and by example."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics.sequence_labeling import get_entities

from hub_core.errors import LabelError, NotFoundError
from hub_core.tagging import SCHEMES, Span, detect_scheme, parse_label, spans

steady = settings(deadline=None, derandomize=True, max_examples=60)
TYPES = ["PER", "ORG", "LOC-CITY", "O", "B", "地名"]


def labels_of(letters: str, *, suffix: bool = False) -> st.SearchStrategy[list[str]]:
    typed = st.builds(
        lambda letter, kind: f"{kind}-{letter}" if suffix else f"{letter}-{kind}",
        st.sampled_from(letters),
        st.sampled_from(TYPES),
    )
    return st.lists(st.one_of(st.just("O"), st.sampled_from(letters), typed), max_size=14)


def from_seqeval(labels: list[str], *, suffix: bool = False) -> list[Span]:
    """seqeval counts the last unit of a span in; a list without labels has no spans."""
    return [Span(kind, start, end + 1) for kind, start, end in get_entities(labels, suffix)]


@pytest.mark.parametrize("letters", ["BI", "BIES", "I"])
@steady
@given(data=st.data())
def test_spans_equal_seqeval(letters: str, data: st.DataObject) -> None:
    labels = data.draw(labels_of(letters))
    assert spans(labels) == from_seqeval(labels)


@steady
@given(labels_of("BIES", suffix=True))
def test_spans_with_suffix_equal_seqeval(labels: list[str]) -> None:
    assert spans(labels, suffix=True) == from_seqeval(labels, suffix=True)


@steady
@given(labels_of("BIES"))
def test_an_explicit_scheme_reads_the_same(labels: list[str]) -> None:
    assert spans(labels, scheme="BIOES") == spans(labels)


@steady
@given(labels_of("BIES"))
def test_bmes_is_bioes_with_another_letter(labels: list[str]) -> None:
    renamed = ["M" + label[1:] if label.startswith("I") else label for label in labels]
    assert spans(renamed, scheme="BMES") == spans(labels) == spans(renamed)


@steady
@given(labels_of("BIES"))
def test_spans_are_in_order_and_do_not_overlap(labels: list[str]) -> None:
    edges = [edge for span in spans(labels) for edge in (span.start, span.end)]
    assert edges == sorted(edges)
    covered = {unit for span in spans(labels) for unit in range(span.start, span.end)}
    assert covered == {unit for unit, label in enumerate(labels) if label != "O"}


def test_bare_types_are_io() -> None:
    labels = ["PER", "PER", "O", "ORG", "PER"]
    expected = [Span("PER", 0, 2), Span("ORG", 3, 4), Span("PER", 4, 5)]
    assert spans(labels) == expected
    assert spans(labels, scheme="IO") == expected
    assert spans(["I-PER", "I-PER", "O"], scheme="IO") == [Span("PER", 0, 2)]


def test_in_io_the_other_letters_are_types() -> None:
    assert parse_label("B", "IO") == ("I", "B")
    assert parse_label("S-1", "IO") == ("I", "S-1")
    assert parse_label("B") == ("B", "_")


def test_a_label_outside_the_scheme() -> None:
    with pytest.raises(LabelError, match=r"label 'E-PER' is not one of scheme BIO: O, B-X, I-X"):
        spans(["B-PER", "E-PER"], scheme="BIO")
    with pytest.raises(LabelError, match=r"label 'PER' is not one of scheme BMES: O, X-B, X-M, X-E, X-S"):
        spans(["PER"], scheme="BMES", suffix=True)
    with pytest.raises(LabelError, match="label ''"):
        spans([""])


def test_an_unknown_scheme() -> None:
    with pytest.raises(NotFoundError, match=r"unknown tagging scheme 'BOES'; did you mean 'BIOES'"):
        spans(["O"], scheme="BOES")


@pytest.mark.parametrize(
    ("labels", "scheme"),
    [
        (["O", "B-PER", "I-PER"], "BIO"),
        (["B-PER", "O"], "BIO"),
        (["B-PER", "I-PER", "E-PER", "S-PER", "O"], "BIOES"),
        (["B", "M", "E", "S"], "BMES"),
        (["O", "I-PER", "I-ORG"], "IO"),
        (["O", "PER", "ORG"], "IO"),
        (["O", "A", "B", "C"], "IO"),
        (["O"], "IO"),
    ],
)
def test_detection(labels: list[str], scheme: str) -> None:
    assert detect_scheme(labels) == scheme
    assert scheme in SCHEMES


def test_detection_with_suffix() -> None:
    assert detect_scheme(["PER-B", "PER-I", "O"], suffix=True) == "BIO"
    with pytest.raises(LabelError, match=r"labels end with their letter \(PER-B\); pass suffix=True"):
        detect_scheme(["PER-B", "PER-I", "O"])
    with pytest.raises(LabelError, match=r"labels begin with their letter \(B-PER\); pass suffix=False"):
        detect_scheme(["B-PER", "I-PER", "O"], suffix=True)


def test_detection_refuses_mixtures() -> None:
    with pytest.raises(LabelError, match=r"labels with a letter \(B-PER\) and without one \(LOC\) are mixed"):
        detect_scheme(["B-PER", "LOC"])
    with pytest.raises(LabelError, match="labels mix the letters B, I, M"):
        detect_scheme(["B-PER", "I-PER", "M-PER"])
