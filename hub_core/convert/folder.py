"""A foreign folder (weights, configuration, vocabulary) becomes a module folder that `transformers` opens too."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from hub_core.convert.files import read_paddle, read_tensors, settled
from hub_core.convert.heads import Head, architecture_for, check_fits, default_class, head_of
from hub_core.convert.paddle_config import describe, labels_of
from hub_core.convert.shapes import complete, guess_architecture
from hub_core.convert.states import from_paddle, from_transformers, is_untied
from hub_core.convert.tensors import read_json, write_safetensors
from hub_core.convert.tokenizer_files import TokenizerFiles, foreign_tokenizer, paddle_tokenizer
from hub_core.errors import CheckpointError, ConvertError
from hub_core.hf_layout import CONFIG, TASKS, TOKENIZER_CONFIG, config_json, hf_spec, read_object
from hub_core.paths import atomic_folder
from hub_core.spec import MANIFEST, WEIGHTS, ModuleSpec, parse_manifest
from hub_core.text.files import tokenizer_from_folder

_PADDLE_WEIGHTS = ("model_state.pdparams", "model.pdparams")
#: In the order in which they are preferred: what cannot hold code first.
_TORCH_WEIGHTS = (WEIGHTS, f"{WEIGHTS}.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json")
_PADDLE_CONFIG = "model_config.json"
_CARD = "README.md"


def convert_folder(
    source: Path,
    out: Path,
    *,
    name: str | None = None,
    version: str = "1.0.0",
    task: str | None = None,
    labels: Sequence[str] | None = None,
) -> ModuleSpec:
    """Convert a folder of PaddleNLP's or in Hugging Face's layout into a module folder; returns its manifest.

    `source` has weights (``model_state.pdparams``, ``model.pdparams``, ``model.safetensors``, ``pytorch_model.bin``, or
    the index of sharded ones), their configuration (``model_config.json`` or ``config.json``) and a vocabulary. `out`
    must be empty or not there yet; it is written whole or not at all, and also loads with
    ``AutoModel....from_pretrained(out)`` of `transformers`.

    `name` (default: the folder's) and `version` go into the manifest. A sequence or token classifier becomes the
    module's head, with the labels of the configuration (``LABEL_0``, ... where it has none). `task` (``seq-cls``,
    ``token-cls``) says which one it is where the configuration names no class, and `labels` replace its labels.

    Raises ConvertError (UnsafePickleError among them) for what cannot be converted, naming every unknown tensor or
    key; CheckpointError for files that are missing, truncated or damaged, or an `out` that cannot be written;
    ManifestError for a configuration that asks for code of its own.
    """
    source, out = Path(source), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConvertError(f"{out} is there already and not empty; name a new folder, or remove it first")
    if not source.is_dir():
        raise ConvertError(f"{source} is not a folder; give the folder with the weights and their configuration")
    layout = _Layout.of(source, name, version)
    converted = (_from_paddle if layout.paddle else _from_hugging_face)(layout, task, labels)
    record = converted.config_json()
    check_fits(record, converted.tensors, where=str(layout.weights))
    try:
        with atomic_folder(out) as staged:
            _write(converted, record, source, staged)
    except OSError as error:
        raise CheckpointError(f"{out} could not be written: {error.strerror or error}; nothing was changed") from error
    return converted.spec


@dataclass(frozen=True)
class _Layout:
    """A foreign folder's parts, and what the module will be called."""

    folder: Path
    weights: Path
    config: Path
    record: Mapping[str, Any]
    name: str
    version: str

    @classmethod
    def of(cls, folder: Path, name: str | None, version: str) -> _Layout:
        """Raises ConvertError where there are no weights or no configuration."""
        weights = _find(folder, (*_TORCH_WEIGHTS, *_PADDLE_WEIGHTS), "weights")
        config = _find(folder, (_PADDLE_CONFIG, CONFIG), "configuration")
        plain = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.absolute().name).strip("._-")
        return cls(folder, weights, config, read_json(config), name or plain or "module", version)

    @property
    def paddle(self) -> bool:
        """Whether names and configuration are PaddleNLP's, which writes safetensors too."""
        return (
            self.weights.name in _PADDLE_WEIGHTS
            or self.config.name == _PADDLE_CONFIG
            or "paddlenlp_version" in self.record
        )


@dataclass(frozen=True)
class _Converted:
    """A module before it is written."""

    spec: ModuleSpec
    head: Head
    tensors: Mapping[str, torch.Tensor]
    tokenizer: TokenizerFiles

    def config_json(self) -> dict[str, Any]:
        """What config.json says."""
        return {**config_json(self.spec, [self.head.architecture]), **self.head.config}


def _from_paddle(layout: _Layout, task: str | None, labels: Sequence[str] | None) -> _Converted:
    described = describe(layout.record, where=str(layout.config))
    family, where = described.family, str(layout.weights)
    architecture = architecture_for(family, described.architecture, task, where=str(layout.config))
    if layout.weights.suffix == ".pdparams":
        tensors = read_paddle(layout.weights, family=family, architecture=architecture)
    else:
        raw = read_tensors(layout.weights)
        tensors = from_paddle(raw, family=family, architecture=architecture, where=where)
    tensors = settled(tensors, family=family, config=None)
    architecture = architecture or guess_architecture(family, tensors)
    if architecture is None:
        known = " or ".join(TASKS.values())
        raise ConvertError(f"{where} has a classifier, and {layout.config} names no class; pass task={known}")
    config = complete(described.config, tensors, family=family, where=where)
    if is_untied(tensors, family=family):
        config["tie_word_embeddings"] = False
    stated, problem = described.labels or described.num_labels, described.problem_type
    head = head_of(architecture, tensors, stated=stated, asked=labels, problem_type=problem, where=str(layout.config))
    tokenizer = paddle_tokenizer(layout.folder, family=family)
    spec = ModuleSpec(
        layout.name,
        layout.version,
        family,
        config,
        tokenizer.manifest,
        summary=f"{family}, converted from PaddleNLP's layout",
        supports=tuple(TASKS.values()),
        loads_in={"transformers": tuple(TASKS.values())},
        heads=(head.spec,) if head.spec else (),
    )
    return _Converted(parse_manifest(spec.to_json(), where=str(layout.folder)), head, tensors, tokenizer)


def _from_hugging_face(layout: _Layout, task: str | None, labels: Sequence[str] | None) -> _Converted:
    record = layout.record
    own = layout.folder / TOKENIZER_CONFIG
    tokenizer_config = read_object(own) if own.is_file() else {}
    names = [path.name for path in layout.folder.iterdir() if path.is_file()]
    where = str(layout.config)
    spec = hf_spec(record, tokenizer_config, names, name=layout.name, version=layout.version, where=where)
    tensors = settled(from_transformers(read_tensors(layout.weights)), family=spec.family, config=record)
    classes = record.get("architectures")
    named = str(classes[0]) if isinstance(classes, list) and classes else default_class(spec.family, where=where)
    architecture = architecture_for(spec.family, named, task, where=where) or named
    problem = record.get("problem_type")
    stated = labels_of(record, where) or record.get("num_labels")
    head = head_of(architecture, tensors, stated=stated, asked=labels, problem_type=problem, where=where)
    spec = replace(spec, heads=(head.spec,) if head.spec else ())
    return _Converted(spec, head, tensors, foreign_tokenizer(layout.folder, spec.tokenizer))


def _find(folder: Path, names: Sequence[str], what: str) -> Path:
    """The first of several files that a folder has."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise ConvertError(f"{folder} has no {what}; looked for {', '.join(names)}")


def _write(converted: _Converted, record: Mapping[str, Any], source: Path, folder: Path) -> None:
    write_safetensors(converted.tensors, folder / WEIGHTS)
    for name, content in converted.tokenizer.files.items():
        if isinstance(content, bytes):
            (folder / name).write_bytes(content)
        else:
            shutil.copyfile(content, folder / name)
    if converted.spec.tokenizer["type"] != "transformers":
        # Reads the vocabulary once, and writes what `transformers` opens with the same rules for symbols.
        tokenizer_from_folder(folder, converted.spec.tokenizer).save(folder)
    (folder / CONFIG).write_text(json.dumps(record, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / MANIFEST).write_text(converted.spec.dumps(), encoding="utf-8")
    if (source / _CARD).is_file():
        shutil.copyfile(source / _CARD, folder / _CARD)
    else:
        (folder / _CARD).write_text(_card(converted.spec, converted.head), encoding="utf-8")


def _card(spec: ModuleSpec, head: Head) -> str:
    """A model card of what is known of a converted module."""
    lines = [
        f"# {spec.name}",
        "",
        f"{spec.summary}.",
        "",
        f"- version: {spec.version}",
        f"- class: {head.architecture}",
    ]
    lines += [f"- labels: {', '.join(head.spec.labels)}"] if head.spec else []
    lines += ["- licence and training data: as at the source of the weights, which this conversion does not know"]
    return "\n".join(lines) + "\n"
