"""The command line: ``hub`` and ``python -m hub_core``. One file per group of commands."""

from hub_core.cli.program import main

__all__ = ["main"]
