"""Every task learnt from real data by the shell's own commands, and its scores beside another library's.

    HUB_DATA_HOME=... python -m benchmarks.results --output results
    HUB_DATA_HOME=... python -m benchmarks.results --output results --only tnews afqmc

Modules are small and start from random weights (`examples/recipes`), or come with the hub. A split that is measured on
chooses nothing: where there is no other, the last epoch is kept. What the output folder has is not trained again.
Scores are computed anew from the saved predictions; one that differs ends the run.
"""

from __future__ import annotations

import argparse
import json
import logging
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import hub_core as hub
from benchmarks.measure import print_table
from benchmarks.results.runs import RUNS, Run

RECIPES = Path(__file__).parents[2] / "examples" / "recipes"
#: How far a score may be from the other library's.
TOLERANCE = 1e-6


def shell(*arguments: str) -> None:
    """Run ``hub`` as a user does, and show the command."""
    print(f"$ hub {shlex.join(arguments)}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "hub_core", *arguments], check=True, stdout=sys.stderr)


def trained(run: Run, data: str, folder: Path) -> Path:
    """The best module of a run, or its last where none was compared; trained now where it is not there."""
    checkpoints = folder / "ckpt"
    if not (checkpoints / "best_model").is_dir():  # a run that is over is not trained again
        recipe = ["--manifest", str(RECIPES / f"{run.module}.json"), "--checkpoint-dir", str(checkpoints)]
        shell(
            "train",
            *recipe,
            "--task",
            run.task,
            "--data",
            data,
            "--no-tensorboard",
            *shlex.split(run.train.format(data=data)),
        )
    best = checkpoints / "best_model"
    return best if best.is_dir() else max(checkpoints.glob("epoch_*"), key=lambda path: int(path.name[len("epoch_") :]))


def measured(run: Run, module: str, data: str, folder: Path) -> dict[str, Any]:
    """The report of a module, whose scores are also another library's."""
    shell("evaluate", "--module", module, "--data", data, "--report", str(folder), *shlex.split(run.measure))
    report: dict[str, Any] = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    for name, score in run.judge([json.loads(line) for line in lines], module).items():
        if abs(report["scores"][name] - score) > TOLERANCE:
            raise SystemExit(f"{run.name}: {name} is {report['scores'][name]}, another library says {score}")
        report.setdefault("confirmed", {})[name] = score
    return report


def row(run: Run, folder: Path) -> list[str]:
    """Train and measure; a row for the table."""
    data = run.data
    if not isinstance(data, str):
        if not (folder / "data").is_dir():
            data(folder / "data")
        data = str(folder / "data")
    module = str(trained(run, data, folder)) if run.train else run.module
    report = measured(run, module, data, folder / "report")
    network = hub.Module(directory=module) if run.train else hub.Module(name=module)
    size = sum(parameter.numel() for parameter in network.parameters())
    scores = ", ".join(f"{name} {score:.4f}" for name, score in report["confirmed"].items())
    return [run.name, run.title, run.module, f"{size / 1e6:.1f}", f"{report['rows']:,}", scores, run.library]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=[run.name for run in RUNS], default=[run.name for run in RUNS])
    options = parser.parse_args()
    logging.disable(logging.WARNING)
    rows = [row(run, options.output / run.name) for run in RUNS if run.name in options.only]
    columns = ("data", "task", "module", "million parameters", "rows", "scores", "the same from")
    print_table("What every task learns from real data", columns, rows)


if __name__ == "__main__":
    main()
