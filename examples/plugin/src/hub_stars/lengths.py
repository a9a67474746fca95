"""A command: how long the texts of a file are for a module, to choose ``--max-seq-len`` by."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("name")
@click.argument("texts", type=click.Path(path_type=Path))
def lengths(name: str, texts: Path) -> None:
    """Say how many tokens the texts of a file have.

    NAME is a module, TEXTS a file with one text per line.
    """
    import numpy as np

    import hub_core as hub

    tokenizer = hub.Module(name).get_tokenizer()
    rows = [line for line in texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not rows:
        raise hub.HubError(f"{texts} has no texts")
    counts = [len(tokenizer.encode(row)) for row in rows]
    for share in (50, 90, 99, 100):
        click.echo(f"{share:3d}% of the texts have at most {int(np.percentile(counts, share))} tokens")
