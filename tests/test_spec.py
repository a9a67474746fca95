from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from folders import manifest
from hypothesis import given
from hypothesis import strategies as st

from hub_core.errors import HubError, ManifestError
from hub_core.spec import (
    FileSpec,
    ModuleSpec,
    SourceSpec,
    canonical,
    loads_manifest,
    parse_manifest,
    read_manifest,
    safe_relative,
)

DIGEST = "a" * 64
FULL: dict[str, Any] = manifest(
    "ernie_tiny",
    "2.0.2",
    summary="一个小模型",
    license="Apache-2.0",
    languages=["zh"],
    homepage="https://a.example",
    requires={"hub": ">=0.1", "torch": ">=2,<9"},
    also_versions=["2.0.1"],
    loads_in={"transformers": ["seq-cls"]},
    files=[
        {
            "path": "model.safetensors",
            "sources": [
                {"url": "hf://org/repo@main/x.bin", "size": 3, "sha256": DIGEST, "convert": "torch"},
                {"url": "beside/x.safetensors"},
            ],
        }
    ],
    heads=[{"task": "token-cls", "labels": ["B", "O"], "name": "main", "options": {"suffix": True}}],
    base="ernie==2.0.2",
    metrics={"f1": 0.9},
    yanked="wrong labels",
    parameters=102_267_648,
    unavailable="on a disk in a drawer",
)


def problems(record: object) -> tuple[str, ...]:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(record)
    return caught.value.problems


def test_a_full_manifest_survives_the_round_trip() -> None:
    spec = parse_manifest(FULL)
    assert parse_manifest(json.loads(spec.dumps())) == spec
    assert spec.to_json() == {"schema": 1, **FULL}
    assert (spec.title, spec.canonical, str(spec.parsed_version)) == ("ernie_tiny 2.0.2", "ernie-tiny", "2.0.2")
    assert spec.files[0].sources[1] == SourceSpec("beside/x.safetensors")
    head = spec.head("main")
    assert head is not None and head.labels == ("B", "O") and head.options == {"suffix": True}
    assert spec.head() is None


def test_defaults_are_left_out() -> None:
    spec = parse_manifest(manifest())
    assert set(spec.to_json()) == {"schema", "name", "version", "family", "config", "tokenizer", "supports"}
    assert spec == ModuleSpec("small", "1.0", "bert", spec.config, spec.tokenizer, supports=("seq-cls", "token-cls"))


@pytest.mark.parametrize("name", ["bert_base_chinese", "Bert-Base.Chinese", "bert--base__chinese"])
def test_names_have_one_canonical_spelling(name: str) -> None:
    assert canonical(name) == "bert-base-chinese"


def test_every_problem_is_reported_at_once() -> None:
    found = problems({"name": "a b", "version": "new", "family": 1, "config": [], "adapter": {}, "licence": "MIT"})
    text = "\n".join(found)
    for piece in (
        "'a b' may hold letters",
        "'new' is not a version",
        "'family' must be a string, not 1",
        "'config' must be an object",
        "'tokenizer' is missing",
        "'adapter' needs a newer hub_core",
        "unknown key 'licence'; did you mean 'license'?",
    ):
        assert piece in text


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"schema": 2}, "schema 2 needs a newer hub_core"),
        ({"schema": True}, "'schema' must be a whole number"),
        ({"parameters": 0}, "'parameters' must be above 0, not 0"),
        ({"parameters": "102M"}, "'parameters' must be a whole number, not '102M'"),
        ({"unavailable": True}, "'unavailable' must be a string, not True"),
        ({"version": " 1.0"}, "is not a version"),
        ({"also_versions": ["x"]}, "'x' is not a version"),
        ({"languages": "zh"}, "'languages' must hold a list of strings"),
        ({"loads_in": {"transformers": "all"}}, "'loads_in' must hold a list of strings"),
        ({"requires": {"torch": "two"}}, "torch 'two' is not a version range"),
        ({"requires": {"torch": 2}}, "torch 2 is not a version range"),
        ({"files": {}}, "'files' must be a list of objects"),
        ({"files": ["x"]}, "'files' must be a list of objects"),
        ({"files": [{"path": 1}]}, "1 is not a plain relative path"),
        ({"files": [{"path": "../x"}]}, "'../x' is not a plain relative path"),
        ({"files": [{"path": "Module.json"}]}, "written by the hub itself"),
        ({"files": [{"path": "receipt.json"}]}, "written by the hub itself"),
        ({"files": [{"path": "a"}, {"path": "A"}]}, "a is listed twice"),
        ({"files": [{"path": "a", "sources": {}}]}, "sources must be a list of objects"),
        ({"files": [{"path": "a", "sources": [{"url": 3}]}]}, "neither an address nor a plain relative path"),
        ({"files": [{"path": "a", "sources": [{"url": "../x"}]}]}, "neither an address nor a plain relative path"),
        ({"files": [{"path": "a", "sources": [{"url": "b", "size": -1}]}]}, "size -1"),
        ({"files": [{"path": "a", "sources": [{"url": "b", "size": True}]}]}, "size True"),
        ({"files": [{"path": "a", "sources": [{"url": "b", "sha256": DIGEST.upper()}]}]}, "64 lower-case hex digits"),
        ({"files": [{"path": "a", "sources": [{"url": "b", "sha256": "../x"}]}]}, "64 lower-case hex digits"),
        ({"files": [{"path": "a", "sources": [{"url": "b", "convert": "padle"}]}]}, "did you mean 'paddle'"),
        ({"heads": [{"task": 1, "labels": ["a"]}]}, "a head needs a task and a name"),
        ({"heads": [{"task": "t", "labels": "ab"}]}, "needs a list of labels"),
        ({"heads": [{"task": "t", "labels": ["a", "a"]}]}, "has a label twice"),
    ],
)
def test_one_problem(change: Mapping[str, Any], problem: str) -> None:
    found = problems(manifest(**{"name": "small", "version": "1.0", **change}))
    assert len(found) == 1 and problem in found[0]


def test_a_manifest_must_be_an_object() -> None:
    assert problems([]) == ("must be a JSON object",)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ('{"name": \n', "line 2: Expecting value"),
        ('{"metrics": {"f1": NaN}}', "NaN is not a JSON number"),
        ('{"a":' * 100_000, "nested too deeply"),
    ],
)
def test_text_that_is_no_json(text: str, problem: str) -> None:
    with pytest.raises(ManifestError) as caught:
        loads_manifest(text, where="here")
    assert caught.value.problems == (problem,)


def test_reading_a_folder(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"is not a module folder: it has no module.json"):
        read_manifest(tmp_path)
    path = tmp_path / "module.json"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_manifest(tmp_path)
    path.write_text(json.dumps(FULL), encoding="utf-8")
    assert read_manifest(tmp_path) == parse_manifest(FULL)


@pytest.mark.parametrize("path", ["a", "vocab.txt", "sub/folder/x-1.json", "中文.txt", "a.b.c", ".hidden"])
def test_safe_paths(path: str) -> None:
    assert safe_relative(path)
    assert parse_manifest(manifest(files=[{"path": path}])).files == (FileSpec(path),)


@pytest.mark.parametrize(
    "path",
    [
        *("", ".", "..", "/etc/passwd", "a/../b", "a//b", "./a", "a/", "a\\b", "C:x", "C:\\x", "\\\\host\\share"),
        *("a\0b", "a\nb", " a", "a ", "sub /x", "a.", "sub./x", "CON", "con.txt", "sub/NUL", "com1.json"),
        *("a:b", "a*", "a|b"),
    ],
)
def test_unsafe_paths(path: str) -> None:
    assert not safe_relative(path)


@given(st.text(alphabet="ab./\\: \0C\u4e2d", max_size=12))
def test_safe_paths_stay_inside(path: str) -> None:
    root = Path("/root/of/module")
    if safe_relative(path):
        joined = Path(os.path.normpath(root / path))
        assert joined.is_relative_to(root) and joined != root
        assert joined.relative_to(root).as_posix() == path
