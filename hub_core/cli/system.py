"""Commands about the program itself: version and config."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from hub_core.cli.output import JsonFlag, print_json, print_pairs
from hub_core.version import __version__


def add_to(app: typer.Typer) -> None:
    """Register this file's commands."""
    app.command("version")(show_version)
    config = typer.Typer(no_args_is_help=True, help="Show and change settings that are kept.")
    config.command("mirrors")(mirrors)
    app.add_typer(config, name="config")


def show_version(as_json: JsonFlag = False) -> None:
    """Print the versions of the hub and of what it stands on."""
    versions = {"hub_core": __version__}
    for name in ("torch", "transformers", "tokenizers", "safetensors"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = "not installed"
    if as_json:
        print_json(versions)
    else:
        print_pairs(versions)


def mirrors(
    pairs: Annotated[
        list[str] | None, typer.Argument(help="ADDRESS=REPLACEMENT, such as https://a.example=file:///mnt/a")
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Forget all mirrors.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show the mirrors, or replace them by PAIRS; HUB_MIRRORS wins over what is kept."""
    from hub_core.mirrors import mirrors as current
    from hub_core.mirrors import parse_mirrors, set_mirrors

    if pairs or clear:
        set_mirrors(parse_mirrors(",".join(pairs or ())))
    rows = {mirror.prefix: mirror.target for mirror in current()}
    if as_json:
        print_json(rows)
    elif rows:
        print_pairs(rows)
    else:
        print("no mirrors")
