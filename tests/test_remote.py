"""Addresses in place of paths: a real web server on this machine, and fsspec's file system in memory."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from pathlib import Path

import fsspec
import pytest
from command_line import Hub, write_manifest
from loopback import Answer, Loopback

from hub_core.data.folder import find_split
from hub_core.data.remote import files_in, is_address, local_file
from hub_core.data.tables import read_table
from hub_core.data.texts import read_texts
from hub_core.datasets import LCQMC, TextClassificationDataset, folder_dataset
from hub_core.errors import DataError, InstallError, NotFoundError, SettingsError, SourceError
from hub_core.tasks.seq_cls import SeqCls

MOODS = SeqCls(("a", "b"))
TRAIN = "label\ttext_a\n" + "".join(f"{n % 2}\t第{n}行很{'好' if n % 2 else '差'}\n" for n in range(400))


@pytest.fixture
def site() -> Iterator[Loopback]:
    with Loopback(files={"/reviews/train.tsv": TRAIN.encode(), "/texts.txt": "好\n差\n".encode()}) as running:
        names = ("train.tsv", "dev%20of%20mine.jsonl", "labels.txt")
        page = "".join(f'<a href="{name}">{name}</a>' for name in names).encode()
        for path in ("/reviews", "/reviews/"):
            running.hooks[path] = lambda request: request.send(200, page, {"Content-Type": "text/html"})
        running.files["/reviews/labels.txt"] = b"1\n0\n"
        running.files["/reviews/dev%20of%20mine.jsonl"] = '{"text": "好", "label": 1}\n'.encode()
        yield running


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    yield files
    files.store.clear()


def cached(home: Path) -> list[Path]:
    return [path for path in home.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    "place", ["https://h/a.tsv", "s3://b/k", "memory://a", "hf://datasets/o/n", "zip://a::s3://b/c.zip"]
)
def test_addresses(place: str) -> None:
    assert is_address(place)
    assert is_address(Path(place))


@pytest.mark.parametrize("place", ["a/b.tsv", "/a/b.tsv", "C:/a.tsv", r"C:\a.tsv", "a:b.tsv", "", "./x://y"])
def test_paths(place: str) -> None:
    assert not is_address(place)
    assert local_file(place) == Path(place)


class TestMemory:
    def test_a_file_is_fetched_once_until_it_changes(self, memory: fsspec.AbstractFileSystem, hub_home: Path) -> None:
        memory.pipe("/data/texts.txt", "好\n".encode())
        path = local_file("memory://data/texts.txt")
        assert (path.name, path.read_text(encoding="utf-8")) == ("texts.txt", "好\n")
        assert local_file(Path("memory://data/texts.txt")) == path
        assert len(cached(hub_home)) == 1
        memory.pipe("/data/texts.txt", "差\n".encode())
        assert local_file("memory://data/texts.txt").read_text(encoding="utf-8") == "差\n"
        assert len(cached(hub_home)) == 2

    def test_folders_and_files_wherever_a_path_is_taken(self, memory: fsspec.AbstractFileSystem) -> None:
        memory.pipe("/reviews/train.tsv", TRAIN.encode())
        memory.pipe("/reviews/labels.txt", b"1\n0\n")
        memory.pipe("/lcqmc/dev.txt", "甲\t乙\t1\n".encode())
        data = folder_dataset("memory://reviews", task="seq-cls")
        assert (len(data), data.label_list, data[0].key) == (400, ["1", "0"], "train.tsv:2")
        assert list(files_in("memory://reviews")) == ["labels.txt", "train.tsv"]
        assert find_split("memory://reviews/", "train").name == "train.tsv"
        assert len(list(read_table("memory://reviews/train.tsv"))) == 400
        own = TextClassificationDataset(
            "memory://reviews", label_file="labels.txt", data_file="train.tsv", is_file_with_header=True
        )
        assert list(own) == list(data)
        assert LCQMC(mode="dev", data_dir="memory://lcqmc", task="seq-cls")[0].pair == "乙"
        assert len(read_texts("memory://lcqmc/dev.txt", task=MOODS)) == 1

    def test_what_is_not_there(self, memory: fsspec.AbstractFileSystem, hub_home: Path) -> None:
        memory.pipe("/reviews/train.tsv", b"x")
        with pytest.raises(NotFoundError, match="no file memory://reviews/dev.tsv"):
            local_file("memory://reviews/dev.tsv")
        with pytest.raises(NotFoundError, match="no folder memory://nowhere"):
            folder_dataset("memory://nowhere", task="seq-cls")
        with pytest.raises(NotFoundError, match=r"unknown split 'dev' in memory://reviews .*known: train"):
            find_split("memory://reviews", "dev")
        with pytest.raises(NotFoundError, match="memory://reviews is a folder; a file is needed here"):
            local_file("memory://reviews")
        assert cached(hub_home) == []

    def test_errors_name_a_file_that_can_be_looked_at(self, memory: fsspec.AbstractFileSystem) -> None:
        memory.pipe("/reviews/train.tsv", b"label\ttext\n1\t\n")
        with pytest.raises(DataError) as caught:
            folder_dataset("memory://reviews", task="seq-cls")
        place, _, fault = caught.value.problems[0].partition(".tsv:2: ")
        assert Path(f"{place}.tsv").is_file()
        assert fault == "the text is empty"

    def test_a_file_system_that_breaks_off(
        self, memory: fsspec.AbstractFileSystem, hub_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.pipe("/a.tsv", b"x" * 100)

        def short(self: object, source: str, target: str) -> None:
            Path(target).write_bytes(b"x" * 60)

        monkeypatch.setattr(type(memory), "get_file", short)
        with pytest.raises(SourceError, match="memory://a.tsv: the transfer broke off after 60 of 100 bytes"):
            local_file("memory://a.tsv")
        assert cached(hub_home) == []

    def test_a_disk_that_is_full(
        self, memory: fsspec.AbstractFileSystem, hub_home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        memory.pipe("/a.tsv", b"x" * 100)

        def full(self: object, source: str, target: str) -> None:
            Path(target).write_bytes(b"x")
            raise OSError(errno.ENOSPC, "No space left on device", target)

        monkeypatch.setattr(type(memory), "get_file", full)
        with pytest.raises(InstallError, match=r"cannot store memory://a\.tsv: .*No space left on device"):
            local_file("memory://a.tsv")
        assert cached(hub_home) == []

    def test_a_disk_that_fails(self, memory: fsspec.AbstractFileSystem, hub_home: Path) -> None:
        memory.pipe("/a.tsv", b"x")
        hub_home.mkdir()
        (hub_home / "cache").write_bytes(b"")
        with pytest.raises(InstallError, match=r"cannot store memory://a\.tsv: .*; set HUB_HOME to another folder"):
            local_file("memory://a.tsv")

    def test_without_network(self, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch) -> None:
        memory.pipe("/a.tsv", b"1")
        path = local_file("memory://a.tsv")
        monkeypatch.setenv("HUB_OFFLINE", "1")
        memory.store.clear()
        assert local_file("memory://a.tsv") == path
        with pytest.raises(SourceError, match="the network is forbidden .*, and no copy was fetched before"):
            local_file("memory://b.tsv")


class TestHttp:
    def test_several_at_once(self, site: Loopback, hub_home: Path) -> None:
        found: list[str] = []
        address = f"{site.url}/reviews/train.tsv"
        threads = [
            threading.Thread(target=lambda: found.append(local_file(address).read_text(encoding="utf-8")))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [TRAIN] * 8
        assert len(cached(hub_home)) == 1

    def test_a_file_and_a_folder(self, site: Loopback) -> None:
        assert [one.text for one in read_texts(f"{site.url}/texts.txt?token=secret", task=MOODS)] == ["好", "差"]
        data = folder_dataset(f"{site.url}/reviews", task="seq-cls")
        assert (len(data), data.label_list) == (400, ["1", "0"])
        assert folder_dataset(f"{site.url}/reviews", task="seq-cls", mode="dev of mine")[0].label == "1"

    def test_it_is_fetched_again_when_its_etag_changes(self, site: Loopback) -> None:
        first = local_file(f"{site.url}/texts.txt")
        wholes = len(site.seen)
        assert local_file(f"{site.url}/texts.txt") == first
        assert len(site.seen) - wholes <= 2  # only asks about its state
        site.files["/texts.txt"] = "吗\n呢\n".encode()
        assert local_file(f"{site.url}/texts.txt").read_text(encoding="utf-8") == "吗\n呢\n"

    @pytest.mark.parametrize("after", [0, 1000])
    def test_a_connection_that_breaks_half_way(self, after: int, site: Loopback, hub_home: Path) -> None:
        def drop(request: Answer) -> None:
            request.break_off(TRAIN.encode(), after=after)

        site.hooks["/reviews/train.tsv"] = drop
        with pytest.raises(SourceError) as caught:
            folder_dataset(f"{site.url}/reviews", task="seq-cls")
        assert str(caught.value).startswith(f"{site.url}/reviews/train.tsv: ")
        assert "\n" not in str(caught.value)
        assert [path.name for path in cached(hub_home)] == ["labels.txt"] * len(cached(hub_home))
        del site.hooks["/reviews/train.tsv"]
        assert len(folder_dataset(f"{site.url}/reviews", task="seq-cls")) == 400

    def test_bad_answers(self, site: Loopback, hub_home: Path) -> None:
        with pytest.raises(NotFoundError, match=f"no file {site.url}/gone.tsv"):
            local_file(f"{site.url}/gone.tsv")
        site.hooks["/closed.tsv"] = lambda request: request.send(403, b"no")
        with pytest.raises(SourceError, match=r"closed\.tsv: ClientResponseError: 403"):
            local_file(f"{site.url}/closed.tsv")
        with pytest.raises(NotFoundError, match="lists no files; a folder on a web server must answer with a page"):
            folder_dataset(f"{site.url}/texts.txt", task="seq-cls")
        with pytest.raises(NotFoundError, match="is the address of a folder; a file is needed here"):
            read_texts(f"{site.url}/reviews/", task=MOODS)
        assert cached(hub_home) == []

    def test_secrets_stay_out_of_messages(self, site: Loopback) -> None:
        site.hooks["/closed.tsv"] = lambda request: request.send(403, b"no")
        for address in (f"{site.url}/closed.tsv?token=secret", f"{site.url}/gone.tsv?token=secret"):
            with pytest.raises((SourceError, NotFoundError)) as caught:
                local_file(address)
            assert "secret" not in str(caught.value)

    def test_nobody_answers(self, hub_home: Path) -> None:
        with Loopback() as gone:
            address = f"{gone.url}/train.tsv"
        with pytest.raises(SourceError, match=r"train\.tsv: ClientConnectorError: Cannot connect"):
            local_file(address)
        assert cached(hub_home) == []


class TestSchemes:
    def test_a_scheme_that_nobody_knows(self) -> None:
        with pytest.raises(SourceError, match=r"nonsense://a/b\.tsv: Protocol not known: nonsense"):
            local_file("nonsense://a/b.tsv")

    def test_a_package_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
        with pytest.raises(
            SettingsError, match=r"gs://a/b\.tsv: .*gcsfs.*`pip install 'hub_core\[remote\]'` brings http"
        ):
            local_file("gs://a/b.tsv")

    def test_a_file_address(self, tmp_path: Path) -> None:
        (tmp_path / "a.tsv").write_text("x")
        for place in ((tmp_path / "a.tsv").as_uri(), Path((tmp_path / "a.tsv").as_uri())):
            assert local_file(place).read_text() == "x"


class TestCommandLine:
    def test_train_evaluate_and_predict(
        self, memory: fsspec.AbstractFileSystem, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub = Hub(capsys)
        for split in ("train", "dev", "test"):
            memory.pipe(f"/reviews/{split}.tsv", TRAIN[:900].encode())
        memory.pipe("/texts.txt", "很好\n很差\n".encode())
        manifest = write_manifest(tmp_path / "student.json")
        trained = hub(
            *("train", "--manifest", manifest, "--task", "seq-cls", "--data", "memory://reviews", "--epochs", 1),
            *("--checkpoint-dir", tmp_path / "ckpt", "--no-tensorboard", "--json"),
        )
        assert trained.json["steps"] > 0
        best = tmp_path / "ckpt" / "best_model"
        assert hub("evaluate", "-m", best, "--data", "memory://reviews", "--json").json["data"] == "memory://reviews"
        answers = hub("predict", "-m", best, "--data", "memory://texts.txt")
        assert answers.out.count("\n") == 2
        assert "memory://gone" in hub.fails("evaluate", "-m", best, "--data", "memory://gone")
        assert "error" not in hub("run", best, "--input-path", "memory://texts.txt").err
