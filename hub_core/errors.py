"""Every error that hub_core raises for something the user can mend.

    HubError
    ├── NotFoundError            a name that nobody knows (module, version, task, dataset, mode, label, ...)
    │   ├── ResolutionError      the module is known, but no version satisfies the request
    │   └── UnknownDatasetError  a data set that nobody knows; an AttributeError too
    ├── ManifestError            a module.json that is not valid (every problem at once)
    ├── InstallError             a module that could not be brought into the store
    │   ├── SourceError          an address that could not be read
    │   ├── IntegrityError       bytes that are not the expected ones
    │   └── UntrustedCodeError   module code that the user has not consented to
    ├── CheckpointError          weights that are missing, damaged, or do not fit
    ├── ConvertError             a foreign checkpoint that cannot be converted
    │   └── UnsafePickleError    a pickle that tries to run code
    ├── ExportError              a module that cannot become a graph
    ├── LabelError               a label map that is malformed or differs from the checkpoint's
    ├── DataError                rows that cannot be read (file:line each)
    ├── DeviceError              a device that is not there
    ├── SettingsError            an option or argument with an unusable value
    └── TrainError               training that cannot go on
        ├── NonFiniteLossError   the loss became NaN or infinite
        └── ResumeError          the saved state belongs to another run

A message says what was asked, what was found, and what is known or which command mends it. Lost connections,
full disks and missing permissions keep their place in the tree (`SourceError`, `CheckpointError`, ...) and carry
the operating system's error as `__cause__`. Where a module's file has no address that works, the message says what each
said, and what the last one raised is in `__context__`, which a traceback leaves out.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import partial


class HubError(Exception):
    """Base of all errors of hub_core; the command line prints it as ``error: ...`` and exits with 1."""


class NotFoundError(HubError):
    """A name that nobody knows. The message gives near matches and the known names."""


class UnknownDatasetError(NotFoundError, AttributeError):
    """No data set of that name; ``getattr(hub_core.datasets, name, default)`` and ``hasattr`` take it for an answer."""


class ResolutionError(NotFoundError):
    """No version of a known module satisfies the request; lists each version with the reason it was passed over."""


class ManifestError(HubError):
    """A module.json that is not valid. `problems` holds every problem found."""

    def __init__(self, where: str, problems: Sequence[str]) -> None:
        self._where, self.problems = where, tuple(problems)
        super().__init__(f"{where} is not a valid manifest:\n" + "\n".join(f"  - {p}" for p in problems))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self._where, self.problems)


class InstallError(HubError):
    """A module could not be installed; the store is as it was before."""


class SourceError(InstallError):
    """An address could not be read."""


class IntegrityError(InstallError):
    """The bytes read have another size or sha256 than the manifest or the receipt states."""


class UntrustedCodeError(InstallError):
    """A module from outside the bundled set carries code, and the user has not consented to run it."""


class CheckpointError(HubError):
    """Weights are missing, damaged, or have other tensors or shapes than the network."""


class ConvertError(HubError):
    """A foreign checkpoint cannot be converted."""


class UnsafePickleError(ConvertError):
    """A pickle refers to something outside the allow-list of tensors and plain containers; nothing was executed."""


class ExportError(HubError):
    """A module that cannot be exported, or whose graph answers otherwise than it does."""


class LabelError(HubError):
    """A label map is malformed, or its size, keys or order differ from the checkpoint's."""


class DataError(HubError):
    """Rows of a file cannot be read. `problems` holds one ``file:line: what`` per problem."""

    def __init__(self, problems: Sequence[str], *, more: int = 0) -> None:
        self.problems, self._more = tuple(problems), more
        tail = f"\n  ... and {more} more" if more else ""
        super().__init__("unusable data:\n" + "\n".join(f"  {p}" for p in problems) + tail)

    def __reduce__(self) -> tuple[object, ...]:
        # Errors of worker processes travel: exceptions are made again of their message otherwise.
        return partial(type(self), more=self._more), (self.problems,)


class DeviceError(HubError):
    """A device was asked for that this machine does not have."""


class SettingsError(HubError):
    """An option or argument has a value that cannot be used."""


class TrainError(HubError):
    """Training cannot go on."""


class NonFiniteLossError(TrainError):
    """The loss became NaN or infinite; the last good checkpoint is kept."""


class ResumeError(TrainError):
    """The saved state belongs to another run (other data, seed or options)."""


def unknown(kind: str, name: object, known: Iterable[str], *, where: str = "", remedy: str = "") -> str:
    """Word the message for an unknown name, with near matches and the known names; of more than 20 near ones alone.

    >>> unknown("task", "token_cls", ["seq-cls", "token-cls"], where="for ernie_tiny 2.0.2")
    "unknown task 'token_cls' for ernie_tiny 2.0.2; did you mean 'token-cls'? known: seq-cls, token-cls"
    """
    names = sorted(set(known))
    # Tasks end alike: seq-cls is no token-cls misspelt.
    near = difflib.get_close_matches(str(name), names, n=3, cutoff=0.7 if kind == "task" else 0.6)
    if not near and len(str(name)) > 2:  # a part of a name: wobert for wobert_chinese_base
        near = [known for known in names if str(name).lower() in known.lower()][:3]
    text = f"unknown {kind} {name!r}" + (f" {where}" if where else "")
    if near:
        text += "; did you mean " + " or ".join(repr(n) for n in near) + "?"
    if near and len(names) > 20:
        text += f" {len(names)} are known"
    elif names:
        shown = ", ".join(names[:20]) + (f", ... ({len(names)} in all)" if len(names) > 20 else "")
        text += (" " if near else "; ") + f"known: {shown}"
    return text + (f"; {remedy}" if remedy else "")
