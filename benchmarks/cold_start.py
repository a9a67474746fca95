"""From the shell to the answer: ``python -m benchmarks.cold_start``. Whole processes, the median of several."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time

from benchmarks.measure import print_table

HUB = [sys.executable, "-m", "hub_core"]
COMMANDS = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "import hub_core": [sys.executable, "-c", "import hub_core"],
    "hub --help": [*HUB, "--help"],
    "hub list": [*HUB, "list"],
    "hub run bilstm-ner-zh": [*HUB, "run", "bilstm-ner-zh", "国务院副总理李岚清今天在中南海会见客人。"],
    "hub run bilstm-sentiment-zh": [*HUB, "run", "bilstm-sentiment-zh", "房间很干净，服务员很热情。"],
    "hub run bilstm-ner-zh --engine torch": [*HUB, "run", "bilstm-ner-zh", "国务院副总理", "--engine", "torch"],
    "import torch": [sys.executable, "-c", "import torch"],
    "from transformers import BertModel": [sys.executable, "-c", "from transformers import BertModel"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.rounds + 1):  # the first round fills caches
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            seconds[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(took[1:]) for name, took in seconds.items()}
    nothing = medians["python -c pass"]
    rows = [[name, f"{took:.3f}", f"{took / nothing:.1f}"] for name, took in medians.items()]
    print_table("Cold start", ("command", "seconds", "x python -c pass"), rows)


if __name__ == "__main__":
    main()
