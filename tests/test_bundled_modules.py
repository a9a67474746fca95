"""The modules that are registered: what their manifests and cards say, without a network."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from hub_core.addresses import HfAddress
from hub_core.hf_layout import config_json
from hub_core.paths import bundled
from hub_core.spec import WEIGHTS, ModuleSpec, read_manifest
from hub_core.trust import module_catalog

FOLDERS = sorted(path.parent for path in bundled("modules").glob("*/module.json"))
BASES = [folder for folder in FOLDERS if not (folder / WEIGHTS).is_file()]
OUTLINE = ["What it is", "Use", "Numbers", "Tokenizer", "Where the files come from", "Licence"]

#: Layers, hidden size, heads, inner size, vocabulary, positions, and parameters without a head.
NUMBERS = {
    "albert-chinese-tiny": (4, 312, 12, 1248, 21128, 512, 4_080_520),
    "bert-base-chinese": (12, 768, 12, 3072, 21128, 512, 102_267_648),
    "chinese-electra-small": (12, 256, 4, 1024, 21128, 512, 12_280_576),
    "ernie": (12, 768, 12, 3072, 18000, 513, 99_866_112),
    "ernie_tiny": (3, 1024, 16, 4096, 50006, 600, 90_662_912),
    "rbt3": (3, 768, 12, 3072, 21128, 512, 38_476_800),
    "roberta-wwm-ext": (12, 768, 12, 3072, 21128, 512, 102_267_648),
}


@pytest.fixture(params=FOLDERS, ids=lambda folder: folder.name)
def folder(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


@pytest.fixture(params=BASES, ids=lambda folder: folder.name)
def base(request: pytest.FixtureRequest) -> Path:
    return Path(request.param)


def test_the_bases_are_all_there() -> None:
    assert {folder.name for folder in BASES} >= NUMBERS.keys()


def test_a_manifest_is_written_in_one_way(folder: Path) -> None:
    assert (folder / "module.json").read_text(encoding="utf-8") == read_manifest(folder).dumps()


def test_a_manifest_is_complete(folder: Path) -> None:
    spec = read_manifest(folder)
    assert spec.summary and spec.languages and spec.supports
    assert "hub" in spec.requires
    assert set(spec.supports) <= module_catalog(spec, folder).entries("task").keys()
    assert spec.tokenizer["type"] in module_catalog(spec, folder).entries("tokenizer")


def test_a_folder_has_a_card(folder: Path) -> None:
    assert (folder / "README.md").read_text(encoding="utf-8").startswith(f"# {folder.name}\n")


def test_a_bases_card_says_what_its_manifest_says(base: Path) -> None:
    spec, card = read_manifest(base), (base / "README.md").read_text(encoding="utf-8")
    assert [line[3:] for line in card.splitlines() if line.startswith("## ")] == OUTLINE
    assert f"| version | {spec.version}" in card and spec.summary in card and (spec.homepage or "-") in card
    assert f"| parameters without a head | {NUMBERS[spec.name][-1]:,} |" in card
    assert (f"{spec.license}, by its publisher" in card) == (spec.license is not None)
    assert ("lower-case" in card) == spec.tokenizer["lowercase"]
    for source in (source for file in spec.files for source in file.sources):
        assert source.url in card


def test_a_bases_numbers(base: Path) -> None:
    config = read_manifest(base).config
    keys = ("num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size", "vocab_size")
    assert tuple(config[key] for key in (*keys, "max_position_embeddings")) == NUMBERS[base.name][:-1]
    assert config["layer_norm_eps"] == 1e-12 and config["pad_token_id"] == 0 and config["type_vocab_size"] == 2
    assert {"hidden_dropout_prob", "attention_probs_dropout_prob", "hidden_act", "initializer_range"} <= config.keys()


def test_a_bases_files_have_addresses_and_no_invented_hashes(base: Path) -> None:
    spec = read_manifest(base)
    assert {file.path for file in spec.files} >= {"model.safetensors", "vocab.txt"}
    for file in spec.files:
        assert file.sources
        for source in file.sources:
            assert (source.size, source.sha256) == (None, None)
            assert source.url.startswith("https://bj.bcebos.com/") or HfAddress.parse(source.url).revision == "main"
            if file.path == WEIGHTS:
                assert source.convert == ("paddle" if source.url.endswith(".pdparams") else "torch")


def test_ernie_tiny_answers_to_paddlehubs_version_and_has_its_own_tokenizer() -> None:
    folder = bundled("modules") / "ernie_tiny"
    spec = read_manifest(folder)
    assert spec.also_versions == ("2.0.1",) and (folder / "plugin.py").is_file()
    assert {file.path for file in spec.files} == {
        *("model.safetensors", "vocab.txt", "spm_cased_simp_sampled.model", "words.txt")
    }


def tables() -> dict[str, dict[str, Any]]:
    """The table of known models, where it is at hand (``HUB_MODELS_TABLE``, or beside the data)."""
    default = Path(__file__).parent.parent.parent / "shared" / "spec" / "models.json"
    path = Path(os.environ.get("HUB_MODELS_TABLE", default))
    if not path.is_file():
        pytest.skip("needs the table of known models: set HUB_MODELS_TABLE to models.json")
    return {row["name"]: row for row in json.loads(path.read_text(encoding="utf-8"))}


def test_bases_agree_with_the_table_of_known_models(base: Path) -> None:
    row, spec = tables()[base.name], read_manifest(base)
    assert (spec.version, spec.family) == (row["version"], row["family"])
    assert row["config"].items() <= spec.config.items()
    urls = {source.url for file in spec.files for source in file.sources}
    stated = [row.get("paddle_weights"), *row.get("paddle_tokenizer", {}).values()]
    assert {url.replace("http://", "https://") for url in stated if url} <= urls
    repositories = {HfAddress.parse(url).repo for url in urls if url.startswith("hf:")}
    assert repositories == ({row["hf"]} if "hf" in row else set())


def parameters(spec: ModuleSpec) -> int:
    """How many numbers the bare network has, counted on torch's meta device."""
    import torch
    from transformers import AutoConfig, AutoModel

    record = config_json(spec)
    with torch.device("meta"):
        network = AutoModel.from_config(AutoConfig.for_model(record.pop("model_type"), **record))
    return sum(parameter.numel() for parameter in network.parameters())


def test_transformers_builds_the_bases_at_full_size(base: Path) -> None:
    assert parameters(read_manifest(base)) == NUMBERS[base.name][-1]
