"""Commands about the program itself: version, config, plugins."""

from __future__ import annotations

import os

import click

from hub_core.cli.command import Command, Group, command, debug_option
from hub_core.cli.options import json_flag
from hub_core.cli.output import note, print_json, print_pairs, print_table
from hub_core.version import __version__

_STANDS_ON = ("torch", "transformers", "tokenizers", "safetensors")


@command("version", examples=["hub version", "hub version --json"])
@json_flag
def show_version(as_json: bool) -> None:
    """Print the versions of the hub and of what it stands on."""
    versions = {"hub_core": __version__, **{name: _version(name) for name in _STANDS_ON}}
    if as_json:
        print_json(versions)
    else:
        print_pairs(versions)


@command("plugins", examples=["hub plugins"])
@json_flag
def plugins(as_json: bool) -> None:
    """List the installed plugins, broken ones included.

    A plugin is a Python package with an entry point in the group hub_core; HUB_DISABLE_PLUGINS=1 switches all off.
    """
    from hub_core.plugins import plugin_report

    rows = [{"name": p.name, "distribution": p.distribution, "error": p.error} for p in plugin_report()]
    if as_json:
        print_json(rows)
    elif not rows:
        note("no plugins")
    else:
        table = [(row["name"], row["distribution"], row["error"] or "works") for row in rows]
        print_table(("name", "distribution", "state"), table)


@click.group("config", cls=Group, params=[debug_option()])
def config() -> None:
    """Show and change settings that are kept."""


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


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
