"""The house in order: imports point one way, and the registry file is what the manifests say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import hub_core
from hub_core.hookspecs import KINDS
from hub_core.plugins import catalog

PACKAGE = Path(hub_core.__file__).parent

#: From the ground up: a file imports from its own storey and those below.
STOREYS = (
    "version errors paths",
    "spec examples labels tagging user_config mirrors addresses transfer partials safetensors_header receipt pins",
    "hookspecs builtins plugins preferences",
    "text",
    "searching registry registry_page store blobs sources http_source trust hf_layout convert archives",
    "install_plan bringing installation caches named_checkpoint",
    "metrics data nn",
    "tasks",
    "published",
    "datasets",
    "infer exported",
    "torch_engine",
    "torch_module module scratch",
    "train export corpus cluster combination report doctor probes",
    "pretrain",
    "cli",
)
STOREY = {name: level for level, names in enumerate(STOREYS) for name in names.split()}
FILES = sorted(path for path in PACKAGE.rglob("*.py") if "_bundled" not in path.parts)


def room(path: Path) -> str:
    """The folder or file directly under the package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """The rooms that a file imports from, those for type checkers left out."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("hub_core"):
            names = [node.module] if node.module != "hub_core" else [f"hub_core.{alias.name}" for alias in node.names]
            yield from (name.split(".")[1] for name in names)
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("hub_core."))
        yield from imports(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    here = room(path)
    if here in ("__init__", "__main__"):  # the front door: it leads everywhere
        return
    assert here in STOREY, f"{here} has no storey: add it to STOREYS"
    tree = ast.parse(path.read_text(encoding="utf-8"))
    up = sorted({name for name in imports(tree) if STOREY.get(name, 99) > STOREY[here]})
    assert up == [], f"{path} imports from above"


def test_every_public_name_is_there() -> None:
    assert sorted(hub_core.__all__) == sorted([*hub_core._PUBLIC, "__version__"])
    for name in hub_core.__all__:
        assert getattr(hub_core, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'Modul'"):
        hub_core.Modul  # noqa: B018


def test_every_builtin_entry_loads() -> None:
    for kind in KINDS:
        for entry in catalog().entries(kind).values():
            assert entry.load() is not None, entry


def test_no_file_grows_beyond_a_room() -> None:
    long = {str(p.relative_to(PACKAGE)): n for p in FILES if (n := len(p.read_text("utf-8").splitlines())) > 420}
    assert long == {}
