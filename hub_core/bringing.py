"""A plan being carried out: every file is fetched from the first of its addresses that has it, converted, checked."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hub_core.addresses import redact
from hub_core.errors import (
    CheckpointError,
    ConvertError,
    HubError,
    InstallError,
    IntegrityError,
    SourceError,
)
from hub_core.hf_layout import CONFIG, config_json
from hub_core.install_plan import Plan
from hub_core.pins import Pins
from hub_core.plugins import catalog, manager
from hub_core.receipt import Download
from hub_core.safetensors_header import check_safetensors
from hub_core.sources import fetch
from hub_core.spec import GRAPH, WEIGHTS, FileSpec, ModuleSpec, SourceSpec
from hub_core.store import Store
from hub_core.transfer import Fetched, Progress

logger = logging.getLogger("hub_core")

#: Where files wait for their conversion, inside the staged folder.
_RAW = ".raw"
#: How the first conversions from TensorFlow named a layer norm's parts, and some repositories still do.
_OLD_NAMES = ("LayerNorm.gamma", "LayerNorm.beta")


@dataclass(frozen=True)
class Bringing:
    """A plan being carried out into a folder; `deed` is what messages call it (``installed``, ``downloaded``)."""

    plan: Plan
    store: Store
    offline: bool | None
    progress: Progress | None
    deed: str

    def bring(self, files: Iterable[FileSpec], staged: Path) -> list[tuple[SourceSpec, Download]]:
        """Bring files into a folder; each with the address that had it. Raises InstallError, IntegrityError."""
        return [self._bring(file, staged, Pins(self.store.home)) for file in files]

    def complete(self, staged: Path) -> None:
        """Make sure that there are weights, write config.json where there is none yet, and ask plugins' opinion."""
        self._complete(staged)
        self._verify(staged)

    def remember(self, brought: Iterable[tuple[SourceSpec, Download]]) -> None:
        """Pin what came from addresses whose sha256 nobody states: later on they must bring the same."""
        Pins(self.store.home).add(
            {
                source.url: download.sha256
                for source, download in brought
                if source.sha256 is None and not source.url.startswith("file:")
            }
        )

    def _bring(self, file: FileSpec, staged: Path, pins: Pins) -> tuple[SourceSpec, Download]:
        """One file, from the first of its addresses that has it. Raises InstallError that lists what each one said."""
        problems: list[tuple[str, HubError]] = []
        for source in file.sources:
            try:
                fetched = self._bring_from(source, file, staged, pins)
            except (SourceError, IntegrityError, CheckpointError, ConvertError) as error:
                problems.append((redact(source.url), error))
                (staged / file.path).unlink(missing_ok=True)
            else:
                for _, passed_over in problems:
                    logger.warning("%s: passed over an address: %s", self.plan.spec.title, passed_over)
                return source, Download(file.path, redact(source.url), fetched.size, fetched.sha256)
        raise self._unavailable(file, problems, staged)

    def _bring_from(self, source: SourceSpec, file: FileSpec, staged: Path, pins: Pins) -> Fetched:
        target = staged / file.path
        raw = target if source.convert is None else staged / _RAW / _file_name(source.url)
        for folder in (target.parent, staged / _RAW):
            folder.mkdir(parents=True, exist_ok=True)
        pinned = pins.get(source.url) if source.sha256 is None else None
        known = source.sha256 or pinned
        if source.convert is None and known is not None and self.store.blobs.give(known, target):
            return Fetched(redact(source.url), target.stat().st_size, known)
        try:
            fetched = fetch(
                source.url,
                raw,
                size=source.size,
                sha256=known,
                offline=self.offline,
                progress=self.progress,
                what=file.path,
            )
        except IntegrityError as error:
            if pinned is None:
                raise
            raise IntegrityError(
                f"{error}, which is what the first install from there brought; if its owner has "
                f"changed it on purpose, remove that line from {pins.path}"
            ) from error
        if source.convert is not None:
            _convert(raw, target, source.convert, self.plan.spec)
            raw.unlink()
        if file.path == WEIGHTS and any(name.endswith(_OLD_NAMES) for name in check_safetensors(target)):
            old = target.replace(staged / _RAW / WEIGHTS)
            _convert(old, target, "torch", self.plan.spec)
        return fetched

    def _unavailable(self, file: FileSpec, problems: list[tuple[str, HubError]], staged: Path) -> InstallError:
        """The error for a file that no address gave."""
        title = self.plan.spec.title
        tampered = any(isinstance(error, IntegrityError) for _, error in problems)
        said = "\n".join(f"  {error}" if str(error).startswith(url) else f"  {url}: {error}" for url, error in problems)
        said = said.replace(f"{staged / _RAW}{os.sep}", "")  # nobody can look there any more
        failure = (IntegrityError if tampered else InstallError)(
            f"{title} was not {self.deed}: no address has a usable {file.path}:\n{said or '  none is known'}\n"
            "If you have the files, `hub convert FOLDER OUT` makes a module of them and `hub install ./OUT` installs "
            "it; `hub config mirrors` and HUB_MIRRORS name other places for an address"
        )
        failure.__context__ = problems[-1][1] if problems else None
        failure.__suppress_context__ = True  # the message has all of it: a traceback need not show it again
        return failure

    def _complete(self, staged: Path) -> None:
        """Make sure that there are weights, and write config.json for other libraries where there is none yet."""
        shutil.rmtree(staged / _RAW, ignore_errors=True)
        spec = self.plan.spec
        if not (staged / WEIGHTS).is_file() and not (staged / GRAPH).is_file():
            raise InstallError(f"{spec.title} was not {self.deed}: {self.plan.origin} gives no {WEIGHTS}")
        if (
            (staged / WEIGHTS).is_file()
            and not (staged / CONFIG).exists()
            and spec.family not in catalog().entries("family")
        ):
            text = json.dumps(config_json(spec), ensure_ascii=False, indent=1) + "\n"
            (staged / CONFIG).write_text(text, encoding="utf-8", newline="\n")

    def _verify(self, staged: Path) -> None:
        """Ask installed plugins for their opinion."""
        title = self.plan.spec.title
        try:
            manager().hook.hub_verify(spec=self.plan.spec, folder=staged)
        except HubError:
            raise
        except Exception as error:
            raise InstallError(f"{title} was not {self.deed}: a plugin failed while looking at it: {error}") from error


def _convert(raw: Path, target: Path, kind: str, spec: ModuleSpec) -> None:
    from hub_core.convert import convert_file

    convert_file(raw, target, kind=kind, family=spec.family, config=spec.config)


def _file_name(url: str) -> str:
    """The last part of an address as a plain file name: converters tell formats by its ending."""
    name = re.sub(r"[^\w.-]", "_", url.partition("?")[0].rpartition("/")[2], flags=re.ASCII)
    return name.lstrip(".") or "file"
