"""What pre-training on the texts of a domain is worth there, and whether the lowest MLM loss picks the best module.

    HUB_DATA_HOME=... python -m benchmarks.domain --base zh_mini_wwm --data chnsenticorp-clean --output domain

The texts of the training split (no label of them) are a corpus to go on with, those of the dev split what is measured
on; a module is kept every quarter of the way. Each is fine-tuned on the training split with several seeds and measured
on the test split. What the output folder has is not trained again.
"""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path

import hub_core as hub
from benchmarks.curve import history
from benchmarks.encoders import SETS, Set, score, shell
from benchmarks.measure import over_seeds, print_table
from hub_core.published.named import named_class

#: How the module goes on: gently, since it knows most already. Titles and reviews are short, and share rows.
_GOING_ON = (
    "--length 128 --pack --mask-share 0.2 --batch-size 16 --learning-rate 3e-4 --warmup-steps 50 --no-tensorboard"
)
_QUARTERS = 4


def texts(path: Path, data: str, mode: str) -> Path:
    """The texts of a split as a corpus's input, a document each."""
    rows = named_class(data)(mode=mode)
    lines = [json.dumps({"text": text}, ensure_ascii=False) for row in rows for text in (row.text, row.pair) if text]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def adapted(base: str, one: Set, folder: Path, steps: int) -> tuple[dict[int, str], dict[int, float]]:
    """By how many steps it has gone on: the module, a quarter further each, and its MLM loss on the dev split."""
    every = steps // _QUARTERS
    modules = {count: f"{folder / 'ckpt'}/step_{count}/" for count in range(every, steps + 1, every)}
    record = folder / "before.json"
    if not record.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        learnt, held = folder / "learnt", folder / "held"
        for corpus, split in {learnt: one.split, held: "dev"}.items():
            source = str(texts(corpus.with_suffix(".jsonl"), str(one.data), split))
            shell("corpus", "build", "--tokenizer", base, "--input", source, "--output", str(corpus))
        told = shell(
            *("pretrain", "--module", base, "--corpus", str(learnt), "--validation", str(held)),
            *("--checkpoint-dir", str(folder / "ckpt"), "--max-steps", str(steps), "--eval-interval", str(every)),
            *("--save-steps", str(every), "--json", *shlex.split(_GOING_ON)),
        )
        record.write_text(told, encoding="utf-8")
    losses = {int(row["step"]): row["mlm"] for row in history(folder / "ckpt") if "accuracy" in row}
    before = json.loads(record.read_text(encoding="utf-8"))["mlm before"]
    return {0: base, **modules}, {0: before, **losses}


def main() -> None:
    public = [one for one in SETS if isinstance(one.data, str)]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", required=True, help="A module's name, or a folder with a '/'.")
    parser.add_argument("--data", choices=[one.name for one in public], default="chnsenticorp-clean")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--pretraining-steps", type=int, default=2000)
    parser.add_argument("--steps", type=int, help="of fine-tuning (default: as many as in benchmarks.encoders)")
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    options = parser.parse_args()
    (chosen,) = (one for one in public if one.name == options.data)
    modules, losses = adapted(options.base, chosen, options.output / "domain", options.pretraining_steps)
    steps, rows = options.steps or chosen.steps, []
    for count, module in modules.items():
        given, place = ["--module", module, "--learning-rate", chosen.rate], options.output / f"from-{count}"
        found = [score(chosen, given, seed, place / f"seed-{seed}", str(chosen.data), steps) for seed in options.seeds]
        rows.append([str(count), f"{losses[count]:.4f}", *over_seeds(found)])
    title = f"{options.data} after going on with its own texts ({hub.__version__})"
    print_table(title, ("steps of pre-training", "MLM loss on dev", chosen.metric, "deviation", "seeds"), rows)


if __name__ == "__main__":
    main()
