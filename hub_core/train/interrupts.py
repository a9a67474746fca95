"""Ctrl-C and SIGTERM during training: finish the step, save, then stop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupts:
    """Notes the first SIGINT or SIGTERM instead of dying of it; a second one acts at once.

    Works in the main thread only (elsewhere Python delivers no signals, and nothing is changed).
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if error is None:  # a signal that came after the last look
            self.stop()

    def _note(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002
        self.received = number
        for known, handler in self._previous.items():
            signal.signal(known, handler)

    def stop(self) -> None:
        """Raise what the noted signal means: KeyboardInterrupt, or SystemExit with 128 + its number."""
        if self.received == signal.SIGINT:
            raise KeyboardInterrupt
        if self.received is not None:
            raise SystemExit(128 + self.received)
