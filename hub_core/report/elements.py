"""Elements of a page. Texts become text and nothing else: whatever they hold is shown, never run."""

from __future__ import annotations

import unicodedata
from xml.etree import ElementTree
from xml.etree.ElementTree import Element


def element(tag: str, *children: Element | str | None, **attributes: object) -> Element:
    """An element with children; texts are escaped when the page is written.

    A trailing underscore of an attribute's name is left out and others become hyphens (``class_``, ``aria_label``);
    attributes that are None are left out.
    """
    given = {
        name.rstrip("_").replace("_", "-"): _attribute(value) for name, value in attributes.items() if value is not None
    }
    made = Element(tag, given)
    for child in children:
        if isinstance(child, Element):
            made.append(child)
        elif child is not None:
            _add_text(made, shown(child))
    return made


def html(root: Element) -> str:
    """A page as text, which UTF-8 can hold."""
    return "<!doctype html>\n" + ElementTree.tostring(root, encoding="unicode", method="html") + "\n"


def shown(text: str) -> str:
    """A text without characters that a page must not hold or that reorder their neighbours, in their Python form.

    Controls but line ends and tabs, lone surrogates, noncharacters, and marks of direction (UAX #9).
    """
    if text.isprintable():
        return text
    return "".join(character if _is_safe(character) else _escaped(character) for character in text)


def _add_text(to: Element, text: str) -> None:
    if len(to):
        to[-1].tail = (to[-1].tail or "") + text
    else:
        to.text = (to.text or "") + text


def _attribute(value: object) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else shown(str(value))


def _is_safe(character: str) -> bool:
    if character in "\n\t":
        return True
    if ord(character) & 0xFFFE == 0xFFFE or 0xFDD0 <= ord(character) <= 0xFDEF:
        return False
    return unicodedata.category(character) not in ("Cc", "Cs") and unicodedata.bidirectional(character) not in _ORDERING


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


_ORDERING = frozenset(("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"))
