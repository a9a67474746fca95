"""A run in another process that is killed many times, and then left alone."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

#: What every process would import anew; imported once, before they are forked.
_PRELOADED = ("training_program", "pretraining_program", "accelerate", "transformers.models.bert.modeling_bert")


def killed_and_left_alone(run: Callable[..., None], folder: Path, *arguments: str, kills: int = 10) -> str:
    """SIGKILL a run at so many random moments, whatever it is doing then; what it leaves in ``folder/../report``.

    `run` is called with the checkpoint folder, `arguments`, and how long it shall pause after a step.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*_PRELOADED])
    moments = random.Random(3)
    killed = 0
    while killed < kills:
        process = context.Process(target=run, args=(str(folder), *arguments, 0.25))
        before = _newest_state(folder)
        process.start()
        # Counted from where the run has begun to write, so that every process gets somewhere.
        deadline = time.monotonic() + 60
        while _newest_state(folder) == before and process.is_alive() and time.monotonic() < deadline:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.3))
        if process.is_alive():
            os.kill(process.pid or 0, signal.SIGKILL)
            killed += 1
        process.join(60)
        assert process.exitcode != 0, f"the run ended after {killed} kills; make it longer"
    process = context.Process(target=run, args=(str(folder), *arguments, 0.0))
    process.start()
    process.join(120)
    assert process.exitcode == 0
    return folder.with_name("report").read_text(encoding="utf-8")


def _newest_state(folder: Path) -> str:
    return max((path.name for path in (folder / "state").glob("step-*")), default="")
