"""Options that mean the same in every command that has them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from typing import Any

import click

from hub_core.cli.completing import ModuleName

#: What `hub_core.torch_engine.DTYPES` knows; stated here too, since that file needs torch.
DTYPES = ("auto", "float32", "bfloat16", "float16")
#: A file or folder; whether it is there is found out by whoever reads it, who knows what it was to be.
PATH = click.Path(path_type=Path)

named_module = click.option(
    "--module",
    "-m",
    "name",
    required=True,
    type=ModuleName(),
    help="A module's name, hf:org/repo, or a folder with a '/'.",
)
json_flag = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
checkpoint_dir = click.option(
    "--checkpoint-dir",
    "--output",
    type=PATH,
    default="ckpt",
    help="Gets best_model/, epoch_N/ and state/; an interrupted run continues from there.",
)
use_gpu = click.option("--use-gpu", is_flag=True, help="Compute on the GPU.")


def _renaming(ctx: click.Context, parameter: click.Parameter, value: str | None) -> dict[str, str]:
    """Read ``0=negative,1=positive``. Raises click.BadParameter where it is not of that form or repeats a label."""
    if value is None:
        return {}
    pairs = [pair.partition("=") for pair in value.split(",")]
    renaming = {old.strip(): new.strip() for old, _, new in pairs}
    if not all(renaming) or not all(renaming.values()) or len(renaming) < len(pairs):
        raise click.BadParameter(f"{value!r} is not of the form 0=negative,1=positive", ctx, parameter)
    return renaming


rename_labels = click.option(
    "--rename-labels",
    metavar="OLD=NEW,...",
    callback=_renaming,
    help="Better names for the labels of the data: 0=negative,1=positive.",
)


def _columns(ctx: click.Context, parameter: click.Parameter, value: str | None) -> list[str] | dict[str, str] | None:
    """Read ``text,label`` or ``sentence=text,label_desc=label``. Raises click.BadParameter for a mixture of both."""
    if value is None:
        return None
    parts = [part.partition("=") for part in value.split(",")]
    names = [(old.strip(), new.strip()) for old, _, new in parts]
    if not any(sign for _, sign, _ in parts) and all(old for old, _ in names):
        return [old for old, _ in names]
    renamed = dict(names)
    if not all(renamed) or not all(renamed.values()) or len(renamed) < len(names):
        raise click.BadParameter(f"{value!r} is neither text,label nor sentence=text,tag=label", ctx, parameter)
    return renamed


#: Labelled data.
data_option = click.option(
    "--data",
    required=True,
    help="A folder (or address) with train.tsv, dev.jsonl, test.parquet, ...; or a data set's name, such as tnews.",
)
columns_option = click.option(
    "--columns",
    metavar="NAME,... | OLD=NEW,...",
    callback=_columns,
    help="What a file without a header has, in order: text,label. Or better names: sentence=text,tag=label.",
)
split_char_option = click.option(
    "--split-char",
    default="\002",
    show_default="\\x02",
    metavar="TEXT",
    help="token-cls: what joins the units, and the labels, of a row that are one string each: ' '.",
)


@dataclass(frozen=True)
class Answering:
    """How a module is to answer: the options that run, predict and evaluate share."""

    task: str | None
    max_seq_len: int | None
    batch_size: int | None
    use_gpu: bool
    dtype: str
    engine: str
    task_options: Mapping[str, Any] = field(default_factory=dict)
    head: str | None = None


def _option(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, Any]:
    """Read ``name=value``, each value as JSON where it is such, else as a text. Raises click.BadParameter."""
    options = {}
    for given in values:
        name, equals, value = given.partition("=")
        if not name.strip() or not equals:
            raise click.BadParameter(f"{given!r} is not of the form problem=multi-label", ctx, parameter)
        try:
            options[name.strip()] = json.loads(value)
        except ValueError:
            options[name.strip()] = value.strip()
    return options


task_options = click.option(
    "--task-option",
    "task_options",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_option,
    help="An option of the task: problem=multi-label, top_k=3, pooling=cls. May be given several times.",
)


task_option = click.option("--task", help="Which of the module's tasks (default: the first it was trained for).")
head_option = click.option("--head", help="Which head, of a module that has several (default: all of them).")


def answering_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options; it receives them as one argument `how`."""

    @wraps(function)
    def collected(
        *args: Any,
        task: str | None,
        max_seq_len: int | None,
        batch_size: int | None,
        use_gpu: bool,
        dtype: str,
        engine: str,
        task_options: dict[str, Any],
        head: str | None,
        **others: Any,
    ) -> None:
        how = Answering(task, max_seq_len, batch_size, use_gpu, dtype, engine, task_options, head)
        function(*args, how=how, **others)

    for option in (
        task_options,
        use_gpu,
        click.option(
            "--engine",
            type=click.Choice(("auto", "torch", "onnx", "openvino")),
            default="auto",
            help="What computes; auto: the module's exported graph where it has one, else torch.",
        ),
        click.option(
            "--dtype",
            type=click.Choice(DTYPES),
            default="auto",
            help="Precision of the network; auto: bfloat16 where the processor computes it natively.",
        ),
        click.option(
            "--batch-size",
            type=click.IntRange(min=1),
            help="Rows that are computed together (default: as many as fill a batch of tokens).",
        ),
        click.option(
            "--max-seq-len",
            type=click.IntRange(min=1),
            help="Tokens per row, special ones included (default: what the module was trained with).",
        ),
        head_option,
        task_option,
    ):
        collected = option(collected)
    return collected
