"""Where Chinese (and English) sentences end."""

from __future__ import annotations

import re

#: An end of a sentence with the quotes and brackets that close after it. A full stop ends one before white space only:
#: numbers and addresses have them inside. One set of characters comes first: that is what `re` searches fast for.
_END = re.compile(
    r"""[。！？!?；;….]
    (?: (?<![.]) [。！？!?；;…]* | (?<=[.]) [.]{2,5} | (?<=[A-Za-z0-9)"'”’][.]) (?=\s) )
    ["'”’」』》）)】\]]* \s*""",
    re.VERBOSE,
)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text in order, without the white space around them; blank ones are left out.

    Sentences end at 。！？；… and their half-width kin, after the quotes and brackets that close there.

    >>> split_sentences("他说：“走吧。”我们走了！3.5元。Yes. No")
    ['他说：“走吧。”', '我们走了！', '3.5元。', 'Yes.', 'No']
    """
    found: list[str] = []
    start = 0
    for match in _END.finditer(text):
        end = match.end()
        if piece := text[start:end].strip():
            found.append(piece)
        start = end
    if piece := text[start:].strip():
        found.append(piece)
    return found
