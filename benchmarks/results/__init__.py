"""Every task learnt from real data by the shell's own commands: ``python -m benchmarks.results``."""
