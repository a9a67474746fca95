"""The pages in English and in Chinese say the same: the same files, headings, code, tables and links."""

from __future__ import annotations

import io
import shlex
import tokenize
from collections import Counter
from pathlib import Path

import pytest
from pages import ENGLISH, ROOT, Block, Section, sections

DOCS = ROOT / "docs"


def translation(page: Path) -> Path:
    """The Chinese page of an English one."""
    return ROOT / "README.zh-CN.md" if page == ROOT / "README.md" else DOCS / "zh" / page.name


def plain(block: Block) -> list[object]:
    """A block of code without what is translated in it: comments, and the explanations beside names."""
    if block.language == "console":
        return [shlex.split(line, comments=True) if line.startswith("$ ") else line for line in block.lines]
    if block.language == "python":
        tokens = tokenize.generate_tokens(io.StringIO(block.text).readline)
        return [token.string for token in tokens if token.type not in (tokenize.COMMENT, tokenize.NL)]
    if block.language:
        return list(block.lines)
    return [line.split()[:1] for line in block.lines]


def targets(page: Path, section: Section) -> Counter[Path | str]:
    """Where the links of a section lead; a page (or picture) and its translation are the same."""
    found: Counter[Path | str] = Counter()
    for link in section.links:
        path = (page.parent / (link.partition("#")[0] or page.name)).resolve()
        if path == translation(ROOT / "README.md").resolve():
            path = (ROOT / "README.md").resolve()
        if path.parent == (DOCS / "zh").resolve():
            path = DOCS.resolve() / path.name
        found["elsewhere" if "://" in link else path] += 1
    return found


def test_the_same_pages() -> None:
    assert {path.name for path in DOCS.glob("*.md")} == {path.name for path in (DOCS / "zh").glob("*.md")}
    assert translation(ROOT / "README.md").is_file()


@pytest.mark.parametrize("page", ENGLISH, ids=lambda page: page.name)
class TestAlike:
    def test_headings(self, page: Path) -> None:
        english, chinese = sections(page), sections(translation(page))
        pairs = [f"{mine.heading} = {theirs.heading}" for mine, theirs in zip(english, chinese, strict=False)]
        assert [section.level for section in english] == [section.level for section in chinese], "\n".join(pairs)

    def test_code(self, page: Path) -> None:
        for mine, theirs in zip(sections(page), sections(translation(page)), strict=True):
            assert [block.language for block in mine.blocks] == [block.language for block in theirs.blocks], (
                mine.heading
            )
            for one, other in zip(mine.blocks, theirs.blocks, strict=True):
                where = f"{translation(page)}:{other.number} is not {page}:{one.number}"
                assert plain(one) == plain(other), where
                assert (not one.not_run, one.passed_over) == (not other.not_run, other.passed_over), where

    def test_names_in_sentences(self, page: Path) -> None:
        for mine, theirs in zip(sections(page), sections(translation(page)), strict=True):
            assert mine.codes == theirs.codes, f"{mine.heading}: {sorted(mine.codes ^ theirs.codes)}"

    def test_tables_and_links(self, page: Path) -> None:
        for mine, theirs in zip(sections(page), sections(translation(page)), strict=True):
            assert mine.tables == theirs.tables, mine.heading
            assert targets(page, mine) == targets(translation(page), theirs), mine.heading
