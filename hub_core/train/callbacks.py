"""Code of the user's own that a run calls as it goes on, and that may end it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hub_core.errors import TrainError

if TYPE_CHECKING:
    from hub_core.train.processes import Processes


@dataclass(frozen=True)
class Moment:
    """Where a run is. `step` counts optimizer steps done in all, `epoch` is the one that goes on (or ended just now).

    `metrics` are those of the latest evaluation and `best` of the best one, None where there was none yet;
    `evaluations` is how many there were. `is_main` says whether this process is the one that saves and prints.
    """

    step: int
    total_steps: int
    epoch: int
    epochs: int
    evaluations: int
    metrics: Mapping[str, float] | None
    best: Mapping[str, float] | None
    is_main: bool


class Callback:
    """What `Trainer(callbacks=[...])` takes: override what you need.

    Each method returns None to go on, or a text that says why training is to stop: it then ends as after its last
    step, with an evaluation and a saved module. In several processes every one of them calls its own callbacks, and
    all stop where one says so. What a callback remembers is not part of a saved state; a continued run calls it
    again for the steps that it repeats.
    """

    def on_step(self, moment: Moment) -> str | None:
        """After every optimizer step (and after the evaluation that is due with it)."""

    def on_evaluation(self, moment: Moment) -> str | None:
        """After every evaluation; `moment.metrics` are its scores."""

    def on_epoch(self, moment: Moment) -> str | None:
        """After every epoch, when it has been evaluated and saved."""


#: What processes tell each other about their callbacks; the largest counts.
_GO_ON, _STOP, _FAILED = range(3)


class Callbacks:
    """All callbacks of a run, in all its processes."""

    def __init__(self, callbacks: Sequence[Callback], processes: Processes) -> None:
        self._callbacks, self._processes = tuple(callbacks), processes
        self._error: TrainError | None = None

    def ask(self, event: str, moment: Moment) -> str | None:
        """Call one method of every callback; why to stop, or None. All processes agree on whether to.

        What fails does not fail here: see `failed`, on which they agree too.
        """
        if not self._callbacks:
            return None
        asked = [self._ask(callback, event, moment) for callback in self._callbacks]
        reasons = [reason for reason in asked if reason]
        state = self._processes.largest(_FAILED if self._error else _STOP if reasons else _GO_ON)
        if state == _FAILED and self._error is None:
            self._error = TrainError(f"a callback failed in another process, in {event} at step {moment.step}")
        return "; ".join(reasons) or "a callback stopped another process" if state == _STOP else None

    @property
    def failed(self) -> bool:
        """Whether a callback failed, in any process."""
        return self._error is not None

    def raise_failure(self) -> None:
        """Raise TrainError, which names the callback that failed."""
        if self._error is not None:
            raise self._error

    def _ask(self, callback: Callback, event: str, moment: Moment) -> str | None:
        name = type(callback).__name__
        try:
            reason: object = getattr(callback, event)(moment)
        except Exception as problem:  # noqa: BLE001  (anybody's code)
            self._error = TrainError(
                f"callback {name} failed in {event} at step {moment.step}: {type(problem).__name__}: {problem}"
            )
            self._error.__cause__ = problem
            return None
        if reason is None or (isinstance(reason, str) and reason):
            return reason
        self._error = TrainError(
            f"callback {name}.{event} returned {reason!r} at step {moment.step}; it must return None, or a text that "
            "says why to stop"
        )
        return None
