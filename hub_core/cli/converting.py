"""The command that turns foreign checkpoints into modules."""

from __future__ import annotations

from pathlib import Path

import click

from hub_core.cli.command import command
from hub_core.cli.options import PATH, json_flag
from hub_core.cli.output import print_json, print_pairs


@command(
    "convert",
    examples=["hub convert ./paddle-checkpoint ./my-module", "hub convert ./bert-dir ./my-module --name my-bert"],
)
@click.argument("folder", type=PATH)
@click.argument("out", type=PATH)
@click.option("--name", help="The module's name (default: the folder's).")
@click.option("--version", default="1.0.0", help="The module's version.")
@click.option("--task", help="seq-cls or token-cls, where the configuration names no class with a head.")
@click.option("--labels", metavar="A,B,...", help="The head's labels in target order (default: the configuration's).")
@json_flag
def convert(
    folder: Path, out: Path, name: str | None, version: str, task: str | None, labels: str | None, as_json: bool
) -> None:
    """Convert a folder of Paddle's or Hugging Face's files into a module.

    FOLDER has model_state.pdparams, pytorch_model.bin or model.safetensors, with its configuration and vocabulary;
    OUT becomes a module folder, which transformers loads too. Nothing in the files is executed.
    """
    from hub_core.convert import convert_folder

    named = None if labels is None else [label.strip() for label in labels.split(",")]
    spec = convert_folder(folder, out, name=name, version=version, task=task, labels=named)
    if as_json:
        print_json(spec.to_json())
    else:
        heads = ", ".join(f"{head.task} ({len(head.labels)} labels)" for head in spec.heads)
        print_pairs({"module": spec.title, "family": spec.family, "heads": heads, "folder": out})
