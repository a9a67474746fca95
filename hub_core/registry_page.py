"""The table of registered modules in the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from hub_core.registry import by_languages
from hub_core.spec import ModuleSpec

#: What stands around the table in a page; what is between them is written anew.
START = "<!-- modules: made by `python -m hub_core.registry` -->"
END = "<!-- end of modules -->"


def pages(docs: Path, specs: Sequence[ModuleSpec]) -> dict[Path, str]:
    """Each page under `docs` that has the table's marks, with what it should say. No folder, no pages."""
    found = {}
    for path in sorted(docs.glob("**/modules.md")):
        text = path.read_text(encoding="utf-8")
        before, start, rest = text.partition(START)
        _, end, after = rest.partition(END)
        if start and end:
            up = "../" * len(path.relative_to(docs).parts)
            found[path] = "\n".join([before + START, *module_table(specs, modules=f"{up}modules"), END + after])
    return found


def module_table(specs: Iterable[ModuleSpec], *, modules: str) -> Iterator[str]:
    """The lines of one table per group of languages; `modules` is where their folders lie, seen from the page."""
    for languages, group in by_languages(specs, key=lambda spec: spec.languages).items():
        yield ""
        yield f"### {languages}"
        yield ""
        yield "| module | version | parameters | layers | licence | what it is |"
        yield "|---|---|---:|---|---|---|"
        for spec in group:
            yield f"| {' | '.join(_cells(spec, modules))} |"
    yield ""


def parameters_in_words(count: int | None) -> str:
    """A count of parameters as people say it, "" where it is not known.

    >>> parameters_in_words(102_267_648), parameters_in_words(4_080_520), parameters_in_words(1_256_583_168)
    ('102M', '4.1M', '1.3B')
    """
    if count is None:
        return ""
    if count >= 999_500_000:
        return f"{count / 1e9:.1f}B"
    return f"{count / 1e6:.0f}M" if count >= 9_950_000 else f"{count / 1e6:.1f}M"


def _cells(spec: ModuleSpec, modules: str) -> Sequence[str]:
    layers, width = spec.config.get("num_hidden_layers"), spec.config.get("hidden_size")
    return (
        f"[`{spec.name}`]({modules}/{spec.name}/README.md)",
        spec.version,
        parameters_in_words(spec.parameters),
        f"{layers} × {width}" if layers and width else "",
        spec.license or "not stated",
        spec.summary + (" (no address)" if spec.unavailable else ""),
    )
