"""Cutting Chinese text into words."""

from __future__ import annotations

import gc
import importlib
import logging
import marshal
import os
import shutil
import stat
import tempfile
import threading
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from hub_core.errors import SettingsError
from hub_core.paths import hub_home

_LOADING = threading.Lock()


class Segmenter(Protocol):
    """What is registered under the kind ``segmenter``: a class that is made with `user_words` and cuts text.

    One that has an attribute `by_line`, which is true, cuts every line as if it stood alone, and has a line feed as a
    word between two; many sentences are then cut in one call. An attribute `package` names the distribution whose
    version decides how it cuts: a corpus keeps it.
    """

    def __init__(self, user_words: Iterable[str] = ()) -> None: ...

    def cut(self, text: str) -> list[str]:
        """The words of a text in order; joined they are the text."""


class JiebaSegmenter:
    """jieba's default mode (dictionary and hidden Markov model).

    The dictionary is loaded at the first cut, once per process (a third of a second; a second the first time).
    jieba keeps a copy of it that it reads back with `marshal`, by default in the shared temporary folder, where
    anyone may plant one; here it lies in ``$HUB_HOME/cache/jieba``, which only the user can write. Thread-safe.

    Args:
        user_words: lines of a user dictionary, ``word [frequency] [tag]`` each (https://github.com/fxsjy/jieba).
    """

    by_line, package = True, "jieba"

    def __init__(self, user_words: Iterable[str] = ()) -> None:
        self.user_words = tuple(user_words)
        self._jieba: Any = None

    def cut(self, text: str) -> list[str]:
        """The words of a text in order; joined they are the text."""
        words: list[str] = self._loaded().lcut(text)
        return words

    def _loaded(self) -> Any:
        if self._jieba is None:
            with _LOADING:
                self._jieba = _cutter(self.user_words)
        return self._jieba

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.user_words,)


class JiebaDictionarySegmenter(JiebaSegmenter):
    """jieba's dictionary alone, without its hidden Markov model: characters that begin no word of it stand alone."""

    def cut(self, text: str) -> list[str]:
        """The words of a text in order; joined they are the text."""
        words: list[str] = self._loaded().lcut(text, HMM=False)
        return words


class RustJiebaSegmenter:
    """jieba's algorithm and dictionary in Rust (the package ``rjieba``): some twenty times as fast.

    A few words differ from jieba's: its dictionary is not of the same day. Thread-safe.
    """

    by_line, package = True, "rjieba"

    def __init__(self, user_words: Iterable[str] = ()) -> None:
        self.user_words = tuple(user_words)
        self._cutter: Any = None

    def cut(self, text: str) -> list[str]:
        """The words of a text in order; joined they are the text. Raises SettingsError without the package."""
        if self._cutter is None:
            with _LOADING:
                self._cutter = _rust_cutter(self.user_words)
        words: list[str] = self._cutter.cut(text)
        return words

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.user_words,)


def _rust_cutter(user_words: Iterable[str]) -> Any:
    try:
        import rjieba
    except ImportError as error:
        raise SettingsError("the segmenter rjieba needs its package: pip install 'hub_core[corpus]'") from error
    cutter = rjieba.Jieba()
    for line in user_words:
        word, *rest = line.split()
        cutter.add_word(word, int(rest[0]) if rest and rest[0].isdecimal() else None, None)
    return cutter


@cache
def _cutter(user_words: tuple[str, ...]) -> Any:
    """jieba's tokenizer with its dictionary in memory; the caller holds the lock."""
    jieba: Any = _import_jieba()
    cutter = jieba.Tokenizer()
    if user_words:
        shared = _cutter(())
        cutter.FREQ, cutter.total, cutter.initialized = dict(shared.FREQ), shared.total, True
        cutter.load_userdict(user_words)
        return cutter
    with _quiet("jieba"), _cache_folder() as folder:
        cutter.tmp_dir, cutter.cache_file = str(folder), f"jieba-{jieba.__version__}.cache"
        kept = _read_kept(folder / cutter.cache_file)
        if kept is None:
            (folder / cutter.cache_file).unlink(missing_ok=True)
            cutter.initialize()
        else:
            cutter.FREQ, cutter.total = kept
            cutter.initialized = True
    return cutter


def _read_kept(path: Path) -> tuple[dict[str, int], int] | None:
    """jieba's copy of its dictionary, None where there is no usable one: then jieba makes it anew.

    Read as a whole, which takes a third of the time that jieba takes, number by number from the file.
    """
    collecting = gc.isenabled()
    gc.disable()  # half a million objects come, and none of them is garbage
    try:
        words, total = marshal.loads(path.read_bytes())
    except (OSError, EOFError, ValueError, TypeError):
        return None
    finally:
        if collecting:
            gc.enable()
    return (words, total) if isinstance(words, dict) and isinstance(total, int) else None


def _import_jieba() -> ModuleType:
    with warnings.catch_warnings():
        # jieba 0.42.1 has invalid escapes in its own source, and looks for the deprecated pkg_resources.
        warnings.simplefilter("ignore")
        return importlib.import_module("jieba")


@contextmanager
def _quiet(name: str) -> Iterator[None]:
    """Without the debug lines that a logger prints; its level is put back."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _cache_folder() -> Iterator[Path]:
    """The private folder for jieba's copy; one that vanishes where the hub's home cannot be written.

    Raises SettingsError where the place is taken by something that another user could have put there.
    """
    folder = hub_home() / "cache" / "jieba"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except (FileExistsError, NotADirectoryError) as error:
        raise SettingsError(f"{folder} cannot be a folder: {error.strerror}; remove what is there") from error
    except OSError:  # not ours, read-only, full
        writable = False
    if writable:
        _make_private(folder)
        yield folder
    else:  # loading takes a second longer in every process, and nothing else changes
        with tempfile.TemporaryDirectory(prefix="hub_core-jieba-") as temporary:
            yield Path(temporary)


def _make_private(folder: Path) -> None:
    """See that nobody else can write into a folder, and that nobody could have until now."""
    if os.name == "nt":  # has no such permissions; the home folder is private there
        return
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise SettingsError(
            f"{folder} is a link or belongs to another user; remove it, jieba trusts what it reads there"
        )
    if found.st_mode & 0o022:
        shutil.rmtree(folder)
        folder.mkdir(mode=0o700)
    folder.chmod(0o700)
