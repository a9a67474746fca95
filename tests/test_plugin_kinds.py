"""Every kind of entry that a plugin can bring is one that users reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pretraining_program import run
from tiny import CHARACTERS, LABELS, tiny_module, write_vocabulary
from training_program import labelled_rows

import hub_core as hub
from hub_core import plugins
from hub_core.corpus.building import build_corpus
from hub_core.corpus.encoding import EncodeOptions
from hub_core.data.problems import Problems
from hub_core.data.tables import Row
from hub_core.errors import UnknownDatasetError
from hub_core.hookspecs import KINDS, hookimpl
from hub_core.nn.bilstm_family import BiLstmFamily
from hub_core.pretrain.masking import Masker, MaskOptions
from hub_core.report import report_on
from hub_core.report.any_task import Record
from hub_core.report.entities import EntityReport
from hub_core.scratch import new_module
from hub_core.tasks.token_cls import TokenCls
from hub_core.text.files import tokenizer_from_files
from hub_core.text.words import CharTokenizer
from hub_core.train.trackers import TrackedRun


class Toy(BiLstmFamily):
    """A network of its own name."""

    name = "toy"
    supports = (*BiLstmFamily.supports, "spans")


class Spans(TokenCls):
    """A task of its own name."""

    name = "spans"


class Letters(CharTokenizer):
    """A tokenizer of its own type."""

    type = "letters"


class Spaces:
    """Words are what stands between spaces."""

    def __init__(self, user_words: Iterable[str] = ()) -> None:
        self.user_words = tuple(user_words)

    def cut(self, text: str) -> list[str]:
        return text.split(" ")


class Weather(hub.datasets.Dataset):
    """A data set of two rows."""

    def __init__(self, mode: str = "train") -> None:
        rows = self.from_rows([("晴", "good"), ("雨", "bad")], task="seq-cls")
        super().__init__(rows, rows.label_list, task="seq-cls", mode=mode)


class SpansReport(EntityReport):
    """A report of its own."""

    def scores(self, records: Sequence[Record], labels: Sequence[str]) -> dict[str, float]:
        return {"rows_of_it": float(len(records))}


def read_piped(
    path: str | Path, *, columns: Sequence[str] | None, header: bool | None, problems: Problems | None
) -> Iterator[Row]:
    """Rows of fields that ``|`` separates."""
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").splitlines(), start=1):
        label, text = line.split("|")
        yield Row({"label": label, "text_a": text}, str(path), number)


class Signs(torch.optim.Optimizer):
    """Goes by the gradient's sign."""

    def __init__(self, params: Any, lr: float = 0.125) -> None:
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter -= group["lr"] * parameter.grad.sign()


class Notebook:
    """Keeps what it is told in a file."""

    package = ""

    def __init__(self, run: TrackedRun) -> None:
        self._file = (run.folder / "notebook.txt").open("a")

    def log(self, values: Mapping[str, float], step: int) -> None:
        self._file.write("".join(f"{step} {name}\n" for name in values))

    def close(self) -> None:
        self._file.close()


def endings(units: int, rng: np.random.Generator, options: MaskOptions) -> Iterator[tuple[int, int]]:
    """Hides the end of a row first."""
    for unit in reversed(range(units)):
        yield unit, unit + 1


class Plugin:
    """One entry of each kind."""

    @hookimpl
    def hub_entries(self, kind: str) -> Mapping[str, Any]:
        return {
            "family": {"toy": Toy},
            "task": {"spans": Spans},
            "tokenizer": {"letters": Letters},
            "segmenter": {"spaces": Spaces},
            "masking": {"endings": endings},
            "dataset": {"Weather": Weather},
            "table": {"piped": read_piped},
            "report": {"spans": SpansReport},
            "optimizer": {"signs": Signs},
            "tracker": {"notebook": Notebook},
        }[kind]


@pytest.fixture(autouse=True)
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The plugin is installed, and forgotten afterwards."""
    point = SimpleNamespace(name="mine", dist=SimpleNamespace(name="mine"), load=Plugin)
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point])
    for cached in (plugins._load_manager, plugins.manager):
        cached.cache_clear()
    yield
    for cached in (plugins._load_manager, plugins.manager):
        cached.cache_clear()


def vocabulary(tmp_path: Path) -> Path:
    path = tmp_path / "vocab.txt"
    path.write_text("\n".join(["[PAD]", "[UNK]", *dict.fromkeys(CHARACTERS)]) + "\n", encoding="utf-8")
    return path


def test_every_kind_is_used_here() -> None:
    assert all("mine" in {entry.owner for entry in plugins.catalog().entries(kind).values()} for kind in KINDS)


def test_a_network_a_task_and_a_tokenizer_make_a_module(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = new_module(
        family="toy",
        config={"embedding_size": 4, "hidden_size": 4},
        tokenizer=tokenizer_from_files("letters", vocab=vocabulary(tmp_path)),
        task="spans",
        label_map=LABELS,
        name="toy-spans",
    )
    module.save(tmp_path / "saved")
    again = hub.Module(directory=tmp_path / "saved")
    assert (type(again.family), type(again.task), type(again.tokenizer)) == (Toy, Spans, Letters)
    assert again.predict(["新华社北京"]) == module.predict(["新华社北京"])
    rows = hub.datasets.Dataset.from_rows([("北京", ["B-LOC", "I-LOC"])], task="token-cls", label_list=LABELS)
    assert report_on(again, rows).scores["rows_of_it"] == 1


def test_a_segmenter_cuts_words(tmp_path: Path) -> None:
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\nhello\nworld\n", encoding="utf-8")
    words = tokenizer_from_files("word", vocab=tmp_path / "vocab.txt", segmenter="spaces")
    assert words.tokenize("world hello") == ["world", "hello"]


def test_a_segmenter_says_which_tokens_stay_together(tmp_path: Path) -> None:
    (tmp_path / "text.txt").write_text("新华 社北\n", encoding="utf-8")
    tokenizer = tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path))
    built = build_corpus(tokenizer, [tmp_path / "text.txt"], tmp_path / "c", encode=EncodeOptions("spaces"))
    assert built.joined.tolist() == [False, True, False, True]


def test_a_masking_says_what_is_hidden(tmp_path: Path) -> None:
    tokenizer = tokenizer_from_files("wordpiece", vocab=write_vocabulary(tmp_path))
    ids = np.array(tokenizer.encode("新华社北京"))
    masker = Masker(tokenizer, MaskOptions("endings", share=0.3))
    assert masker(ids, np.zeros(7, dtype=bool), np.random.default_rng(0))[1].tolist() == [4, 5]
    said: list[str] = []
    mask = MaskOptions("endings", random=0.0, kept=0.0)
    run(tmp_path / "ckpt", rows={"mask": mask}, max_steps=2, call={"announce": said.append})
    shown = [line for line in said if line.startswith("shown")]
    assert len(shown) == 2
    assert all(line.endswith("[MASK] [SEP]") and line.count("[MASK]") < 8 for line in shown)


def test_a_data_set_is_an_attribute() -> None:
    assert [row.label for row in hub.datasets.Weather()] == ["good", "bad"]
    assert not hasattr(hub.datasets, "Climate")
    with pytest.raises(
        UnknownDatasetError, match="unknown data set 'Wether' in hub_core.datasets; did you mean 'Weath"
    ):
        _ = hub.datasets.Wether


def test_a_format_is_read_by_its_suffix(tmp_path: Path) -> None:
    (tmp_path / "train.piped").write_text("good|晴\nbad|雨\n", encoding="utf-8")
    rows = hub.datasets.folder_dataset(tmp_path, task="seq-cls")
    assert [(row.text, row.label) for row in rows] == [("晴", "good"), ("雨", "bad")]


def test_an_optimizer_and_a_tracker_by_name(tmp_path: Path) -> None:
    module = tiny_module(tmp_path, hidden_dropout_prob=0.0)
    before = [p.detach().clone() for p in module.parameters()]
    settings = hub.TrainSettings(optimizer="signs", log_to=("notebook",))
    trainer = hub.Trainer(module, checkpoint_dir=tmp_path / "ckpt", use_vdl=False, settings=settings)
    trainer.train(labelled_rows(4), batch_size=4, log_interval=1)
    moved = torch.cat([(p - old).abs().flatten() for p, old in zip(module.parameters(), before, strict=True)])
    assert moved.max().item() == pytest.approx(0.125)  # its own learning rate, since none was given
    told = (tmp_path / "ckpt" / "notebook.txt").read_text().splitlines()
    assert told == ["1 TRAIN/loss", "1 TRAIN/grad_norm", "1 TRAIN/lr"]
    with pytest.raises(hub.errors.NotFoundError, match="unknown optimizer 'sign'; did you mean 'signs'"):
        hub.Trainer(module, settings=settings.replace(optimizer="sign"))
