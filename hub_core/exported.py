"""The module that an exported graph computes: `predict` as a `TorchModule` has it, without torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hub_core.errors import DeviceError
from hub_core.infer.answers import Answers
from hub_core.infer.graphs import Graph, open_graph
from hub_core.infer.predictor import Engine, Predictor, Progress
from hub_core.spec import ModuleSpec
from hub_core.tasks.task import Task
from hub_core.text.tokenizer import Tokenizer


class ExportedModule:
    """A module folder with a graph. Made by `hub_core.Module`; it answers and does not train."""

    def __init__(self, spec: ModuleSpec, folder: Path, graph: Graph, tokenizer: Tokenizer, task: Task) -> None:
        self.spec = spec
        self.folder = folder
        self.graph = graph
        self.tokenizer = tokenizer
        self.task = task
        self._engines: dict[str, Engine] = {}

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels in target order."""
        return self.task.labels

    @property
    def label_map(self) -> dict[int, str]:
        """The labels as PaddleHub's ``{0: label, ...}``."""
        return dict(enumerate(self.labels))

    def get_tokenizer(self) -> Tokenizer:
        """The module's tokenizer."""
        return self.tokenizer

    def predict(
        self,
        data: Iterable[Any],
        max_seq_len: int | None = None,
        split_char: str = "\002",
        batch_size: int | None = None,
        use_gpu: bool | None = None,
        return_prob: bool = False,
        *,
        dtype: str = "auto",
        progress: Progress | None = None,
    ) -> Any:
        """Answer texts; arguments, answers and errors are those of `TorchModule.predict`.

        Raises DeviceError for ``use_gpu=True``: graphs are computed by the CPU.
        """
        if use_gpu:
            raise DeviceError(f"the {self.graph.format} graph in {self.folder} is for the CPU; engine='torch' has GPUs")
        answers = Answers.of(data, split_char=split_char, return_prob=return_prob)
        predictor = self.predictor(dtype=dtype)
        return answers.collect(predictor, max_seq_len=max_seq_len, batch_size=batch_size, progress=progress)

    def predictor(self, *, dtype: str = "auto") -> Predictor:
        """The predict path over the graph, which is read when it is first needed."""
        if dtype not in self._engines:
            self._engines[dtype] = open_graph(self.graph, self.folder, dtype=dtype)
        return Predictor(self.task, self.tokenizer, self._engines[dtype], max_length=self.graph.max_length)
