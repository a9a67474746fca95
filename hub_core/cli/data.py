"""Commands about data sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import Command, Group, debug_option
from hub_core.cli.loading import load_trained
from hub_core.cli.options import (
    PATH,
    columns_option,
    data_option,
    json_flag,
    named_module,
    split_char_option,
    task_options,
    use_gpu,
)
from hub_core.cli.output import note, print_json, print_record, print_table
from hub_core.cli.splits import read_split
from hub_core.cli.table import printable

if TYPE_CHECKING:
    from hub_core.data.check import DataReport

#: Labels, and broken rows, that are printed; --json and a report have all.
_LABELS, _BROKEN = 20, 100


@click.group("data", cls=Group, params=[debug_option()])
def data() -> None:
    """Look at data sets, and make them harder."""


@data.command(
    "check",
    cls=Command,
    examples=["hub data check reviews", "hub data check tnews --report tnews-check", "hub data check msra_ner --json"],
)
@click.argument("folder")
@click.option("--task", help="How rows are read (default: as their columns and labels suggest).")
@task_options
@columns_option
@split_char_option
@click.option("--report", type=PATH, help="A folder for a page with pictures (index.html) and report.json.")
@json_flag
@click.pass_context
def check(
    ctx: click.Context,
    folder: str,
    task: str | None,
    task_options: dict[str, Any],
    columns: Any,
    split_char: str,
    report: Path | None,
    as_json: bool,
) -> None:
    """Find what is wrong with a data set before training on it.

    Splits that leak into each other, repeats, labels that contradict each other or seem misspelt, broken rows; lengths
    and class balance. FOLDER is a folder (or an address) with train.tsv, dev.jsonl, ..., or the name of a data set,
    such as tnews. Texts count as the same whatever their white space, width (Ａ and A) and case. The exit code is 1
    where a row is broken.
    """
    from hub_core.data.check import check_folder
    from hub_core.published.named import check_named, is_named, is_spelt_like_a_set

    if is_named(folder):
        if columns is not None:
            raise click.UsageError(f"--columns is for a folder of files; {folder} is a data set that knows its own")
        if split_char != "\002":
            raise click.UsageError(f"--split-char is for a folder of files; {folder} is a data set that knows its own")
        found = check_named(folder, task=task, task_options=task_options)
    else:
        found = check_folder(folder, task=task, columns=columns, split_char=split_char, task_options=task_options)
        place = Path(folder)
        if found.broken and is_spelt_like_a_set(place.name):
            above = place.absolute().parent
            note(f"{folder} was read as a folder of files; the data set {place.name} is read by its name alone,")
            note(f"where there is no such folder: HUB_DATA_HOME={above} hub data check {place.name}")
    if report is not None:
        from hub_core.data.check_page import write_report

        note(f"the page is {write_report(found, report)}")
    if as_json:
        print_json(found.as_data())
    else:
        _print(found)
    if found.broken:
        ctx.exit(1)


@data.command(
    "negatives",
    cls=Command,
    examples=["hub data negatives -m ./ckpt/best_model --data lcqmc --split dev --output mined/train.jsonl"],
)
@named_module
@data_option
@click.option("--split", default="train", show_default=True, help="Which file of the folder: train, dev, ...")
@columns_option
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="Negatives per row.")
@click.option(
    "--skip",
    type=click.IntRange(min=0),
    default=0,
    show_default=True,
    help="Leave out so many of the nearest, of which more may be matches that nobody noted.",
)
@click.option("--output", type=PATH, required=True, help="The table to write (.jsonl); whole or not at all.")
@use_gpu
@json_flag
def negatives(
    name: str,
    data: str,
    split: str,
    columns: Any,
    count: int,
    skip: int,
    output: Path,
    use_gpu: bool,
    as_json: bool,
) -> None:
    """Find hard negatives for training embeddings.

    Every pair of matching texts is written with the COUNT second texts of other rows that the module finds nearest to
    its first one, and that no row says match it. `hub train --task embedding` then learns to tell them apart.
    """
    from hub_core.paths import write_text
    from hub_core.train.negatives import mine_negatives

    if output.suffix != ".jsonl":
        raise click.UsageError(f"--output must end in .jsonl, which {output} does not")
    rows = read_split(data, task="embedding", split=split, labels=None, renaming={}, columns=columns)
    mined = mine_negatives(load_trained(name, task="embedding", use_gpu=use_gpu), rows, count=count, skip=skip)
    lines = ({"text_a": row.text, "text_b": row.pair, "negative": list(row.columns["negative"])} for row in mined)
    write_text(output, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))
    found = {"table": str(output), "rows": len(mined), "negatives": count * len(mined)}
    print_record(found, as_json=as_json)


def _print(found: DataReport) -> None:
    print(printable(f"{found.data}, read for {found.read_for}"), end="\n\n")
    lengths = ("shortest", "median", "90%", "95%", "99%", "longest")
    columns = ("split", "rows", "labelled", "repeats", "contradictions", *lengths)
    rows = [
        (one.name, one.rows, one.labelled, one.repeats, one.contradictions, *(one.lengths or [""] * len(lengths)))
        for one in found.splits
    ]
    print_table(columns, rows)
    print("\nRepeats: rows that an earlier one says already. Contradictions: texts with several labels.")
    print("Lengths are in characters.\n")
    if found.leaks:
        print_table(
            ("rows of", "that stand in", "rows", "share", "to the letter", "with another label"),
            [
                (one.split, one.other, one.same, f"{one.same / one.of:.1%}", one.exact, one.relabelled)
                for one in found.leaks
            ],
        )
    else:
        print("No split has a row of another.")
    _print_labels(found)
    for one in found.misspelt:
        print("\n" + printable(str(one)))
    if found.broken:
        print(f"\n{len(found.broken)} broken row(s):")
        for problem in found.broken[:_BROKEN]:
            print(printable(problem))
        if len(found.broken) > _BROKEN:
            print(f"... and {len(found.broken) - _BROKEN} more (--json has all)")
    else:
        print("\nNo row is broken.")


def _print_labels(found: DataReport) -> None:
    counts = {one.name: dict(one.labels) for one in found.splits if one.labels}
    labels = list(dict.fromkeys(label for split in counts.values() for label in split))
    if not labels:
        return
    print()
    rows = [(label, *(_share(split, label) for split in counts.values())) for label in labels[:_LABELS]]
    print_table(("label", *counts), rows)
    if len(labels) > _LABELS:
        print(f"... and {len(labels) - _LABELS} more labels (--json and --report have all)")


def _share(counts: dict[str, int], label: str) -> str:
    count = counts.get(label, 0)
    return f"{count} ({count / sum(counts.values()):.1%})"
