"""What a run shows while it goes on: a progress bar, log lines, and numbers for trackers."""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType

from tqdm import tqdm

from hub_core.train.trackers import Tracker

logger = logging.getLogger("hub_core")


class Reporter:
    """A progress bar on the terminal, a log line per logged step, and scalars for trackers (which `start` makes).

    Lines look as PaddleHub's do: ``Epoch=1/3, Step=10/1407 loss=0.6931 lr=0.000050 step/sec=4.02 | ETA 00:05:00``,
    with the ETA being the time that remains.
    """

    def __init__(
        self,
        start: Callable[[], Sequence[Tracker]],
        *,
        total_steps: int,
        done_steps: int,
        continued: bool,
        ended: bool,
        steps_per_epoch: int,
        epochs: int,
        visible: bool,
    ) -> None:
        self._start = start
        self._total, self._first, self._done = total_steps, done_steps, done_steps
        self._steps_per_epoch, self._epochs = steps_per_epoch, epochs
        self._visible, self._continued = visible, continued
        self._beginning = f"continuing at step {done_steps} of {total_steps}"
        if done_steps == total_steps:
            rest = "are done already" if ended else "are done; what follows the last one is made up for"
            self._beginning = f"all {total_steps} steps {rest}"
        self._started = time.monotonic()
        self._trackers: list[Tracker] = []

    def __enter__(self) -> Reporter:
        # Without a terminal a bar would only fill a log file; the log lines say the same.
        self._bar = tqdm(
            total=self._total, initial=self._first, unit="step", disable=None if self._visible else True, leave=False
        )
        self._handler = _TqdmHandler()
        if self._visible and not logger.hasHandlers():
            logger.addHandler(self._handler)
        self._level = logger.level
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.INFO)
        if self._visible:
            self._trackers = list(self._start())
        if self._continued:
            self._line(self._beginning)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        logger.removeHandler(self._handler)
        logger.setLevel(self._level)
        for tracker in [*self._trackers]:
            self._tell(tracker, tracker.close)

    def advance(self) -> None:
        """One optimizer step is done."""
        self._done += 1
        self._bar.update()

    def step(self, row: Mapping[str, float]) -> None:
        """Show the numbers of one logged step."""
        step = int(row["step"])
        rate = (step - self._first) / max(1e-9, time.monotonic() - self._started)
        left = duration((self._total - step) / max(rate, 1e-9))
        within = (step - 1) % self._steps_per_epoch + 1
        most = min(self._steps_per_epoch, self._total - step + within)
        self._line(
            f"Epoch={int(row['epoch'])}/{self._epochs}, Step={within}/{most} "
            f"loss={row['loss']:.4f} lr={row['lr']:.6f} step/sec={rate:.2f} | ETA {left}"
        )
        self._scalars("TRAIN", row, step)

    def evaluated(self, metrics: Mapping[str, float], *, epoch: int, step: int) -> None:
        """Show the scores of one evaluation."""
        shown = " ".join(f"{name}={value:.4f}" for name, value in metrics.items())
        self._line(f"[evaluation] Epoch={epoch}/{self._epochs} {shown}")
        self._scalars("EVAL", metrics, step)

    def stopped(self, reason: str, *, step: int) -> None:
        """Show why a run ends before its last step."""
        self._line(f"stopped at step {step} of {self._total}: {reason}")

    def _scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        scalars = {f"{group}/{name}": value for name, value in values.items() if name not in ("step", "epoch")}
        for tracker in [*self._trackers]:
            self._tell(tracker, partial(tracker.log, scalars, step))

    def _tell(self, tracker: Tracker, what: Callable[[], None]) -> None:
        """Let a tracker do something. One that fails is told of, and left out from here on: training is worth more."""
        try:
            what()
        except Exception as error:  # noqa: BLE001  (a service far away, through a library of its own)
            self._trackers.remove(tracker)
            name = type(tracker).__name__
            warnings.warn(f"{name} failed and is left out from here on: {type(error).__name__}: {error}", stacklevel=2)

    def _line(self, text: str) -> None:
        if self._visible:
            logger.info(text)


def duration(seconds: float) -> str:
    """Hours, minutes and seconds; hours go on beyond a day.

    >>> duration(59.9), duration(100 * 3600 + 61)
    ('00:00:59', '100:01:01')
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest:02}"


class _TqdmHandler(logging.Handler):
    """Writes log lines above a progress bar instead of through it."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(self.format(record), file=sys.stderr)
