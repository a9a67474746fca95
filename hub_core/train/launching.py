"""What torchrun says to the processes that it starts; known before torch is loaded."""

from __future__ import annotations

import os


def launched_processes() -> int:
    """How many processes torchrun has started together; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))
