"""Timing contenders in turns, and printing one table of them with what machine it was."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch


@dataclass(frozen=True)
class Contender:
    """One way to do the work; `work` does all of it once."""

    name: str
    work: Callable[[], object]


def best_seconds(contenders: Sequence[Contender], *, rounds: int) -> dict[str, float]:
    """The least seconds of each contender over rounds in which all take turns, so that a slow moment hits all."""
    found = {contender.name: float("inf") for contender in contenders}
    for _ in range(rounds):
        for contender in contenders:
            start = time.perf_counter()
            contender.work()
            found[contender.name] = min(found[contender.name], time.perf_counter() - start)
    return found


def matrix_rate(dtype: torch.dtype) -> float:
    """Floating-point operations per second of the matrix product inside a base-size network's feed-forward layer."""
    rows, width, inner = 1024, 768, 3072
    left, right = torch.randn(rows, width).to(dtype), torch.randn(inner, width).to(dtype)
    product = Contender("product", lambda: [torch.nn.functional.linear(left, right) for _ in range(5)])
    with torch.inference_mode():
        seconds = best_seconds([product], rounds=8)["product"]
    return 5 * 2 * rows * width * inner / seconds


def machine() -> str:
    """The processor, its cores, and what it multiplies natively."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    has = torch.cpu.get_capabilities()
    native = [what for what in ("avx512_f", "avx512_vnni", "avx512_bf16", "amx_bf16") if has.get(what)]
    gpu = f"; {torch.cuda.get_device_name()}" if torch.cuda.is_available() else ""
    return f"{name}, {os.cpu_count()} cores, {torch.get_num_threads()} threads, {', '.join(native)}{gpu}"


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A Markdown table with the machine and the date above it."""
    print(f"\n### {title}\n\n{datetime.now(UTC):%Y-%m-%d}; {machine()}\n")
    widths = [max(len(row[at]) for row in (columns, *rows)) for at in range(len(columns))]
    for row in (columns, ["-" * width for width in widths], *rows):
        print("| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |")


def over_seeds(scores: Sequence[float]) -> list[str]:
    """Cells of a table: the mean of several runs' scores, their standard deviation, and how many there are."""
    deviation = statistics.stdev(scores) if len(scores) > 1 else 0.0
    return [f"{statistics.mean(scores):.4f}", f"{deviation:.4f}", str(len(scores))]


def rates(seconds: Mapping[str, float], count: int, peers: Sequence[str]) -> list[list[str]]:
    """Per contender: units per second, and how many times as fast as each peer."""
    return [
        [name, f"{count / took:.1f}", *(f"{seconds[peer] / took:.2f}" for peer in peers)]
        for name, took in seconds.items()
    ]
