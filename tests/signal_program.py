"""Loads a graph, lets it go in another thread, and has a signal: prints what came of it."""

from __future__ import annotations

import gc
import os
import signal
import sys
import threading
from pathlib import Path

import hub_core as hub


def main(folder: Path) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started this may have SIGINT ignored
    modules = [hub.Module(directory=folder)]
    modules[0].predict(["好"])

    def let_go() -> None:
        modules.clear()
        gc.collect()

    other = threading.Thread(target=let_go)
    other.start()
    other.join()
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("interrupted")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
