"""What is trained on what: the options that every command which trains has, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.completing import ModuleName
from hub_core.cli.loading import load_base, trained_labels
from hub_core.cli.options import PATH, columns_option, data_option, rename_labels, split_char_option, task_options
from hub_core.cli.output import note
from hub_core.cli.splits import read_split
from hub_core.errors import NotFoundError

if TYPE_CHECKING:
    from hub_core.data.dataset import Dataset
    from hub_core.data.tables import Columns
    from hub_core.torch_module import TorchModule
    from hub_core.train.settings import TrainSettings
    from hub_core.train.trainer import Trainer

_AT_LEAST_ONE = click.IntRange(min=1)


@dataclass(frozen=True)
class Rows:
    """The data of a job: what is trained on, what is measured on (None: nothing), and the labels in target order."""

    train: Dataset
    dev: Dataset | None
    labels: Sequence[str]


@dataclass(frozen=True)
class Job:
    """What the options of `job_options` say, each under its name."""

    data: str
    columns: Columns | None
    split_char: str
    task: str
    task_options: Mapping[str, Any]
    module: str | None
    manifest: Path | None
    train_split: str
    dev_split: str
    rename_labels: Mapping[str, str]
    new_head: bool
    min_count: int
    max_vocabulary: int | None
    word_list: Path | None
    log_interval: int
    num_workers: int
    use_gpu: bool
    tensorboard: bool

    @property
    def call(self) -> dict[str, int]:
        """What the options say to `Trainer.train`."""
        return {"log_interval": self.log_interval, "num_workers": self.num_workers}

    def read(self) -> Rows:
        """Read the data. Raises for rows that cannot be used, and labels that do not fit the module."""
        from hub_core.data.misspelt import label_counts, misspelt

        rows = self._read(self.train_split)
        labels = self._labels(rows.label_list)
        dev = self._read_dev(labels) if self.dev_split else None
        for found in misspelt(label_counts(rows), label_counts(dev or ())):
            note(f"warning: {found}")
        return Rows(rows, dev, labels)

    def trainer(self, rows: Rows, settings: TrainSettings, folder: Path) -> Trainer:
        """A trainer with a module of its own, whose new weights depend on ``settings.seed`` alone."""
        import torch

        from hub_core.train.trainer import Trainer

        torch.manual_seed(settings.seed)  # of the weights of a new head, or of a new network
        return Trainer(
            self._model(rows),
            use_gpu=self.use_gpu,
            use_vdl=self.tensorboard,
            checkpoint_dir=folder,
            settings=settings,
        )

    def _read(self, split: str, labels: Sequence[str] | None = None) -> Dataset:
        return read_split(
            self.data,
            task=self.task,
            split=split,
            labels=labels,
            renaming=self.rename_labels,
            columns=self.columns,
            split_char=self.split_char,
            options=self.task_options,
        )

    def _read_dev(self, labels: Sequence[str]) -> Dataset:
        try:
            return self._read(self.dev_split, labels)
        except NotFoundError as error:
            raise NotFoundError(f"{error}; --dev-split names another, '' is for none") from error

    def _labels(self, found: Sequence[str]) -> Sequence[str]:
        if self.module is None or self.new_head:
            return found
        return trained_labels(self.module, task=self.task, found=found)

    def _model(self, rows: Rows) -> TorchModule:
        if self.manifest is None:
            return load_base(
                self.module or "",
                task=self.task,
                labels=rows.labels,
                new_head=self.new_head,
                task_options=self.task_options,
            )
        from hub_core.scratch import module_from_manifest

        return module_from_manifest(
            self.manifest,
            rows.train,
            task=self.task,
            label_map=rows.labels or None,
            task_options=self.task_options,
            min_count=self.min_count,
            max_vocabulary=self.max_vocabulary,
            word_list=self.word_list,
        )


def job_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a `Job`; it receives them as one argument `job`."""

    @wraps(function)
    def collected(*args: Any, **options: Any) -> None:
        job = Job(**{item.name: options.pop(item.name) for item in fields(Job)})
        if (job.module is None) == (job.manifest is None):
            raise click.UsageError("give either --module (fine-tune it) or --manifest (train a new one)")
        function(*args, job=job, **options)

    for option in reversed(_OPTIONS):
        collected = option(collected)
    return collected


@contextmanager
def continuing(folder: Path) -> Iterator[None]:
    """Say, where the block is interrupted, that it can be continued; unless there is nothing to continue from."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        if any(folder.glob("state/step-*")):
            note(f"stopped; the same command continues from {folder / 'state'}")
        elif any(folder.glob("*/state/step-*")):
            note(f"stopped; the same command continues in {folder}")
        raise


_OPTIONS = (
    data_option,
    columns_option,
    split_char_option,
    click.option("--task", required=True, help="seq-cls, token-cls, text-matching, embedding, masked-lm, ..."),
    task_options,
    click.option(
        "--module",
        "-m",
        type=ModuleName(),
        help="The module to fine-tune: a name, hf:org/repo, or a folder with a '/'.",
    ),
    click.option("--manifest", type=PATH, help="Instead: the manifest of a new module, with random weights."),
    click.option("--train-split", default="train", help="The split to train on."),
    click.option(
        "--dev-split", default="dev", help="The split that picks the best model; '' for none: the last epoch_N is kept."
    ),
    rename_labels,
    click.option("--new-head", is_flag=True, help="--module: a fresh head where it has one with other labels."),
    click.option(
        "--min-count", type=_AT_LEAST_ONE, default=2, help="--manifest: how often a unit must stand in the data."
    ),
    click.option("--max-vocabulary", type=_AT_LEAST_ONE, help="--manifest: at most so many units."),
    click.option("--word-list", type=PATH, help="--manifest: a vocabulary, one word per line."),
    click.option("--log-interval", type=_AT_LEAST_ONE, default=50, help="Steps between log lines."),
    click.option("--num-workers", type=click.IntRange(min=0), default=0, help="Processes that collate batches."),
    click.option("--use-gpu", is_flag=True, help="Train on the GPU."),
    click.option("--tensorboard/--no-tensorboard", default=True, help="Write TensorBoard's files to visualization/."),
)
