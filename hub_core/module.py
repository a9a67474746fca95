"""`hub.Module`: from a name, an address or a folder to a module that predicts and trains."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hub_core.errors import CheckpointError, LabelError, NotFoundError, SettingsError, unknown
from hub_core.exported import ExportedModule
from hub_core.hf_layout import adopt_hf_folder
from hub_core.infer.graphs import FORMATS, Graph, can_run, read_graph
from hub_core.install_plan import request_kind
from hub_core.installation import ensure, resolve
from hub_core.labels import labels_from_map
from hub_core.named_checkpoint import NamedCheckpoint
from hub_core.plugins import Catalog
from hub_core.spec import BEST, MANIFEST, WEIGHTS, HeadSpec, ModuleSpec, read_manifest
from hub_core.tasks.task import Task, positive
from hub_core.trust import module_catalog

if TYPE_CHECKING:
    from torch import Tensor

    from hub_core.torch_module import TorchModule

logger = logging.getLogger("hub_core")

#: PaddleHub's older name of a task.
_TASK_ALIASES = {"sequence_classification": "seq-cls"}


def Module(  # noqa: N802  (the name that PaddleHub's users know)
    name: str | None = None,
    *,
    directory: str | Path | None = None,
    version: str | None = None,
    task: str | None = None,
    label_map: Mapping[Any, str] | Sequence[str] | None = None,
    num_classes: int | None = None,
    load_checkpoint: str | Path | None = None,
    suffix: bool = False,
    task_options: Mapping[str, Any] | None = None,
    new_head: bool = False,
    offline: bool | None = None,
    trust_code: bool = False,
    engine: str | None = None,
    head: str | None = None,
    source: str | None = None,
    branch: str | None = None,
) -> TorchModule:
    """Load a module, installing it first where it is not installed yet.

    - `name`: a registered module (``ernie_tiny``, ``ernie_tiny>=2,<3``) or ``hf:org/repo``; or `directory`: a module
      folder, a checkpoint, or a folder in Hugging Face's layout.
    - `version`: a version (``2.0.1``) or a range (``>=2,<3``); the newest installed one that satisfies it is used
      without any network.
    - `task`: ``seq-cls``, ``token-cls``, ``text-matching``, ``embedding``, ``masked-lm`` or ``question-answering``. A
      checkpoint remembers its task and labels; a base module gets a new, random head, which is announced (embedding
      needs none, and masked-lm has the one of pre-training where the file holds it). None on a base module loads the
      bare encoder, on a module of several heads all of them.
    - `label_map`: ``{0: label, ...}`` or the labels in order; `num_classes` (2) is for seq-cls without label names.
    - `head`: the name of one head of a module that has several.
    - `load_checkpoint`: weights to use instead: a checkpoint folder, a file in it, or a PaddleHub user's own
      ``model.pdparams`` (task and labels then come from this call).
    - `task_options` (`suffix` is one of them): see the task's class. `new_head`: put a fresh head where the module
      has one of the same task with other labels.
    - `offline`: use no network (default: ``$HUB_OFFLINE``). `trust_code`: consent to run the module's plugin.py.
    - `engine`: what computes: ``torch``; ``onnx`` or ``openvino`` where the module has such a graph (`hub export`);
      ``auto``: its graph where it has one for this task, else torch. By default torch, and a graph only where there are
      no weights. A graph comes as a `hub_core.exported.ExportedModule`, which answers as this one does and does not
      train.
    - `source` and `branch` are PaddleHub's, and refused with what takes their place.

    Raises NotFoundError (unknown name, version or task), LabelError (labels that do not fit), CheckpointError
    (weights that are missing or do not fit), InstallError (files that cannot be fetched).
    """
    if source is not None or branch is not None:
        raise SettingsError(
            "source= and branch= are not taken here: clone the repository and give directory='FOLDER', or "
            "hub.Module('hf:org/repo') for one at Hugging Face"
        )
    if (name is None) == (directory is None):
        raise SettingsError("hub.Module needs a name (hub.Module(name='ernie_tiny')) or a directory=, and not both")
    if directory is not None and version is not None:
        raise SettingsError("version= chooses among the versions of a name; a directory= is what it is, leave it out")
    wanted = _Wanted(
        None if task is None else _TASK_ALIASES.get(task, task),
        None if label_map is None else labels_from_map(label_map),
        None if num_classes is None else positive("num_classes", num_classes),
        task_options or {},
        suffix,
        new_head,
        head,
    )
    checkpoint = None if load_checkpoint is None else NamedCheckpoint.find(Path(load_checkpoint))
    if checkpoint is not None and checkpoint.spec is not None:
        base = _base_spec(name, directory, version, offline=offline, trust_code=trust_code)
        return _load(checkpoint.agreeing_with(base), checkpoint.folder, wanted, trust_code=trust_code)
    if directory is not None:
        spec, folder = spec_of_folder(Path(directory)), Path(directory)
    else:
        installed = ensure(name or "", version=version, offline=offline, trust_code=trust_code)
        spec, folder = installed.spec, installed.folder
    graph = None if checkpoint is not None else _chosen_graph(folder, engine)
    exported = None if graph is None else _load_exported(spec, folder, graph, engine, wanted, trust_code=trust_code)
    if exported is not None:
        # Typed as what callers nearly always get: they would have to ask for the class before every `parameters()`.
        return cast("TorchModule", exported)
    return _load(spec, folder, wanted, trust_code=trust_code, foreign=checkpoint)


def _base_spec(
    name: str | None, directory: str | Path | None, version: str | None, *, offline: bool | None, trust_code: bool
) -> ModuleSpec:
    """The spec of a module whose own weights are not needed: a checkpoint's are taken."""
    if name is None:
        return spec_of_folder(Path(directory or ""))
    if request_kind(name) == "name":
        return resolve(name, version)
    return ensure(name, version=version, offline=offline, trust_code=trust_code).spec


def spec_of_folder(folder: Path) -> ModuleSpec:
    """The spec of a module folder, of a checkpoint, or of a folder in Hugging Face's layout.

    Raises NotFoundError where there is no such folder, HubError where it is none of these, ManifestError.
    """
    if not folder.is_dir():
        raise NotFoundError(f"directory={str(folder)!r} is not a folder")
    if (folder / MANIFEST).is_file():
        return read_manifest(folder)
    if (folder / BEST / MANIFEST).is_file():
        raise NotFoundError(f"directory={str(folder)!r} is no module folder; {str(folder / BEST)!r} is one")
    return adopt_hf_folder(folder)


@dataclass(frozen=True)
class _Wanted:
    """What the caller asked of the head."""

    task: str | None
    labels: tuple[str, ...] | None
    num_classes: int | None
    options: Mapping[str, Any]
    suffix: bool
    new_head: bool
    head: str | None

    def task_options(self, task: type[Task]) -> dict[str, Any]:
        """The options for a task; `suffix`, which PaddleHub takes for every task, only where it has that option."""
        return {**self.options, **({"suffix": True} if self.suffix and "suffix" in task.option_defaults else {})}


def _chosen_graph(folder: Path, engine: str | None) -> Graph | None:
    """The folder's graph where that may compute, None where torch does. Raises SettingsError for an engine without."""
    graph = read_graph(folder)
    if engine not in (None, "auto", "torch", *FORMATS):
        raise SettingsError(unknown("engine", engine, ("auto", "torch", *FORMATS)))
    weights = (folder / WEIGHTS).is_file()
    if engine is None or (engine == "torch" and graph is not None and graph.format == "torch"):
        return None if weights else graph
    if engine == "auto":
        return graph if graph and (can_run(graph) or not weights) else None
    if engine == "torch":
        if graph is not None and not weights:
            raise SettingsError(
                f"{folder} has a graph for {graph.format}, and no weights, which torch would need; load the module "
                "that it was made from"
            )
        return None
    if graph is None or graph.format != engine:
        has = f"a graph for {graph.format}" if graph else "no graph"
        raise SettingsError(f"{folder} has {has}; `hub export {folder} OUT --format {engine}` makes one for {engine}")
    return graph


def _load_exported(
    spec: ModuleSpec, folder: Path, graph: Graph, engine: str | None, wanted: _Wanted, *, trust_code: bool
) -> ExportedModule | None:
    """The module over a graph; None where the graph computes something else, and torch may take its place.

    Raises SettingsError where it computes something else, and the graph was asked for or is all there is.
    """
    own = module_catalog(spec, folder, trust_code=trust_code)
    head = _choose_head(spec, wanted, own)
    lacking = _lacking(spec, head, wanted)
    if head.task is None or lacking:
        if not (folder / WEIGHTS).is_file():
            raise SettingsError(f"{folder} {lacking}, and no weights; export or train the module that it was made from")
        if engine == "auto":
            return None
        makes = f", and `hub export {folder} OUT --task {wanted.task}` makes a graph of it"
        remedy = makes if head.fresh and not wanted.new_head else ""
        raise SettingsError(f"{folder} {lacking}; engine torch computes that from the weights{remedy}")
    tokenizer = own.get("tokenizer", spec.tokenizer.get("type", "")).from_folder(folder, spec.tokenizer)
    if head.name is not None and len(spec.heads) > 1:
        graph = graph.of_head(head.name)
    return ExportedModule(spec, folder, graph, tokenizer, head.task)


def _lacking(spec: ModuleSpec, head: _Head, wanted: _Wanted) -> str | None:
    """What a module's graph does not have of a head that is wanted; None where it has that head."""
    has = f"has a graph for {' and '.join(dict.fromkeys(head.task for head in spec.heads))}"
    if head.fresh and wanted.new_head:
        return "holds the graph of a trained head, which cannot be replaced"
    if head.task is None or head.fresh:
        return f"{has}, not for {wanted.task}"
    stored = next((known.options for known in spec.heads if known.name == head.name), {})
    for name in head.task.network_options:
        value = stored.get(name, head.task.option_defaults[name])
        if value != head.task.options[name]:
            return f"{has} with {name}={value!r}, not {head.task.options[name]!r}"
    return None


def _load(
    spec: ModuleSpec, folder: Path, wanted: _Wanted, *, trust_code: bool, foreign: NamedCheckpoint | None = None
) -> TorchModule:
    """Build the module that `folder` holds, with the head that is wanted; `foreign` replaces its weights."""
    from hub_core.convert import read_foreign_state
    from hub_core.nn.families import family_of
    from hub_core.nn.weights import read_weights
    from hub_core.torch_module import TorchModule

    own = module_catalog(spec, folder, trust_code=trust_code)
    tokenizer = own.get("tokenizer", spec.tokenizer.get("type", "")).from_folder(folder, spec.tokenizer)
    family = family_of(spec.family, own)
    _check_vocabulary(spec, tokenizer.vocab_size)
    if foreign is not None and foreign.heads:
        spec = replace(spec, heads=foreign.heads)
    head = _choose_head(spec, wanted, own)
    task, fresh = head.task, head.fresh
    heads = () if task is None else task.head_specs()
    weights = folder / WEIGHTS if foreign is None or foreign.file is None else foreign.file
    if foreign is None:
        tensors = _of_chosen(read_weights(weights), spec, head)
    else:
        tensors = read_foreign_state(weights, family=spec.family, task=task.name if task else None)
        # A fine-tuned file of which nothing is known brings its own head, for the labels of this call.
        fresh = fresh and (wanted.new_head or bool(foreign.heads))
    if task is not None and fresh and task.pretrained and not wanted.new_head:
        fresh = not family.holds(tensors, spec.config, heads[0])
    network = family.load(tensors, spec.config, heads=heads, new_head=fresh, where=str(weights))
    if task is not None and fresh and task.has_weights:
        count = len(task.labels)
        which = f" with {count} labels" if count else ""
        logger.warning("%s: new %s head%s, random until it is trained", spec.title, task.name, which)
    stored = {(known.task, known.labels) for known in spec.heads}
    derived = foreign is not None or any((known.task, known.labels) not in stored for known in heads)
    return TorchModule(_derived(spec, task) if derived and task else spec, family, network, tokenizer, task)


def _check_vocabulary(spec: ModuleSpec, size: int) -> None:
    """Raise CheckpointError where the tokenizer knows more tokens than the network has rows for."""
    rows = spec.config.get("vocab_size")
    if isinstance(rows, int) and size > rows:
        raise CheckpointError(
            f"{spec.title}: its tokenizer knows {size} tokens, its network {rows} (config.vocab_size); "
            "the vocabulary file is not the one that these weights were trained with"
        )


@dataclass(frozen=True)
class _Head:
    """The task that was chosen, with its labels (None: the bare encoder), whether its head is new, and the name of the
    module's own head that it has (None: a new one, or all of several)."""

    task: Task | None
    fresh: bool = False
    name: str | None = None


def _choose_head(spec: ModuleSpec, wanted: _Wanted, own: Catalog) -> _Head:
    """What the caller wants of what the module has. Raises NotFoundError, LabelError, SettingsError."""
    names = [head.name for head in spec.heads]
    if wanted.head is not None and wanted.head not in names:
        raise NotFoundError(unknown("head", wanted.head, names, where=f"of {spec.title}"))
    if len(names) > 1 and wanted.head is None and wanted.task is None and not wanted.new_head:
        from hub_core.tasks.joint import Joint

        parts = {head.name: own.get("task", head.task)(head.labels, head.options) for head in spec.heads}
        return _Head(Joint(parts))
    fitting = [head for head in spec.heads if wanted.task in (None, head.task) and wanted.head in (None, head.name)]
    stored = fitting[0] if fitting else None
    if stored is not None and not wanted.new_head:
        kind = own.get("task", stored.task)
        agreed = _agreed_labels(spec, stored, wanted.labels)
        if wanted.num_classes is not None and wanted.labels is None and wanted.num_classes != len(agreed):
            raise LabelError(
                f"num_classes={wanted.num_classes}, but {spec.title} has {len(agreed)} labels: {', '.join(agreed)}. "
                "Leave it out to use them, or pass new_head=True for a fresh head"
            )
        return _Head(kind(agreed, {**stored.options, **wanted.task_options(kind)}), name=stored.name)
    if wanted.task is None:
        if wanted.labels is not None:
            raise SettingsError("label_map needs a task; known: " + ", ".join(sorted(own.entries("task"))))
        return _Head(None)
    known = own.entries("task")
    if wanted.task not in known:
        raise NotFoundError(unknown("task", wanted.task, spec.supports or known, where=f"for {spec.title}"))
    _check_supported(wanted.task, spec.supports, f"for {spec.title}")
    kind = known[wanted.task].load()
    options = wanted.task_options(kind)
    return _Head(kind(kind.labels_for(wanted.labels, wanted.num_classes or 2, options), options), fresh=True)


def _of_chosen(tensors: Mapping[str, Tensor], spec: ModuleSpec, head: _Head) -> Mapping[str, Tensor]:
    """The tensors for a network with this head, of a file that may hold several."""
    several = head.task is not None and len(head.task.head_specs()) > 1
    if len(spec.heads) < 2 or several:
        return tensors
    prefix = f"heads.{head.name}."
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("heads.")}
    if head.name is not None:
        kept |= {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
    return kept


def _check_supported(task: str, supports: Sequence[str], where: str) -> None:
    if task not in supports:
        raise NotFoundError(unknown("task", task, supports, where=where))


def _agreed_labels(spec: ModuleSpec, stored: HeadSpec, labels: tuple[str, ...] | None) -> tuple[str, ...]:
    """The checkpoint's labels; the caller's where the checkpoint has only Hugging Face's placeholders for names.

    Raises LabelError, saying how they differ, where the caller's labels are not the checkpoint's.
    """
    if labels is None or labels == stored.labels:
        return stored.labels
    if stored.unnamed and len(labels) == len(stored.labels):
        return labels
    if len(labels) != len(stored.labels):
        how = f"{len(labels)} labels, the checkpoint has {len(stored.labels)}"
    elif set(labels) == set(stored.labels):
        how = "the same labels in another order"
    else:
        how = f"label(s) {', '.join(sorted(set(labels) - set(stored.labels)))} that the checkpoint does not have"
    raise LabelError(
        f"label_map does not match {spec.title}: it has {how}. The checkpoint's labels in order: "
        f"{', '.join(stored.labels)}. Leave label_map out to use them, or pass new_head=True for a fresh head"
    )


def _derived(spec: ModuleSpec, task: Task) -> ModuleSpec:
    """The spec of what becomes of a module under a new head: another name, and the module as its base."""
    base = spec.base or f"{spec.name}=={spec.version}"
    return replace(
        spec,
        name=f"{base.partition('==')[0]}-{task.name}",
        version="0.1.0",
        summary=f"{base} for {task.name}",
        base=base,
        also_versions=(),
        files=(),
        metrics={},
    )
