"""jieba behind our face: the same words, a private dictionary copy, one load per process."""

from __future__ import annotations

import importlib.metadata
import logging
import marshal
import pickle
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_text_contract import ANY_TEXT, SAMPLES, steady

from hub_core.errors import SettingsError
from hub_core.text import segment
from hub_core.text.segment import JiebaDictionarySegmenter, JiebaSegmenter, RustJiebaSegmenter

#: jieba's copy of its dictionary, by the version whose dictionary it is.
CACHE = f"jieba-{importlib.metadata.version('jieba')}.cache"


@pytest.fixture
def fresh() -> Iterator[None]:
    """As in a new process: nothing is loaded."""
    segment._cutter.cache_clear()
    yield
    segment._cutter.cache_clear()


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """jieba's copy of its dictionary, made once: making it takes a second."""
    home = tmp_path_factory.mktemp("home")
    segment._cutter.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HUB_HOME", str(home))
        JiebaSegmenter().cut("北京")
    return home / "cache" / "jieba" / CACHE


@pytest.fixture
def restarted(fresh: None, copy: Path, hub_home: Path) -> Path:
    """As in a new process that finds the copy of an earlier one."""
    folder = hub_home / "cache" / "jieba"
    folder.mkdir(parents=True, mode=0o700)
    shutil.copy2(copy, folder)
    return folder / CACHE


@given(text=ANY_TEXT)
@steady
def test_words_join_to_the_text_and_are_jiebas(text: str) -> None:
    import jieba

    words = JiebaSegmenter().cut(text)
    assert "".join(words) == text
    assert words == segment._cutter(()).lcut(text)
    assert isinstance(segment._cutter(()), jieba.Tokenizer)
    assert segment._cutter(()) is not jieba.dt


def test_the_dictionary_copy_is_private(copy: Path) -> None:
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700
    assert [path.name for path in copy.parent.iterdir()] == [CACHE]


def test_the_dictionary_copy_is_read_and_not_written_again(restarted: Path) -> None:
    stamp = restarted.stat().st_mtime_ns
    assert JiebaSegmenter().cut("我来到北京清华大学") == ["我", "来到", "北京", "清华大学"]
    assert restarted.stat().st_mtime_ns == stamp
    assert segment._cutter(()).tmp_dir == str(restarted.parent)


@pytest.mark.parametrize("damage", [b"", b"not marshalled", marshal.dumps(("words", "total")), marshal.dumps(7)])
def test_a_damaged_copy_is_made_anew(restarted: Path, damage: bytes) -> None:
    whole = restarted.read_bytes()
    restarted.write_bytes(damage)
    assert JiebaSegmenter().cut("我来到北京清华大学") == ["我", "来到", "北京", "清华大学"]
    assert marshal.loads(restarted.read_bytes()) == marshal.loads(whole)


@pytest.mark.usefixtures("fresh")
def test_a_copy_that_others_could_have_planted_is_not_read(hub_home: Path) -> None:
    folder = hub_home / "cache" / "jieba"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    (folder / CACHE).write_bytes(b"planted")
    assert JiebaSegmenter().cut("来到北京") == ["来到", "北京"]
    assert (folder / CACHE).read_bytes() != b"planted"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.usefixtures("fresh")
def test_a_link_in_its_place_is_refused(hub_home: Path, tmp_path: Path) -> None:
    (hub_home / "cache").mkdir(parents=True)
    (hub_home / "cache" / "jieba").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(SettingsError, match="is a link or belongs to another user"):
        JiebaSegmenter().cut("北京")
    (hub_home / "cache" / "jieba").unlink()
    (hub_home / "cache" / "jieba").write_text("a file")
    with pytest.raises(SettingsError, match="cannot be a folder: File exists"):
        JiebaSegmenter().cut("北京")


@pytest.mark.usefixtures("fresh")
def test_a_home_that_cannot_be_written_still_cuts(hub_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert JiebaSegmenter().cut("来到北京") == ["来到", "北京"]
    assert not hub_home.exists()


@pytest.mark.usefixtures("restarted")
def test_threads_load_it_once_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    loads = []
    original = segment._import_jieba
    monkeypatch.setattr(segment, "_import_jieba", lambda: loads.append(1) or original())
    results: dict[int, list[list[str]]] = {}
    segmenter = JiebaSegmenter()

    def work(number: int) -> None:
        results[number] = [segmenter.cut(text) for text in SAMPLES]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert loads == [1]
    assert len(results) == 8
    assert all(result == results[0] for result in results.values())


def test_user_words_are_words_and_only_theirs() -> None:
    taught = JiebaSegmenter(["云计算平台 10 n"])
    assert "云计算平台" in taught.cut("云计算平台很好")
    assert "云计算平台" not in JiebaSegmenter().cut("云计算平台很好")
    assert pickle.loads(pickle.dumps(taught)).cut("云计算平台很好") == taught.cut("云计算平台很好")


@pytest.mark.usefixtures("restarted")
def test_loading_prints_nothing_and_leaves_the_logger_as_it_was(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    import jieba

    jieba.setLogLevel(logging.DEBUG)
    with caplog.at_level(logging.DEBUG):
        JiebaSegmenter().cut("北京")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert logging.getLogger("jieba").level == logging.DEBUG


def test_it_imports_under_warnings_as_errors_and_not_before_it_cuts(tmp_path: Path) -> None:
    program = (
        "import sys; from hub_core.text.segment import JiebaSegmenter\n"
        "segmenter = JiebaSegmenter(); assert 'jieba' not in sys.modules\n"
        "print(segmenter.cut('来到北京'))"
    )
    environment = {"PYTHONPYCACHEPREFIX": str(tmp_path / "none"), "HUB_HOME": str(tmp_path), "PATH": ""}
    run = subprocess.run(
        [sys.executable, "-W", "error", "-X", "utf8", "-c", program],
        capture_output=True,
        text=True,
        env=environment,
        cwd=Path(__file__).parent.parent,
        check=False,
    )
    assert (run.stdout, run.stderr) == ("['来到', '北京']\n", "")


@pytest.mark.parametrize("kind", [JiebaSegmenter, JiebaDictionarySegmenter, RustJiebaSegmenter])
@steady
@given(lines=st.lists(ANY_TEXT, min_size=1, max_size=5))
def test_a_line_is_cut_as_if_it_stood_alone(kind: type[JiebaSegmenter], lines: list[str]) -> None:
    lines = [" ".join(line.split()) + text for line, text in zip(lines, SAMPLES, strict=False)]
    segmenter = kind()
    apart = [[*segmenter.cut(line), "\n"] for line in lines]
    assert segmenter.by_line
    assert [*segmenter.cut("\n".join(lines)), "\n"] == [word for words in apart for word in words]
