"""The command that turns foreign checkpoints into modules."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hub_core.cli.output import JsonFlag, print_json, print_pairs


def add_to(app: typer.Typer) -> None:
    """Register this file's commands."""
    app.command("convert")(convert)


def convert(
    folder: Annotated[
        Path, typer.Argument(help="A folder with model_state.pdparams, pytorch_model.bin or model.safetensors.")
    ],
    out: Annotated[Path, typer.Argument(help="The module folder to make.")],
    name: Annotated[str | None, typer.Option(help="The module's name (default: the folder's).")] = None,
    version: Annotated[str, typer.Option(help="The module's version.")] = "1.0.0",
    as_json: JsonFlag = False,
) -> None:
    """Convert a folder of Paddle's or Hugging Face's files into a module; nothing in them is executed."""
    from hub_core.convert import convert_folder

    spec = convert_folder(folder, out, name=name, version=version)
    if as_json:
        print_json(spec.to_json())
    else:
        heads = ", ".join(f"{head.task} ({len(head.labels)} labels)" for head in spec.heads)
        print_pairs({"module": spec.title, "family": spec.family, "heads": heads, "folder": out})
