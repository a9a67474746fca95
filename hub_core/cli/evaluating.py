"""Commands that measure modules on labelled data: evaluate (one, with a report), compare (two)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from hub_core.cli.answering import predictions
from hub_core.cli.command import command
from hub_core.cli.loading import check_one_head, load_answering
from hub_core.cli.options import (
    PATH,
    Answering,
    answering_options,
    columns_option,
    data_option,
    json_flag,
    named_module,
    rename_labels,
    split_char_option,
)
from hub_core.cli.output import note, print_json, print_record
from hub_core.cli.splits import read_split
from hub_core.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from hub_core.data.tables import Columns
    from hub_core.examples import Example, Prediction
    from hub_core.report import Comparison, Report
    from hub_core.report.any_task import Record
    from hub_core.tasks.task import Task

_split = click.option("--split", default="test", help="Which file of the folder: train, dev, test, ...")


@command(
    "evaluate",
    examples=[
        "hub evaluate --module ./ckpt/best_model --data msra_ner --split test",
        "hub evaluate -m bilstm-sentiment-zh --data chnsenticorp --rename-labels 0=negative,1=positive",
        "hub evaluate -m bilstm-ner-zh --data msra_ner --report out",
    ],
)
@named_module
@data_option
@_split
@columns_option
@split_char_option
@click.option("--report", type=PATH, help="Print a report, and write it to this folder: a page, its data, every row.")
@rename_labels
@answering_options
@json_flag
def evaluate(
    name: str,
    data: str,
    split: str,
    columns: Columns | None,
    split_char: str,
    report: Path | None,
    rename_labels: dict[str, str],
    how: Answering,
    as_json: bool,
) -> None:
    """Measure a module on labelled data, over the whole corpus."""
    asked = _Asked(data, split, columns, split_char, rename_labels)
    if report is not None:
        from hub_core.cli.reporting import print_report

        made = _report(name, asked, how)
        _save(made, report)
        if as_json:
            print_json(made.as_data())
        else:
            print_report(made)
        return
    module = load_answering(name, how)
    predictor = module.predictor(dtype=how.dtype)
    task = predictor.task
    check_one_head(module.spec.title, task)
    examples = asked.rows(task)
    metrics = task.metrics(examples, list(predictions(predictor, examples, how)))
    record = {"module": module.spec.title, "data": data, "split": split, "rows": len(examples), **metrics}
    print_record(record, as_json=as_json)


@command(
    "compare",
    examples=[
        "hub compare bilstm-sentiment-zh ./ckpt/best_model --data chnsenticorp --report out",
        "hub compare before/predictions.jsonl after/predictions.jsonl",
    ],
)
@click.argument("first", metavar="A")
@click.argument("second", metavar="B")
@click.option("--data", help="Labelled rows: a folder, an address, or a data set's name; saved predictions need none.")
@_split
@columns_option
@split_char_option
@click.option("--report", type=PATH, help="Write the comparison to this folder: a page, its data, every row.")
@rename_labels
@answering_options
@json_flag
def compare(
    first: str,
    second: str,
    data: str | None,
    split: str,
    columns: Columns | None,
    split_char: str,
    report: Path | None,
    rename_labels: dict[str, str],
    how: Answering,
    as_json: bool,
) -> None:
    """Compare two modules on the same labelled rows: is their difference chance?

    A and B are modules (a name, hf:org/repo, or a folder with a '/'), or the folder that `hub evaluate --report`
    wrote, or the predictions.jsonl in it.
    """
    from hub_core.cli.reporting import print_comparison
    from hub_core.report import compare as compare_records

    asked = None if data is None else _Asked(data, split, columns, split_char, rename_labels)
    sides = [_records(one, asked, how) for one in (first, second)]
    found = compare_records(*sides, names=(first, second))
    if report is not None:
        _save(found, report)
    if as_json:
        print_json(found.as_data())
    else:
        print_comparison(found)


@dataclass(frozen=True)
class _Asked:
    """The labelled rows that a module is to answer."""

    data: str
    split: str
    columns: Columns | None
    split_char: str
    renaming: Mapping[str, str]

    def rows(self, task: Task) -> list[Example]:
        """The rows as a task reads them."""
        rows = read_split(
            self.data,
            task=task.name,
            split=self.split,
            labels=task.labels,
            renaming=self.renaming,
            columns=self.columns,
            split_char=self.split_char,
            options=task.options,
        )
        return list(rows)


def _records(name: str, asked: _Asked | None, how: Answering) -> Sequence[Record]:
    """The records of saved predictions, or of a module that answers now."""
    from hub_core.report import make_records, read_records
    from hub_core.report.records import PREDICTIONS

    place = Path(name).expanduser()
    if place.suffix == ".jsonl" or (place / PREDICTIONS).is_file():
        return read_records(place)
    if asked is None:
        raise click.UsageError(f"--data says on which rows {name} is to answer; only saved predictions need none")
    _, task, examples, answers = _answers(name, asked, how)
    return make_records(task, examples, answers)


def _report(name: str, asked: _Asked, how: Answering) -> Report:
    from hub_core.report import make_report

    title, task, examples, answers = _answers(name, asked, how)
    about = {"module": title, "data": asked.data, "split": asked.split}
    return make_report(task, examples, answers, about=about)


def _answers(name: str, asked: _Asked, how: Answering) -> tuple[str, Task, list[Example], Iterator[Prediction]]:
    """A module's title, its task, the rows, and its answers to them."""
    module = load_answering(name, how)
    predictor = module.predictor(dtype=how.dtype)
    check_one_head(module.spec.title, predictor.task)
    examples = asked.rows(predictor.task)
    return module.spec.title, predictor.task, examples, predictions(predictor, examples, how)


def _save(made: Report | Comparison, folder: Path) -> None:
    """Write a page with its data. Raises SettingsError where that cannot be."""
    try:
        made.save(folder)
    except OSError as error:
        raise SettingsError(f"--report {folder} cannot be written: {error.strerror or error}") from error
    note(f"{folder / made.page} is written")
