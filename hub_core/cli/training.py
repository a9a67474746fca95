"""The command that trains. Its options beyond the data are made from `TrainSettings`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

import click

from hub_core.cli.command import command
from hub_core.cli.completing import ModuleName
from hub_core.cli.loading import load_base, trained_labels
from hub_core.cli.options import PATH, columns_option, data_option, json_flag, rename_labels, task_options
from hub_core.cli.output import note, print_record
from hub_core.cli.splits import read_split
from hub_core.train.settings import TrainSettings

if TYPE_CHECKING:
    from hub_core.data.dataset import Dataset
    from hub_core.torch_module import TorchModule
    from hub_core.train.trainer import Trainer, TrainResult

_AT_LEAST_ONE = click.IntRange(min=1)


def _settings_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command one option per training setting; what is not given comes as None."""
    hints = get_type_hints(TrainSettings)
    for item in reversed(fields(TrainSettings)):
        said = item.metadata["help"]
        text = f"{said[0].upper()}{said[1:]}." + ("" if item.default is None else f"  [default: {item.default}]")
        flag = "--" + item.name.replace("_", "-")
        if hints[item.name] is bool:
            flag += "/--no-" + flag.removeprefix("--")
        function = click.option(flag, item.name, type=_option_type(hints[item.name]), default=None, help=text)(function)
    return function


def _option_type(hint: Any) -> Any:
    """What click makes a value of, for an annotation: a plain type, one that may be None, or a Literal of strings."""
    choices = get_args(hint)
    if choices and isinstance(choices[0], str):
        return click.Choice(choices)
    (plain,) = [kind for kind in choices or (hint,) if kind is not NoneType]
    return plain


@command(
    "train",
    examples=[
        "hub train --module ernie_tiny --task token-cls --data msra_ner --epochs 3 --learning-rate 5e-5",
        "hub train --manifest student.json --task seq-cls --data reviews --rename-labels 0=negative,1=positive",
    ],
)
@data_option
@columns_option
@click.option("--task", required=True, help="seq-cls, token-cls, text-matching, embedding, masked-lm, ...")
@task_options
@click.option(
    "--module", "-m", type=ModuleName(), help="The module to fine-tune: a name, hf:org/repo, or a folder with a '/'."
)
@click.option("--manifest", type=PATH, help="Instead: the manifest of a new module, with random weights.")
@click.option(
    "--checkpoint-dir",
    "--output",
    type=PATH,
    default="ckpt",
    help="Gets best_model/, epoch_N/ and state/; an interrupted run continues from there.",
)
@click.option("--train-split", default="train", help="The split to train on.")
@click.option("--dev-split", default="dev", help="The split that picks the best model; '' for none.")
@rename_labels
@click.option("--new-head", is_flag=True, help="--module: a fresh head where it has one with other labels.")
@click.option("--epochs", type=_AT_LEAST_ONE, default=3, help="Epochs in all; an interrupted run does the rest.")
@click.option("--batch-size", type=_AT_LEAST_ONE, default=32, help="Rows per process.")
@click.option("--learning-rate", type=float, default=5e-5, help="Peak learning rate of AdamW.")
@click.option("--weight-decay", type=float, default=0.01, help="Weight decay of AdamW; biases and norms have none.")
@click.option("--min-count", type=_AT_LEAST_ONE, default=2, help="--manifest: how often a unit must stand in the data.")
@click.option("--max-vocabulary", type=_AT_LEAST_ONE, help="--manifest: at most so many units.")
@click.option("--word-list", type=PATH, help="--manifest: a vocabulary, one word per line.")
@click.option("--log-interval", type=_AT_LEAST_ONE, default=50, help="Steps between log lines.")
@click.option("--save-interval", type=_AT_LEAST_ONE, default=10, help="Epochs between epoch_N/ folders.")
@click.option("--num-workers", type=click.IntRange(min=0), default=0, help="Processes that collate batches.")
@click.option("--use-gpu", is_flag=True, help="Train on the GPU.")
@click.option("--tensorboard/--no-tensorboard", default=True, help="Write TensorBoard's files to visualization/.")
@click.option("--config", type=PATH, help="A JSON file of training settings (those below); options win over it.")
@json_flag
@_settings_options
def train(config: Path | None, as_json: bool, **options: Any) -> None:
    """Fine-tune a module, or train a new one.

    The best of it is left in CHECKPOINT_DIR/best_model, which is a module: `hub run ./ckpt/best_model TEXT`. After
    Ctrl-C, SIGTERM or a crash the same command continues where the run stopped, and ends with the same weights.
    """
    given = {item.name: options.pop(item.name) for item in fields(TrainSettings)}
    job = _Job(**options)
    if (job.module is None) == (job.manifest is None):
        raise click.UsageError("give either --module (fine-tune it) or --manifest (train a new one)")
    settings = TrainSettings() if config is None else TrainSettings.from_json(config)
    chosen = settings.replace(**{name: value for name, value in given.items() if value is not None})
    record = job.run(chosen)
    if record is not None:
        print_record(record, as_json=as_json)


@dataclass(frozen=True)
class _Job:
    """What the command's own options say, each under its name."""

    data: str
    columns: Any
    task: str
    module: str | None
    manifest: Path | None
    checkpoint_dir: Path
    train_split: str
    dev_split: str
    rename_labels: Mapping[str, str]
    task_options: Mapping[str, Any]
    new_head: bool
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    min_count: int
    max_vocabulary: int | None
    word_list: Path | None
    log_interval: int
    save_interval: int
    num_workers: int
    use_gpu: bool
    tensorboard: bool

    def run(self, settings: TrainSettings) -> dict[str, Any] | None:
        """Read the data, make the module, train it; where the result is, and its scores (in one process of several)."""
        rows = self._read(self.train_split)
        labels = self._labels(rows.label_list)
        dev = self._read(self.dev_split, labels) if self.dev_split else None

        import torch

        from hub_core.train.optimizers import adamw
        from hub_core.train.trainer import Trainer

        torch.manual_seed(settings.seed)  # of the weights of a new head, or of a new network
        model = self._model(rows, labels)
        trainer = Trainer(
            model,
            adamw(model, learning_rate=self.learning_rate, weight_decay=self.weight_decay),
            use_gpu=self.use_gpu,
            use_vdl=self.tensorboard,
            checkpoint_dir=self.checkpoint_dir,
            settings=settings,
        )
        result = self._train(trainer, rows, dev)
        if not trainer.is_main_process:
            return None
        best = trainer.checkpoints.best if result.best else trainer.checkpoints.folder / f"epoch_{self.epochs}"
        return {"module": str(best), "steps": result.steps, **(result.best or {})}

    def _read(self, split: str, labels: Sequence[str] | None = None) -> Dataset:
        return read_split(
            self.data,
            task=self.task,
            split=split,
            labels=labels,
            renaming=self.rename_labels,
            columns=self.columns,
            options=self.task_options,
        )

    def _labels(self, found: Sequence[str]) -> Sequence[str]:
        if self.module is None or self.new_head:
            return found
        return trained_labels(self.module, task=self.task, found=found)

    def _model(self, rows: Dataset, labels: Sequence[str]) -> TorchModule:
        if self.manifest is None:
            return load_base(
                self.module or "",
                task=self.task,
                labels=labels,
                new_head=self.new_head,
                task_options=self.task_options,
            )
        from hub_core.scratch import module_from_manifest

        return module_from_manifest(
            self.manifest,
            rows,
            task=self.task,
            label_map=labels or None,
            task_options=self.task_options,
            min_count=self.min_count,
            max_vocabulary=self.max_vocabulary,
            word_list=self.word_list,
        )

    def _train(self, trainer: Trainer, rows: Dataset, dev: Dataset | None) -> TrainResult:
        try:
            return trainer.train(
                rows,
                epochs=self.epochs,
                batch_size=self.batch_size,
                num_workers=self.num_workers,
                eval_dataset=dev,
                log_interval=self.log_interval,
                save_interval=self.save_interval,
            )
        except (KeyboardInterrupt, SystemExit):
            if any(trainer.checkpoints.state.glob("step-*")):
                note(f"stopped; the same command continues from {trainer.checkpoints.state}")
            raise
