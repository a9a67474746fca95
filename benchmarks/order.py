"""Does sorting rows by length into batches cost quality? The same recipe in both orders, over three seeds.

    python -m benchmarks.order --data $HUB_DATA_HOME

Trains the two recipes of `examples/recipes` with `hub train --order shuffle` and `--order length`; the score is the
best on dev. Entities learn from the first 12,000 rows, three epochs. Finished runs in `--work` are not repeated.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measure import print_table

ROOT = Path(__file__).resolve().parents[1]
ORDERS = ("shuffle", "length")


@dataclass(frozen=True)
class Recipe:
    """A recipe's name, its data, its score, and the options of `hub train` that its card states."""

    name: str
    data: str
    metric: str
    options: tuple[str, ...]
    rows: int | None = None


COMMON = ("--batch-size", "32", "--learning-rate", "2e-3", "--weight-decay", "0", "--schedule", "linear")
RECIPES = (
    Recipe(
        "bilstm-sentiment-zh",
        "chnsenticorp",
        "accuracy",
        (
            *("--task", "seq-cls", "--train-split", "train.clean", "--rename-labels", "0=negative,1=positive"),
            *("--max-vocabulary", "20000", "--epochs", "6", "--warmup-steps", "100", "--max-grad-norm", "5"),
            *("--ema", "0.998", "--max-seq-len", "256"),
        ),
    ),
    Recipe(
        "bilstm-ner-zh",
        "msra_ner",
        "f1",
        (
            "--task",
            "token-cls",
            "--epochs",
            "3",
            "--warmup-steps",
            "200",
            "--max-grad-norm",
            "5",
            "--max-seq-len",
            "256",
        ),
        rows=12_000,
    ),
)


def data_folder(recipe: Recipe, home: Path, work: Path) -> Path:
    """The recipe's data: as it is, or with a train split of its first rows."""
    source = home / recipe.data
    if recipe.rows is None:
        return source
    folder = work / f"{recipe.data}-{recipe.rows}"
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "dev"):
        path = next(source.glob(f"{split}.*"))
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = lines[: recipe.rows + 1] if split == "train" else lines  # the first line is the header
        (folder / path.name).write_text("".join(kept), encoding="utf-8")
    return folder


def score(recipe: Recipe, order: str, seed: int, data: Path, work: Path) -> tuple[float, float]:
    """The best score on dev of one run, and its seconds; read from the folder where it is finished already."""
    folder = work / f"{recipe.name}-{order}-{seed}"
    record = folder / "order.json"
    if not record.is_file():
        start = time.monotonic()
        manifest = ROOT / "examples" / "recipes" / f"{recipe.name}.json"
        command = [sys.executable, "-m", "hub_core", "train", "--manifest", str(manifest), "--data", str(data)]
        command += ["--checkpoint-dir", str(folder), "--order", order, "--seed", str(seed), *COMMON, *recipe.options]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        best = json.loads((folder / "best_model" / "module.json").read_text(encoding="utf-8"))["metrics"][recipe.metric]
        record.write_text(json.dumps([best, time.monotonic() - start]), encoding="utf-8")
    best, seconds = json.loads(record.read_text(encoding="utf-8"))
    return float(best), float(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder that holds chnsenticorp and msra_ner")
    parser.add_argument("--work", type=Path, default=Path("order-runs"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    options = parser.parse_args()
    rows = []
    for recipe in RECIPES:
        data = data_folder(recipe, options.data, options.work)
        for order in ORDERS:
            runs = [score(recipe, order, seed, data, options.work) for seed in options.seeds]
            scores = [best for best, _ in runs]
            cells = [*(f"{best:.4f}" for best in scores), f"{statistics.mean(scores):.4f}"]
            rows.append([recipe.name, order, *cells, f"{statistics.mean(seconds for _, seconds in runs):.0f}"])
    columns = ("recipe", "order", *(f"seed {seed}" for seed in options.seeds), "mean", "seconds")
    print_table("Order of rows: best score on dev", columns, rows)


if __name__ == "__main__":
    main()
