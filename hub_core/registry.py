"""Modules by name and version: what is asked for, what is known, and which one answers.

A registry is data: `Registry.resolve` imports nothing and opens no socket. The bundled ``registry.json`` is made
from ``modules/*/module.json`` by ``python -m hub_core.registry``, and so is the table of modules in the documentation;
with ``--check`` that only compares.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import Version

from hub_core.errors import ManifestError, NotFoundError, ResolutionError, SettingsError, unknown
from hub_core.paths import bundled, write_text
from hub_core.searching import understood
from hub_core.spec import MANIFEST, SCHEMA, ModuleSpec, canonical, parse_manifest, read_manifest
from hub_core.version import __version__

BUNDLED_ID = "hub_core"
#: Languages in words, in the order in which modules are grouped.
LANGUAGES: Mapping[str, str] = {"zh": "Chinese", "multilingual": "Many languages", "en": "English"}

_Item = TypeVar("_Item")
_REQUIREMENT = re.compile(r"\s*(?P<name>[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)\s*(?P<versions>[^a-z0-9].*|)", re.I | re.S)


@dataclass(frozen=True)
class Requirement:
    """A module asked for by name, with the versions that would do."""

    name: str
    specifier: SpecifierSet = field(default_factory=SpecifierSet)

    def __str__(self) -> str:
        return f"{self.name}{self.specifier}"

    @property
    def canonical(self) -> str:
        """The name in the spelling by which modules are found."""
        return canonical(self.name)

    @property
    def exact(self) -> Version | None:
        """The one version that is asked for with ``==``, None where a range or nothing is given."""
        pinned = [s.version for s in self.specifier if s.operator == "==" and not s.version.endswith(".*")]
        return Version(pinned[0]) if pinned else None

    def objection(self, spec: ModuleSpec) -> str | None:
        """Why a module of this name does not answer the request, or None where it does.

        A version named with ``==`` is also answered by one that lists it in ``also_versions``. Pre-releases and
        yanked versions answer only to their own version.
        """
        if self.exact is not None and self.specifier.contains(spec.parsed_version, prereleases=True):
            return None
        stands_for = self.exact is not None and self.exact in {Version(other) for other in spec.also_versions}
        if not stands_for and not self.specifier.contains(spec.parsed_version, prereleases=True):
            return f"is not {self.specifier}"
        if spec.yanked is not None:
            return f"was withdrawn ({spec.yanked}); =={spec.version} takes it all the same"
        if spec.parsed_version.is_prerelease:
            return f"is a pre-release; =={spec.version} takes it"
        return None

    def best(self, specs: Iterable[ModuleSpec]) -> list[ModuleSpec]:
        """The versions of this name, the one to prefer first: the very version asked for, then the newest."""
        mine = [spec for spec in specs if spec.canonical == self.canonical]
        return sorted(mine, key=lambda spec: (spec.parsed_version == self.exact, spec.parsed_version), reverse=True)


def parse_requirement(text: str, version: str | None = None) -> Requirement:
    """Read a request: ``ernie_tiny``, ``ernie_tiny==2.0.1``, ``ernie_tiny>=2,<3``.

    The versions may be given apart (`version`), a bare one (``2.0.1``) or PaddleHub's ``=2.0.1`` meaning ``==``.
    Raises SettingsError where it cannot be understood, or where versions are given twice.

    >>> str(parse_requirement("ernie_tiny", "2.0.1"))
    'ernie_tiny==2.0.1'
    """
    match = _REQUIREMENT.fullmatch(text)
    if match is None:
        raise SettingsError(
            f"{text!r} is not a module's name, such as ernie_tiny, ernie_tiny==2.0.1 or 'ernie_tiny>=2'"
        )
    if match["versions"].strip() and version is not None:
        raise SettingsError(f"versions are given twice: {text!r} and version={version!r}")
    wanted = (match["versions"] if version is None else version).strip()
    clauses = [_clause(piece.strip()) for piece in wanted.split(",")] if wanted else []
    try:
        return Requirement(match["name"], SpecifierSet(",".join(clauses)))
    except InvalidSpecifier as error:
        raise SettingsError(f"{wanted!r} is not a version or a range of versions, such as 2.0.1 or >=2,<3") from error


def _clause(text: str) -> str:
    """One condition in packaging's form."""
    if text[:1].isdigit():
        return f"=={text}"
    return f"={text}" if re.match(r"=[^=]", text) else text


def environment_version(name: str) -> str | None:
    """The version of something a module may require: ``hub``, ``python``, or an installed package; None if absent."""
    if name == "hub":
        return __version__
    if name == "python":
        return ".".join(map(str, sys.version_info[:3]))
    from importlib import metadata  # 20 ms that listing modules does without

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


@dataclass(frozen=True)
class Registry:
    """Specs by canonical name, newest version first. `root` is the folder with the modules' own files, if any."""

    registry_id: str
    modules: Mapping[str, tuple[ModuleSpec, ...]]
    root: Path | None = None

    @classmethod
    def load(cls, path: Path) -> Registry:
        """Read a registry.json. Raises ManifestError with every problem of every row."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ManifestError(str(path), [f"cannot be read: {error}"]) from error
        return _parse_registry(record, path)

    def versions(self, name: str) -> tuple[ModuleSpec, ...]:
        """All versions of a module, newest first; empty where the name is not registered."""
        return self.modules.get(canonical(name), ())

    def folder(self, spec: ModuleSpec) -> Path | None:
        """The folder with the registry's own files of a module (its card, its plugin), None without one."""
        folder = None if self.root is None else self.root / spec.name
        return folder if folder is not None and folder.is_dir() else None

    def resolve(
        self,
        requirement: Requirement,
        installed: Sequence[ModuleSpec] = (),
        *,
        environment: Callable[[str], str | None] = environment_version,
    ) -> ModuleSpec:
        """The module that answers a request: the newest installed one, else the newest that can be installed here.

        Raises NotFoundError (a name that is neither registered nor installed; with near matches), ResolutionError
        (no version does; each is listed with the reason). `environment` gives the versions of what modules require.
        """
        reasons = []
        for spec in requirement.best(installed):
            objection = requirement.objection(spec)
            if objection is None:
                return spec
            reasons.append(f"{spec.version} (installed) {objection}")
        for spec in requirement.best(self.versions(requirement.name)):
            objection = requirement.objection(spec) or _unmet(spec.requires, environment)
            if objection is None:
                return spec
            reasons.append(f"{spec.version} {objection}")
        if reasons:
            raise ResolutionError(f"no version of {requirement.name} answers {str(requirement)!r}:\n" + _lines(reasons))
        known = [spec.name for specs in self.modules.values() for spec in specs] + [spec.name for spec in installed]
        remedy = "`hub search WORD` looks through them; hf:org/repo and ./folder can be given too"
        raise NotFoundError(unknown("module", requirement.name, known, remedy=remedy))

    def search(self, words: str | Iterable[str] = ()) -> list[ModuleSpec]:
        """The newest version of every module in whose description all the words occur; case is ignored.

        Looked through are name, summary, family, tasks and languages (``zh``, ``chinese``; ``中文``, see `understood`).
        Those that the words describe (`describes`) come first, then those that only could be trained for what a word
        says, each by name. No words find every module.
        """
        wanted = understood(words)
        names = sorted(self.modules, key=natural_order)
        newest = (next((s for s in self.modules[name] if s.yanked is None), None) for name in names)
        found = [spec for spec in newest if spec is not None and _says(_description(spec, spec.supports), wanted)]
        return sorted(found, key=lambda spec: not _says(_description(spec), wanted))

    def near(self, words: Iterable[str]) -> list[str]:
        """Names of modules, parts of them, families and tasks that are spelt like the words that find nothing."""
        lost = [word.casefold() for word in words if not self.search([word])]
        names = {name for spec in self.search() for name in (spec.canonical, spec.family, *spec.supports)}
        known = names | {part for name in names for part in name.split("-")}
        return list(dict.fromkeys(near for word in lost for near in get_close_matches(word, sorted(known))))


@cache
def bundled_registry() -> Registry:
    """The registry that came with this program."""
    return Registry.load(bundled("registry.json"))


def natural_order(name: str) -> list[str | int]:
    """What names are sorted by so that people find them: case apart, and numbers by their value.

    >>> sorted(["l10", "L2", "l"], key=natural_order)
    ['l', 'L2', 'l10']
    """
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name.lower())]


def by_languages(items: Iterable[_Item], *, key: Callable[[_Item], tuple[str, ...]]) -> dict[str, list[_Item]]:
    """Things in groups by the languages that `key` gives, in words; those of `LANGUAGES` come first."""
    order = [*LANGUAGES]
    groups: dict[tuple[str, ...], list[_Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    ordered = sorted(groups, key=lambda codes: [order.index(c) if c in order else len(order) for c in codes])
    return {languages_in_words(codes): groups[codes] for codes in ordered}


def languages_in_words(codes: Sequence[str]) -> str:
    """``Chinese and English`` for ``zh`` and ``en``."""
    return " and ".join(LANGUAGES.get(code, code) for code in codes) or "no stated language"


def build_registry(modules: Path) -> dict[str, Any]:
    """A registry.json as data, made from the manifests of all folders in `modules`.

    Raises ManifestError where a manifest is not valid, its folder has another name, or two are the same module.
    """
    rows: dict[str, dict[str, Any]] = {}
    for folder in sorted(path.parent for path in modules.glob(f"*/{MANIFEST}")):
        spec = read_manifest(folder)
        if folder.name != spec.name:
            raise ManifestError(str(folder), [f"the folder must be called {spec.name}, as its module"])
        if spec.canonical in rows:
            raise ManifestError(str(folder), [f"another folder holds {spec.canonical} already"])
        rows[spec.canonical] = {spec.version: spec.to_json()}
    return {"schema": SCHEMA, "registry_id": BUNDLED_ID, "modules": dict(sorted(rows.items()))}


def main(arguments: Sequence[str] | None = None) -> int:
    """Write registry.json and the documentation's table from the manifests, or (``--check``) only say whether they
    are up to date."""
    import argparse

    from hub_core.registry_page import pages

    parser = argparse.ArgumentParser(prog="python -m hub_core.registry", description=main.__doc__)
    parser.add_argument("--modules", type=Path, default=bundled("modules"), help="the folder of module folders")
    parser.add_argument("--output", type=Path, help="default: registry.json beside that folder")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the file is out of date")
    options = parser.parse_args(arguments)
    output = options.output or options.modules.parent / "registry.json"
    record = build_registry(options.modules)
    texts = {output: json.dumps(record, ensure_ascii=False, indent=1) + "\n"}
    texts |= pages(options.modules.parent / "docs", _parse_registry(record, output).search())
    stale = [path for path, text in texts.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if options.check:
        for path in texts:
            state = "out of date: run python -m hub_core.registry" if path in stale else "up to date"
            sys.stdout.write(f"{path} is {state}\n")
        return 1 if stale else 0
    for path, text in texts.items():
        write_text(path, text)
        sys.stdout.write(f"wrote {path}\n")
    return 0


def _parse_registry(record: Any, path: Path) -> Registry:
    shape = isinstance(record, dict) and isinstance(record.get("modules"), dict)
    if not shape or not isinstance(record.get("registry_id"), str):
        raise ManifestError(str(path), ["must be an object with registry_id (a string) and modules (an object)"])
    if record.get("schema") != SCHEMA:
        raise ManifestError(str(path), [f"schema {record.get('schema')!r} is not known; this hub_core reads {SCHEMA}"])
    problems: list[str] = []
    modules = {}
    for name, rows in record["modules"].items():
        specs = [_parse_row(name, version, row, problems) for version, row in _items(name, rows, problems)]
        found = [spec for spec in specs if spec is not None]
        modules[name] = tuple(sorted(found, key=lambda spec: spec.parsed_version, reverse=True))
    if problems:
        raise ManifestError(str(path), problems)
    root = path.parent / "modules"
    return Registry(record["registry_id"], modules, root if root.is_dir() else None)


def _items(name: str, rows: Any, problems: list[str]) -> Iterable[tuple[str, Any]]:
    if isinstance(rows, dict):
        return rows.items()
    problems.append(f"{name}: must map versions to manifests")
    return ()


def _parse_row(name: str, version: str, row: Any, problems: list[str]) -> ModuleSpec | None:
    where = f"{name} {version}"
    try:
        spec = parse_manifest(row, where=where)
    except ManifestError as error:
        problems.extend(f"{where}: {problem}" for problem in error.problems)
        return None
    if (spec.canonical, spec.version) != (name, version):
        problems.append(f"{where}: its manifest is of {spec.title}")
    return spec


def _unmet(requires: Mapping[str, str], environment: Callable[[str], str | None]) -> str | None:
    """What a module requires and this environment does not have, or None."""
    for name, wanted in requires.items():
        found = environment(name)
        if found is None:
            return f"needs {name}{wanted}, which is not installed"
        if not SpecifierSet(wanted).contains(found, prereleases=True):
            return f"needs {name}{wanted}, found {found}"
    return None


def describes(words: str | Iterable[str], spec: ModuleSpec) -> bool:
    """Whether a module is what all the words say, and not only one that could be trained for it."""
    return _says(_description(spec), understood(words))


def _says(description: str, wanted: Iterable[tuple[str, ...]]) -> bool:
    return all(any(word in description for word in words) for words in wanted)


def _description(spec: ModuleSpec, tasks: Iterable[str] = ()) -> str:
    """What a module is, with the tasks that it is trained for, and more of them."""
    words = (
        spec.name,
        spec.canonical,
        spec.summary,
        spec.family,
        *tasks,
        *(head.task for head in spec.heads),
        *spec.languages,
        languages_in_words(spec.languages),
    )
    return " ".join(words).casefold()


def _lines(reasons: Iterable[str]) -> str:
    return "\n".join(f"  {reason}" for reason in reasons)


if __name__ == "__main__":
    sys.exit(main())
