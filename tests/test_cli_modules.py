"""list, search, show, install, uninstall: as tables, as JSON, and when something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import Hub
from folders import manifest, module_folder

from hub_core.registry import natural_order

#: The groups of the registered modules, in order.
LANGUAGE_GROUPS = ("Chinese", "Chinese and English", "Many languages", "English")


def tiny_weights(folder: Path) -> None:
    """A BERT of `folders.VOCABULARY` in Hugging Face's layout."""
    from transformers import BertConfig, BertModel

    config = BertConfig(vocab_size=7, hidden_size=4, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    BertModel(config).save_pretrained(folder)
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "BertTokenizer"}), encoding="utf-8")


@pytest.fixture
def hub(capsys: pytest.CaptureFixture[str]) -> Hub:
    return Hub(capsys)


class TestList:
    def test_what_is_installed_newest_first(self, hub: Hub, tmp_path: Path) -> None:
        for version in ("1.9", "1.10"):
            hub("install", module_folder(tmp_path / version, "small", version))
        rows = [row for row in hub("list", "--json").json if row["state"] == "installed"]
        assert [(row["name"], row["version"]) for row in rows] == [("small", "1.10"), ("small", "1.9")]
        assert rows[0]["tasks"] == "seq-cls, token-cls"
        assert Path(rows[0]["folder"], "module.json").is_file()
        table = hub("list").out.splitlines()
        assert table[0].split("  ")[0] == "name" and table[0].split()[3:] == ["trained", "for", "size", "summary"]
        assert [line.split()[1] for line in table if line.startswith("small ")] == ["1.10", "1.9"]

    def test_all_adds_what_is_registered(self, hub: Hub) -> None:
        rows = hub("list", "--all", "--json").json
        states = {row["name"]: row["state"] for row in rows}
        assert states["bert-base-chinese"] == states["ernie_tiny"] == "registered"
        names = [row["name"] for row in rows]
        assert names == sorted(names, key=natural_order)
        assert states["pai-bert-large-zh"] == "no address" and states["bilstm-ner-zh"] == "bundled"
        table = hub("list", "--all").out.splitlines()
        assert [line for line in table[2:] if not line.startswith(" ")] == [*LANGUAGE_GROUPS]
        assert next(line for line in table if line.startswith("  bilstm-ner-zh ")).split()[1:4] == [
            *("1.0.0", "bundled", "token-cls")
        ]

    def test_nothing_installed(self, hub: Hub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr("hub_core.store.bundled", lambda name: tmp_path / "none")
        outcome = hub("list")
        assert (outcome.code, outcome.out, outcome.err) == (0, "", "no modules\n")
        assert hub("list", "--json").json == []

    def test_a_broken_folder_is_named_and_the_rest_is_listed(self, hub: Hub, tmp_path: Path, hub_home: Path) -> None:
        hub("install", module_folder(tmp_path / "good"))
        broken = hub_home / "modules" / "other" / "1.0"
        broken.mkdir(parents=True)
        outcome = hub("list")
        assert outcome.code == 0
        assert "small" in outcome.out
        assert outcome.err.startswith(f"warning: {broken}: ")


class TestSearch:
    def test_all_words_must_be_found(self, hub: Hub) -> None:
        assert {"ernie", "ernie_tiny"} <= {row["name"] for row in hub("search", "ERNIE", "--json").json}
        found = {row["name"] for row in hub("search", "electra", "token-cls", "--json").json}
        assert "chinese-electra-small" in found
        assert "ernie" not in found
        assert "chinese-electra-small" in hub("search", "electra").out

    def test_without_words_everything_by_language_with_sizes(self, hub: Hub) -> None:
        assert len(hub("search", "--json").json) > 130
        table = hub("search").out.splitlines()
        assert table[0].split() == ["name", "version", "size", "summary"]
        assert [line for line in table[2:] if not line.startswith(" ")] == [*LANGUAGE_GROUPS]
        rows = {line.split()[0]: line for line in table[2:] if line.startswith("  ")}
        assert rows["rbt3"].split(maxsplit=3) == [
            *("rbt3", "2.0.2", "38M", "RBT3: the first three layers of RoBERTa-wwm-ext, trained on")
        ]
        assert rows["pai-bert-large-zh"].endswith("(no address)")

    def test_a_language_in_words(self, hub: Hub) -> None:
        names = {row["name"] for row in hub("search", "chinese", "embeddings", "--json").json}
        assert {"bge-small-zh-v1.5", "gte-base-zh"} <= names and "bge-small-en-v1.5" not in names

    def test_nothing_found(self, hub: Hub) -> None:
        outcome = hub("search", "no-such-thing")
        assert (outcome.code, outcome.out) == (0, "")
        assert outcome.err.startswith("no modules\nAll words must stand in a module's name, summary, family, tasks")
        assert hub("search", "chinese", "ernei").err.startswith("no modules; did you mean 'ernie'")
        assert hub("search", "no-such-thing", "--json").json == []

    def test_what_is_trained_for_the_words_comes_first(self, hub: Hub) -> None:
        assert [row["name"] for row in hub("search", "情感", "--json").json] == [
            "bilstm-sentiment-zh",
            "mini-sentiment-zh",
        ]
        table = hub("search", "中文", "embedding").out.splitlines()
        assert [line for line in table[2:] if not line.startswith(" ")] == [
            *("Chinese", "Many languages"),
            *(f"{name}, to be trained for it" for name in LANGUAGE_GROUPS[:3]),
        ]
        assert [line.split()[0] for line in table[3:9]] == [
            *(
                "bge-base-zh-v1.5",
                "bge-large-zh-v1.5",
                "bge-small-zh-v1.5",
                "gte-base-zh",
                "gte-large-zh",
                "gte-small-zh",
            )
        ]
        assert table[10].split()[0] == "bge-m3"


class TestShow:
    def test_a_registered_module(self, hub: Hub) -> None:
        record = hub("show", "ernie_tiny", "--json").json
        assert (record["name"], record["family"], record["location"]) == ("ernie_tiny", "ernie", "")
        text = hub("show", "ernie-tiny>=2,<3").out
        assert "parameters  90,662,912\ntasks       seq-cls, token-cls" in text
        assert text.endswith("location    not installed\n")

    def test_a_module_without_an_address(self, hub: Hub) -> None:
        assert (
            "no address  published as a TensorFlow archive by EasyTransfer only, "
            in hub("show", "pai-bert-large-zh").out
        )

    def test_an_installed_module(self, hub: Hub, tmp_path: Path, hub_home: Path) -> None:
        hub("install", module_folder(tmp_path / "m"))
        assert hub("show", "small").out.endswith(f"location   {hub_home}/modules/small/1.0\n")

    def test_a_checkpoint_with_its_head_and_scores(self, hub: Hub, tmp_path: Path) -> None:
        heads = [{"task": "seq-cls", "labels": ["差", "好"]}]
        folder = module_folder(tmp_path / "m", heads=heads, metrics={"accuracy": 2 / 3, "rows": 9}, base="ernie==2.0.2")
        lines = hub("show", folder).out.splitlines()
        for line in (
            "base               ernie==2.0.2",
            "head default       seq-cls: 差, 好",
            "measured accuracy  0.6667",
            "measured rows      9",
        ):
            assert line in lines

    def test_a_folder_in_hugging_faces_layout(self, hub: Hub, tmp_path: Path) -> None:
        folder = module_folder(tmp_path / "hf")
        (folder / "module.json").unlink()
        (folder / "config.json").write_text(json.dumps({"model_type": "bert", "vocab_size": 7}))
        assert hub("show", folder, "--json").json["summary"] == "bert in Hugging Face's layout"

    def test_files_that_changed_since_the_installation(self, hub: Hub, tmp_path: Path) -> None:
        hub("install", module_folder(tmp_path / "m"))
        installed = Path(hub("show", "small", "--verify", "--json").json["location"])
        weights = installed / "model.safetensors"
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.unlink()  # other modules may share its bytes
        weights.write_bytes(content)
        said = hub.fails("show", "small", "--verify")
        assert "is not what was installed; `hub uninstall small==1.0`, then install it again:\n" in said
        assert "  model.safetensors: its sha256 is " in said

    @pytest.mark.parametrize(("name", "why"), [("bilstm-ner-zh", "came with hub_core"), ("ernie", "is not installed")])
    def test_only_what_was_installed_can_be_verified(self, hub: Hub, name: str, why: str) -> None:
        assert f" {why}, so no receipt says what its files were" in hub.fails("show", name, "--verify")

    def test_text_of_others_cannot_rewrite_the_terminal(self, hub: Hub, tmp_path: Path) -> None:
        folder = module_folder(tmp_path / "m", summary="good\x1b[2J\nlicence  MIT")
        assert "summary    good\\x1b[2J\\nlicence  MIT" in hub("show", folder).out.splitlines()

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            (
                "ernie_tny",
                "unknown module 'ernie_tny'; did you mean 'ernie_tiny' or 'ernie'? ",
            ),
            (
                "wobert",
                "unknown module 'wobert'; did you mean 'wobert_chinese_base' or 'wobert_chinese_plus_base'? ",
            ),
            ("ernie_tiny==9", "no version of ernie_tiny answers 'ernie_tiny==9':\n  2.0.2 is not ==9"),
            ("ernie_tiny==nine", "'==nine' is not a version or a range of versions"),
            (
                "zhui/ernie-1.0-cluecorpussmall",
                "there is no folder zhui/ernie-1.0-cluecorpussmall; the registered module is "
                "called zhui-ernie-1.0-cluecorpussmall\n",
            ),
            ("./nowhere", "there is no folder ./nowhere; a repository at Hugging Face is written hf:org/repo\n"),
            ("hf:org/repo", "hf:org/repo is not installed; `hub install hf:org/repo` installs it\n"),
        ],
    )
    def test_what_is_not_there(self, hub: Hub, name: str, said: str) -> None:
        assert hub.fails("show", name).startswith(said)

    def test_a_manifest_that_is_wrong(self, hub: Hub, tmp_path: Path) -> None:
        folder = module_folder(tmp_path / "m")
        (folder / "module.json").write_text(json.dumps({**manifest(), "version": "one", "famly": "bert"}))
        said = hub.fails("show", folder)
        assert "is not a valid manifest" in said
        assert "famly" in said
        assert "'one'" in said


class TestInstall:
    def test_folders_one_after_another(self, hub: Hub, tmp_path: Path, hub_home: Path) -> None:
        folders = [module_folder(tmp_path / name, name) for name in ("one", "two")]
        outcome = hub("install", *folders)
        assert outcome.out.splitlines() == [
            f"installed {name} 1.0 in {hub_home}/modules/{name}/1.0" for name in ("one", "two")
        ]
        assert hub("install", folders[0], "--json").json[0]["state"] == "installed"

    def test_two_fine_tuned_copies_of_one_module(self, hub: Hub, tmp_path: Path) -> None:
        first, second = (module_folder(tmp_path / place, fill=fill) for fill, place in enumerate(("one", "two")))
        hub("install", first)
        assert "give this one another name or version (`hub install --name NAME --version" in hub.fails(
            "install", second
        )
        assert hub("install", second, "--name", "court", "--version", "2.0").out.startswith("installed court 2.0 in ")
        assert hub("show", "court", "--verify").code == hub("show", "small", "--verify").code == 0
        assert [row["name"] for row in hub("list", "--json").json if row["state"] == "installed"] == ["court", "small"]
        assert hub("install", second, "--version", "1.0.1").out.startswith("installed small 1.0.1 in ")

    def test_names_that_cannot_be_given(self, hub: Hub, tmp_path: Path, hub_home: Path) -> None:
        folder = module_folder(tmp_path / "m")
        assert "'a/b'" in hub.fails("install", folder, "--name", "a/b")
        assert "'one'" in hub.fails("install", folder, "--version", "one")
        assert "ernie is a registered module, which keeps its name" in hub.fails("install", "ernie", "--name", "mine")
        assert "--name is for one module at a time" in hub("install", folder, folder, "--name", "mine").err
        assert not list(hub_home.glob("modules/*"))

    def test_the_second_of_two_is_missing(self, hub: Hub, tmp_path: Path) -> None:
        outcome = hub("install", module_folder(tmp_path / "one", "one"), "./nowhere")
        assert outcome.code == 1
        assert outcome.out.startswith("installed one 1.0")  # what was done is said
        assert outcome.err.startswith("error: there is no folder nowhere")

    def test_what_has_no_address_is_made_of_a_local_copy(self, hub: Hub, tmp_path: Path) -> None:
        said = hub.fails("install", "pai_bert_large_zh")
        assert said.startswith("pai-bert-large-zh 1.0.0 cannot be fetched: published as a TensorFlow archive by ")
        command = "`hub convert FOLDER OUT --name pai-bert-large-zh --version 1.0.0` makes a module of them"
        assert command in said and "`hub install ./OUT` installs it" in said
        source, out = module_folder(tmp_path / "copy"), tmp_path / "out"
        (source / "module.json").unlink()
        (source / "model.safetensors").unlink()
        tiny_weights(source)
        hub("convert", source, out, *("--name", "pai-bert-large-zh", "--version", "1.0.0"))
        assert hub("install", out).out.startswith("installed pai-bert-large-zh 1.0.0 in ")
        assert hub("install", "pai-bert-large-zh").out.startswith("installed pai-bert-large-zh 1.0.0 in ")

    def test_no_network_wanted(self, hub: Hub) -> None:
        assert "offline" in hub.fails("install", "--offline", "hf:org/repo").lower()

    def test_code_of_others_needs_consent(self, hub: Hub, tmp_path: Path, hub_home: Path) -> None:
        folder = module_folder(tmp_path / "m")
        (folder / "plugin.py").write_text("raise SystemExit('never run here')\n")
        assert f"agree with `hub install {folder} --trust-code`" in hub.fails("install", folder)
        assert not list(hub_home.glob("modules/*"))
        assert hub("install", folder, "--trust-code").code == 0

    def test_weights_that_are_cut_off(self, hub: Hub, tmp_path: Path, hub_home: Path) -> None:
        folder = module_folder(tmp_path / "m")
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-9])
        said = hub.fails("install", folder)
        assert "small 1.0 was not installed" in said
        assert "model.safetensors" in said
        assert not list(hub_home.glob("modules/*"))

    def test_a_home_that_cannot_be_written(self, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("HUB_HOME", str(tmp_path / "file"))
        said = hub.fails("install", module_folder(tmp_path / "m"))
        assert said.startswith(f"cannot write to {tmp_path / 'file'}: ")
        assert "set HUB_HOME" in said


class TestUninstall:
    @pytest.fixture(autouse=True)
    def installed(self, hub: Hub, tmp_path: Path) -> None:
        for version in ("1.0", "2.0"):
            hub("install", module_folder(tmp_path / version, "small", version))

    def test_all_versions(self, hub: Hub, hub_home: Path) -> None:
        assert hub("uninstall", "small").out.splitlines() == [
            f"removed small {version} from {hub_home}/modules/small/{version.replace('.0', '')}.0"
            for version in ("2.0", "1.0")
        ]
        assert not list(hub_home.glob("modules/*"))

    @pytest.mark.parametrize("arguments", [("small==1.0",), ("small", "--version", "1.0"), ("small<2",)])
    def test_one_version(self, hub: Hub, arguments: tuple[str, ...]) -> None:
        assert [(row["version"], row["state"]) for row in hub("uninstall", *arguments, "--json").json] == [
            ("1.0", "removed")
        ]
        assert "small" in hub("list").out

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("smal", "unknown installed module 'smal'; did you mean 'small'?"),
            ("small==3", "small==3 is not installed; installed versions of small: 2.0, 1.0"),
            ("small>3", "small>3 is not installed; installed versions of small: 2.0, 1.0"),
            ("../..", "'../..' is not a module's name"),
        ],
    )
    def test_what_is_not_there_stays_there(self, hub: Hub, hub_home: Path, name: str, said: str) -> None:
        assert hub.fails("uninstall", name).startswith(said)
        assert len(list(hub_home.glob("modules/small/*"))) == 2
