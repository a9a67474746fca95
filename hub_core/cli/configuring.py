"""`hub config`: settings that are kept for all later runs."""

from __future__ import annotations

import os
import re

import click

from hub_core.cli.command import Command, Group, debug_option
from hub_core.cli.options import json_flag
from hub_core.cli.output import note, print_json, print_pairs, print_table

#: How PaddleHub writes it: ``server==URL``.
_PADDLEHUB = re.compile(r"(?P<name>[a-z.]+)==(?P<value>.*)", re.IGNORECASE | re.DOTALL)
#: PaddleHub's switch for what is told, in terms of `log.level` ("" is its default).
_LOG_ENABLE = {"true": "", "false": "error"}


class _Config(Group):
    """The group, which also takes ``hub config server==URL``."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the subcommand; PaddleHub's spelling is `set`. Raises as `Group` does."""
        pair = _PADDLEHUB.fullmatch(args[0])
        if pair is None:
            return super().resolve_command(ctx, args)
        name, value = pair["name"].lower(), pair["value"]
        if name == "log.enable":
            if value.lower() not in _LOG_ENABLE:
                ctx.fail(f"log.enable is true or false, not {value!r}")
            name, value = "log.level", _LOG_ENABLE[value.lower()]
        return super().resolve_command(ctx, [*(("set", name, value) if value else ("reset", name)), *args[1:]])


@click.group("config", cls=_Config, params=[debug_option()], invoke_without_command=True)
@click.pass_context
def config(ctx: click.Context) -> None:
    """Show and change settings that are kept.

    `hub config` alone shows them. PaddleHub's `hub config server==URL` and `log.level==LEVEL` are understood.
    """
    if ctx.invoked_subcommand is None:
        _print_settings(as_json=False)


@config.command("show", cls=Command, examples=["hub config show", "hub config show --json"])
@json_flag
def show(as_json: bool) -> None:
    """Show the settings as they are now, and where each comes from."""
    _print_settings(as_json=as_json)


@config.command("get", cls=Command, examples=["hub config get server"])
@click.argument("name")
@json_flag
def get(name: str, as_json: bool) -> None:
    """Print the value of one setting, as it is now."""
    from hub_core.preferences import in_force

    now = in_force(name)
    if as_json:
        print_json({"name": name, "value": now.value, "from": now.source})
    else:
        print(now.value)


@config.command(
    "set",
    cls=Command,
    examples=["hub config set server https://a.example", "hub config set log.level error"],
)
@click.argument("name")
@click.argument("value")
@json_flag
def set_value(name: str, value: str, as_json: bool) -> None:
    """Keep a setting for all later runs."""
    from hub_core.preferences import in_force, keep

    keep(name, value)
    now = in_force(name)
    if now.source.startswith("$"):
        note(f"warning: {now.source} is set, and wins over what is kept")
    if as_json:
        print_json({"name": name, "value": now.value, "from": now.source})
    else:
        print_pairs({name: now.value})


@config.command("reset", cls=Command, examples=["hub config reset", "hub config reset server"])
@click.argument("names", nargs=-1, metavar="[NAME]...")
@json_flag
def reset(names: tuple[str, ...], as_json: bool) -> None:
    """Let settings have their defaults again: those named, or all."""
    from hub_core.preferences import forget
    from hub_core.user_config import forget_settings

    for name in names:
        forget(name)
    if not names:
        forget_settings()
    _print_settings(as_json=as_json)


@config.command(
    "mirrors",
    cls=Command,
    examples=["hub config mirrors", "hub config mirrors https://a.example=file:///mnt/a"],
)
@click.argument("pairs", nargs=-1)
@click.option("--clear", is_flag=True, help="Forget all mirrors.")
@json_flag
def mirrors(pairs: tuple[str, ...], clear: bool, as_json: bool) -> None:
    """Show the mirrors, or replace them.

    PAIRS are ADDRESS=REPLACEMENT: whatever starts with the address is fetched from the replacement instead. Of
    several for one address the first that has a file is used.
    """
    from hub_core.mirrors import VARIABLE, parse_mirrors, set_mirrors
    from hub_core.mirrors import mirrors as current

    if pairs or clear:
        set_mirrors(parse_mirrors(",".join(pairs)))
        if VARIABLE in os.environ:
            note(f"warning: {VARIABLE} is set, and wins over what is kept")
    kept = current()
    if as_json:
        print_json([{"address": mirror.prefix, "replacement": mirror.target} for mirror in kept])
    elif kept:
        print_table(("address", "replacement"), [(mirror.prefix, mirror.target) for mirror in kept])
    else:
        note("no mirrors")


def _print_settings(*, as_json: bool) -> None:
    from hub_core.preferences import PREFERENCES, in_force

    found = [in_force(name) for name in PREFERENCES]
    if as_json:
        print_json([{"name": now.preference.name, "value": now.value, "from": now.source} for now in found])
    else:
        rows = [(now.preference.name, now.value, now.source, now.preference.summary) for now in found]
        print_table(("name", "value", "from", "what it is"), rows)
