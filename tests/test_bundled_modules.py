"""The modules that are registered: what their manifests and cards say, without a network and without torch."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from hub_core.addresses import HfAddress
from hub_core.hf_layout import config_json
from hub_core.paths import bundled
from hub_core.registry import LANGUAGES, bundled_registry
from hub_core.spec import WEIGHTS, ModuleSpec, read_manifest
from hub_core.trust import module_catalog

FOLDERS = sorted(path.parent for path in bundled("modules").glob("*/module.json"))
BASES = [folder for folder in FOLDERS if not (folder / WEIGHTS).is_file()]
OUTLINE = ["What it is", "Use", "Numbers", "Tokenizer", "Where the files come from", "Licence"]

#: All that a manifest may support: what the catalog has today, and what every encoder here will be given.
TASKS = ("seq-cls", "token-cls", "text-matching", "embedding", "masked-lm", "question-answering")
#: The tasks whose networks are heads of `transformers`, so that it opens a folder with one.
THEIR_TASKS = ("seq-cls", "token-cls", "masked-lm", "question-answering")

#: The files that a tokenizer is read from.
TOKENIZER_FILES: Mapping[str, set[str]] = {
    "wordpiece": {"vocab.txt"},
    "ernie": {"vocab.txt"},
    "wobert": {"vocab.txt"},
    "sentencepiece": {"spiece.model"},
    "transformers": {"tokenizer.json", "tokenizer_config.json"},
    "ernie-tiny": {"vocab.txt", "spm_cased_simp_sampled.model", "words.txt"},
}

#: Where the table of known models has numbers that are not those of the weights it names. They load with either, and
#: answer as they were trained with these only: config.json of voidful/albert_chinese_* and albert/albert-xlarge-v2 at
#: Hugging Face, and PaddleNLP's paddlenlp/transformers/albert/configuration.py.
WEIGHTS_SAY: Mapping[str, Mapping[str, Any]] = {
    "google-albert-base-zh": {"hidden_act": "relu"},
    "google-albert-large-zh": {"hidden_act": "relu"},
    "google-albert-xlarge-zh": {"hidden_act": "relu", "num_attention_heads": 16},
    "google-albert-xxlarge-zh": {"hidden_act": "relu", "num_attention_heads": 16},
    "google-albert-xlarge-en": {"num_attention_heads": 16},
}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(params=BASES, ids=lambda folder: folder.name)
def base(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_a_manifest_is_written_in_one_way_and_is_its_row_in_the_registry(folder: Path) -> None:
    spec = read_manifest(folder)
    assert (folder / "module.json").read_text(encoding="utf-8") == spec.dumps()
    assert bundled_registry().versions(folder.name) == (spec,)


def test_a_manifest_is_complete(folder: Path) -> None:
    spec, catalog = read_manifest(folder), module_catalog(read_manifest(folder), folder)
    assert spec.summary and spec.supports and spec.parameters and "hub" in spec.requires
    assert spec.homepage or spec.heads
    assert spec.languages and set(spec.languages) <= LANGUAGES.keys()
    assert len(spec.summary) <= 88 and not spec.summary.endswith(".")
    assert set(spec.supports) <= set(TASKS)
    tokenizer = catalog.entries("tokenizer")[spec.tokenizer["type"]].load()
    roles = {"type", *tokenizer.file_names, *tokenizer.optional_files}
    tokenizer.read_options({key: value for key, value in spec.tokenizer.items() if key not in roles})


def test_a_folder_has_a_card(folder: Path) -> None:
    assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# {folder.name}\n")


def test_a_bases_card_says_what_its_manifest_says(base: Path) -> None:
    spec, card = read_manifest(base), (base / "README.md").read_text(encoding="utf-8")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == OUTLINE
    assert f"| version | {spec.version}" in card and spec.summary in card and (spec.homepage or "-") in card
    assert f"| parameters without a head | {spec.parameters:,} |" in card
    config = spec.config
    assert f"| {config['num_hidden_layers']}, {config['hidden_size']}, {config['num_attention_heads']} |" in card
    assert f"| tasks | {', '.join(f'`{task}`' for task in spec.supports)} |" in card
    assert f'name="{spec.name}"' in card
    assert (f"{spec.license}, by its publisher" in card) == (spec.license is not None)
    assert ("lower-case" in card) == spec.tokenizer.get("lowercase", False)
    assert ('"symbols": "isolate"' in card) == (spec.tokenizer.get("symbols") == "isolate")
    for source in (source for file in spec.files for source in file.sources):
        assert source.url in card


def test_a_bases_tasks_are_those_of_its_architecture(base: Path) -> None:
    from transformers.models.auto import modeling_auto

    spec = read_manifest(base)
    assert spec.supports == TASKS and spec.loads_in == {"transformers": THEIR_TASKS}
    for head in ("MASKED_LM", "QUESTION_ANSWERING", "SEQUENCE_CLASSIFICATION", "TOKEN_CLASSIFICATION"):
        assert spec.family in getattr(modeling_auto, f"MODEL_FOR_{head}_MAPPING_NAMES")


def test_a_bases_numbers(base: Path) -> None:
    config = read_manifest(base).config
    assert config["hidden_size"] % config["num_attention_heads"] == 0
    assert config["max_position_embeddings"] >= 512 and config["pad_token_id"] < config["vocab_size"]
    assert {"initializer_range", "intermediate_size"} <= config.keys()
    assert {"hidden_act", "hidden_activation"} & config.keys() and {"layer_norm_eps", "norm_eps"} & config.keys()


def test_config_json_is_what_transformers_reads(base: Path) -> None:
    from transformers import AutoConfig

    record = config_json(read_manifest(base))
    config = AutoConfig.for_model(**record)
    # It spells out which layers see the whole text instead of keeping their distance.
    told = {key: getattr(config, key) for key in record.keys() - {"global_attn_every_n_layers", "id2label", "label2id"}}
    assert told == {key: record[key] for key in told}


def test_a_bases_files_have_addresses_in_order_and_no_invented_hashes(base: Path) -> None:
    spec = read_manifest(base)
    if spec.unavailable:
        assert spec.files == ()
        return
    assert {file.path for file in spec.files} == {WEIGHTS, *TOKENIZER_FILES[spec.tokenizer["type"]]}
    for file in spec.files:
        assert file.sources
        hugging_face = [source.url.startswith("hf:") for source in file.sources]
        assert hugging_face == sorted(hugging_face, reverse=True)
        for source in file.sources:
            assert (source.size, source.sha256) == (None, None)
            assert source.url.startswith("https://bj.bcebos.com/") or HfAddress.parse(source.url).revision == "main"
            if source.url.endswith((".pdparams", ".bin", ".pickle")):
                kinds = {".pdparams": "paddle", ".bin": "torch", ".pickle": "paddle-words"}
                assert source.convert == kinds[Path(source.url).suffix]
            elif file.path != WEIGHTS:
                assert source.convert is None


def test_a_module_without_an_address_says_why_and_what_to_do(base: Path) -> None:
    spec, card = read_manifest(base), " ".join((base / "README.md").read_text(encoding="utf-8").split())
    assert (spec.unavailable is None) == bool(spec.files)
    if spec.unavailable:
        assert f"No address: {spec.unavailable}." in card
        assert f"$ hub convert FOLDER OUT --name {spec.name} $ hub install ./OUT" in card


def test_a_bundled_head_is_one_that_its_task_can_make(folder: Path) -> None:
    spec = read_manifest(folder)
    for head in spec.heads:
        if head.task not in module_catalog(spec, folder).entries("task"):
            pytest.skip(f"there is no task {head.task} yet")
        task = module_catalog(spec, folder).get("task", head.task)
        if not head.options.keys() <= task.option_defaults.keys():
            pytest.skip(
                f"{head.task} does not have the options {sorted(head.options.keys() - task.option_defaults)} yet"
            )
        assert task(head.labels, head.options).labels == head.labels


def test_ernie_tiny_answers_to_paddlehubs_version_and_has_its_own_tokenizer() -> None:
    folder = bundled("modules") / "ernie_tiny"
    assert read_manifest(folder).also_versions == ("2.0.1",) and (folder / "plugin.py").is_file()


def table() -> dict[str, dict[str, Any]]:
    """The table of known models, where it is at hand (``HUB_MODELS_TABLE``, or beside the data).

    A name with a `/` is written with a dash here: it would be a folder's.
    """
    default = Path(__file__).parent.parent.parent / "shared" / "spec" / "models.json"
    path = Path(os.environ.get("HUB_MODELS_TABLE", default))
    if not path.is_file():
        pytest.skip("needs the table of known models: set HUB_MODELS_TABLE to models.json")
    return {row["name"].replace("/", "-"): row for row in json.loads(path.read_text(encoding="utf-8"))}


def test_every_known_model_is_registered() -> None:
    text_models = {name for name, row in table().items() if row["family"] != "imagebert"}
    assert text_models <= {folder.name for folder in BASES}
    assert {name for name in text_models if "hf" not in table()[name] and "paddle_weights" not in table()[name]} == {
        folder.name for folder in BASES if read_manifest(folder).unavailable
    }


def test_bases_agree_with_the_table_of_known_models(base: Path) -> None:
    row, spec = table().get(base.name), read_manifest(base)
    if row is None:
        return
    assert (spec.version, spec.family) == (row["version"], row["family"])
    assert {**row["config"], **WEIGHTS_SAY.get(base.name, {})}.items() <= spec.config.items()
    urls = {source.url for file in spec.files for source in file.sources}
    stated = [row.get("paddle_weights"), *row.get("paddle_tokenizer", {}).values()]
    assert {url.replace("http://", "https://") for url in stated if url} <= urls
    repositories = {HfAddress.parse(url).repo for url in urls if url.startswith("hf:")}
    assert repositories == ({row["hf"]} if "hf" in row else set())


def same_weights(spec: ModuleSpec) -> str:
    """The first address of a module's weights."""
    weights = next(file for file in spec.files if file.path == WEIGHTS)
    return weights.sources[0].url


def test_modules_of_the_same_weights_compute_the_same() -> None:
    """Two names for one file of weights may read texts differently, and differ in nothing that the weights decide."""
    first: dict[str, ModuleSpec] = {}
    for spec in (read_manifest(folder) for folder in BASES):
        if spec.unavailable:
            continue
        other = first.setdefault(same_weights(spec), spec)
        # BERT's GELU and its tanh form differ by less than 0.001; EasyTransfer takes one, PaddleHub the other.
        gelu = {"gelu": "gelu_new"}.get(spec.config.get("hidden_act", ""), spec.config.get("hidden_act"))
        theirs = {"gelu": "gelu_new"}.get(other.config.get("hidden_act", ""), other.config.get("hidden_act"))
        assert {**spec.config, "hidden_act": gelu} == {**other.config, "hidden_act": theirs}, (spec.name, other.name)
