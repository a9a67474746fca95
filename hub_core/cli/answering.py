"""Commands that let a module answer: run (a few texts), predict (files), evaluate (labelled data)."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hub_core.cli.output import JsonFlag, print_json, print_pairs, print_table, progress_bar
from hub_core.errors import DataError, SettingsError

if TYPE_CHECKING:
    from hub_core.torch_module import TorchModule

ModuleOption = Annotated[
    str, typer.Option("--module", "-m", help="An installed or registered name, or a folder such as ./ckpt/best_model.")
]
MaxSeqLen = Annotated[
    int | None, typer.Option("--max-seq-len", "--max_seq_len", help="Tokens per row (default: what the module knows).")
]
BatchSize = Annotated[int, typer.Option("--batch-size", "--batch_size", min=1, help="Rows that are computed together.")]
UseGpu = Annotated[bool, typer.Option("--use-gpu", "--use_gpu", help="Compute on the GPU.")]
TaskOption = Annotated[
    str | None, typer.Option("--task", help="Which of the module's tasks (default: the one it was made for).")
]


def add_to(app: typer.Typer) -> None:
    """Register this file's commands."""
    app.command("run")(run)
    app.command("predict")(predict)
    app.command("evaluate")(evaluate)


def run(
    name: Annotated[str, typer.Argument(help="A module's name, or a folder such as ./ckpt/best_model.")],
    texts: Annotated[list[str] | None, typer.Argument(help="Texts to answer.")] = None,
    input_text: Annotated[str | None, typer.Option("--input-text", "--input_text", help="One text to answer.")] = None,
    input_path: Annotated[
        Path | None, typer.Option("--input-path", "--input_path", help="A file with one text per line.")
    ] = None,
    max_seq_len: MaxSeqLen = None,
    batch_size: BatchSize = 32,
    use_gpu: UseGpu = False,
    as_json: JsonFlag = False,
) -> None:
    """Answer texts with a module that has a task: hub run bilstm-ner-zh '新华社北京5月7日电'."""
    rows = [*(texts or ()), *([input_text] if input_text is not None else ()), *_lines(input_path)]
    if not rows:
        raise SettingsError("nothing to answer: give texts, --input_text or --input_path FILE")
    module = load_module(name, use_gpu=use_gpu)
    answers = module.predict(rows, max_seq_len=max_seq_len, batch_size=batch_size)
    if as_json:
        print_json([{"text": row, **answer} for row, answer in zip(rows, answers, strict=True)])
    elif "entities" in answers[0]:
        _print_entities(rows, answers)
    else:
        print_table(
            ("text", "label", "probability"),
            [(row, a["label"], f"{a['probability']:.4f}") for row, a in zip(rows, answers, strict=True)],
        )


def predict(
    module: ModuleOption,
    data: Annotated[Path, typer.Option("--data", help="A file: .tsv, .csv, .jsonl, .conll, or .txt (a text a line).")],
    output: Annotated[
        Path | None, typer.Option("--output", help="Where to write JSON lines (default: stdout).")
    ] = None,
    task: TaskOption = None,
    max_seq_len: MaxSeqLen = None,
    batch_size: BatchSize = 32,
    use_gpu: UseGpu = False,
) -> None:
    """Answer every row of a file, as JSON lines in the file's order."""
    from hub_core.data.texts import read_texts
    from hub_core.infer.answers import warn_truncated
    from hub_core.paths import atomic_file

    loaded = load_module(module, task=task, use_gpu=use_gpu)
    predictor = loaded.predictor()
    examples = read_texts(data, task=predictor.task.name)
    predictions = []

    def lines() -> Iterator[str]:
        with progress_bar(len(examples), "row") as advance:
            answers = predictor.predict(examples, max_seq_len=max_seq_len, batch_size=batch_size, progress=advance)
            for example, answer in zip(examples, answers, strict=True):
                predictions.append(answer)
                yield json.dumps({"text": example.text, **predictor.task.as_data(answer)}, ensure_ascii=False) + "\n"

    if output is None:
        sys.stdout.writelines(lines())
    else:
        with atomic_file(output) as staged, staged.open("w", encoding="utf-8", newline="\n") as stream:
            stream.writelines(lines())
    warn_truncated(predictions, predictor.checked_length(max_seq_len))


def evaluate(
    module: ModuleOption,
    data: Annotated[Path, typer.Option("--data", help="A folder with test.tsv (or .csv, .jsonl, .conll).")],
    split: Annotated[str, typer.Option("--split", help="Which file of the folder: train, dev, test, ...")] = "test",
    task: TaskOption = None,
    rename_labels: Annotated[
        str | None, typer.Option(help="Labels as the module has them: 0=negative,1=positive")
    ] = None,
    max_seq_len: MaxSeqLen = None,
    batch_size: BatchSize = 32,
    use_gpu: UseGpu = False,
    as_json: JsonFlag = False,
) -> None:
    """Measure a module on labelled data, over the whole corpus."""
    from hub_core.cli.training import parse_renaming
    from hub_core.datasets import folder_dataset

    loaded = load_module(module, task=task, use_gpu=use_gpu)
    predictor = loaded.predictor()
    dataset = folder_dataset(
        data,
        task=predictor.task.name,
        mode=split,
        label_list=predictor.task.labels,
        rename_labels=parse_renaming(rename_labels),
    )
    examples = list(dataset)
    if not examples:
        raise DataError([f"{data}: the split {split!r} has no rows"])
    with progress_bar(len(examples), "row") as advance:
        predictions = list(
            predictor.predict(examples, max_seq_len=max_seq_len, batch_size=batch_size, progress=advance)
        )
    metrics = predictor.task.metrics(examples, predictions)
    record = {"module": loaded.spec.title, "data": str(data), "split": split, "rows": len(examples), **metrics}
    if as_json:
        print_json(record)
    else:
        print_pairs({name: f"{value:.4f}" if isinstance(value, float) else value for name, value in record.items()})


def load_module(name: str, *, task: str | None = None, use_gpu: bool = False) -> TorchModule:
    """A module by name, or by a folder written with a ``/``, on the device that is wanted."""
    from hub_core.module import Module
    from hub_core.torch_module import pick_device

    device = pick_device(use_gpu)
    folder = Path(name)
    is_folder = "/" in name and not name.startswith("hf:")
    module = Module(directory=folder, task=task) if is_folder else Module(name, task=task)
    return module.to(device)


def _lines(path: Path | None) -> list[str]:
    """The lines of a file that are not blank."""
    if path is None:
        return []
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError([f"{path}: not UTF-8 at byte {error.start}"]) from error
    rows = [line for line in text.splitlines() if line.strip()]
    if not rows:
        raise DataError([f"{path}: the file has no text"])
    return rows


def _print_entities(rows: Sequence[str], answers: Sequence[dict[str, Any]]) -> None:
    """One table of all entities; a text without any keeps its row."""
    table: list[tuple[object, ...]] = []
    for text, answer in zip(rows, answers, strict=True):
        shown = text
        for entity in answer["entities"] or [{}]:
            table.append(
                (
                    shown,
                    entity.get("text", "-"),
                    entity.get("label", "-"),
                    f"{entity['start']}-{entity['end']}" if entity else "-",
                    f"{entity['score']:.4f}" if entity else "-",
                )
            )
            shown = ""
    print_table(("text", "entity", "label", "characters", "score"), table)
