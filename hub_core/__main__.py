"""``python -m hub_core`` does what ``hub`` does."""

from hub_core.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
