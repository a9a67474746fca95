"""Commands that let a module answer: run (a few texts), predict (a file), evaluate (labelled data)."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import command
from hub_core.cli.completing import ModuleName
from hub_core.cli.loading import load_answering, named_folder
from hub_core.cli.options import PATH, Answering, answering_options, json_flag, rename_labels
from hub_core.cli.output import print_groups, print_json, print_json_lines, print_record, print_table, progress_bar
from hub_core.cli.splits import read_split
from hub_core.errors import DataError, SettingsError

if TYPE_CHECKING:
    from hub_core.examples import Example, Prediction
    from hub_core.infer.predictor import Predictor

_module = click.option(
    "--module",
    "-m",
    "name",
    required=True,
    type=ModuleName(),
    help="A module's name, hf:org/repo, or a folder with a '/'.",
)


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
@click.option("--input-path", type=PATH, help="A file with one text per line, or a table (.tsv, .csv, .jsonl, .conll).")
@answering_options
@json_flag
def run(
    name: str, texts: tuple[str, ...], input_text: str | None, input_path: Path | None, how: Answering, as_json: bool
) -> None:
    """Let a module answer a few texts, and print a table.

    NAME is a module's name, hf:org/repo, or a folder with a '/', such as ./ckpt/best_model.
    """
    given = [*texts, *([] if input_text is None else [input_text])]
    if not given and input_path is None:
        raise click.UsageError("nothing to answer: give TEXTS, --input-text or --input-path")
    _check_texts(given)
    predictor = load_answering(name, how).predictor(dtype=how.dtype)
    examples = [predictor.task.example(text, key=f"text {at}") for at, text in enumerate(given, start=1)]
    if input_path is not None:
        from hub_core.data.texts import read_texts

        examples += read_texts(input_path, task=predictor.task.name)
    rows = list(_answers(predictor, examples, how))
    if as_json:
        print_json(rows)
    elif "entities" in rows[0]:
        print_groups(("entity", "label", "characters", "score"), [(_shown(row), _entity_rows(row)) for row in rows])
    else:
        _print_classes(rows)


@command("predict", examples=["hub predict --module bilstm-ner-zh --data texts.txt --output answers.jsonl"])
@_module
@click.option("--data", type=PATH, required=True, help="A table (.tsv, .csv, .jsonl, .conll), or a text per line.")
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
    data: Path,
    output: Path | None,
    engine_cluster: str | None,
    workers: int | None,
    cluster_address: str | None,
    how: Answering,
) -> None:
    """Let a module answer every row of a file, as JSON lines in the file's order."""
    import json

    if engine_cluster is None and (workers or cluster_address):
        raise click.UsageError("--workers and --cluster-address belong to --engine-cluster ray")
    # A cluster's GPUs are not this machine's; here the module only says how rows are read.
    predictor = load_answering(name, replace(how, use_gpu=how.use_gpu and not engine_cluster)).predictor(
        dtype=how.dtype
    )
    from hub_core.data.texts import read_texts

    examples = read_texts(data, task=predictor.task.name)
    if engine_cluster is None:
        rows = _answers(predictor, examples, how)
    else:
        rows = _cluster_answers(name, examples, how, workers=workers, address=cluster_address)
    if output is None:
        print_json_lines(rows)
    else:
        with _written(output) as stream:
            stream.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@command(
    "evaluate",
    examples=[
        "hub evaluate --module ./ckpt/best_model --data msra_ner --split test",
        "hub evaluate -m bilstm-sentiment-zh --data chnsenticorp --rename-labels 0=negative,1=positive",
    ],
)
@_module
@click.option(
    "--data", type=PATH, required=True, help="A folder with test.tsv (or .csv, .jsonl, .conll, packed or not)."
)
@click.option("--split", default="test", help="Which file of the folder: train, dev, test, ...")
@rename_labels
@answering_options
@json_flag
def evaluate(name: str, data: Path, split: str, rename_labels: dict[str, str], how: Answering, as_json: bool) -> None:
    """Measure a module on labelled data, over the whole corpus."""
    module = load_answering(name, how)
    predictor = module.predictor(dtype=how.dtype)
    task = predictor.task
    examples = list(read_split(data, task=task.name, split=split, labels=task.labels, renaming=rename_labels))
    metrics = task.metrics(examples, list(_predictions(predictor, examples, how)))
    record = {"module": module.spec.title, "data": str(data), "split": split, "rows": len(examples), **metrics}
    print_record(record, as_json=as_json)


def _check_texts(texts: Sequence[str]) -> None:
    """Raise DataError that counts the texts of the command line from 1."""
    blank = [f"text {at}: the text is empty" for at, text in enumerate(texts, start=1) if not text.strip()]
    if blank:
        raise DataError(blank)


def _predictions(predictor: Predictor, examples: Sequence[Example], how: Answering) -> Iterator[Prediction]:
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
    """Answers as plain data, each with its text."""
    for example, answer in zip(examples, _predictions(predictor, examples, how), strict=True):
        yield {**_asked(example), **predictor.task.as_data(answer)}


def _cluster_answers(
    name: str, examples: Sequence[Example], how: Answering, *, workers: int | None, address: str | None
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
            yield {**_asked(example), **answer}


def _asked(example: Example) -> dict[str, str]:
    return {"text": example.text, **({} if example.pair is None else {"text_pair": example.pair})}


@contextmanager
def _written(path: Path) -> Iterator[Any]:
    """A file to write, which appears whole or not at all. Raises SettingsError where it cannot be written."""
    from hub_core.paths import atomic_file

    try:
        with atomic_file(path) as staged, staged.open("w", encoding="utf-8", newline="\n") as stream:
            yield stream
    except OSError as error:
        raise SettingsError(f"--output {path} cannot be written: {error.strerror or error}") from error


def _shown(row: dict[str, Any]) -> str:
    return " | ".join(row[name] for name in ("text", "text_pair") if name in row)


def _entity_rows(row: dict[str, Any]) -> list[tuple[object, ...]]:
    """One row per entity; one that says so where there is none."""
    found: list[tuple[object, ...]] = [
        (entity["text"], entity["label"], f"{entity['start']}-{entity['end']}", f"{entity['score']:.4f}")
        for entity in row["entities"]
    ]
    return found or [("(none)", "", "", "")]


def _print_classes(rows: Iterable[dict[str, Any]]) -> None:
    """One row per text; a column says which texts were cut, where any was."""
    table = [(_shown(row), row["label"], f"{row['probability']:.4f}", "cut" * row["truncated"]) for row in rows]
    width = 4 if any(note for *_, note in table) else 3
    print_table(("text", "label", "probability", "note")[:width], [row[:width] for row in table])
