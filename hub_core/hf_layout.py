"""Folders in Hugging Face's layout: their config.json read into a manifest, without running or importing anything."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from hub_core.errors import HubError, ManifestError
from hub_core.spec import WEIGHTS, ModuleSpec, parse_manifest

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
PICKLED_WEIGHTS = "pytorch_model.bin"

#: What a tokenizer may consist of.
TOKENIZER_FILES = (
    "tokenizer.json",
    TOKENIZER_CONFIG,
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
#: Classes of `transformers` by their endings: those with labels, and the tasks that every encoder has.
TASKS = {"ForSequenceClassification": "seq-cls", "ForTokenClassification": "token-cls"}
SUPPORTS = ("seq-cls", "token-cls", "text-matching", "embedding", "masked-lm", "question-answering")
#: Those whose saved folder `transformers` opens with the head.
_LOADS = ("seq-cls", "token-cls", "masked-lm", "question-answering")
ANSWERS = "ForQuestionAnswering"
#: What `transformers` calls the problems of seq-cls.
PROBLEMS = {"regression": "regression", "multi_label_classification": "multi-label"}

#: Keys that say which code to run, or how the file was made on another machine, instead of what the network is.
_CODE_KEYS = ("auto_map", "custom_pipelines", "trust_remote_code", "kernel_config")
_NOISE = frozenset(
    {
        *("architectures", "model_type", "id2label", "label2id", "num_labels", "problem_type", "finetuning_task"),
        *("task_specific_params", "tokenizer_class", "torch_dtype", "dtype", "transformers_version"),
        *("gradient_checkpointing", "use_cache", "output_attentions", "output_hidden_states", "return_dict"),
        *("torchscript", "pruned_heads", "is_decoder"),
    }
)
#: The classes whose ``vocab.txt`` is plain WordPiece.
_WORDPIECE = ("Bert", "DistilBert", "Electra", "Ernie", "MobileBert", "LayoutLM", "PreTrained")
_DEEPEST = 20


def adopt_hf_folder(folder: Path) -> ModuleSpec:
    """The spec of a folder with ``config.json``, ``model.safetensors`` and a tokenizer, to be used where it is.

    Raises HubError where it is no such folder, ManifestError where it asks for code of its own or for something
    that cannot be expressed here. A folder that has only ``pytorch_model.bin`` must be installed or converted.
    """
    names = {path.name for path in folder.iterdir() if path.is_file()}
    if CONFIG in names and WEIGHTS not in names:
        found = f"only {PICKLED_WEIGHTS}" if PICKLED_WEIGHTS in names else "no weights"
        raise HubError(
            f"{folder} has {found}, and {WEIGHTS} is needed; `hub install {folder}` or `hub convert {folder} OUT` "
            f"makes one"
        )
    return read_hf_folder(folder)


def read_hf_folder(folder: Path) -> ModuleSpec:
    """As `adopt_hf_folder`, whatever the form of the weights."""
    config = folder / CONFIG
    if not config.is_file():
        raise HubError(f"{folder} is neither a module folder nor in Hugging Face's layout: it has no {CONFIG}")
    tokenizer = folder / TOKENIZER_CONFIG
    names = [path.name for path in folder.iterdir() if path.is_file()]
    return hf_spec(
        read_object(config),
        read_object(tokenizer) if tokenizer.is_file() else {},
        names,
        name=re.sub(r"[^A-Za-z0-9._-]+", "-", folder.absolute().name).strip("._-") or "module",
        version="0.0.0",
        where=str(config),
    )


def hf_spec(
    config: Mapping[str, Any],
    tokenizer_config: Mapping[str, Any],
    names: Collection[str],
    *,
    name: str,
    version: str,
    where: str,
    **manifest: Any,
) -> ModuleSpec:
    """The spec of a repository whose files have these `names`; `manifest` gives further keys of module.json.

    Raises ManifestError with every problem.
    """
    problems = [f"key {key!r} asks for code of its own" for key in _CODE_KEYS if key in config]
    problems += [f"{TOKENIZER_CONFIG}: key {key!r} asks for code" for key in _CODE_KEYS if key in tokenizer_config]
    if config.get("quantization_config"):
        problems.append("quantized weights are not read")
    family = config.get("model_type")
    if not isinstance(family, str):
        problems.append("key 'model_type' is missing: which architecture is it?")
    if problems:
        raise ManifestError(where, problems)
    heads = _heads(config, where)
    record = {
        "name": name,
        "version": version,
        "summary": f"{family} in Hugging Face's layout",
        "family": family,
        "config": {key: value for key, value in config.items() if key not in _NOISE and not key.startswith("_")},
        "tokenizer": _tokenizer(str(family), tokenizer_config, names, where),
        "supports": list(SUPPORTS),
        "loads_in": {"transformers": list(_LOADS)},
        "heads": heads,
        **manifest,
    }
    return parse_manifest(record, where=where)


def config_json(spec: ModuleSpec, architectures: Collection[str] = ()) -> dict[str, Any]:
    """What config.json says for a module whose family `transformers` knows: for other libraries, never read here."""
    record = {"model_type": spec.family, **spec.config}
    if architectures:
        record["architectures"] = list(architectures)
    if spec.heads and spec.heads[0].labels:
        labels = spec.heads[0].labels
        record["id2label"] = {str(target): label for target, label in enumerate(labels)}
        record["label2id"] = {label: target for target, label in enumerate(labels)}
    return record


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object. Raises ManifestError where it is none, is nested absurdly, or holds NaN."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestError(str(path), [f"cannot be read: {error}"]) from error
    if not isinstance(record, dict) or _depth(record) > _DEEPEST:
        raise ManifestError(str(path), [f"must be a JSON object, nested at most {_DEEPEST} deep"])
    return record


def _heads(config: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
    """The head that the stored network has, where its task is known here."""
    architectures = config.get("architectures") or [""]
    if str(architectures[0]).endswith(ANSWERS):
        return [{"task": "question-answering", "labels": []}]
    task = next((task for ending, task in TASKS.items() if str(architectures[0]).endswith(ending)), None)
    if task is None:
        return []
    named = config.get("id2label")
    if named is None:  # transformers' own defaults
        named = {str(target): f"LABEL_{target}" for target in range(config.get("num_labels", 2))}
    try:
        rows = sorted((int(target), label) for target, label in named.items())
    except (ValueError, AttributeError, TypeError) as error:
        raise ManifestError(where, [f"key 'id2label' must map numbers to labels, not {named!r}"]) from error
    if [target for target, _ in rows] != list(range(len(rows))):
        raise ManifestError(where, ["key 'id2label' must number its labels from 0 without gaps"])
    head: dict[str, Any] = {"task": task, "labels": [label for _, label in rows]}
    # One output is a number to `transformers`, whatever the configuration says or leaves out.
    problem = "regression" if len(rows) == 1 else PROBLEMS.get(str(config.get("problem_type")))
    if problem == "regression" and len(rows) > 1:
        return []  # several numbers at once are no task here
    if task == "seq-cls" and problem is not None:
        head["options"] = {"problem": problem}
    return [head] if len(rows) > 1 or task == "seq-cls" else []


def _tokenizer(family: str, config: Mapping[str, Any], names: Collection[str], where: str) -> dict[str, str | bool]:
    """The manifest's tokenizer object: the repository's own tokenizer.json, else what its other files amount to."""
    if "tokenizer.json" in names:
        return {"type": "transformers"}
    kind = str(config.get("tokenizer_class") or "PreTrained").removesuffix("Fast").removesuffix("Tokenizer")
    lowercase = bool(config.get("do_lower_case", True))
    plain = config.get("tokenize_chinese_chars", True) and config.get("strip_accents") in (None, lowercase)
    if "vocab.txt" in names and kind in _WORDPIECE and plain:
        return {"type": "wordpiece", "lowercase": lowercase, "symbols": "keep"}
    if "spiece.model" in names and family == "albert":
        return {"type": "sentencepiece", "style": "albert", "lowercase": lowercase, "model": "spiece.model"}
    problem = (
        f"its tokenizer ({config.get('tokenizer_class') or 'of no stated class'}) has no tokenizer.json; "
        "AutoTokenizer.from_pretrained(...).save_pretrained(...) of transformers writes one"
    )
    raise ManifestError(where, [problem])


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _depth(value: Any) -> int:
    """How deep objects and lists are nested; json.loads has made sure that Python's stack holds it."""
    deepest, pending = 0, [(value, 1)]
    while pending:
        item, depth = pending.pop()
        deepest = max(deepest, depth)
        children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
        pending += [(child, depth + 1) for child in children if isinstance(child, (dict, list))]
    return deepest
