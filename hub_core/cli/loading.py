"""From what a user calls a module on the command line to the module: a name, ``hf:org/repo``, or a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_core.cli.output import download_progress
from hub_core.errors import DeviceError, LabelError, NotFoundError, SettingsError, unknown

if TYPE_CHECKING:
    from torch import Tensor

    from hub_core.cli.options import Answering
    from hub_core.spec import ModuleSpec
    from hub_core.tasks.task import Task
    from hub_core.text.tokenizer import Tokenizer
    from hub_core.torch_module import TorchModule


def named_folder(name: str) -> Path | None:
    """The folder that is meant, or None where it is a name or an address. Raises NotFoundError where it is missing."""
    from hub_core.install_plan import no_folder, request_kind

    if request_kind(name) != "folder":
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise no_folder(name)
    return folder


def load_answering(name: str, how: Answering) -> TorchModule:
    """A module that can answer, on the engine and the device that are wanted.

    ``auto`` is the module's exported graph where it has one, else torch, and torch where a GPU is wanted. Raises as
    `load_trained`, and SettingsError for an engine that the module has no graph for.
    """
    engine = "torch" if how.use_gpu and how.engine == "auto" else how.engine
    asked: dict[str, Any] = {"task": how.task, "head": how.head, "task_options": how.task_options}
    return load_trained(name, **asked, use_gpu=how.use_gpu, engine=engine)


def load_trained(
    name: str,
    *,
    task: str | None,
    head: str | None = None,
    use_gpu: bool = False,
    engine: str = "torch",
    task_options: Mapping[str, Any] | None = None,
) -> TorchModule:
    """A module that can answer, on the device that is wanted; it is installed where it is not installed yet.

    Raises SettingsError, which says how to train one, for a module without a trained head (before anything is
    downloaded), NotFoundError for a task that the module was not trained for, and what `hub_core.Module` raises.
    """
    folder = named_folder(name)
    _check_trained(name, _spec_of(name, folder), task)

    wanted: dict[str, Any] = {"task": task, "head": head, "engine": engine, "task_options": task_options or {}}
    if not use_gpu:
        return _load(name, folder, **wanted)
    from hub_core.torch_engine import pick_device

    device = pick_device(use_gpu=True)  # before anything large is loaded
    if engine != "torch":
        raise DeviceError(f"engine {engine} computes on the CPU; --engine torch has GPUs")
    return _load(name, folder, **wanted).to(device)


def check_one_head(title: str, task: Task) -> None:
    """Raise SettingsError for a module of several heads: rows carry the labels of one."""
    from hub_core.tasks.joint import Joint

    if isinstance(task, Joint):
        raise SettingsError(f"{title} has heads {', '.join(task.parts)}: give --head or --task")


def load_base(
    name: str, *, task: str | None, labels: Sequence[str], new_head: bool, task_options: Mapping[str, Any]
) -> TorchModule:
    """A module to fine-tune; it is installed where it is not installed yet. Raises what `hub_core.Module` raises."""
    wanted = {"task": task, "label_map": labels or None, "new_head": new_head, "task_options": task_options}
    return _load(name, named_folder(name), **wanted)


def stored_tensors(name: str) -> dict[str, Tensor]:
    """All tensors of a module's file; it is installed where it is not installed yet."""
    from hub_core.installation import ensure
    from hub_core.nn.weights import read_weights
    from hub_core.spec import WEIGHTS

    return read_weights((named_folder(name) or ensure(name).folder) / WEIGHTS)


def load_tokenizer(name: str, **options: Any) -> Tokenizer:
    """The tokenizer of a module (a name, an address, a folder), or that of a ``vocab.txt`` with `options`.

    Raises SettingsError for options of a module's, and what reading either raises; a module by name is installed where
    it is not installed yet.
    """
    from hub_core.installation import ensure
    from hub_core.module import spec_of_folder
    from hub_core.text.files import tokenizer_from_files
    from hub_core.trust import module_catalog

    if Path(name).is_file():
        return tokenizer_from_files("wordpiece", vocab=Path(name), **options)
    if name.endswith(".txt"):
        raise NotFoundError(f"no file {name}")
    if options:
        raise SettingsError(f"{name} has its own {' and '.join(options)}; these are options for a vocab.txt")
    folder = named_folder(name)
    if folder is None:
        with download_progress() as progress:
            folder = ensure(name, progress=progress).folder
    spec = spec_of_folder(folder)
    kind = module_catalog(spec, folder, trust_code=False).get("tokenizer", spec.tokenizer.get("type", ""))
    tokenizer: Tokenizer = kind.from_folder(folder, spec.tokenizer)
    return tokenizer


def trained_labels(name: str, *, task: str, found: Sequence[str]) -> Sequence[str]:
    """The labels to fine-tune a module with: its own, in its own order, where it has a head for the task; else `found`.

    `found` are those of the data, which may lack some of the module's. Raises LabelError where it has others.
    """
    spec = _spec_of(name, named_folder(name))
    head = next((head for head in spec.heads if head.task == task), None)
    if head is None or head.unnamed:
        return found
    if others := [label for label in found if label not in head.labels]:
        raise LabelError(
            f"the data has label(s) {', '.join(others)}, which {spec.title} was not trained for (it knows "
            f"{', '.join(head.labels)}); --rename-labels gives the data's labels other names, and --new-head puts "
            "a fresh head on the module"
        )
    return head.labels


def _load(name: str, folder: Path | None, **wanted: Any) -> TorchModule:
    from hub_core.installation import ensure
    from hub_core.module import Module

    if folder is not None:
        return Module(directory=folder, **wanted)
    with download_progress() as progress:
        ensure(name, progress=progress)
    return Module(name, **wanted)


def _spec_of(name: str, folder: Path | None) -> ModuleSpec:
    """The spec of a folder, or of a name without installing it; an address has to be installed to be known."""
    from hub_core.install_plan import request_kind
    from hub_core.installation import ensure, resolve
    from hub_core.module import spec_of_folder

    if folder is not None:
        return spec_of_folder(folder)
    if request_kind(name) == "name":
        return resolve(name)
    with download_progress() as progress:
        return ensure(name, progress=progress).spec


def _check_trained(name: str, spec: ModuleSpec, task: str | None) -> None:
    """Raise where the module has no trained head for the task: a new, random one would answer anything."""
    trained = [head.task for head in spec.heads]
    if task is not None and task in spec.supports and _needs_no_training(task):
        return
    if not trained:
        if task is not None and task not in spec.supports:
            raise NotFoundError(unknown("task", task, spec.supports, where=f"for {spec.title}"))
        raise SettingsError(
            f"{spec.title} is not trained for a task yet; `hub train --module {name} --task {task or 'TASK'} "
            f"--data FOLDER` trains it on the labelled rows in FOLDER (tasks: {', '.join(spec.supports)}), and "
            "./ckpt/best_model then takes its place here"
        )
    if task is not None and task not in trained:
        raise NotFoundError(unknown("task", task, trained, where=f"among those that {spec.title} is trained for"))


def _needs_no_training(task: str) -> bool:
    """Whether a base module answers a task as it is."""
    from hub_core.plugins import catalog

    if task not in catalog().entries("task"):
        return False
    kind = catalog().get("task", task)
    return bool(kind.pretrained or not kind.has_weights)
