"""Words of English text by the rules of the Penn Treebank, which some evaluations ask for."""

from __future__ import annotations

import re
from functools import cache


def treebank_words(text: str) -> list[str]:
    """Cut one sentence into words and marks, as `nltk.NLTKWordTokenizer` (3.10) does.

    Source: the Penn Treebank's tokenisation (MacIntyre 1995) with NLTK's additions for quotes and marks of other
    scripts. Only the last full stop of the text is a mark; one inside belongs to its word.

    >>> treebank_words("it can't be $3.50, can it?")
    ['it', 'ca', "n't", 'be', '$', '3.50', ',', 'can', 'it', '?']
    """
    for pattern, spaced in _compiled(_OPENING):
        text = pattern.sub(spaced, text)
    text = f" {text} "
    for pattern, spaced in _compiled(_CLOSING):
        text = pattern.sub(spaced, text)
    return text.split()


_Rules = tuple[tuple[str, str], ...]


@cache
def _compiled(rules: _Rules) -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((re.compile(pattern), spaced) for pattern, spaced in rules)


#: What is replaced by what, in this order; the first group before the text is put between spaces, the second after.
_OPENING: _Rules = (
    ("([«“‘„]|[`]+)", r" \1 "),
    ('^"', "``"),
    ("(``)", r" \1 "),
    (r"([ (\[{<])(\"|'{2})", r"\1 `` "),
    (r"(?i)(?<!\w)(')(?!(?:re|ve|ll|m|t|s|d|n)\b)(?=\w)", r"\1 "),
    (r"([^.])(\.)([\])}>\"'»”’ ]*+)\s*$", r"\1 \2 \3 "),
    (r"([:,])([^\d])", r" \1 \2"),
    ("([:,])$", r" \1 "),
    (r"\.{2,}", r" \g<0> "),
    ("[;@#$%&]", r" \g<0> "),
    ("[\u2012-\u2015]", r" \g<0> "),
    (r"([^.])(\.)([\])}>\"']*)\s*$", r"\1 \2\3 "),
    ("[?!]", r" \g<0> "),
    ("([^'])' ", r"\1 ' "),
    ("[*]", r" \g<0> "),
    (r"[\]\[(){}<>]", r" \g<0> "),
    ("--", " -- "),
)
_CLOSING: _Rules = (
    ("([»”’])", r" \1 "),
    ("''", " '' "),
    ('"', " '' "),
    (r"\s+", " "),
    ("([^' ])('[sS]|'[mM]|'[dD]|') ", r"\1 \2 "),
    ("([^' ])('ll|'LL|'re|'RE|'ve|'VE|n't|N'T) ", r"\1 \2 "),
    (r"(?i)\b(can)(not)\b", r" \1 \2 "),
    (r"(?i)\b(d)('ye)\b", r" \1 \2 "),
    (r"(?i)\b(gim)(me)\b", r" \1 \2 "),
    (r"(?i)\b(gon)(na)\b", r" \1 \2 "),
    (r"(?i)\b(got)(ta)\b", r" \1 \2 "),
    (r"(?i)\b(lem)(me)\b", r" \1 \2 "),
    (r"(?i)\b(more)('n)\b", r" \1 \2 "),
    (r"(?i)\b(wan)(na)(?=\s)", r" \1 \2 "),
    (r"(?i) ('t)(is)\b", r" \1 \2 "),
    (r"(?i) ('t)(was)\b", r" \1 \2 "),
)
