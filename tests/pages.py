"""The pages of the documentation: their headings, blocks of code, code in sentences, and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENGLISH = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

_FENCE = re.compile(r"(?P<indent> *)```(?P<language>[\w-]*)\s*")
#: Stands above a block that is not run, or in which some commands are not, with the reason.
_NOT_RUN = re.compile(r"<!-- not run(?:, (?P<only>hub [^:]+))?: (?P<why>\S.*) -->")
_HEADING = re.compile(r"(?P<marks>#+) +(?P<text>.*)")
_CODE = re.compile(r"`([^`]+)`")
_LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
_NUMBER = re.compile(r"[\s\d.,%]*\d[\s\d.,%]*")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code: its language, its lines, the line that it begins on, and why it is not run ("" where it is).

    `passed_over` are the commands that are not run in a block that is: ``hub export``.
    """

    language: str
    lines: tuple[str, ...]
    number: int
    not_run: str
    passed_over: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines) + "\n"


@dataclass(frozen=True)
class Section:
    """What stands under a heading: its level (1 for the page's title), its words, its prose and its blocks."""

    level: int
    heading: str
    prose: str
    blocks: tuple[Block, ...]

    @property
    def codes(self) -> set[str]:
        """What stands between backquotes in its sentences and tables."""
        return {" ".join(code.split()) for code in _CODE.findall(_COMMENT.sub("", self.prose))}

    @property
    def links(self) -> list[str]:
        """Where its links lead."""
        return _LINK.findall(self.prose)

    @property
    def tables(self) -> list[list[str]]:
        """The rows of its tables, as cells; of a cell that is no number only that it is there (``-``)."""
        rows = (line.replace("\\|", "") for line in self.prose.splitlines() if line.startswith("|"))
        return [[cell.strip() if _NUMBER.fullmatch(cell) else "-" for cell in row.split("|")] for row in rows]


def sections(page: Path) -> list[Section]:
    """The sections of a page in order; what stands above the first heading is one of level 0."""
    found: list[Section] = []
    level, heading, prose, blocks = 0, "", [], []  # type: ignore[var-annotated]
    lines = page.read_text(encoding="utf-8").splitlines()
    at = 0
    while at < len(lines):
        fence, title = _FENCE.fullmatch(lines[at]), _HEADING.fullmatch(lines[at])
        if fence:
            end = next(n for n in range(at + 1, len(lines)) if lines[n].strip() == "```")
            reason = _NOT_RUN.fullmatch(lines[at - 1].strip())
            indent = len(fence["indent"])
            inside = tuple(line[indent:] for line in lines[at + 1 : end])
            only = tuple(reason["only"].split(" and ")) if reason and reason["only"] else ()
            blocks.append(Block(fence["language"], inside, at + 1, reason["why"] if reason and not only else "", only))
            at = end
        elif title:
            found.append(Section(level, heading, "\n".join(prose), tuple(blocks)))
            level, heading, prose, blocks = len(title["marks"]), title["text"], [], []
        else:
            prose.append(lines[at])
        at += 1
    found.append(Section(level, heading, "\n".join(prose), tuple(blocks)))
    return [section for section in found if section.level or section.prose.strip() or section.blocks]


def blocks(page: Path, language: str) -> Iterator[Block]:
    """The blocks of one language in order."""
    return (block for section in sections(page) for block in section.blocks if block.language == language)
