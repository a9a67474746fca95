"""A tokenizer from files that lie anywhere, without a module."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hub_core.errors import NotFoundError, SettingsError, unknown
from hub_core.paths import bundled
from hub_core.plugins import PLUGIN_FILE, Catalog, catalog
from hub_core.spec import MANIFEST, read_manifest
from hub_core.text.tokenizer import Tokenizer

_Path = str | os.PathLike[str]
_TokenizerClass = type[Tokenizer]


def tokenizer_from_files(
    type: str, *, vocab: _Path | None = None, model: _Path | None = None, words: _Path | None = None, **options: Any
) -> Tokenizer:
    """Build a tokenizer of a type from its files.

    >>> tokenizer_from_files("wordpiece", vocab="vocab.txt", lowercase=False)  # doctest: +SKIP

    Args:
        type: ``wordpiece``, ``ernie`` and ``wobert`` (take `vocab`), ``sentencepiece`` (`model`), ``ernie-tiny`` (all
            three), ``char`` and ``word`` (`vocab`), or one of an installed plugin or a bundled module.
        vocab: the vocabulary, one token per line.
        model: the SentencePiece model.
        words: the word list, one word per line.
        options: the type's options, as in a manifest; see its class.

    Raises NotFoundError for an unknown type, SettingsError for an option or a set of files that the type does not
    take, CheckpointError or DataError for a file that cannot be used.
    """
    cls = _find(type)
    files = {role: Path(path) for role, path in {"vocab": vocab, "model": model, "words": words}.items() if path}
    takes = [*cls.file_names, *cls.optional_files]
    missing = [role for role in cls.file_names if role not in files]
    superfluous = [role for role in files if role not in takes]
    if missing or superfluous:
        wrong = [f"{role}= is missing" for role in missing] + [f"{role}= has no use" for role in superfluous]
        needs = ", ".join(f"{role}=" for role in cls.file_names) or "a folder, not single files"
        raise SettingsError(f"tokenizer type {type!r} takes {needs}; {' and '.join(wrong)}")
    return cls.from_files(files, options)


def tokenizer_from_folder(folder: Path, manifest: Mapping[str, Any]) -> Tokenizer:
    """The tokenizer of a folder by its manifest's ``tokenizer`` object, without the module's own code.

    Raises NotFoundError for a type that only a module's own plugin knows, and what the type's class raises.
    """
    return _find(str(manifest.get("type"))).from_folder(folder, manifest)


def _find(name: str) -> _TokenizerClass:
    """The class of a type: everybody's, or that of a bundled module which brings it along."""
    shared = catalog()
    known = set(shared.entries("tokenizer"))
    own = _bundled_types()
    if name not in known and name in own:
        shared = _with_plugin(shared, own[name])
    elif name not in known:
        raise NotFoundError(unknown("tokenizer type", name, known | own.keys()))
    found: _TokenizerClass = shared.get("tokenizer", name)
    return found


def _bundled_types() -> dict[str, Path]:
    """The tokenizer types that bundled modules bring along, with the module's folder. Runs no code."""
    try:
        modules = bundled("modules")
    except NotFoundError:
        return {}
    found = {}
    for plugin in sorted(modules.glob(f"*/{PLUGIN_FILE}")):
        manifest = plugin.with_name(MANIFEST)
        if manifest.is_file():
            found[str(read_manifest(plugin.parent).tokenizer.get("type"))] = plugin.parent
    return found


def _with_plugin(shared: Catalog, folder: Path) -> Catalog:
    spec = read_manifest(folder)
    return shared.with_module(spec.name, spec.version, folder)
