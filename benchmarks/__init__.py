"""Speed beside the alternatives, measured in one run: ``python -m benchmarks.predict`` and its neighbours."""
