"""Tagging schemes: from one label per unit to labelled spans.

    BIO     B-PER I-PER O            begin, inside
    BIOES   B-PER I-PER E-PER S-PER  begin, inside, end, single
    BMES    B-PER M-PER E-PER S-PER  the same with M (middle) for I
    IO      I-PER O, or bare: PER O  neighbours of one type are one span

With ``suffix=True`` a label ends with its letter instead (``PER-B``). Reading is lenient as seqeval's
`get_entities` is (https://github.com/chakki-works/seqeval, 1.2.2): a span also begins where an I or E follows
something else, and ends where the next label does not continue it, so every sequence of labels has an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from hub_core.errors import LabelError, NotFoundError, unknown

#: The letters of each scheme, the outside label left out.
SCHEMES: Mapping[str, str] = MappingProxyType({"BIO": "BI", "BIOES": "BIES", "BMES": "BMES", "IO": "I"})
#: The label of a unit that belongs to no span.
OUTSIDE = "O"
#: The type of a label that is a letter alone (``B``); seqeval's choice.
UNTYPED = "_"

_LETTERS = "BIEMS"


@dataclass(frozen=True, slots=True)
class Span:
    """Units `start` to `end` (exclusive) carry the type `label` (``PER``, without a letter)."""

    label: str
    start: int
    end: int


def spans(labels: Sequence[str], *, scheme: str | None = None, suffix: bool = False) -> list[Span]:
    """The spans that one label per unit spells, in order.

    Without `scheme` every letter of the four schemes is understood, and a label without one is a bare type (IO).
    With it, a label that the scheme does not have raises LabelError. An unknown scheme raises NotFoundError.

    >>> spans(["B-PER", "I-PER", "O", "I-LOC"])
    [Span(label='PER', start=0, end=2), Span(label='LOC', start=3, end=4)]
    """
    _letters(scheme)
    found = []
    start, kind, last = 0, "", OUTSIDE  # `last` is the letter before, OUTSIDE as soon as its span has ended
    for index, label in enumerate(labels):
        # most labels are O, and a look into the cache costs more than a comparison
        letter, of = (OUTSIDE, UNTYPED) if label == OUTSIDE else parse_label(label, scheme, suffix)
        if last != OUTSIDE and (letter in "OBS" or last in "ES" or of != kind):
            found.append(Span(kind, start, index))
            last = OUTSIDE
        if last == OUTSIDE:
            start = index
        last, kind = letter, of
    if last != OUTSIDE:
        found.append(Span(kind, start, len(labels)))
    return found


@lru_cache(maxsize=4096)
def parse_label(label: str, scheme: str | None = None, suffix: bool = False) -> tuple[str, str]:
    """A label's letter (``B``, ``I``, ``E``, ``S`` or ``O``; M is read as I) and its type.

    >>> parse_label("B-PER"), parse_label("PER-E", suffix=True), parse_label("PER")
    (('B', 'PER'), ('E', 'PER'), ('I', 'PER'))
    """
    letters = _letters(scheme)
    if label == OUTSIDE:
        return OUTSIDE, UNTYPED
    letter, kind = _split(label, suffix)
    if letter and letter in letters:
        return ("I" if letter == "M" else letter), kind or UNTYPED
    if not label or scheme not in (None, "IO"):
        forms = [f"X-{one}" if suffix else f"{one}-X" for one in SCHEMES[scheme or "IO"]]
        raise LabelError(f"label {label!r} is not one of scheme {scheme or 'IO'}: O, {', '.join(forms)} (X: the type)")
    return "I", label


def detect_scheme(labels: Iterable[str], *, suffix: bool = False) -> str:
    """The scheme that a list of labels is written in: a name of `SCHEMES`.

    Raises LabelError where labels with and without a letter are mixed, where letters of different schemes are, and
    where the letters stand at the other end than `suffix` says.
    """
    given = sorted(set(labels) - {OUTSIDE})
    letters = {label: _split(label, suffix)[0] for label in given}
    bare = [label for label in given if not letters[label]]
    if bare:
        _refuse_mixture(given, bare, suffix)
        return "IO"
    used = set(letters.values())
    for scheme in ("IO", "BIO", "BIOES", "BMES"):
        if used <= set(SCHEMES[scheme]):
            return scheme
    raise LabelError(f"labels mix the letters {', '.join(sorted(used))}, which no scheme of {', '.join(SCHEMES)} has")


def _letters(scheme: str | None) -> str:
    """The letters of a scheme, all of them for None. Raises NotFoundError for an unknown one."""
    if scheme is not None and scheme not in SCHEMES:
        raise NotFoundError(unknown("tagging scheme", scheme, SCHEMES))
    return _LETTERS if scheme is None else SCHEMES[scheme]


def _split(label: str, suffix: bool) -> tuple[str, str]:
    """Letter and type as written; the letter is empty where the label has none."""
    letter, rest = (label[-1:], label[-2:-1]) if suffix else (label[:1], label[1:2])
    if letter not in _LETTERS or rest not in ("", "-"):
        return "", label
    return letter, label[:-2] if suffix else label[2:]


def _refuse_mixture(given: Sequence[str], bare: Sequence[str], suffix: bool) -> None:
    """Raise LabelError unless all labels are bare; single letters (``B``) among bare labels are types too."""
    lettered = [label for label in given if label not in bare and len(label) > 1]
    if lettered:
        raise LabelError(f"labels with a letter ({lettered[0]}) and without one ({bare[0]}) are mixed")
    if all(len(label) > 1 and _split(label, not suffix)[0] for label in given):
        where, remedy = ("begin", "suffix=False") if suffix else ("end", "suffix=True")
        raise LabelError(
            f"labels {where} with their letter ({given[0]}); pass {remedy}, or scheme='IO' if that is part of the type"
        )
