"""Commands about modules as things: list, show, search, install, uninstall."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from hub_core.cli.output import JsonFlag, download_progress, print_json, print_pairs, print_table

Name = Annotated[str, typer.Argument(help="A module's name, with versions if need be: ernie_tiny, 'ernie_tiny>=2'.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network (also: HUB_OFFLINE=1).")]


def add_to(app: typer.Typer) -> None:
    """Register this file's commands."""
    app.command("list")(list_modules)
    app.command("show")(show)
    app.command("search")(search)
    app.command("install")(install)
    app.command("uninstall")(uninstall)


def list_modules(
    every: Annotated[bool, typer.Option("--all", help="List registered modules too, not only installed ones.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """List the installed modules."""
    from hub_core.registry import bundled_registry
    from hub_core.store import Store

    store = Store()
    rows = [_row(item.spec, "bundled" if item.bundled else "installed", str(item.folder)) for item in store.installed()]
    if every:
        present = {(row["name"], row["version"]) for row in rows}
        registered = [_row(spec, "registered", "") for spec in bundled_registry().search()]
        rows += [row for row in registered if (row["name"], row["version"]) not in present]
    for broken in store.broken():
        print(f"warning: {broken.folder}: {broken.problem}", file=sys.stderr)
    _print(rows, as_json)


def show(name: Name, as_json: JsonFlag = False) -> None:
    """Show everything about one module: an installed one, a registered one, or a folder."""
    from hub_core.install import resolve
    from hub_core.spec import read_manifest
    from hub_core.store import Store

    folder = Path(name)
    if "/" in name and folder.is_dir():
        spec, location = read_manifest(folder), str(folder)
    else:
        spec = resolve(name)
        present = Store().find(spec.name, spec.version)
        location = str(present.folder) if present else "not installed"
    if as_json:
        print_json({**spec.to_json(), "location": location})
        return
    print_pairs(
        {
            "name": spec.name,
            "version": spec.version,
            "also": ", ".join(spec.also_versions),
            "summary": spec.summary,
            "family": spec.family,
            "base": spec.base,
            "tasks": ", ".join(spec.supports),
            "languages": ", ".join(spec.languages),
            "licence": spec.license,
            "homepage": spec.homepage,
            **{f"head {head.name}": f"{head.task}: {', '.join(head.labels)}" for head in spec.heads},
            **{f"measured {key}": value for key, value in spec.metrics.items()},
            "yanked": spec.yanked,
            "location": location,
        }
    )


def search(
    words: Annotated[list[str] | None, typer.Argument(help="Words that name, summary, family or task hold.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Search the registered modules; all words must be found."""
    from hub_core.registry import bundled_registry

    _print([_row(spec, "registered", "") for spec in bundled_registry().search(words or ())], as_json)


def install(
    names: Annotated[
        list[str], typer.Argument(help="Names, folders (./ckpt/best_model), hf:org/repo, https://.../module.json.")
    ],
    offline: Offline = False,
    trust_code: Annotated[bool, typer.Option("--trust-code", help="Agree to run the module's own plugin.py.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Install modules: all files fetched and checked, then put in place in one step."""
    from hub_core.install import install as install_module

    rows = []
    with download_progress() as progress:
        for name in names:
            item = install_module(name, offline=offline or None, progress=progress, trust_code=trust_code)
            rows.append(_row(item.spec, "bundled" if item.bundled else "installed", str(item.folder)))
    _print(rows, as_json)


def uninstall(
    name: Name,
    version: Annotated[str | None, typer.Option(help="Only this version (default: all).")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Remove an installed module."""
    from hub_core.store import Store

    removed = Store().remove(name, version)
    _print([_row(item.spec, "removed", str(item.folder)) for item in removed], as_json)


def _row(spec: Any, state: str, folder: str) -> dict[str, str]:
    return {
        "name": spec.name,
        "version": spec.version,
        "state": state,
        "tasks": ", ".join(spec.supports),
        "summary": spec.summary,
        "folder": folder,
    }


def _print(rows: list[dict[str, str]], as_json: bool) -> None:
    rows = sorted(rows, key=lambda row: (row["name"].lower(), row["version"]))
    if as_json:
        print_json(rows)
    elif not rows:
        print("no modules", file=sys.stderr)
    else:
        columns = [key for key in rows[0] if any(row[key] for row in rows)]
        print_table(columns, [[row[key] for key in columns] for row in rows])
