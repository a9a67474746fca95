from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from folders import manifest, module_folder, spec
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement as PackagingRequirement
from packaging.specifiers import SpecifierSet
from packaging.version import Version

from hub_core import registry as registry_file
from hub_core.errors import ManifestError, NotFoundError, ResolutionError, SettingsError
from hub_core.paths import bundled
from hub_core.registry import (
    Registry,
    Requirement,
    build_registry,
    bundled_registry,
    by_languages,
    environment_version,
    main,
    natural_order,
    parse_requirement,
)
from hub_core.registry_page import END, START, parameters_in_words
from hub_core.spec import ModuleSpec


def registry_of(*specs: ModuleSpec) -> Registry:
    newest_first = sorted(specs, key=lambda item: item.parsed_version, reverse=True)
    names = {item.canonical for item in specs}
    return Registry("test", {name: tuple(s for s in newest_first if s.canonical == name) for name in names})


@pytest.mark.parametrize(
    ("text", "version", "expected"),
    [
        ("ernie_tiny", None, "ernie_tiny"),
        ("  ernie_tiny  ", None, "ernie_tiny"),
        ("ernie_tiny==2.0.1", None, "ernie_tiny==2.0.1"),
        ("ernie_tiny=2.0.1", None, "ernie_tiny==2.0.1"),
        ("ernie_tiny >= 2, < 3", None, "ernie_tiny<3,>=2"),
        ("ernie_tiny~=2.0", None, "ernie_tiny~=2.0"),
        ("ernie_tiny", "2.0.1", "ernie_tiny==2.0.1"),
        ("ernie_tiny", "=2.0.1", "ernie_tiny==2.0.1"),
        ("ernie_tiny", "==2.*", "ernie_tiny==2.*"),
        ("ernie_tiny", ">=2,<3", "ernie_tiny<3,>=2"),
        ("ernie_tiny", "", "ernie_tiny"),
        ("bert-base-chinese!=1", None, "bert-base-chinese!=1"),
    ],
)
def test_requests(text: str, version: str | None, expected: str) -> None:
    assert str(parse_requirement(text, version)) == expected


@pytest.mark.parametrize("text", ["", "   ", "../x", "a b", "ernie tiny>=2", "-x", "a;b", "a[b]", "a @ https://b"])
def test_requests_that_cannot_be_understood(text: str) -> None:
    with pytest.raises(SettingsError, match="is not a"):
        parse_requirement(text)


def test_versions_that_cannot_be_understood() -> None:
    with pytest.raises(SettingsError, match="'newest' is not a version or a range"):
        parse_requirement("a", "newest")
    with pytest.raises(SettingsError, match="versions are given twice"):
        parse_requirement("a>=1", "2")


@given(st.sampled_from(["a", "a_b", "A.b-c9"]), st.sampled_from(["", ">=1", "==1.0", "~=1.2", "!=1.*", ">1,<=2.0rc1"]))
def test_requests_are_read_as_packaging_reads_them(name: str, versions: str) -> None:
    ours, theirs = parse_requirement(name + versions), PackagingRequirement(name + versions)
    assert (ours.name, ours.specifier) == (theirs.name, theirs.specifier)


def test_the_newest_registered_version_answers() -> None:
    known = registry_of(spec(version="1.0"), spec(version="1.10"), spec(version="1.9"))
    assert known.resolve(parse_requirement("small")).version == "1.10"
    assert known.resolve(parse_requirement("Small<1.10")).version == "1.9"
    assert known.resolve(parse_requirement("small", "1")).version == "1.0"


def test_an_installed_version_answers_before_a_newer_registered_one() -> None:
    known = registry_of(spec(version="2.0"))
    assert known.resolve(parse_requirement("small"), [spec(version="1.0"), spec(version="0.9")]).version == "1.0"
    assert known.resolve(parse_requirement("small>=2"), [spec(version="1.0")]).version == "2.0"
    assert known.resolve(parse_requirement("other"), [spec("other", "1.0")]).title == "other 1.0"


def test_an_alias_answers_to_its_exact_version_only() -> None:
    known = registry_of(spec(version="2.0.2", also_versions=["2.0.1"]))
    assert known.resolve(parse_requirement("small", "2.0.1")).version == "2.0.2"
    with pytest.raises(ResolutionError):
        known.resolve(parse_requirement("small<2.0.2"))
    both = registry_of(spec(version="2.0.2", also_versions=["2.0.1"]), spec(version="2.0.1"))
    assert both.resolve(parse_requirement("small", "2.0.1")).version == "2.0.1"


def test_withdrawn_and_pre_releases_only_by_their_version() -> None:
    known = registry_of(
        spec(version="1.0"), spec(version="2.0rc1"), spec(version="3.0", yanked="bad labels", also_versions=["2.9"])
    )
    assert known.resolve(parse_requirement("small")).version == "1.0"
    assert known.resolve(parse_requirement("small==2.0rc1")).version == "2.0rc1"
    assert known.resolve(parse_requirement("small==3")).version == "3.0"
    for request in ("small>=2", "small==2.9"):
        with pytest.raises(ResolutionError, match=r"3.0 was withdrawn .bad labels.; ==3.0 takes it all the same"):
            known.resolve(parse_requirement(request))


def test_a_refusal_gives_the_reason_for_every_version() -> None:
    known = registry_of(
        spec(version="1.0"),
        spec(version="2.0", requires={"torch": ">=99"}),
        spec(version="2.1", requires={"hub": ">=0.1", "nowhere": ">=1"}),
        spec(version="3.0a1"),
    )
    with pytest.raises(ResolutionError) as caught:
        known.resolve(parse_requirement("small>1"), [spec(version="0.5")], environment={"hub": "1", "torch": "2.1"}.get)
    assert str(caught.value).splitlines() == [
        "no version of small answers 'small>1':",
        "  0.5 (installed) is not >1",
        "  3.0a1 is a pre-release; ==3.0a1 takes it",
        "  2.1 needs nowhere>=1, which is not installed",
        "  2.0 needs torch>=99, found 2.1",
        "  1.0 is not >1",
    ]


def test_an_unknown_name_has_near_matches() -> None:
    known = registry_of(spec("ernie_tiny"), spec("ernie"))
    with pytest.raises(NotFoundError, match="unknown module 'ernie-tinny'; did you mean 'ernie_tiny'") as caught:
        known.resolve(parse_requirement("ernie-tinny"), [spec("mine")])
    assert not isinstance(caught.value, ResolutionError)
    assert "mine" in str(caught.value) and "hub search" in str(caught.value)


def test_the_environment_is_read_without_importing() -> None:
    assert environment_version("hub") == registry_file.__version__
    assert environment_version("python") is not None
    assert environment_version("pluggy") == metadata.version("pluggy")
    assert environment_version("no-such-package") is None
    newer = registry_of(spec(requires={"hub": ">=0.0.1", "python": ">=3.11", "pluggy": ">=1"}))
    assert newer.resolve(parse_requirement("small")).version == "1.0"


versions = st.sampled_from(["0.9", "1.0", "1.1", "1.10", "2.0rc1", "2.0", "3.0.dev1", "1!0.1"])
ranges = st.sampled_from(["", ">=1", "<2", "==1.1", "!=1.0", "~=1.0", ">1,<2.0", "==2.0rc1", "==7"])


@given(st.sets(versions), st.sets(versions), st.sets(versions), ranges)
def test_resolution_against_a_plain_statement_of_the_rules(
    registered: set[str], installed: set[str], yanked: set[str], wanted: str
) -> None:
    known = registry_of(*(spec(version=v, **({"yanked": "x"} if v in yanked else {})) for v in registered))
    own = [spec(version=v) for v in installed]
    specifier = SpecifierSet(wanted)
    exact = wanted.startswith("==")

    def fits(version: str, withdrawn: bool) -> bool:
        plain = not Version(version).is_prerelease and not withdrawn
        return specifier.contains(version, prereleases=True) and (exact or plain)

    mine = [v for v in installed if fits(v, False)]
    theirs = [v for v in registered if fits(v, v in yanked)]
    requirement = Requirement("small", specifier)
    if mine or theirs:
        assert known.resolve(requirement, own).version == max(mine or theirs, key=Version)
    else:
        with pytest.raises(NotFoundError) as caught:
            known.resolve(requirement, own)
        assert isinstance(caught.value, ResolutionError) == bool(registered or installed)
        for version in registered | installed:
            assert f"  {version} " in str(caught.value)


@given(st.permutations(["1.0", "1.2", "1.10", "2.0"]), ranges)
def test_the_order_of_rows_is_of_no_importance(order: Sequence[str], wanted: str) -> None:
    def answer(rows: Sequence[str]) -> str:
        try:
            return registry_of(*(spec(version=v) for v in rows)).resolve(parse_requirement("small", wanted)).version
        except ResolutionError as error:
            return str(error)

    assert answer(order) == answer(sorted(order))


def test_search_wants_every_word() -> None:
    known = registry_of(
        spec("ernie_tiny", "1.0", summary="Small and Fast", family="ernie", languages=["zh"]),
        spec("ernie_tiny", "2.0", summary="Small and Fast", family="ernie", languages=["zh"]),
        spec("ner", "1.0", summary="names", heads=[{"task": "token-cls", "labels": ["O"]}], supports=[]),
        spec("gone", "1.0", yanked="bad"),
    )
    assert [item.title for item in known.search()] == ["ernie_tiny 2.0", "ner 1.0"]
    assert [item.name for item in known.search("FAST ernie-tiny zh")] == ["ernie_tiny"]
    assert [item.name for item in known.search(["token-cls", "names"])] == ["ner"]
    assert known.search("fast names") == []


def test_what_is_trained_for_a_task_comes_first() -> None:
    known = registry_of(
        spec("a-base", languages=["zh"], supports=["embedding", "token-cls"]),
        spec("many", summary="embeddings, Chinese among them", languages=["multilingual"], supports=["embedding"]),
        spec("ours", languages=["zh"], supports=["embedding"], heads=[{"task": "embedding", "labels": []}]),
    )
    for words in ("chinese embedding", "zh embedding", "中文 向量", "中文向量模型"):
        assert [item.name for item in known.search(words)] == ["many", "ours", "a-base"], words
    assert [item.name for item in known.search("命名实体识别")] == ["a-base"]
    assert known.search("中文诗") == []
    assert known.near(["embeding", "ouurs", "zh"]) == ["embedding", "ours"]


def test_the_bundled_registry_is_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    known = json.loads(bundled("registry.json").read_text(encoding="utf-8"))
    assert known == build_registry(bundled("modules")), "run python -m hub_core.registry"
    assert main(["--check"]) == 0
    assert "is up to date" in capsys.readouterr().out


def test_the_bundled_registry_knows_paddlehubs_request() -> None:
    known = bundled_registry()
    assert known.resolve(parse_requirement("ernie_tiny", "2.0.1")).title == "ernie_tiny 2.0.2"
    assert known.resolve(parse_requirement("bert_base_chinese")).name == "bert-base-chinese"
    assert known is bundled_registry()


def test_writing_a_registry(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    modules, output = tmp_path / "modules", tmp_path / "registry.json"
    module_folder(modules / "b_one", "b_one")
    module_folder(modules / "a", "a", "2.0")
    (modules / "no-module").mkdir()
    arguments = ["--modules", str(modules)]
    assert main([*arguments, "--check"]) == 1
    assert main(arguments) == 0
    assert main([*arguments, "--check", "--output", str(output)]) == 0
    record = json.loads(output.read_text(encoding="utf-8"))
    assert list(record["modules"]) == ["a", "b-one"]
    known = Registry.load(output)
    assert known.versions("B-One")[0].title == "b_one 1.0" and known.versions("c") == ()
    assert known.folder(known.versions("a")[0]) == modules / "a"
    assert known.folder(spec("other")) is None
    (modules / "a" / "module.json").write_text(json.dumps(manifest("a", "2.1")))
    assert main([*arguments, "--check"]) == 1
    assert "out of date: run python -m hub_core.registry" in capsys.readouterr().out


def test_the_table_in_a_page_is_made_of_the_manifests(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module_folder(tmp_path / "modules" / "b10", "b10", parameters=102_267_648, languages=["en"], summary="large")
    module_folder(
        tmp_path / "modules" / "b9", "b9", parameters=4_080_520, languages=["en"], license="MIT", summary="small"
    )
    module_folder(
        tmp_path / "modules" / "c", "c", languages=["zh"], summary="nowhere", unavailable="on a disk in a drawer"
    )
    page, other = tmp_path / "docs" / "modules.md", tmp_path / "docs" / "zh" / "modules.md"
    for path in (page, other):
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"# Modules\n\n{START}\nold\n{END}\nthe end\n", encoding="utf-8")
    (tmp_path / "docs" / "training.md").write_text("no table", encoding="utf-8")
    arguments = ["--modules", str(tmp_path / "modules")]
    assert main([*arguments, "--check"]) == 1
    assert f"{page} is out of date: run python -m hub_core.registry" in capsys.readouterr().out
    assert main(arguments) == 0 and main([*arguments, "--check"]) == 0
    lines = page.read_text(encoding="utf-8").splitlines()
    assert (lines[0], lines[2], lines[-2], lines[-1]) == ("# Modules", START, END, "the end")
    assert [line for line in lines if line.startswith(("###", "| ["))] == [
        "### Chinese",
        "| [`c`](../modules/c/README.md) | 1.0 |  | 1 × 4 | not stated | nowhere (no address) |",
        "### English",
        "| [`b9`](../modules/b9/README.md) | 1.0 | 4.1M | 1 × 4 | MIT | small |",
        "| [`b10`](../modules/b10/README.md) | 1.0 | 102M | 1 × 4 | not stated | large |",
    ]
    assert "(../../modules/c/README.md)" in other.read_text(encoding="utf-8")


def test_names_and_languages_are_in_the_order_that_people_expect() -> None:
    assert sorted(["b-l10", "B-l2", "a"], key=natural_order) == ["a", "B-l2", "b-l10"]
    groups = by_languages(["en", "ja", "zh", "zh,en", ""], key=lambda codes: tuple(filter(None, codes.split(","))))
    assert list(groups) == ["no stated language", "Chinese", "Chinese and English", "English", "ja"]
    counts = {None: "", 512: "0.0M", 9_949_999: "9.9M", 9_950_000: "10M", 999_499_999: "999M", 999_500_000: "1.0B"}
    assert {count: parameters_in_words(count) for count in counts} == counts


def test_a_registry_is_not_made_of_ambiguous_folders(tmp_path: Path) -> None:
    module_folder(tmp_path / "wrong", "right")
    with pytest.raises(ManifestError, match="the folder must be called right"):
        build_registry(tmp_path)
    (tmp_path / "wrong").rename(tmp_path / "right")
    module_folder(tmp_path / "Right", "Right")
    with pytest.raises(ManifestError, match="another folder holds right already"):
        build_registry(tmp_path)


def test_a_registry_without_folders_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "registry.json").write_text(json.dumps({"schema": 1, "registry_id": "x", "modules": {}}))
    known = Registry.load(tmp_path / "registry.json")
    assert known.root is None and known.folder(spec()) is None


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        ([], "must be an object with registry_id"),
        ({"modules": {}}, "must be an object with registry_id"),
        ({"registry_id": "x", "modules": {}, "schema": 9}, "schema 9 is not known"),
        ({"registry_id": "x", "schema": 1, "modules": {"a": []}}, "a: must map versions to manifests"),
        ({"registry_id": "x", "schema": 1, "modules": {"a": {"1.0": {}}}}, "a 1.0: key 'name' is missing"),
        (
            {"registry_id": "x", "schema": 1, "modules": {"a": {"1.0": manifest("b")}}},
            "a 1.0: its manifest is of b 1.0",
        ),
    ],
)
def test_a_damaged_registry(tmp_path: Path, record: Any, problem: str) -> None:
    path = tmp_path / "registry.json"
    path.write_text(json.dumps(record))
    with pytest.raises(ManifestError, match=problem):
        Registry.load(path)


def test_a_registry_that_is_no_json(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be read"):
        Registry.load(tmp_path / "none.json")
