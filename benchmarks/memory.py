"""Resident memory over a long stream of short texts: ``python -m benchmarks.memory --texts 100000``.

Prints the resident memory after every tenth of the stream, and the slope over the second half.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import numpy as np
import psutil

import hub_core as hub
from benchmarks.measure import print_table
from benchmarks.predict import CHARACTERS
from hub_core.examples import Example


def stream(module: hub.TorchModule, count: int) -> Iterator[Example]:
    """Texts of 4 to 20 characters, made as they are asked for."""
    generator = np.random.default_rng(0)
    task = module.known_task()
    for _ in range(count):
        yield task.example("".join(generator.choice(CHARACTERS, generator.integers(4, 21))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=100_000)
    parser.add_argument("--module", default="bilstm-ner-zh")
    options = parser.parse_args()
    process = psutil.Process()
    for engine in ("torch", "onnx"):
        module = hub.Module(options.module, engine=engine)
        seen: list[tuple[int, float]] = []
        for number, _ in enumerate(module.predictor().predict(stream(module, options.texts)), start=1):
            if number % (options.texts // 10) == 0:
                seen.append((number, process.memory_info().rss / 2**20))
        half = seen[len(seen) // 2 :]
        slope = np.polyfit([texts for texts, _ in half], [size for _, size in half], 1)[0]
        rows = [[f"{texts:,}", f"{size:.0f}"] for texts, size in seen]
        print_table(f"Resident memory, {options.module}, {engine}", ("texts", "MiB"), rows)
        print(f"\nslope over the second half: {slope * 1e5:.1f} MiB per 100,000 texts")


if __name__ == "__main__":
    main()
