"""What pre-training is worth: fine-tuned, the same network from random weights, and a Bi-LSTM, several seeds each.

    HUB_DATA_HOME=... python -m benchmarks.encoders --base modules/zh_mini_wwm --output scores

On a data set every run has the same number of steps of as many rows; the checkpoint is picked on rows that are not
measured on. What the output folder has is not trained again, so that the table may take several sittings.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import hub_core as hub
from benchmarks.measure import over_seeds, print_table
from benchmarks.results import prepared

RECIPES = Path(__file__).parents[1] / "examples" / "recipes"


@dataclass(frozen=True)
class Set:
    """A data set: its name, or what writes a folder; the task, the recipe of the Bi-LSTM for it, and how long a run is.

    One that ends in ``-few`` is the same data, of which fewer rows are seen. `rate` is the peak learning rate of the
    encoders: of 5e-4 and 1e-3 the better on dev with the first seed, which was the same one for both of them on
    MSRA-NER and on ChnSentiCorp's clean split; the other sets have the latter's. `split` are the rows to learn from.
    `more` are further options of every run, `encoders` of theirs.
    """

    name: str
    task: str
    data: str | Callable[[Path], None]
    metric: str
    bilstm: str
    steps: int
    rate: str = "5e-4"
    split: str = "train"
    more: str = ""
    encoders: str = ""


SENTIMENT, PAIRS = "bilstm-sentiment-zh", "bilstm-pairs-zh"
CLEAN = "train.clean"
SETS = (
    Set("msra_ner", "token-cls", "msra_ner", "f1", "bilstm-ner-zh", 1500, rate="1e-3"),
    Set("chnsenticorp", "seq-cls", "chnsenticorp", "accuracy", SENTIMENT, 750),
    Set("chnsenticorp-clean", "seq-cls", "chnsenticorp", "accuracy", SENTIMENT, 750, split=CLEAN),
    Set("tnews-clean-few", "seq-cls", prepared.kinds_of_news, "macro_f1", SENTIMENT, 300),
    Set("tnews-clean", "seq-cls", prepared.kinds_of_news, "macro_f1", SENTIMENT, 1000),
    Set("thucnews-clean-few", "seq-cls", "thucnews", "macro_f1", SENTIMENT, 300, split=CLEAN),
    Set("thucnews-clean", "seq-cls", "thucnews", "macro_f1", SENTIMENT, 1000, split=CLEAN),
    # Seven of ten pairs differ, and "no" to all has an accuracy that no network here passes: macro F1 tells them
    # apart. With 32 rows a step, vectors and accuracy to pick by, all say hardly anything else.
    Set(
        "afqmc",
        "text-matching",
        prepared.questions_of_finance,
        "macro_f1",
        PAIRS,
        1500,
        more="--batch-size 128 --metric macro_f1",
        encoders="--task-option form=cross",
    ),
)
_BUDGET = (
    "--batch-size 32 --max-seq-len 128 --schedule linear --warmup-ratio 0.1 --max-grad-norm 1 --no-tensorboard "
    "--keep-epochs 1 --epochs 1000"
)
#: The Bi-LSTM's own settings, as the cards of the modules that ship have them.
_BILSTM = ("--learning-rate", "2e-3", "--weight-decay", "0")


def shell(*arguments: str) -> str:
    """Run ``hub`` as a user does, and show the command; what it prints."""
    print(f"$ hub {shlex.join(arguments)}", file=sys.stderr)
    done = subprocess.run([sys.executable, "-m", "hub_core", *arguments], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def contenders(base: Path, folder: Path) -> dict[str, Callable[[Set], list[str]]]:
    """What each contender is trained with: options of ``hub train``."""
    record = json.loads((base / "module.json").read_text(encoding="utf-8"))
    config = {name: value for name, value in record["config"].items() if name != "vocab_size"}
    record = {**record, "name": "random", "config": config, "heads": [], "metrics": {}}
    folder.mkdir(parents=True, exist_ok=True)
    manifest = folder / "random.json"
    manifest.write_text(json.dumps(record, ensure_ascii=False), encoding="utf-8")
    new = ["--manifest", str(manifest), "--word-list", str(base / "vocab.txt")]
    return {
        "pre-trained": lambda one: ["--module", f"{base}/", "--learning-rate", one.rate, *shlex.split(one.encoders)],
        "random": lambda one: [*new, "--learning-rate", one.rate, *shlex.split(one.encoders)],
        "bilstm": lambda one: ["--manifest", str(RECIPES / f"{one.bilstm}.json"), *_BILSTM],
    }


def score(one: Set, options: Sequence[str], seed: int, folder: Path, data: str, steps: int) -> float:
    """Train with a seed, and measure what was picked; the score of an earlier call where there is one."""
    kept = folder / "score.json"
    if not kept.is_file():
        interval = max(1, steps // 6)
        shell(
            *("train", "--task", one.task, "--data", data, "--train-split", one.split, *options),
            *("--checkpoint-dir", str(folder / "ckpt"), "--seed", str(seed), "--max-steps", str(steps)),
            *("--eval-interval", str(interval), "--state-steps", str(interval)),
            *shlex.split(f"{_BUDGET} {one.more}"),
        )
        best = str(folder / "ckpt" / "best_model")
        kept.write_text(shell("evaluate", "--module", best, "--data", data, "--split", "test", "--json"))
    found: float = json.loads(kept.read_text(encoding="utf-8"))[one.metric]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=[one.name for one in SETS], default=[one.name for one in SETS])
    parser.add_argument("--contenders", nargs="*", default=["pre-trained", "random", "bilstm"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--steps", type=int, help="of every run (default: what the table says of each data set)")
    options = parser.parse_args()
    known = contenders(options.base, options.output)
    rows = []
    for one in SETS:
        if one.name not in options.only:
            continue
        place, data = options.output / one.name, one.data
        if not isinstance(data, str):
            if not (place / "data").is_dir():
                data(place / "data")
            data = str(place / "data")
        for name in options.contenders:
            found = [
                score(one, known[name](one), seed, place / name / f"seed-{seed}", data, options.steps or one.steps)
                for seed in options.seeds
            ]
            rows.append([one.name, one.metric, str(options.steps or one.steps), name, *over_seeds(found)])
    title = f"What pre-training is worth ({hub.__version__})"
    print_table(title, ("data", "score", "steps", "network", "mean", "deviation", "seeds"), rows)


if __name__ == "__main__":
    main()
