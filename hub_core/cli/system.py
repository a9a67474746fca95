"""Commands about the program itself: help, clear, plugins, completion, version."""

from __future__ import annotations

import click

from hub_core.cli.command import COMPLETION_VARIABLE, PROGRAM, command
from hub_core.cli.completing import complete_command
from hub_core.cli.options import json_flag
from hub_core.cli.output import note, print_json, print_pairs, print_table
from hub_core.version import __version__

_STANDS_ON = ("torch", "transformers", "tokenizers", "safetensors")


@command("version", examples=["hub version", "hub version --json"])
@json_flag
def show_version(as_json: bool) -> None:
    """Print the versions of the hub and of what it stands on."""
    versions = {"hub_core": __version__, **{name: _version(name) for name in _STANDS_ON}}
    if as_json:
        print_json(versions)
    else:
        print_pairs(versions)


@command("help", examples=["hub help", "hub help install", "hub help config set"])
@click.argument("path", nargs=-1, metavar="[COMMAND]...", shell_complete=complete_command)
@click.pass_context
def show_help(ctx: click.Context, path: tuple[str, ...]) -> None:
    """Explain the program, or one of its commands."""
    at = ctx.find_root()
    for name in path:
        if not isinstance(at.command, click.Group):
            at.fail(f"{at.command_path!r} has no subcommands")
        _, found, _ = at.command.resolve_command(at, [name])
        at = click.Context(found or at.command, parent=at, info_name=name)
    click.echo(at.get_help())


@command("completion", examples=['eval "$(hub completion bash)"', "hub completion zsh", "hub completion fish"])
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what lets a shell complete commands, options, modules and paths.

    Once for good: add `eval "$(hub completion bash)"` to ~/.bashrc, the same with zsh to ~/.zshrc, or write what
    `hub completion fish` prints to ~/.config/fish/completions/hub.fish.
    """
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise click.UsageError(f"click completes nothing in {shell}")
    click.echo(kind(ctx.find_root().command, {}, PROGRAM, COMPLETION_VARIABLE).source())


@command("clear", examples=["hub clear --dry-run", "hub clear", "hub clear datasets", "hub clear --all"])
@click.argument("names", nargs=-1, metavar="[CACHE]...")
@click.option("--all", "every", is_flag=True, help="Also those that need the network to come back.")
@click.option("--dry-run", is_flag=True, help="Say what would be cleared, and change nothing.")
@json_flag
def clear(names: tuple[str, ...], every: bool, dry_run: bool, as_json: bool) -> None:
    """Clear caches, and say how much room that makes.

    Without names those go that come back without the network. Installed modules, settings and data sets that you put
    in place yourself are never touched.
    """
    from hub_core.caches import caches, choose, in_bytes
    from hub_core.caches import clear as clear_caches

    if names and every:
        raise click.UsageError("give the names of caches, or --all")
    done = choose(caches(), names, every=every) if dry_run else clear_caches(names, every=every)
    freed = sum(cache.size for cache in done)
    if as_json:
        rows = [{"name": cache.name, "what": cache.what, "bytes": cache.size} for cache in done]
        print_json({"caches": rows, "freed": 0 if dry_run else freed})
        return
    print_table(("cache", "size", "what it is"), [(cache.name, in_bytes(cache.size), cache.what) for cache in done])
    print(f"{'would free' if dry_run else 'freed'} {in_bytes(freed)}")
    rest = [cache for cache in caches() if cache not in done and cache.size and cache.name not in names]
    if rest and not names and not every:
        kept = ", ".join(f"{cache.name} ({in_bytes(cache.size)})" for cache in rest)
        note(f"kept: {kept}; they would have to be fetched again, `hub clear --all` clears them too")


@command("plugins", examples=["hub plugins"])
@json_flag
def plugins(as_json: bool) -> None:
    """List the installed plugins, broken ones included.

    A plugin is a Python package with an entry point in the group hub_core; HUB_DISABLE_PLUGINS=1 switches all off.
    """
    from hub_core.plugins import plugin_report

    rows = [{"name": p.name, "distribution": p.distribution, "error": p.error} for p in plugin_report()]
    if as_json:
        print_json(rows)
    elif not rows:
        note("no plugins")
    else:
        table = [(row["name"], row["distribution"], row["error"] or "works") for row in rows]
        print_table(("name", "distribution", "state"), table)


def _version(name: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
