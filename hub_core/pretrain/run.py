"""`pretrain`: a corpus and a module that fills in words, to a module that does it better."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from hub_core.corpus.store import Corpus, check_tokenizer
from hub_core.errors import DataError, SettingsError, unknown
from hub_core.examples import Features
from hub_core.pretrain import OBJECTIVES, PRETRAINING
from hub_core.pretrain.masking import MaskOptions
from hub_core.pretrain.networks import generator_for, with_detector, with_order, with_words
from hub_core.pretrain.objectives import HiddenWords, ReplacedTokens
from hub_core.pretrain.stream import MEASURING_SEED, RowOptions, Rows, shown_rows, split_documents
from hub_core.spec import ModuleSpec, canonical, parse_manifest
from hub_core.torch_module import TorchModule
from hub_core.train.batches import to_torch
from hub_core.train.callbacks import Callback
from hub_core.train.loop import Metrics, TrainResult
from hub_core.train.settings import TrainSettings
from hub_core.train.trainer import Trainer

#: Rows that are measured together.
_MEASURED = 64


@dataclass(frozen=True)
class PreTrained:
    """What a run leaves: the module after the last step (the given network, or one with the further heads that the
    objective needs; the best is in ``best_model``), what the run did, and where that was asked for what the module
    scored before it."""

    module: TorchModule
    result: TrainResult
    before: Metrics | None = None


def pretrain(
    module: TorchModule,
    corpus: Corpus | str | Path,
    *,
    checkpoint_dir: str | Path,
    objective: str = "mlm",
    rows: RowOptions | None = None,
    epochs: int = 1,
    batch_size: int = 32,
    settings: TrainSettings | None = None,
    stored: Mapping[str, Tensor] | None = None,
    generator_share: float = 0.25,
    validation: Corpus | str | Path | None = None,
    held_out: float = 0.005,
    measure_first: bool = False,
    num_workers: int = 0,
    use_gpu: bool = False,
    use_vdl: bool = True,
    log_interval: int = 50,
    callbacks: Sequence[Callback] = (),
    name: str | None = None,
    show: int = 2,
    announce: Callable[[str], object] | None = None,
) -> PreTrained:
    """Train a module for masked-lm on a corpus, or the one with this prefix: `epochs` times all of it, or
    ``settings.max_steps`` optimizer steps.

    - `objective`: ``mlm``; ``mlm+sop`` and ``mlm+nsp`` learn the order of sentences too; ``rtd`` (ELECTRA) learns to
      find the tokens that a generator of `generator_share` of the width replaced.
    - `rows`: how the corpus is cut and what is hidden in it. `batch_size` is per process and micro-batch.
    - `settings`: by default `hub_core.pretrain.PRETRAINING`, which keeps a state every 500 steps; others begin with
      those of fine-tuning, which keep one after every epoch only.
    - `stored`: the tensors of the file that the module is from (`hub_core.nn.weights.read_weights`), of which a pooler,
      a head of the order and, for ``rtd``, all that it holds are taken over.
    - `validation`: a corpus to measure on; without one a share `held_out` of the documents is. Measured, and saved as
      ``best_model`` where the loss of hidden words (for ``rtd``, the whole loss) is the lowest, every
      ``settings.eval_interval`` steps and at the end, and with `measure_first` before the first step too.
    - `name`: what the result is called. Where that is not the module's name, the module is noted as its base; give one
      for a module that was not made for this run.
    - `announce`: gets lines about what begins, and `show` rows of it, as they are and as the module sees them.

    Raises SettingsError where the corpus was made with another tokenizer, DataError where it is too small, and what
    `hub_core.Trainer.train` raises.
    """
    if objective not in OBJECTIVES:
        raise SettingsError(unknown("objective", objective, OBJECTIVES))
    settings, options = settings or TrainSettings(**PRETRAINING), _row_options(rows or RowOptions(), objective)
    corpus = corpus if isinstance(corpus, Corpus) else Corpus.open(corpus)
    if validation is not None and not isinstance(validation, Corpus):
        validation = Corpus.open(validation)
    source, fixed, measured_on = _rows(module, corpus, validation, options, held_out=held_out, seed=settings.seed)
    if objective == "rtd" and settings.sharding != "none":
        raise SettingsError("rtd's generator shares the module's embeddings, which sharding='full' cuts: choose one")
    module, goal = _prepared(module, objective, stored, generator_share)
    decisive = "loss" if objective == "rtd" else "mlm"
    module.spec = _learnt_spec(module.spec, corpus, objective, name)
    trainer = Trainer(
        module,
        use_gpu=use_gpu,
        use_vdl=use_vdl,
        checkpoint_dir=checkpoint_dir,
        compare_metrics=lambda old, new: new[decisive] < old[decisive],
        settings=settings,
        objective=goal,
        callbacks=callbacks,
    )
    plan = trainer.plan(source.lengths, batch_size)
    epochs = math.ceil(settings.max_steps / plan.steps_per_epoch) if settings.max_steps else epochs
    if announce is not None and trainer.processes.is_main:
        steps = settings.max_steps or plan.steps_per_epoch * epochs
        announce(_beginning(module, source, fixed, steps=steps, batch=plan.step_rows))
        for line in (*_remarks(corpus, options), *shown_rows(source, module.tokenizer, show)):
            announce(line)
    padding = {"input_ids": module.tokenizer.pad_id}
    evaluate = _evaluation(trainer, goal, fixed.fixed(), padding)
    before: list[Metrics] = []
    result = trainer.train_on(
        source,
        source.lengths,
        max_seq_len=options.length,
        fingerprint={
            "corpus": corpus.fingerprint(),
            "measured on": measured_on,
            "objective": objective,
            "rows": asdict(options),
            **({"generator_share": generator_share} if objective == "rtd" else {}),
        },
        epochs=epochs,
        batch_size=batch_size,
        num_workers=num_workers,
        evaluate=evaluate,
        before=(lambda: before.append(evaluate())) if measure_first else None,
        log_interval=log_interval,
        save_interval=epochs,
    )
    return PreTrained(module, result, before[0] if before else None)


def _rows(
    module: TorchModule, corpus: Corpus, validation: Corpus | None, options: RowOptions, *, held_out: float, seed: int
) -> tuple[Rows, Rows, str]:
    """The rows to learn from, those to measure on, and what is said of the latter where a run is resumed."""
    for one in [corpus] if validation is None else [corpus, validation]:
        check_tokenizer(one.about, module.tokenizer, where=one.prefix)
        if options.order != "none":
            one.check_order()
        one.verify()
    if module.max_length is not None and options.length > module.max_length:
        raise SettingsError(f"{module.spec.title} takes rows of {module.max_length} tokens, not of {options.length}")
    learnt: Iterable[int]
    measured: Iterable[int]
    if validation is None:
        held, told = corpus, f"{held_out} of the documents"
        learnt, measured = split_documents(corpus, held_out=held_out)
    else:
        held, told = validation, validation.fingerprint()
        learnt, measured = range(len(corpus.documents) - 1), range(len(validation.documents) - 1)
    source = Rows(corpus, learnt, module.tokenizer, options, seed=seed)
    fixed = Rows(held, measured, module.tokenizer, options, seed=MEASURING_SEED)
    if not len(source.lengths) or not len(fixed.lengths):
        raise DataError([f"{corpus.prefix}: not enough text for rows to learn from, and rows to measure on"])
    return source, fixed, told


def _beginning(module: TorchModule, source: Rows, fixed: Rows, *, steps: int, batch: int) -> str:
    """How much there is to learn from, and of what."""
    parameters = sum(parameter.numel() for parameter in module.network.parameters())
    return (
        f"learns from {len(source.lengths):,} rows, measured on {len(fixed.lengths):,}; {parameters:,} parameters; "
        f"{steps:,} steps of {batch:,} rows"
    )


def _remarks(corpus: Corpus, options: RowOptions) -> list[str]:
    """What the options ask for and the corpus does not have."""
    wordless = options.mask.masking != "token" and not corpus.has_units
    return ["the corpus was built without words: tokens are hidden one by one"] if wordless else []


def _learnt_spec(spec: ModuleSpec, corpus: Corpus, objective: str, name: str | None) -> ModuleSpec:
    """What the manifest says of the result: what it has learnt; under another name, also on what it stands."""
    counts = corpus.about["counts"]
    learnt = f"{objective} on {corpus.prefix.name}, {counts['tokens']:,} tokens in {counts['documents']:,} documents"
    if name is None or canonical(name) == spec.canonical:
        return replace(spec, name=name or spec.name, summary=f"Pre-trained: {learnt}", metrics={}, files=())
    derived = replace(
        spec,
        name=name,
        version="0.1.0",
        summary=f"{spec.title}, pre-trained further: {learnt}",
        base=f"{spec.name}=={spec.version}",
        also_versions=(),
        metrics={},
        files=(),
    )
    return parse_manifest(derived.to_json(), where=f"a module called {name!r}")


def _row_options(rows: RowOptions, objective: str) -> RowOptions:
    """The rows that an objective needs: with halves, or (Clark et al. 2020) with nothing but the mask where words are
    hidden."""
    order = objective.partition("+")[2] or "none"
    if rows.order not in ("none", order):
        raise SettingsError(f"rows with order={rows.order!r} are not for objective {objective!r}; leave the order out")
    if objective != "rtd":
        return replace(rows, order=order)
    shares, usual = (rows.mask.random, rows.mask.kept), (MaskOptions.random, MaskOptions.kept)
    if any(share and share != default for share, default in zip(shares, usual, strict=True)):
        raise SettingsError("rtd hides words by the mask alone: leave out random and kept (--mask-random, --mask-kept)")
    return replace(rows, mask=replace(rows.mask, random=0.0, kept=0.0))


def _prepared(
    module: TorchModule, objective: str, stored: Mapping[str, Tensor] | None, generator_share: float
) -> tuple[TorchModule, HiddenWords | ReplacedTokens]:
    """The module with the heads that an objective learns by, and the objective."""
    if objective == "rtd":
        detector = with_detector(module, stored)
        return detector, ReplacedTokens(generator_for(detector, share=generator_share))
    if objective == "mlm":
        return with_words(module), HiddenWords()
    return with_order(module, stored), HiddenWords(order=True)


def _evaluation(
    trainer: Trainer, objective: HiddenWords | ReplacedTokens, rows: Sequence[Features], padding: dict[str, int]
) -> Callable[[], Metrics]:
    """What measures a module on rows that stay the same: the objective's parts, and how many words it finds."""
    processes = trainer.processes
    own = range(processes.index, len(rows), processes.count)

    def measured() -> Metrics:
        # By names that do not depend on the rows: a process without any adds to the same sums.
        names = (*objective.parts, *objective.scores)
        sums, counts = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
        module = trainer.model.to(processes.device)
        for start in range(0, len(own), _MEASURED):
            batch = trainer.task.collate([rows[number] for number in own[start : start + _MEASURED]], padding)
            with module.answering(), _still(objective, processes.device):
                found = objective.measure(module, batch, to_torch(batch, processes.device))
            for name, (value, count) in found.items():
                sums[name] += value
                counts[name] += count
        means = {name: processes.total(sums[name]) / (processes.total(counts[name]) or 1.0) for name in sums}
        return {"loss": sum(means[name] for name in objective.parts), **means}

    return measured


@contextmanager
def _still(objective: nn.Module, device: torch.device) -> Iterator[None]:
    """For the block the objective's own networks answer too, and draw the same whenever they are asked; what training
    draws afterwards is what it would have drawn."""
    training = [part for part in objective.modules() if part.training]
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.manual_seed(MEASURING_SEED)
        objective.eval()
        try:
            yield
        finally:
            for part in training:
                part.training = True
