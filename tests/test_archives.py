"""Archives: packed in the same bytes everywhere, unpacked without trust, and installed."""

from __future__ import annotations

import io
import stat
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path

import pytest
from folders import module_folder, safetensors
from hypothesis import given
from hypothesis import strategies as st

from hub_core.archives import pack, unpack
from hub_core.errors import InstallError, IntegrityError, NotFoundError
from hub_core.installation import install
from hub_core.spec import safe_relative
from hub_core.store import Store


def everything(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def zip_of(path: Path, *members: tuple[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        for name, content in members:
            packed.writestr(name, content)
    return path


def tar_of(path: Path, *members: tarfile.TarInfo | tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                tar.addfile(member)
            else:
                info = tarfile.TarInfo(member[0])
                info.size = len(member[1])
                tar.addfile(info, io.BytesIO(member[1]))
    return path


class TestArchives:
    def test_the_same_files_make_the_same_bytes(self, tmp_path: Path) -> None:
        first, second = (module_folder(tmp_path / place / "small") for place in ("one", "two"))
        (second / "vocab.txt").chmod(0o600)
        for at, folder in enumerate((first, second)):
            pack(folder, tmp_path / f"{at}.tar")
            time.sleep(0.01)
        assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()

    def test_other_programs_read_them(self, tmp_path: Path) -> None:
        folder = module_folder(tmp_path / "small")
        pack(folder, tmp_path / "small.tar")
        listed = subprocess.run(["tar", "-tf", tmp_path / "small.tar"], capture_output=True, text=True, check=True)
        assert listed.stdout.splitlines() == sorted(f"small/{name}" for name in everything(folder))

    @pytest.mark.parametrize("options", [["-czf", "m.tar.gz"], ["-cJf", "m.tar.xz"], ["-czf", "m.tgz"]])
    def test_archives_of_other_programs_are_installed(self, tmp_path: Path, options: list[str]) -> None:
        module_folder(tmp_path / "small")
        subprocess.run(["tar", *options, "small"], cwd=tmp_path, check=True)
        assert install(tmp_path / options[1]).spec.title == "small 1.0"

    def test_an_archive_is_looked_at_again(self, tmp_path: Path) -> None:
        """As a folder it may have changed; and it is known by its own path, not by where it was unpacked."""
        pack(module_folder(tmp_path / "one" / "small"), tmp_path / "small.tar")
        first = install(str(tmp_path / "small.tar"))
        assert first.receipt is not None
        assert first.receipt.origin == str(tmp_path / "small.tar")
        pack(module_folder(tmp_path / "two" / "small", fill=1), tmp_path / "small.tar")
        again = install(str(tmp_path / "small.tar"))
        assert (again.folder / "model.safetensors").read_bytes() == safetensors(1)
        with pytest.raises(InstallError, match=f"small 1.0 is installed already, from {tmp_path / 'small.tar'}"):
            install(module_folder(tmp_path / "three"))
        assert list((Store().home / "cache" / "archives").iterdir()) == []

    def test_what_is_no_module(self, tmp_path: Path) -> None:
        (tmp_path / "x").mkdir()
        (tmp_path / "x" / "file.txt").write_text("x")
        pack(tmp_path / "x", tmp_path / "x.tar")
        with pytest.raises(InstallError, match="x.tar holds no module: it has no module.json"):
            install(tmp_path / "x.tar")
        (tmp_path / "y.tar.gz").write_text("no archive at all")
        with pytest.raises(IntegrityError, match="y.tar.gz is not a whole archive"):
            install(tmp_path / "y.tar.gz")
        with pytest.raises(NotFoundError, match="there is no file .*z.tar"):
            install(tmp_path / "z.tar")

    def test_what_is_cut_off(self, tmp_path: Path) -> None:
        pack(module_folder(tmp_path / "small"), tmp_path / "small.tar")
        whole = (tmp_path / "small.tar").read_bytes()
        for length in range(0, whole.rindex(b"\n"), 100):  # after the last file there are only zeros
            (tmp_path / "small.tar").write_bytes(whole[:length])
            with pytest.raises(IntegrityError, match="small.tar is not a whole archive"):
                install(tmp_path / "small.tar")
        assert [item for item in Store().installed() if not item.bundled] == []

    @pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:/x", "a\\x", "con", "a/aux.txt", "x."])
    def test_ways_out_of_the_folder(self, tmp_path: Path, name: str) -> None:
        archive = tar_of(tmp_path / "a.tar", ("good.txt", b"x"), (name, b"x"))
        with pytest.raises(IntegrityError, match="would not stay in the folder"):
            unpack(archive, tmp_path / "out")
        assert not (tmp_path / "out").exists()
        assert {path.name for path in tmp_path.iterdir()} == {"a.tar"}

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
    def test_what_is_no_regular_file(self, tmp_path: Path, kind: bytes) -> None:
        link = tarfile.TarInfo("model.safetensors")
        link.type, link.linkname = kind, "/etc/passwd"
        with pytest.raises(IntegrityError, match="'model.safetensors' is not a regular file"):
            unpack(tar_of(tmp_path / "a.tar", link), tmp_path / "out")

    def test_names_that_are_one_file_elsewhere(self, tmp_path: Path) -> None:
        with pytest.raises(IntegrityError, match="'readme.md' stands in it twice"):
            unpack(tar_of(tmp_path / "a.tar", ("README.md", b"x"), ("readme.md", b"y")), tmp_path / "out")

    @pytest.mark.parametrize("kind", ["tar", "zip"])
    def test_bombs(self, tmp_path: Path, kind: str) -> None:
        archive = {"tar": tar_of, "zip": zip_of}[kind](tmp_path / "a", ("a", b"x" * 11))
        with pytest.raises(IntegrityError, match="unpacks to 11 bytes, more than the 10 allowed"):
            unpack(archive, tmp_path / "out", limit=10)

    @pytest.mark.parametrize("names", [("a.txt", "b.txt"), ("m/a.txt", "m/b.txt"), ("./m/a.txt",), ("m/x/a.txt",)])
    def test_the_folder_around_everything_is_left_out(self, names: tuple[str, ...], tmp_path: Path) -> None:
        for make, place in ((tar_of, "tar"), (zip_of, "zip")):
            unpack(make(tmp_path / f"a.{place}", *((name, b"x") for name in names)), tmp_path / place)
            kept = {name.removeprefix("./").removeprefix("m/") for name in names}
            assert everything(tmp_path / place).keys() == kept

    def test_zips(self, tmp_path: Path) -> None:
        folder = module_folder(tmp_path / "small")
        files = [(f"small/{name}", content) for name, content in everything(folder).items()]
        archive = zip_of(tmp_path / "small.zip", *files, ("__MACOSX/small/._x", b"x"), ("small/.DS_Store", b"x"))
        assert install(archive).spec.title == "small 1.0"

    @pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "C:/x", "con"])
    def test_ways_out_of_the_folder_from_a_zip(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(IntegrityError, match="would not stay in the folder"):
            unpack(zip_of(tmp_path / "a.zip", ("good.txt", b"x"), (name, b"x")), tmp_path / "out")

    def test_links_in_a_zip(self, tmp_path: Path) -> None:
        link = zipfile.ZipInfo("model.safetensors")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as packed:
            packed.writestr(link, "/etc/passwd")
        with pytest.raises(IntegrityError, match="'model.safetensors' is not a regular file"):
            unpack(tmp_path / "a.zip", tmp_path / "out")

    def test_a_damaged_zip(self, tmp_path: Path) -> None:
        archive = zip_of(tmp_path / "a.zip", ("a.txt", bytes(1000)))
        content = bytearray(archive.read_bytes())
        content[100] ^= 1
        archive.write_bytes(content)
        with pytest.raises(IntegrityError, match="a.zip is not a whole archive: Bad CRC-32"):
            unpack(archive, tmp_path / "out")

    def test_a_disk_that_fails(self, tmp_path: Path) -> None:
        (tmp_path / "out").write_text("a file where the folder should be")
        with pytest.raises(InstallError, match="cannot be unpacked into") as caught:
            unpack(tar_of(tmp_path / "a.tar", ("a", b"x")), tmp_path / "out")
        assert not isinstance(caught.value, IntegrityError)

    @given(
        st.dictionaries(
            st.text(st.characters(categories=("Ll", "Nd", "Lo")), min_size=1, max_size=8), st.binary(), min_size=1
        )
    )
    def test_what_goes_in_comes_out(self, tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]) -> None:
        place = tmp_path_factory.mktemp("round")
        (place / "m").mkdir()
        for name, content in files.items():
            (place / "m" / f"{name}.txt").write_bytes(content)
        kept = everything(place / "m")
        if len({name.casefold() for name in kept}) == len(kept) and all(map(safe_relative, kept)):
            pack(place / "m", place / "m.tar")
            unpack(place / "m.tar", place / "out")
            assert everything(place / "out") == kept
