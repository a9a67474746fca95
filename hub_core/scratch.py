"""Modules from nothing: random weights, and a vocabulary that is given, listed, or counted in the training data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hub_core.errors import NotFoundError, SettingsError, unknown
from hub_core.examples import Example
from hub_core.labels import labels_from_map
from hub_core.paths import read_given_json
from hub_core.plugins import catalog
from hub_core.spec import ModuleSpec, parse_manifest
from hub_core.tasks.task import Task
from hub_core.text.files import tokenizer_from_files
from hub_core.text.words import UnitTokenizer, build_unit_vocabulary, build_word_vocabulary, read_word_list

if TYPE_CHECKING:
    from hub_core.text.tokenizer import Tokenizer
    from hub_core.torch_module import TorchModule


def new_module(
    *,
    family: str,
    config: Mapping[str, Any],
    tokenizer: Tokenizer,
    task: str,
    label_map: Mapping[Any, str] | Sequence[str] | None = None,
    name: str,
    version: str = "0.1.0",
    task_options: Mapping[str, Any] | None = None,
    **manifest: Any,
) -> TorchModule:
    """Make a module that has never been trained: a family's network with random weights, and a tokenizer.

    `config` needs no ``vocab_size``: it is the tokenizer's. `manifest` may give further keys of module.json
    (``summary``, ``license``, ``languages``). Seed torch beforehand for reproducible weights.
    """
    from hub_core.nn.families import family_of
    from hub_core.torch_module import TorchModule

    builder = family_of(family, catalog())
    if task not in builder.supports:
        raise NotFoundError(unknown("task", task, builder.supports, where=f"of family {family}"))
    complete = {"vocab_size": tokenizer.vocab_size, **config}
    manifest.setdefault("supports", tuple(builder.supports))
    spec = ModuleSpec(name, version, family, complete, {"type": tokenizer.type}, **manifest)
    kind: type[Task] = catalog().get("task", task)
    given = None if label_map is None else labels_from_map(label_map)
    head = kind(kind.labels_for(given, 2, task_options or {}), task_options)
    return TorchModule(spec, builder, builder.build(complete, heads=head.head_specs()), tokenizer, head)


def module_from_manifest(
    path: Path,
    examples: Iterable[Example],
    *,
    task: str,
    label_map: Mapping[Any, str] | Sequence[str] | None = None,
    min_count: int = 2,
    max_vocabulary: int | None = None,
    word_list: Path | None = None,
    task_options: Mapping[str, Any] | None = None,
) -> TorchModule:
    """A new module as a manifest describes it: family, config (without ``vocab_size``) and tokenizer options.

    The vocabulary is that of `word_list` (one word per line; for ``wordpiece`` and its kin a ``vocab.txt``), or is
    counted in `examples`: units that stand there at least `min_count` times, at most `max_vocabulary` of them. Raises
    NotFoundError, ManifestError, SettingsError, and DataError for a list that cannot be used.
    """
    record = read_given_json(path)
    spec = parse_manifest(record, where=str(path))
    tokenizer = _tokenizer(spec, examples, min_count, max_vocabulary, word_list)
    given = {"summary", "license", "languages", "homepage", "requires", "supports", "also_versions", "loads_in"}
    return new_module(
        family=spec.family,
        config=spec.config,
        tokenizer=tokenizer,
        task=task,
        label_map=label_map,
        name=spec.name,
        version=spec.version,
        task_options=task_options,
        **{name: getattr(spec, name) for name in given if getattr(spec, name)},
    )


def _tokenizer(
    spec: ModuleSpec, examples: Iterable[Example], min_count: int, max_vocabulary: int | None, word_list: Path | None
) -> Tokenizer:
    """The tokenizer that the manifest asks for, with its vocabulary."""
    kind = spec.tokenizer.get("type")
    options = {key: value for key, value in spec.tokenizer.items() if key != "type"}
    if word_list is not None:
        if kind == "word":
            return read_word_list(word_list, options=options)
        return tokenizer_from_files(str(kind), vocab=word_list, **options)
    texts = (text for example in examples for text in (example.text, example.pair) if text)
    if kind == "word":
        return build_word_vocabulary(texts, min_count=min_count, max_size=max_vocabulary, options=options)
    entry = catalog().entries("tokenizer").get(str(kind))
    found = None if entry is None else entry.load()
    if isinstance(found, type) and issubclass(found, UnitTokenizer):  # `char`, and those of plugins
        return build_unit_vocabulary(found, texts, min_count=min_count, max_size=max_vocabulary, options=options)
    known = unknown("tokenizer to build a vocabulary for", kind, ("char", "word"))
    raise SettingsError(f"{known}; give others a vocabulary (--word-list)")
