"""Where Chinese (and English) sentences end."""

from __future__ import annotations

import re
from itertools import pairwise

#: An end of a sentence with the quotes and brackets that close after it. A full stop ends one before white space only:
#: numbers and addresses have them inside.
_END = re.compile(
    r"""(?:[。！？!?；;…]+|\.{3,6}|(?<=[A-Za-z0-9)"'”’])[.](?=\s))["'”’」』》）)】\]]*\s*""",
)


def split_sentences(text: str) -> list[str]:
    """The sentences of a text in order, without the white space around them; blank ones are left out.

    Sentences end at 。！？；… and their half-width kin, after the quotes and brackets that close there.

    >>> split_sentences("他说：“走吧。”我们走了！3.5元。Yes. No")
    ['他说：“走吧。”', '我们走了！', '3.5元。', 'Yes.', 'No']
    """
    ends = [0, *(end.end() for end in _END.finditer(text)), len(text)]
    pieces = (text[start:end].strip() for start, end in pairwise(ends))
    return [piece for piece in pieces if piece]
