"""From what a user calls a module on the command line to the module: a name, ``hf:org/repo``, or a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_core.cli.output import download_progress
from hub_core.errors import NotFoundError, SettingsError, unknown

if TYPE_CHECKING:
    from hub_core.spec import ModuleSpec
    from hub_core.torch_module import TorchModule


def named_folder(name: str) -> Path | None:
    """The folder that is meant, or None where it is a name or an address. Raises NotFoundError where it is missing."""
    from hub_core.install_plan import request_kind

    if request_kind(name) != "folder":
        return None
    folder = Path(name).expanduser()
    if not folder.is_dir():
        raise NotFoundError(f"there is no folder {name}; a repository at Hugging Face is written hf:org/repo")
    return folder


def spec_of_folder(folder: Path) -> ModuleSpec:
    """The spec of a module folder, or of one in Hugging Face's layout."""
    from hub_core.hf_layout import adopt_hf_folder
    from hub_core.spec import MANIFEST, read_manifest

    return read_manifest(folder) if (folder / MANIFEST).is_file() else adopt_hf_folder(folder)


def load_trained(name: str, *, task: str | None, use_gpu: bool) -> TorchModule:
    """A module that can answer, on the device that is wanted; it is installed where it is not installed yet.

    Raises SettingsError, which says how to train one, for a module without a trained head (before anything is
    downloaded), NotFoundError for a task that the module was not trained for, and what `hub_core.Module` raises.
    """
    folder = named_folder(name)
    _check_trained(name, _known_spec(name) if folder is None else spec_of_folder(folder), task)

    from hub_core.torch_module import pick_device

    device = pick_device(use_gpu)
    return _load(name, folder, task=task).to(device)


def load_base(name: str, *, task: str, labels: Sequence[str], new_head: bool) -> TorchModule:
    """A module to fine-tune; it is installed where it is not installed yet. Raises what `hub_core.Module` raises."""
    return _load(name, named_folder(name), task=task, label_map=labels, new_head=new_head)


def _load(name: str, folder: Path | None, **wanted: Any) -> TorchModule:
    from hub_core.installation import ensure
    from hub_core.module import Module

    if folder is not None:
        return Module(directory=folder, **wanted)
    with download_progress() as progress:
        ensure(name, progress=progress)
    return Module(name, **wanted)


def _known_spec(name: str) -> ModuleSpec:
    """The spec of a name, without installing it; an address has to be installed before it is known."""
    from hub_core.install_plan import request_kind
    from hub_core.installation import ensure, resolve

    if request_kind(name) == "name":
        return resolve(name)
    with download_progress() as progress:
        return ensure(name, progress=progress).spec


def _check_trained(name: str, spec: ModuleSpec, task: str | None) -> None:
    """Raise where the module has no trained head for the task: a new, random one would answer anything."""
    trained = [head.task for head in spec.heads]
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
