"""Rules for single characters, the same in training and in use."""

from __future__ import annotations

from dataclasses import dataclass

#: Full-width forms of the ASCII characters (U+FF01 to U+FF5E, Unicode block "Halfwidth and Fullwidth Forms") and the
#: ideographic space.
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}


def well_formed(text: str) -> str:
    """The text as valid Unicode: paired surrogates become their character, lone ones U+FFFD.

    JSON and JavaScript hand over half characters (``"\\ud83d"``), which no tokenizer library takes.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


@dataclass(frozen=True)
class CharacterRules:
    """How text is normalised before units are looked up.

    `lowercase` lowers letters; `digits` ``zero`` turns every decimal digit into 0, so that numbers share their
    units; `width` ``half`` turns full-width Latin letters, digits and marks into the ASCII ones.
    """

    lowercase: bool
    digits: str
    width: str

    def narrow(self, text: str) -> str:
        """The text with full-width forms narrowed, if `width` asks for it."""
        return text.translate(_HALF_WIDTH) if self.width == "half" else text

    def apply(self, text: str) -> str:
        """The text with all rules applied."""
        text = self.narrow(well_formed(text))
        if self.lowercase:
            text = text.lower()
        if self.digits == "zero":
            text = "".join("0" if char.isdecimal() else char for char in text)
        return text
