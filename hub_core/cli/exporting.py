"""The command that turns a module into a graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import command
from hub_core.cli.completing import ModuleName
from hub_core.cli.loading import load_trained
from hub_core.cli.options import PATH, columns_option, head_option, json_flag, rename_labels, task_option, task_options
from hub_core.cli.output import print_record
from hub_core.cli.splits import read_split

if TYPE_CHECKING:
    from hub_core.export.module import Gate
    from hub_core.torch_module import TorchModule


@command(
    "export",
    examples=[
        "hub export bilstm-ner-zh ./ner-onnx --format onnx",
        "hub export ./ckpt/best_model ./ner-int8 --format onnx --int8 --data msra_ner --max-loss 0.005",
    ],
)
@click.argument("name", type=ModuleName())
@click.argument("out", type=PATH)
@click.option(
    "--format", type=click.Choice(("onnx", "openvino", "torch")), default="onnx", help="What will compute it."
)
@task_option
@head_option
@click.option("--int8", is_flag=True, help="8-bit weights and activations (onnx); needs --data.")
@click.option("--data", help="Labelled rows on which the graph is measured against the module: a folder or a name.")
@click.option("--split", default="dev", help="Which split of --data.")
@columns_option
@click.option("--max-loss", type=click.FloatRange(min=0), default=0.01, help="How much of the score it may lose there.")
@task_options
@rename_labels
@json_flag
def export(name: str, out: Path, as_json: bool, **options: Any) -> None:
    """Turn a trained module into a graph that answers without torch.

    NAME is a module's name, hf:org/repo, or a folder with a '/'. OUT becomes a folder with the graph, the tokenizer,
    the labels, and a report on how equal the graph is; `hub run OUT TEXT` and `hub predict` use it as any module.
    """
    from hub_core.export.module import export_module

    module = load_trained(name, task=options["task"], head=options["head"], task_options=options["task_options"])
    gate = None if options["data"] is None else _gate(module, options)
    graph = export_module(module, out, format=options["format"], int8=options["int8"], gate=gate)
    apart = graph.report["largest_difference"]
    record = {"folder": str(out), "format": graph.format, "precision": graph.precision}
    record["largest_difference"] = apart if as_json else f"{apart:.1e}"
    print_record({**record, **graph.report.get("accuracy", {})}, as_json=as_json)


def _gate(module: TorchModule, options: Mapping[str, Any]) -> Gate:
    from hub_core.export.module import Gate, check_measurable

    check_measurable(module)
    task = module.known_task()
    rows = read_split(
        options["data"],
        task=task.name,
        split=options["split"],
        labels=task.labels,
        renaming=options["rename_labels"],
        columns=options["columns"],
        options=task.options,
    )
    return Gate(list(rows), options["max_loss"])
