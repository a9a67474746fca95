"""`hub doctor`: what works here, and what to do about what does not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING

import click

from hub_core.cli.command import command
from hub_core.cli.options import json_flag
from hub_core.cli.output import print_groups, print_json

if TYPE_CHECKING:
    from hub_core.doctor import Finding


@command("doctor", examples=["hub doctor", "hub doctor --json"])
@json_flag
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at this machine: packages, engines, devices, places, settings, plugins.

    Engines really compute something small, each in a process of its own; that takes some seconds. Whatever does not
    work is named with its remedy. The exit code is 1 where something is broken that the hub cannot do without.
    """
    from hub_core.doctor import examine

    found = examine()
    healthy = all(finding.state != "broken" for finding in found)
    if as_json:
        print_json({"healthy": healthy, "findings": [asdict(finding) for finding in found]})
    else:
        groups = [(name, list(rows)) for name, rows in groupby(found, key=lambda finding: finding.group)]
        print_groups(
            ("what", "state", "found"),
            [(name, [(row.name, row.state, row.found) for row in rows]) for name, rows in groups],
        )
        _print_remedies([finding for finding in found if finding.state in ("broken", "warning")])
        print("\n" + ("everything that is needed works" if healthy else "something that is needed is broken"))
    if not healthy:
        ctx.exit(1)


def _print_remedies(found: Sequence[Finding]) -> None:
    for finding in found:
        print(f"\n{finding.state}: {finding.group}: {finding.name}: {finding.found}\n  remedy: {finding.remedy}")
