"""The command that pre-trains: a corpus and a module (or a manifest) to a module that knows the language better."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hub_core.cli.command import command
from hub_core.cli.completing import ModuleName
from hub_core.cli.job import continuing
from hub_core.cli.options import PATH, checkpoint_dir, json_flag
from hub_core.cli.output import note, print_record
from hub_core.cli.settings_options import pretraining_options
from hub_core.errors import NotFoundError
from hub_core.pretrain import OBJECTIVES

if TYPE_CHECKING:
    from torch import Tensor

    from hub_core.torch_module import TorchModule
    from hub_core.train.settings import TrainSettings

_SHARE = click.FloatRange(0, 1)
_PART = click.FloatRange(0, 1, min_open=True, max_open=True)


@command(
    "pretrain",
    examples=[
        "hub pretrain --module bert-base-chinese --corpus corpus/laws --max-steps 10000 --checkpoint-dir ckpt",
        "hub pretrain --manifest small.json --vocabulary vocab.txt --corpus corpus/zh --epochs 3 --learning-rate 1e-3",
    ],
)
@click.option(
    "--module", "-m", "name", type=ModuleName(), help="A module to go on with: a name, hf:org/repo, a folder."
)
@click.option("--manifest", type=PATH, help="A module.json that describes a new one.")
@click.option("--vocabulary", type=PATH, help="The vocab.txt of a new one.")
@click.option("--name", "called", help="What the result is called.  [default: as the manifest; MODULE-CORPUS]")
@click.option("--corpus", type=PATH, required=True, metavar="PREFIX", help="What `hub corpus build` has written.")
@click.option("--validation", type=PATH, metavar="PREFIX", help="Another corpus, to measure on.")
@click.option("--held-out", type=_PART, default=0.005, help="Else the share of documents that is measured on.")
@click.option("--objective", type=click.Choice(OBJECTIVES), default="mlm", help="What is learnt.")
@click.option(
    "--generator-share",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.25,
    help="Of rtd: the generator's share of the width.",
)
@click.option("--length", type=click.IntRange(min=8), default=128, help="Tokens per row, special ones included.")
@click.option("--pack/--no-pack", default=False, help="Let short documents share a row.")
@click.option("--masking", default="word", help="What is hidden: word, ngram, span, token, or a plugin's.")
@click.option("--mask-share", type=_PART, default=0.15, help="How much of a row is hidden.")
@click.option("--max-ngram", type=click.IntRange(min=1), default=3, help="Of ngram: the longest run of words.")
@click.option("--mask-random", type=_SHARE, default=0.1, help="How much of that becomes another token.")
@click.option("--mask-kept", type=_SHARE, default=0.1, help="How much of it stays as it is.")
@click.option("--mask-by", type=click.Choice(("token", "word")), default="token", help="What that is drawn for.")
@click.option(
    "--epochs", type=click.IntRange(min=1), default=1, help="Passes over the corpus, unless --max-steps says."
)
@click.option("--batch-size", type=click.IntRange(min=1), default=32, help="Rows per process and micro-batch.")
@click.option("--log-interval", type=click.IntRange(min=1), default=50, help="Steps between two lines.")
@click.option("--show", type=click.IntRange(min=0), default=2, help="Rows to print at the start, as they are shown.")
@click.option("--num-workers", type=click.IntRange(min=0), default=0, help="Processes that make rows.")
@click.option("--use-gpu", is_flag=True, help="Train on the GPU.")
@click.option("--tensorboard/--no-tensorboard", default=True, help="Log to CHECKPOINT_DIR/visualization.")
@checkpoint_dir
@json_flag
@pretraining_options
def pretrain(
    name: str | None,
    manifest: Path | None,
    vocabulary: Path | None,
    called: str | None,
    corpus: Path,
    validation: Path | None,
    checkpoint_dir: Path,
    as_json: bool,
    settings: TrainSettings,
    tensorboard: bool,
    **options: Any,
) -> None:
    """Teach a module the language of a corpus: of all, or of a domain.

    What is left in CHECKPOINT_DIR/best_model is a module to fine-tune: `hub train --module ./ckpt/best_model`. After
    Ctrl-C, SIGTERM or a crash the same command continues where the run stopped, and ends with the same weights.
    """
    if (name is None) == (manifest is None):
        raise click.UsageError("give either --module or --manifest")
    if (manifest is None) != (vocabulary is None):
        raise click.UsageError("--manifest needs --vocabulary, and --module has one")
    from hub_core.pretrain.masking import MaskOptions
    from hub_core.pretrain.run import pretrain as pretrained
    from hub_core.pretrain.stream import RowOptions

    mask = MaskOptions(
        options.pop("masking"),
        options.pop("mask_share"),
        options.pop("max_ngram"),
        options.pop("mask_random"),
        options.pop("mask_kept"),
        options.pop("mask_by"),
    )
    rows = RowOptions(options.pop("length"), pack=options.pop("pack"), mask=mask)
    with continuing(checkpoint_dir):
        module, stored = _module(name, manifest, vocabulary, options["objective"], settings.seed)
        if name is not None and called is None:
            part = re.sub(r"[^a-z0-9]+", "-", corpus.name.lower()).strip("-")
            called = f"{module.spec.name}-{part or 'further'}"
        done = pretrained(
            module,
            corpus,
            checkpoint_dir=checkpoint_dir,
            rows=rows,
            settings=settings,
            stored=stored,
            validation=validation,
            use_vdl=tensorboard,
            # The generator of rtd begins anew, and what would be measured is its own ignorance.
            measure_first=name is not None and options["objective"] != "rtd",
            name=called,
            announce=note,
            **options,
        )
    best = checkpoint_dir / "best_model"
    if done.before and done.result.best and round(done.before["mlm"], 4) < round(done.result.best["mlm"], 4):
        note(f"warning: {name} found hidden words better before: the best loss since is {done.result.best['mlm']:.4f}")
    before = {f"{metric} before": score for metric, score in (done.before or {}).items()}
    record = {"module": str(best), "steps": done.result.steps, **(done.result.best or {}), **before}
    print_record(record, as_json=as_json)


def _module(
    name: str | None, manifest: Path | None, vocabulary: Path | None, objective: str, seed: int
) -> tuple[TorchModule, dict[str, Tensor] | None]:
    """The module that fills in words, and where further heads want them, the tensors of its file."""
    import torch

    torch.manual_seed(seed)  # of the weights of a new network, or of new heads
    if manifest is not None:
        if vocabulary is not None and not vocabulary.is_file():
            raise NotFoundError(f"no file {vocabulary}")
        from hub_core.scratch import module_from_manifest

        return module_from_manifest(manifest, (), task="masked-lm", word_list=vocabulary), None
    from hub_core.cli.loading import load_base, stored_tensors

    # ELECTRA's published files hold the detector, and no head that fills in words.
    task = None if objective == "rtd" else "masked-lm"
    module = load_base(name or "", task=task, labels=(), new_head=False, task_options={})
    return module, None if objective == "mlm" else stored_tensors(name or "")
