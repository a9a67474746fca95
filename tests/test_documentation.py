"""The documentation does what it says: its snippets run, its help pages are the program's, its links lead somewhere.

A block that cannot run here has ``<!-- not run: REASON -->`` above it: it needs the network, another machine, or an
hour; where that is true of some commands only, ``<!-- not run, hub export and hub doctor: REASON -->``. Even then
commands must be right usage, and Python must compile.
"""

from __future__ import annotations

import doctest
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import pytest
from command_line import Hub, write_reviews
from pages import ENGLISH, ROOT, Block, blocks, sections
from pretraining_program import sample_text
from tiny import LABELS, small_module_folder, tiny_module

import hub_core as hub
from hub_core import hookspecs
from hub_core.cli import reference
from hub_core.cli.command import CONTEXT
from hub_core.cli.program import Program
from hub_core.errors import NotFoundError
from hub_core.registry import bundled_registry

TEXTS = ["新华社北京5月7日电", "今天在北京会见了", "北京的新华社", "我们都是中国人"]
TAGS = {"北": "B-LOC", "京": "I-LOC", "新": "B-ORG", "华": "I-ORG", "社": "I-ORG"}


def names(pages: Sequence[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


#: Pages that train into the folder ``ckpt`` themselves; on the others a checkpoint lies there already.
TRAINING = {"README.md", "training.md"}


@pytest.fixture
def stage(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the pages speak of: data, texts, a checkpoint, and a small stand-in for ernie_tiny installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HUB_DATA_HOME", str(tmp_path))
    monkeypatch.setenv("HUB_OFFLINE", "1")
    for folder in ("msra_ner", "FOLDER"):
        write_entities(tmp_path / folder)
    write_reviews(tmp_path / "reviews", train=16, dev=8, test=8)
    (tmp_path / "text").mkdir()
    for name in ("law.txt", "news.txt"):
        (tmp_path / "text" / name).write_text(sample_text(), encoding="utf-8")
    (manifest,) = blocks(ROOT / "docs" / "pretraining.md", "json")
    (tmp_path / "small.json").write_text(manifest.text, encoding="utf-8")
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS) + "\n", encoding="utf-8")
    (spec,) = bundled_registry().versions("ernie_tiny")
    hub.install(small_module_folder(spec, tmp_path / "ernie_tiny"))
    if request.node.callspec.params["page"].name not in TRAINING:
        hub.Module("ernie_tiny", task="token-cls", label_map=LABELS).save(tmp_path / "ckpt" / "best_model")
    tiny_module(tmp_path / "tokenizer").save(tmp_path / "PADDLE_OR_HF_FOLDER")
    (tmp_path / "PADDLE_OR_HF_FOLDER" / "module.json").unlink()
    return tmp_path


def write_entities(folder: Path) -> None:
    """Sentences with entities in PaddleHub's format."""
    folder.mkdir()
    for mode, count in {"train": 16, "dev": 4, "test": 4}.items():
        rows = [TEXTS[at % 4] for at in range(count)]
        lines = ["\002".join(text) + "\t" + "\002".join(TAGS.get(c, "O") for c in text) for text in rows]
        (folder / f"{mode}.tsv").write_text("text_a\tlabel\n" + "\n".join(lines) + "\n", encoding="utf-8")


def commands(block: Block) -> Iterator[tuple[list[str], str]]:
    """The commands of a console block as words, each with the output that is shown under it."""
    output: list[str] = []
    words: list[str] | None = None
    for line in [*block.text.replace("\\\n", " ").splitlines(), "$ "]:
        if not line.startswith("$ "):
            output.append(line)
            continue
        if words is not None:
            yield words, "\n".join(output)
        words, output = shlex.split(line[2:], comments=True), []


#: Commands of examples/plugin, which is not installed here; tests/test_example_plugin.py runs them.
OF_THE_EXAMPLE = {"lengths"}


class TestSnippets:
    @pytest.mark.parametrize("page", [p for p in ENGLISH if any(not b.not_run for b in blocks(p, "console"))], ids=str)
    def test_commands_run(self, page: Path, stage: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for block in blocks(page, "console"):
            for words, shown in () if block.not_run else commands(block):
                where = f"{page}:{block.number}: {shlex.join(words)}"
                if shlex.join(words).startswith(block.passed_over):
                    continue
                assert words[0] == "hub", f"{where}: only hub runs here; say why not with <!-- not run: ... -->"
                outcome = Hub(capsys)(*words[1:])
                assert outcome.code == 0, f"{where}\n{outcome.err}"
                assert same(shown, outcome.out), f"{where} prints\n{outcome.out}"

    @pytest.mark.parametrize("page", [p for p in ENGLISH if any(not b.not_run for b in blocks(p, "python"))], ids=str)
    @pytest.mark.filterwarnings("default")
    def test_python_runs(self, page: Path, stage: Path) -> None:
        names = prepared(stage)
        for block in blocks(page, "python"):
            if not block.not_run:
                # The line numbers in a traceback are those of the page.
                exec(compile("\n" * block.number + block.text, str(page), "exec"), names)

    @pytest.mark.parametrize("page", ENGLISH, ids=str)
    def test_what_does_not_run_here_is_right_all_the_same(self, page: Path) -> None:
        found = (block for section in sections(page) for block in section.blocks)
        for block in (block for block in found if block.not_run or block.passed_over):
            if block.language == "python":
                compile("\n" * block.number + block.text, str(page), "exec")
            for words, _ in commands(block) if block.language == "console" else ():
                if words[0] == "hub" and words[1] not in OF_THE_EXAMPLE:
                    check_usage([word for word in words[1:] if word != "..."])

    def test_commands_of_cards_are_right(self) -> None:
        cards = sorted((ROOT / "modules").glob("*/README.md"))
        shown = [words for card in cards for block in blocks(card, "console") for words, _ in commands(block)]
        found = [words[1:] for words in shown if words[0] == "hub"]
        assert len(found) > 10
        for words in found:
            check_usage(words)

    def test_outputs_are_compared(self) -> None:
        assert same("", "anything") and same("a ... c", "a b c\n") and not same("a b", "a c\n")


def prepared(stage: Path) -> dict[str, Any]:
    """The names that the pages take for granted."""
    import torch

    model = hub.Module("ernie_tiny", task="token-cls", label_map=LABELS)
    data = {mode: hub.datasets.MSRA_NER(mode=mode) for mode in ("train", "dev", "test")}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    return {"hub": hub, "torch": torch, "texts": TEXTS, "model": model, "optimizer": optimizer, **data}


def same(shown: str, printed: str) -> bool:
    """Whether a page shows what is printed; ``...`` stands for anything, and a page may show nothing."""
    checker = doctest.OutputChecker()
    return not shown.strip() or checker.check_output(f"{shown.rstrip()}\n", printed, doctest.ELLIPSIS)


def check_usage(words: Sequence[str]) -> None:
    """Raise click.UsageError where a command does not exist or does not take its arguments."""
    found: click.Command = Program()
    ctx, rest = click.Context(found, info_name="hub"), list(words[: words.index(">")] if ">" in words else words)
    while isinstance(found, click.Group) and rest:
        _, child, rest = found.resolve_command(ctx, rest)
        assert child is not None
        found = child
    found.make_context(str(found.name), rest, **CONTEXT)


class TestReference:
    @pytest.mark.parametrize(("page", "names"), reference.PAGES.items(), ids=str)
    def test_the_pages_are_up_to_date(self, page: str, names: dict[str, str]) -> None:
        path = ROOT / "docs" / page
        assert path.read_text(encoding="utf-8") == reference.up_to_date(path, names), (
            "run python -m hub_core.cli.reference"
        )

    def test_it_mends_what_is_old_and_keeps_what_people_wrote(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for page in reference.PAGES:
            (tmp_path / page).parent.mkdir(exist_ok=True)
            (tmp_path / page).write_text(f"# Mine\n\n{reference.MARK}\nold\n", encoding="utf-8")
        arguments = ["--docs", str(tmp_path)]
        assert reference.main([*arguments, "--check"]) == 1
        assert capsys.readouterr().out.count("is out of date") == len(reference.PAGES)
        assert reference.main(arguments) == 0
        assert capsys.readouterr().out.count("written") == len(reference.PAGES)
        assert reference.main([*arguments, "--check"]) == 0
        text = (tmp_path / "zh" / "command-line.md").read_text(encoding="utf-8")
        assert text.startswith("# Mine\n") and "## 模块\n" in text and "old\n" not in text

    def test_a_page_without_the_mark(self, tmp_path: Path) -> None:
        (tmp_path / "command-line.md").write_text("# Mine\n")
        with pytest.raises(NotFoundError, match="has no line '<!-- From here on made by"):
            reference.main(["--docs", str(tmp_path)])


def test_the_readme_shows_what_the_demo_prints(capsys: pytest.CaptureFixture[str]) -> None:
    recipe = re.search(r"^demo:.*?\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    outputs = []
    for line in recipe[1].replace("\\\n", " ").splitlines():
        words = shlex.split(line.replace("$(BIN)/", ""))
        assert words[0] == "hub"
        outputs.append(Hub(capsys)(*words[1:]).out)
    shown = [block.text for section in sections(ROOT / "README.md") for block in section.blocks if not block.language]
    assert shown[0] == "\n".join(outputs)


def test_every_hook_and_every_kind_is_documented() -> None:
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    assert all(f"| `{kind}` |" in text for kind in hookspecs.KINDS)
    hooks = [name for name in vars(hookspecs) if name.startswith("hub_")]
    assert len(hooks) == 3
    assert all(f"| `{name}(" in text for name in hooks)


@pytest.mark.parametrize(
    "page", [*ENGLISH, *sorted((ROOT / "docs" / "zh").glob("*.md")), *ROOT.glob("README.*.md")], ids=str
)
def test_links_lead_somewhere(page: Path) -> None:
    for section in sections(page):
        for link in section.links:
            if "://" in link:
                continue
            path, _, anchor = link.partition("#")
            target = page.parent / path if path else page
            assert target.exists(), f"{page}: {link}"
            if anchor:
                found = {slug(other.heading) for other in sections(target)}
                assert anchor in found, f"{page}: {link}; known: {', '.join(sorted(found))}"


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
