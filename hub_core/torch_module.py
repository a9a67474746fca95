"""The module that torch computes: an `nn.Module` with a tokenizer, a task, `predict` and `save`."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from hub_core.errors import CheckpointError, SettingsError, unknown
from hub_core.examples import Batch
from hub_core.hf_layout import CONFIG
from hub_core.infer.answers import Answering
from hub_core.infer.predictor import Predictor
from hub_core.nn.families import Family, TransformersFamily
from hub_core.nn.outputs import logits_of
from hub_core.nn.places import only_at, picked
from hub_core.nn.sentence import width_of
from hub_core.paths import atomic_folder
from hub_core.plugins import PLUGIN_FILE
from hub_core.spec import GRAPHS, MANIFEST, RECEIPT, WEIGHTS, ModuleSpec
from hub_core.tasks.embedding import Embedding
from hub_core.tasks.task import Task
from hub_core.text.tokenizer import Tokenizer
from hub_core.torch_engine import Lowered, TorchEngine, pick_device


@dataclass
class Outputs:
    """What a forward pass gives. `logits` ``(batch, labels)`` or ``(batch, length, labels)``, None without a task; of
    several heads a tuple.

    `hidden` (all layers, each ``(batch, length, hidden)``), `attentions` and `pooled` are there where asked for and
    where the network has them.
    """

    logits: Any = None
    hidden: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    pooled: torch.Tensor | None = None


class TorchModule(Answering, nn.Module):
    """A hub module on torch. Made by `hub_core.Module`; trains under any torch loop, and under `hub_core.Trainer`."""

    def __init__(
        self, spec: ModuleSpec, family: Family, network: nn.Module, tokenizer: Tokenizer, task: Task | None
    ) -> None:
        super().__init__()
        self.spec = spec
        self.family = family
        self.network = network
        self.tokenizer = tokenizer
        self.task = task
        self.lowered = Lowered()
        self._lock = threading.Lock()
        self._answering = 0
        self._were_training: list[nn.Module] = []
        self.training = network.training

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.network.parameters()).device

    @cached_property
    def max_length(self) -> int | None:
        """The most tokens of a row that the network takes, None without a limit."""
        return self.family.max_length(self.spec.config)

    def forward(
        self,
        batch: Batch | Mapping[str, torch.Tensor],
        want: Sequence[str] = (),
        *,
        places: torch.Tensor | None = None,
    ) -> Outputs:
        """Run the network on a batch (or on its inputs, each ``(batch, length)``).

        `places` are the tokens (indices into ``batch * length``) at which a masked-lm head computes logits, None: all.
        `want` may name ``hidden`` and ``attentions``, which cost memory and are left out otherwise. Attention
        probabilities need a network with ``attn_implementation='eager'``. Raises SettingsError for another name, and
        for attentions that the network does not give.
        """
        asked = _asked(want)
        with only_at(self.network, places):
            result = self.network(**(batch.inputs if isinstance(batch, Batch) else batch), **asked)
        if "output_attentions" in asked and not getattr(result, "attentions", None):
            raise SettingsError(
                f"{self.spec.title} (family {self.spec.family}) gives no attentions as it computes them now; an "
                "architecture that has them gives them with attn_implementation='eager': call "
                "module.network.set_attn_implementation('eager') first"
            )
        return Outputs(
            logits=picked(logits_of(result), places),
            hidden=getattr(result, "hidden_states", None),
            attentions=getattr(result, "attentions", None),
            pooled=getattr(result, "pooler_output", None),
        )

    def place(self, *, use_gpu: bool) -> None:
        """Move to the GPU or the CPU. Raises DeviceError for a GPU that is not there."""
        self.to(pick_device(use_gpu))

    def predictor(self, *, dtype: str = "float32") -> Predictor:
        """The predict path over this module; raises SettingsError where it has no task, and for an unknown dtype."""
        engine = TorchEngine(self, dtype=dtype)
        return Predictor(self.known_task(), self.tokenizer, engine, max_length=self.max_length)

    def embedder(self, *, pooling: str | None = None, normalize: bool | None = None) -> TorchModule:
        """This module's encoder with the task embedding, around the same weights; see `Answering.get_embedding`."""
        trained = self.task.options if isinstance(self.task, Embedding) else {"pooling": "mean", "normalize": False}
        options = {
            "pooling": pooling or trained["pooling"],
            "normalize": trained["normalize"] if normalize is None else normalize,
            "max_seq_len": trained.get("max_seq_len"),
        }
        task = Embedding((), options)
        prefix = str(getattr(self.network, "base_model_prefix", "encoder"))
        network = task.network(self.family.encoder(self.network), prefix).train(self.network.training)
        return TorchModule(self.spec, self.family, network, self.tokenizer, task)

    def save(
        self, folder: str | Path, *, dtype: str = "float32", metrics: Mapping[str, Any] | None = None, card: str = ""
    ) -> ModuleSpec:
        """Write this module as a module folder, whole or not at all: ``hub.Module(directory=folder)`` loads it again.

        `dtype` is how floating tensors are stored; `metrics` goes into the manifest; `card` is the text of README.md.
        A module folder that stands there is replaced. Raises CheckpointError where something else does (a file, a
        folder of other things), where the disk is full or the folder cannot be written; what stood there stays.
        """
        target = Path(folder)
        try:
            check_target(target)
            with atomic_folder(target) as staged:
                spec = self._write(staged, dtype, dict(metrics or {}), card)
                check_strangers(target, staged)
                return spec
        except OSError as error:
            raise CheckpointError(
                f"{target} could not be saved: {error.strerror or error}; nothing was changed"
            ) from error

    def _write(self, folder: Path, dtype: str, metrics: dict[str, Any], card: str) -> ModuleSpec:
        task = self.task
        spec = replace(
            self.spec,
            tokenizer=self.tokenizer.save(folder),
            heads=task.head_specs() if task else (),
            files=(),
            metrics=metrics,
        )
        self.family.save(self.network, folder, dtype=dtype)
        config = self.family.config_json(spec.config, heads=spec.heads)
        (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        (folder / MANIFEST).write_text(spec.dumps(), encoding="utf-8")
        if task is not None and isinstance(self.family, TransformersFamily):
            for path, text in task.files(width_of(self.family.encoder(self.network))).items():
                (folder / path).parent.mkdir(exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8")
        (folder / "README.md").write_text(card or default_card(spec), encoding="utf-8")
        return spec

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Evaluation and inference mode for the block; the last thread to leave restores the mode of every part."""
        with self._lock:
            if self._answering == 0:
                self._were_training = [part for part in self.modules() if part.training]
                if self._were_training:
                    self.eval()
            self._answering += 1
        try:
            with torch.inference_mode():
                yield
        finally:
            with self._lock:
                self._answering -= 1
                if self._answering == 0:
                    for part in self._were_training:
                        part.training = True
                    self._were_training = []

    def __deepcopy__(self, memo: dict[int, Any]) -> TorchModule:
        """A copy with weights of its own; locks cannot be copied, so it gets a new one."""
        network = copy.deepcopy(self.network, memo)
        return type(self)(self.spec, self.family, network, self.tokenizer, self.task)


#: What `forward` may be asked for, and the networks' word for it.
_WANTED = {"hidden": "output_hidden_states", "attentions": "output_attentions"}


def _asked(want: Sequence[str]) -> dict[str, bool]:
    """The network's arguments for what is wanted."""
    for name in [want] if isinstance(want, str) else want:
        if name not in _WANTED:
            raise SettingsError(unknown("output", name, _WANTED, where="in want"))
    return {argument: True for name, argument in _WANTED.items() if name in want}


def check_target(target: Path) -> None:
    """Raise CheckpointError where saving would replace something else than a module folder."""
    if not target.is_dir():
        if target.exists() or target.is_symlink():
            raise CheckpointError(f"{target} is a file, not a folder; name another folder to save in")
        return
    found = sorted(path.name for path in target.iterdir())
    if found and MANIFEST not in found:
        listed = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
        raise CheckpointError(
            f"{target} is not a module folder and holds {listed}, which saving would replace; name another folder, "
            f"such as {target / 'module'}"
        )


def check_strangers(target: Path, staged: Path) -> None:
    """Raise CheckpointError where `target` holds files that neither its replacement has nor any module folder."""
    replaced = {path.name for path in staged.iterdir()} | {PLUGIN_FILE, RECEIPT, CONFIG, WEIGHTS, *GRAPHS}
    lost = sorted({path.name for path in target.iterdir()} - replaced) if target.is_dir() else []
    if lost:
        raise CheckpointError(
            f"{target} holds {', '.join(lost[:5])}, which saving would remove; move them away, or name another folder"
        )


def default_card(spec: ModuleSpec) -> str:
    """A model card from what the manifest knows."""
    lines = [f"# {spec.name}", "", spec.summary, "", f"- version: {spec.version}", f"- family: {spec.family}"]
    lines += [f"- base: {spec.base}"] if spec.base else []
    lines += [f"- licence: {spec.license}"] if spec.license else []
    lines += [
        f"- task: {head.task}{', labels: ' if head.labels else ''}{', '.join(head.labels)}" for head in spec.heads
    ]
    lines += [f"- {name}: {value}" for name, value in spec.metrics_in_words.items()]
    return "\n".join(lines) + "\n"
