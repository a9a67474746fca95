"""The command that trains. Its options beyond the data are made from `TrainSettings`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from hub_core.cli.output import JsonFlag, print_json, print_pairs
from hub_core.errors import SettingsError
from hub_core.train.settings import TrainSettings


def add_to(app: typer.Typer) -> None:
    """Register this file's commands."""
    app.command("train")(_with_settings(train))


def train(
    data: Annotated[Path, typer.Option(help="A folder with train.tsv and dev.tsv (or .csv, .jsonl, .conll).")],
    task: Annotated[str, typer.Option(help="seq-cls or token-cls.")],
    module: Annotated[
        str | None, typer.Option("--module", "-m", help="The module to fine-tune: a name, or a folder with a '/'.")
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Instead: a manifest of a new module, with random weights.")
    ] = None,
    checkpoint_dir: Annotated[
        Path, typer.Option("--checkpoint-dir", "--output", help="Gets best_model/, epoch_N/ and state/.")
    ] = Path("ckpt"),
    train_split: Annotated[str, typer.Option(help="The file of the folder to train on.")] = "train",
    dev_split: Annotated[str, typer.Option(help="The file that picks the best model; '' for none.")] = "dev",
    rename_labels: Annotated[str | None, typer.Option(help="Better names for labels: 0=negative,1=positive")] = None,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs in all; an interrupted run does the rest.")] = 3,
    batch_size: Annotated[int, typer.Option("--batch-size", "--batch_size", min=1, help="Rows per process.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Peak learning rate of AdamW.")] = 5e-5,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW; biases and norms have none.")] = 0.01,
    min_count: Annotated[int, typer.Option(min=1, help="--manifest: how often a unit must stand in the data.")] = 2,
    max_vocabulary: Annotated[int | None, typer.Option(help="--manifest: at most so many units.")] = None,
    word_list: Annotated[Path | None, typer.Option(help="--manifest: a vocabulary, one word per line.")] = None,
    log_interval: Annotated[int, typer.Option(min=1, help="Steps between log lines.")] = 50,
    save_interval: Annotated[int, typer.Option(min=1, help="Epochs between epoch_N/ folders.")] = 10,
    num_workers: Annotated[int, typer.Option(min=0, help="Processes that collate batches.")] = 0,
    use_gpu: Annotated[bool, typer.Option("--use-gpu", "--use_gpu", help="Train on the GPU.")] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard's files to visualization/.")] = True,
    config: Annotated[Path | None, typer.Option(help="A JSON file of training settings; options win over it.")] = None,
    as_json: JsonFlag = False,
    **settings: Any,
) -> None:
    """Fine-tune a module, or train a new one, and leave the best of it in CHECKPOINT_DIR/best_model."""
    from hub_core.datasets import folder_dataset

    if (module is None) == (manifest is None):
        raise SettingsError("give either --module (fine-tune it) or --manifest (train a new one)")
    chosen = (TrainSettings.from_json(config) if config else TrainSettings()).replace(**settings)
    renaming = parse_renaming(rename_labels)
    rows = folder_dataset(data, task=task, mode=train_split, rename_labels=renaming)
    labels = list(rows.label_list)
    dev = (
        folder_dataset(data, task=task, mode=dev_split, label_list=labels, rename_labels=renaming)
        if dev_split
        else None
    )

    import torch

    from hub_core.train.optimizers import adamw
    from hub_core.train.trainer import Trainer

    torch.manual_seed(chosen.seed)  # of a new head's, or a new network's, weights
    if manifest is not None:
        from hub_core.scratch import module_from_manifest

        model = module_from_manifest(
            manifest,
            rows,
            task=task,
            label_map=labels,
            min_count=min_count,
            max_vocabulary=max_vocabulary,
            word_list=word_list,
        )
    else:
        model = _base(module or "", task, labels)
    trainer = Trainer(
        model,
        adamw(model, learning_rate=learning_rate, weight_decay=weight_decay),
        use_gpu=use_gpu,
        use_vdl=tensorboard,
        checkpoint_dir=checkpoint_dir,
        settings=chosen,
    )
    result = trainer.train(
        rows,
        epochs=epochs,
        batch_size=batch_size,
        num_workers=num_workers,
        eval_dataset=dev,
        log_interval=log_interval,
        save_interval=save_interval,
    )
    best = trainer.checkpoints.best if result.best else trainer.checkpoints.folder / f"epoch_{epochs}"
    record = {"module": str(best), "steps": result.steps, **(result.best or {})}
    if as_json:
        print_json(record)
    else:
        print_pairs({name: f"{value:.4f}" if isinstance(value, float) else value for name, value in record.items()})


def parse_renaming(text: str | None) -> dict[str, str] | None:
    """Read ``0=negative,1=positive``. Raises SettingsError."""
    if text is None:
        return None
    pairs = [part.split("=") for part in text.split(",")]
    if not all(len(pair) == 2 and all(pair) for pair in pairs):
        raise SettingsError(f"--rename-labels must look like 0=negative,1=positive, not {text!r}")
    return {old.strip(): new.strip() for old, new in pairs}


def _base(name: str, task: str, labels: list[str]) -> Any:
    from hub_core.module import Module

    if "/" in name and not name.startswith("hf:"):
        return Module(directory=name, task=task, label_map=labels)
    return Module(name, task=task, label_map=labels)


def _with_settings(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per training setting, with its type and help; only those that were given are passed on."""
    hints = get_type_hints(TrainSettings)
    signature = inspect.signature(command, eval_str=True)
    own = [p for p in signature.parameters.values() if p.kind is not inspect.Parameter.VAR_KEYWORD]
    added = []
    for item in fields(TrainSettings):
        flag = "--" + item.name.replace("_", "-")
        option = typer.Option(flag, help=f"{item.metadata['help']} [default: {item.default}]", show_default=False)
        kind: Any = hints[item.name] | None
        annotation: Any = Annotated[(kind, option)]
        added.append(inspect.Parameter(item.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation))

    def wrapped(**values: Any) -> None:
        given = {name: values.pop(name) for name in [p.name for p in added]}
        command(**values, **{name: value for name, value in given.items() if value is not None})

    wrapped.__doc__ = command.__doc__
    own = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    wrapped.__signature__ = inspect.Signature([*own, *added])  # type: ignore[attr-defined]
    return wrapped
