"""The table of registered modules in the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from hub_core.registry import by_languages
from hub_core.spec import ModuleSpec

#: What stands around the table in a page; what is between them is written anew.
START = "<!-- modules: made by `python -m hub_core.registry` -->"
END = "<!-- end of modules -->"
_COLUMNS = ("module", "version", "parameters", "layers", "licence", "what it is")
#: What the Chinese page calls things; summaries are the manifests' own.
_CHINESE = {
    "module": "模块",
    "version": "版本",
    "parameters": "参数量",
    "layers": "层数",
    "licence": "许可证",
    "what it is": "简介",
    "Chinese": "中文",
    "Chinese and English": "中文和英文",
    "Many languages": "多语言",
    "English": "英文",
    "not stated": "未注明",
    " (no address)": "（没有地址）",
}


def pages(docs: Path, specs: Sequence[ModuleSpec]) -> dict[Path, str]:
    """Each page under `docs` that has the table's marks, with what it should say. No folder, no pages."""
    found = {}
    for path in sorted(docs.glob("**/modules.md")):
        text = path.read_text(encoding="utf-8")
        before, start, rest = text.partition(START)
        _, end, after = rest.partition(END)
        if start and end:
            up = "../" * len(path.relative_to(docs).parts)
            table = module_table(specs, modules=f"{up}modules", words=_CHINESE if path.parent.name == "zh" else {})
            found[path] = "\n".join([before + START, *table, END + after])
    return found


def module_table(specs: Iterable[ModuleSpec], *, modules: str, words: Mapping[str, str]) -> Iterator[str]:
    """The lines of one table per group of languages; `modules` is where their folders lie, seen from the page.

    `words` are the page's own for those of headings and of what a manifest leaves open; none: as they are.
    """
    for languages, group in by_languages(specs, key=lambda spec: spec.languages).items():
        yield ""
        yield f"### {words.get(languages, languages)}"
        yield ""
        yield f"| {' | '.join(words.get(column, column) for column in _COLUMNS)} |"
        yield "|---|---|---:|---|---|---|"
        for spec in group:
            yield f"| {' | '.join(_cells(spec, modules, words))} |"
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


def _cells(spec: ModuleSpec, modules: str, words: Mapping[str, str]) -> Sequence[str]:
    stated, without = (words.get(text, text) for text in ("not stated", " (no address)"))
    layers, width = spec.config.get("num_hidden_layers"), spec.config.get("hidden_size")
    return (
        f"[`{spec.name}`]({modules}/{spec.name}/README.md)",
        spec.version,
        parameters_in_words(spec.parameters),
        f"{layers} × {width}" if layers and width else "",
        spec.license or stated,
        spec.summary + (without if spec.unavailable else ""),
    )
