"""The help pages as a page of the documentation: ``python -m hub_core.cli.reference`` brings docs/ up to date.

What people wrote at the top of a page stays; below `MARK` it is made from the commands. ``--check`` only compares.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import click

from hub_core.cli.command import CONTEXT, PROGRAM
from hub_core.cli.program import COMMANDS, Program
from hub_core.errors import NotFoundError
from hub_core.paths import write_text

#: Where the part of a page begins that is made.
MARK = "<!-- From here on made by `python -m hub_core.cli.reference`. -->"
#: The pages, relative to docs/, and how each calls the sections of the program's help.
PAGES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "command-line.md": {name: name for name in COMMANDS},
        "zh/command-line.md": {
            "Modules": "模块",
            "Answers": "预测与评测",
            "Making modules": "制作模块",
            "Data": "数据",
            "This program": "程序本身",
        },
    }
)
#: Columns of the help pages.
_WIDTH = 100


def reference(sections: Mapping[str, str]) -> str:
    """The help pages of all commands as Markdown, under headings by section. `sections` gives those their names."""
    program = Program()
    top = click.Context(program, info_name=PROGRAM, terminal_width=_WIDTH, **CONTEXT)  # type: ignore[arg-type]
    lines = []
    for section, names in COMMANDS.items():
        lines += ["", f"## {sections.get(section, section)}"]
        for name in names:
            for ctx in _leaves(click.Context(_command(program, top, name), parent=top, info_name=name)):
                lines += ["", f"### {ctx.command_path}", "", "```text", ctx.get_help().rstrip(), "```"]
    return "\n".join(lines) + "\n"


def up_to_date(page: Path, sections: Mapping[str, str]) -> str:
    """The text of a page as it should be. Raises NotFoundError where it has no `MARK`."""
    written, mark, _ = page.read_text(encoding="utf-8").partition(MARK)
    if not mark:
        raise NotFoundError(f"{page} has no line {MARK!r}, from which on it is made")
    return written + MARK + "\n" + reference(sections)


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the pages, or (``--check``) only say which are out of date."""
    import argparse

    parser = argparse.ArgumentParser(prog="python -m hub_core.cli.reference", description=main.__doc__)
    parser.add_argument("--docs", type=Path, default=Path(__file__).parents[2] / "docs", help="the folder of the pages")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where a page is out of date")
    options = parser.parse_args(arguments)
    old = 0
    for name, sections in PAGES.items():
        page = options.docs / name
        text = up_to_date(page, sections)
        if page.read_text(encoding="utf-8") == text:
            continue
        old += 1
        if not options.check:
            write_text(page, text)
        sys.stdout.write(f"{page} {'is out of date' if options.check else 'written'}\n")
    return 1 if old and options.check else 0


def _command(group: click.Group, ctx: click.Context, name: str) -> click.Command:
    found = group.get_command(ctx, name)
    if found is None:
        raise NotFoundError(f"{group.name} has no command {name!r}")
    return found


def _leaves(ctx: click.Context) -> Iterator[click.Context]:
    """A command, or the subcommands of a group after it."""
    yield ctx
    if isinstance(ctx.command, click.Group):
        for name in ctx.command.list_commands(ctx):
            yield from _leaves(click.Context(_command(ctx.command, ctx, name), parent=ctx, info_name=name))


if __name__ == "__main__":
    raise SystemExit(main())
