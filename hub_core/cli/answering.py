"""Commands that let a module answer: run (a few texts), predict (a file)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import command
from hub_core.cli.completing import ModuleName
from hub_core.cli.loading import load_answering, named_folder
from hub_core.cli.options import PATH, Answering, answering_options, columns_option, json_flag, named_module
from hub_core.cli.output import print_groups, print_json, print_json_lines, print_table, progress_bar
from hub_core.errors import DataError, SettingsError

if TYPE_CHECKING:
    from hub_core.data.tables import Columns
    from hub_core.examples import Example, Prediction
    from hub_core.infer.predictor import Predictor
    from hub_core.tasks.task import Task


@command(
    "run",
    examples=[
        "hub run bilstm-ner-zh '新华社北京5月7日电'",
        "hub run ./ckpt/best_model --input-path texts.txt --json",
    ],
)
@click.argument("name", type=ModuleName())
@click.argument("texts", nargs=-1)
@click.option("--input-text", metavar="TEXT", help="One more text to answer.")
@click.option("--text-pair", metavar="TEXT", help="The second text of every pair; of a question its context.")
@click.option(
    "--input-path", help="A file (or address) with one text per line, or a table (.tsv, .jsonl, .parquet, ...)."
)
@columns_option
@answering_options
@json_flag
def run(
    name: str,
    texts: tuple[str, ...],
    input_text: str | None,
    text_pair: str | None,
    input_path: str | None,
    columns: Columns | None,
    how: Answering,
    as_json: bool,
) -> None:
    """Let a module answer a few texts, and print a table.

    NAME is a module's name, hf:org/repo, or a folder with a '/', such as ./ckpt/best_model.
    """
    given = [*texts, *([] if input_text is None else [input_text])]
    if not given and input_path is None:
        raise click.UsageError("nothing to answer: give TEXTS, --input-text or --input-path")
    if columns is not None and input_path is None:
        raise click.UsageError("--columns belongs to --input-path")
    _check_texts(given)
    predictor = load_answering(name, how).predictor(dtype=how.dtype)
    names = predictor.task.asked_names
    asked = given if text_pair is None else [dict(zip(names, (text, text_pair), strict=True)) for text in given]
    examples = [predictor.task.example(item, key=f"text {at}") for at, item in enumerate(asked, start=1)]
    if input_path is not None:
        from hub_core.data.texts import read_texts

        examples += read_texts(input_path, task=predictor.task, columns=columns)
    rows = list(_answers(predictor, examples, how))
    if as_json:
        print_json(rows)
    else:
        _print_answers(predictor.task, rows)


@command("predict", examples=["hub predict --module bilstm-ner-zh --data texts.txt --output answers.jsonl"])
@named_module
@click.option(
    "--data", required=True, help="A table (.tsv, .jsonl, .parquet, ...) or a text per line; may be an address."
)
@columns_option
@click.option("--output", type=PATH, help="Where to write JSON lines; whole or not at all (default: stdout).")
@click.option(
    "--engine-cluster",
    type=click.Choice(("ray",)),
    help="Deal the rows out to many processes or machines (extra: ray).",
)
@click.option("--workers", type=click.IntRange(min=1), help="How many of the cluster's processes hold the module.")
@click.option("--cluster-address", help="A running cluster's address (default: $RAY_ADDRESS, else this machine).")
@answering_options
def predict(
    name: str,
    data: str,
    columns: Columns | None,
    output: Path | None,
    engine_cluster: str | None,
    workers: int | None,
    cluster_address: str | None,
    how: Answering,
) -> None:
    """Let a module answer every row of a file, as JSON lines in the file's order.

    Each has the row's place as `key`, and what its other columns say as `columns`.
    """
    if engine_cluster is None and (workers or cluster_address):
        raise click.UsageError("--workers and --cluster-address belong to --engine-cluster ray")
    # A cluster's GPUs are not this machine's; here the module only says how rows are read.
    predictor = load_answering(name, replace(how, use_gpu=how.use_gpu and not engine_cluster)).predictor(
        dtype=how.dtype
    )
    from hub_core.data.texts import read_texts

    examples = read_texts(data, task=predictor.task, columns=columns)
    if engine_cluster is None:
        rows = _answers(predictor, examples, how)
    else:
        rows = _cluster_answers(name, examples, how, predictor.task, workers=workers, address=cluster_address)
    if output is None:
        print_json_lines(rows)
    else:
        with _written(output) as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _check_texts(texts: Sequence[str]) -> None:
    """Raise DataError that counts the texts of the command line from 1."""
    blank = [f"text {at}: the text is empty" for at, text in enumerate(texts, start=1) if not text.strip()]
    if blank:
        raise DataError(blank)


def predictions(predictor: Predictor, examples: Sequence[Example], how: Answering) -> Iterator[Prediction]:
    """Answers in order, with a progress bar; at the end one warning for all texts that were cut."""
    from hub_core.infer.answers import warn_truncated

    cut = []
    with progress_bar(len(examples), "row") as advance:
        for answer in predictor.predict(
            examples, max_seq_len=how.max_seq_len, batch_size=how.batch_size, progress=advance
        ):
            if getattr(answer, "truncated", False):
                cut.append(answer)
            yield answer
    warn_truncated(cut, predictor.checked_length(how.max_seq_len))


def _answers(predictor: Predictor, examples: Sequence[Example], how: Answering) -> Iterator[dict[str, Any]]:
    """Answers as plain data, each with its row."""
    for example, answer in zip(examples, predictions(predictor, examples, how), strict=True):
        yield _answered(predictor.task, example, predictor.task.as_data(answer))


def _answered(task: Task, example: Example, answer: dict[str, Any]) -> dict[str, Any]:
    """An answer with what was asked; the columns of the row apart, so that they may have any names."""
    others = json.loads(json.dumps(dict(example.columns), default=str))  # a Parquet file has dates and more
    return {"key": example.key, **task.asked(example), **answer, **({"columns": others} if others else {})}


def _cluster_answers(
    name: str,
    examples: Sequence[Example],
    how: Answering,
    task: Task,
    *,
    workers: int | None,
    address: str | None,
) -> Iterator[dict[str, Any]]:
    """The same from a cluster, whose processes load the module by themselves."""
    from hub_core.cluster import Request, predict_on_ray

    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # its C++ side would print warnings between ours
    folder = named_folder(name)
    request = Request(
        name if folder is None else None,
        None if folder is None else str(folder.resolve()),
        **{key: value for key, value in vars(how).items() if key in Request.__dataclass_fields__},
    )
    with progress_bar(len(examples), "row") as advance:
        answers = predict_on_ray(request, examples, workers=workers, address=address, progress=advance)
        for example, answer in zip(examples, answers, strict=True):
            yield _answered(task, example, answer)


@contextmanager
def _written(path: Path) -> Iterator[Any]:
    """A file to write, which appears whole or not at all. Raises SettingsError where it cannot be written."""
    from hub_core.paths import atomic_file

    try:
        with atomic_file(path) as staged, staged.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
    except OSError as error:
        raise SettingsError(f"--output {path} cannot be written: {error.strerror or error}") from error


def _print_answers(task: Task, rows: Sequence[dict[str, Any]]) -> None:
    """A table with a row per text, or (where an answer may have several rows) with each text as a heading."""
    beside = ("key", *task.asked_names, "columns")
    tables = [task.as_table({name: row[name] for name in row if name not in beside}) for row in rows]
    columns = list(dict.fromkeys(column for table in tables for row in table for column in row))
    texts = [_shown(task, row) for row in rows]
    if task.one_row:
        notes = ["cut" if row.get("truncated") else "" for row in rows]
        table = [(text, *row.values(), note) for text, (row,), note in zip(texts, tables, notes, strict=True)]
        names = ("text", *columns, "note")[: None if any(notes) else -1]
        print_table(names, [row[: len(names)] for row in table])
    else:
        groups = [[tuple(row.values()) for row in table] for table in tables]
        print_groups(columns, list(zip(texts, groups, strict=True)))


def _shown(task: Task, row: dict[str, Any]) -> str:
    return " | ".join(row[name] for name in task.asked_names if name in row)
