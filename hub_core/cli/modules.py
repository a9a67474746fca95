"""Commands about modules as things: list, show, search, install, uninstall."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import command
from hub_core.cli.completing import ModuleName
from hub_core.cli.options import PATH, json_flag
from hub_core.cli.output import download_progress, note, print_groups, print_json, print_pairs, print_table

if TYPE_CHECKING:
    from hub_core.spec import ModuleSpec
    from hub_core.store import Installed

_Row = dict[str, Any]


@command("list", examples=["hub list", "hub list --all --json"])
@click.option("--all", "every", is_flag=True, help="List registered modules too, not only installed ones.")
@json_flag
def list_modules(every: bool, as_json: bool) -> None:
    """List the installed modules.

    What came with the program counts as installed. `hub show NAME` says more about one of them, and where it is.
    """
    from hub_core.registry import bundled_registry, natural_order
    from hub_core.store import Store

    store = Store()
    rows = [_installed_row(item) for item in store.installed()]
    if every:
        present = {(row["name"], row["version"]) for row in rows}
        rows += [
            row
            for row in map(_registered_row, bundled_registry().search())
            if (row["name"], row["version"]) not in present
        ]
    for broken in store.broken():
        note(f"warning: {broken.folder}: {broken.problem}")
    columns = ("name", "version", "state", "trained for", "size", "summary")
    rows = sorted(rows, key=lambda row: natural_order(row["name"]))  # the versions of each as they come: newest first
    if as_json:
        print_json(rows)
    elif not rows:
        note("no modules")
    elif every:
        _print_groups(_by_languages(rows), columns)
    else:
        print_table(columns, [_cells(row, columns) for row in rows])


@command("search", examples=["hub search", "hub search chinese token-cls", "hub search 中文 向量"])
@click.argument("words", nargs=-1)
@json_flag
def search(words: tuple[str, ...], as_json: bool) -> None:
    """Search the registered modules.

    All WORDS must stand in a module's name, summary, family, tasks or languages; Chinese words for tasks and languages
    are understood. What is trained for them comes before what could be. Without words all are shown, by language, with
    the size of each in parameters.
    """
    from hub_core.registry import bundled_registry, describes

    found = bundled_registry().search(words)
    if as_json:
        print_json([_registered_row(spec) for spec in found])
    elif not found:
        near = " or ".join(map(repr, bundled_registry().near(words)))
        note("no modules" + (f"; did you mean {near}?" if near else ""))
        note("All words must stand in a module's name, summary, family, tasks or languages; `hub search` shows all")
    else:
        first = sum(describes(words, spec) for spec in found)
        rows = [_registered_row(spec) for spec in found]
        groups = _by_languages(rows[:first])
        groups |= {f"{name}, to be trained for it": group for name, group in _by_languages(rows[first:]).items()}
        _print_groups(groups, ("name", "version", "size", "summary"))


@command("show", examples=["hub show bert-base-chinese", "hub show ./ckpt/best_model --json"])
@click.argument("name", type=ModuleName())
@click.option("--verify", is_flag=True, help="Hash the files of the installed module again, and say which changed.")
@json_flag
def show(name: str, verify: bool, as_json: bool) -> None:
    """Show everything about one module.

    NAME is an installed or registered module, with versions if need be ('ernie_tiny>=2'), or a module folder, which
    is written with a '/'.
    """
    from hub_core.cli.loading import named_folder

    folder = named_folder(name)
    if folder is not None:
        from hub_core.module import spec_of_folder

        spec, location = spec_of_folder(folder), str(folder)
    else:
        spec, location = _find(name)
    if verify:
        _verify(spec, installed=folder is None and bool(location))
    if as_json:
        print_json({**spec.to_json(), "location": location})
    else:
        print_pairs({**_described(spec), "location": location or "not installed"})


@command(
    "install",
    examples=[
        "hub install 'ernie_tiny>=2'",
        "hub install ./ckpt/best_model --name court-ner --version 1.0.0",
        "hub install hf:org/repo",
    ],
)
@click.argument("names", nargs=-1, required=True, type=ModuleName())
@click.option("--name", help="What a folder or an address is to be called here (default: as its manifest says).")
@click.option("--version", help="Its version here.")
@click.option("--offline", is_flag=True, help="Use no network (also: HUB_OFFLINE=1).")
@click.option("--trust-code", is_flag=True, help="Agree to run the module's own plugin.py.")
@json_flag
def install(
    names: tuple[str, ...], name: str | None, version: str | None, offline: bool, trust_code: bool, as_json: bool
) -> None:
    """Install modules.

    NAMES are registered modules, folders (written with a '/'), archives (.tar, .tar.gz, .zip), hf:org/repo, or the
    address of a module.json. The files of a module are fetched and checked, then put in place in one step; what fails
    leaves nothing behind.
    """
    from hub_core.installation import install as install_module

    if name is not None and len(names) > 1:
        raise click.UsageError("--name is for one module at a time")
    rows = []
    with download_progress() as progress:
        for wanted in names:
            item = install_module(
                wanted,
                offline=offline or None,
                progress=progress,
                trust_code=trust_code,
                as_name=name,
                as_version=version,
            )
            rows.append(_installed_row(item))
            if not as_json:
                print(f"installed {item.spec.title} in {item.folder}")
    if as_json:
        print_json(rows)


@command(
    "download",
    examples=["hub download ernie_tiny", "hub download 'ernie_tiny>=2' --archive --output /mnt/stick"],
)
@click.argument("names", nargs=-1, required=True, type=ModuleName())
@click.option("--output", type=PATH, default=".", help="The folder to put them in.")
@click.option("--archive", is_flag=True, help="One .tar file for each module, instead of a folder.")
@click.option("--offline", is_flag=True, help="Use no network (also: HUB_OFFLINE=1).")
@json_flag
def download(names: tuple[str, ...], output: Path, archive: bool, offline: bool, as_json: bool) -> None:
    """Fetch modules without installing them, to be carried elsewhere.

    NAMES are as for `hub install`, which takes what comes out without a network: the folder NAME-VERSION, or with
    --archive the file NAME-VERSION.tar. The files are checked as they are for an installation.
    """
    from hub_core.installation import download as download_module

    rows = []
    with download_progress() as progress:
        for wanted in names:
            path = download_module(wanted, output, archive=archive, offline=offline or None, progress=progress)
            rows.append({"wanted": wanted, "path": str(path)})
            if not as_json:
                print(f"downloaded {wanted} to {path}")
    if as_json:
        print_json(rows)


@command("uninstall", examples=["hub uninstall ernie_tiny", "hub uninstall ernie_tiny==2.0.2"])
@click.argument("names", nargs=-1, required=True, type=ModuleName(installed=True))
@click.option("--version", help="Only this version, or a range (default: all that are installed).")
@json_flag
def uninstall(names: tuple[str, ...], version: str | None, as_json: bool) -> None:
    """Remove installed modules.

    Without a version all versions of a module go.
    """
    from hub_core.store import Store

    store, rows = Store(), []
    for name in names:
        for item in store.remove(name, version):
            rows.append({**_installed_row(item), "state": "removed"})
            if not as_json:
                print(f"removed {item.spec.title} from {item.folder}")
    if as_json:
        print_json(rows)


def _find(name: str) -> tuple[ModuleSpec, str]:
    """The spec that answers a request, and where it is installed ("" where it is not)."""
    from hub_core.installation import resolve
    from hub_core.store import Store

    spec = resolve(name)
    present = Store().find(spec.name, spec.version)
    return spec, str(present.folder) if present else ""


def _verify(spec: ModuleSpec, *, installed: bool) -> None:
    """Raise IntegrityError where files are not those of the receipt, SettingsError where there is no receipt."""
    from hub_core.errors import SettingsError
    from hub_core.store import Store

    store = Store()
    item = store.find(spec.name, spec.version) if installed else None
    if item is None or item.bundled:
        why = "came with hub_core" if item else "is not installed"
        raise SettingsError(
            f"{spec.title} {why}, so no receipt says what its files were; --verify is for installed ones"
        )
    store.verify(item)


def _described(spec: ModuleSpec) -> dict[str, object]:
    """What a person wants to know of a module."""
    return {
        "name": spec.name,
        "version": spec.version,
        "also": ", ".join(spec.also_versions),
        "summary": spec.summary,
        "family": spec.family,
        "base": spec.base,
        **({"parameters": f"{spec.parameters:,}"} if spec.parameters else {}),
        "tasks": ", ".join(spec.supports),
        "languages": ", ".join(spec.languages),
        "licence": spec.license,
        "homepage": spec.homepage,
        **{f"head {head.name}": ": ".join((head.task, *filter(None, [", ".join(head.labels)]))) for head in spec.heads},
        **{f"measured {key}": value for key, value in spec.metrics_in_words.items()},
        "withdrawn": spec.yanked,
        **({"no address": spec.unavailable} if spec.unavailable else {}),
    }


def _installed_row(item: Installed) -> _Row:
    return _row(item.spec, "bundled" if item.bundled else "installed", str(item.folder))


def _registered_row(spec: ModuleSpec) -> _Row:
    return _row(spec, "no address" if spec.unavailable else "registered", "")


def _row(spec: ModuleSpec, state: str, folder: str) -> _Row:
    """What programs are told of a module."""
    return {
        "name": spec.name,
        "version": spec.version,
        "state": state,
        "tasks": ", ".join(spec.supports),
        "trained_for": [head.task for head in spec.heads],
        "parameters": spec.parameters,
        "languages": list(spec.languages),
        "summary": spec.summary,
        "folder": folder,
    }


def _by_languages(rows: Sequence[_Row]) -> dict[str, list[_Row]]:
    from hub_core.registry import by_languages

    return by_languages(rows, key=lambda row: tuple(row["languages"]))


def _print_groups(groups: Mapping[str, Sequence[_Row]], columns: Sequence[str]) -> None:
    """Print some columns of modules for people, each group under its heading."""
    print_groups(columns, [(name, [_cells(row, columns) for row in group]) for name, group in groups.items()])


def _cells(row: _Row, columns: Sequence[str]) -> list[str]:
    from hub_core.registry_page import parameters_in_words

    without = " (no address)" if row["state"] == "no address" and "state" not in columns else ""
    texts = {
        **row,
        "trained for": ", ".join(row["trained_for"]),
        "size": parameters_in_words(row["parameters"]),
        "summary": row["summary"] + without,
    }
    return [texts[column] for column in columns]
