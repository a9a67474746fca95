"""Commands that make a module of others without training: combine (heads on one encoder), calibrate (probabilities)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub_core.cli.command import command
from hub_core.cli.loading import check_one_head, load_trained
from hub_core.cli.options import PATH, columns_option, data_option, head_option, json_flag, rename_labels
from hub_core.cli.output import print_record
from hub_core.cli.splits import read_split
from hub_core.errors import SettingsError

if TYPE_CHECKING:
    from hub_core.data.tables import Columns

_out = click.option("--output", type=PATH, required=True, help="The folder of the module that comes out.")


def _named(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read ``head=module``. Raises click.BadParameter where it is not of that form or repeats a head."""
    pairs = [value.partition("=") for value in values]
    named = {head.strip(): module.strip() for head, _, module in pairs}
    if not all(named) or not all(named.values()) or len(named) < len(pairs):
        raise click.BadParameter(
            f"{' '.join(values)!r} is not of the form entities=./ner topic=./topic", ctx, parameter
        )
    return named


@command("combine", examples=["hub combine entities=./ner/best_model topic=./topic/best_model --output ./both"])
@click.argument("heads", nargs=-1, required=True, callback=_named, metavar="HEAD=MODULE...")
@_out
@json_flag
def combine(heads: dict[str, str], output: Path, as_json: bool) -> None:
    """Put the heads of several modules on the encoder that they share.

    The module that comes out reads a text once and answers with all heads. Train the first as usual, the others from it
    with `--new-head --freeze encoder`.
    """
    from hub_core.combination import combine as combined

    modules = {head: load_trained(name, task=None) for head, name in heads.items()}
    spec = combined(modules).save(output)
    record = {"module": str(output), "name": spec.name, "heads": ", ".join(heads)}
    print_record(record, as_json=as_json)


@command(
    "calibrate",
    examples=["hub calibrate --module ./ckpt/best_model --data reviews --split dev --output ./calibrated"],
)
@click.option("--module", "-m", "name", required=True, help="A module's name, hf:org/repo, or a folder with a '/'.")
@data_option
@click.option("--split", default="dev", help="Which split: one that it was not trained on; measure on yet another.")
@columns_option
@click.option("--task", help="Which of the module's tasks (default: the first it was trained for).")
@head_option
@_out
@rename_labels
@json_flag
def calibrate(
    name: str,
    data: str,
    split: str,
    columns: Columns | None,
    task: str | None,
    head: str | None,
    output: Path,
    rename_labels: dict[str, str],
    as_json: bool,
) -> None:
    """Make probabilities as sure as they should be, or find the best thresholds.

    For one label of several that is a temperature, which divides the logits; labels that do not exclude each other get
    a threshold each. Both are options of the task, and kept with the module in OUTPUT.
    """
    from hub_core.train.calibration import calibrate as calibrated

    if output.resolve() == Path(name).expanduser().resolve():
        raise SettingsError("--output is the module itself; name another folder")
    module = load_trained(name, task=task, head=head)
    asked = module.known_task()
    check_one_head(module.spec.title, asked)
    rows = read_split(
        data,
        task=asked.name,
        split=split,
        labels=asked.labels,
        renaming=rename_labels,
        columns=columns,
        options=asked.options,
    )
    found = calibrated(module, list(rows))
    module.save(output, metrics=module.spec.metrics)
    record = {"module": str(output), **found.options, f"{found.measured} before": found.before, "after": found.after}
    print_record(record, as_json=as_json)
