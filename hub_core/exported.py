"""The module that an exported graph computes: `predict` as a `TorchModule` has it, without torch."""

from __future__ import annotations

from pathlib import Path

from hub_core.errors import DeviceError, SettingsError
from hub_core.infer.answers import Answering
from hub_core.infer.graphs import Graph, open_graph
from hub_core.infer.predictor import Engine, Predictor
from hub_core.spec import ModuleSpec
from hub_core.tasks.task import Task
from hub_core.text.tokenizer import Tokenizer


class ExportedModule(Answering):
    """A module folder with a graph. Made by `hub_core.Module`; it answers and does not train."""

    def __init__(self, spec: ModuleSpec, folder: Path, graph: Graph, tokenizer: Tokenizer, task: Task) -> None:
        self.spec = spec
        self.folder = folder
        self.graph = graph
        self.tokenizer = tokenizer
        self.task = task
        self._engines: dict[str, Engine] = {}

    def place(self, *, use_gpu: bool) -> None:
        """Stay on the CPU, which computes graphs. Raises DeviceError for a GPU."""
        if use_gpu:
            raise DeviceError(f"the {self.graph.format} graph in {self.folder} is for the CPU; engine='torch' has GPUs")

    def embedder(self, *, pooling: str | None = None, normalize: bool | None = None) -> ExportedModule:
        """Itself. Raises SettingsError for a graph of another task, or with another pooling."""
        task = self.known_task()
        wanted = {"pooling": pooling, "normalize": normalize}
        if task.name != "embedding" or any(v is not None and v != task.options[k] for k, v in wanted.items()):
            raise SettingsError(
                f"the graph in {self.folder} computes {task.name} {dict(task.options)}; vectors of another kind need "
                "the module's weights (engine='torch')"
            )
        return self

    def predictor(self, *, dtype: str = "auto") -> Predictor:
        """The predict path over the graph, which is read when it is first needed."""
        if dtype not in self._engines:
            self._engines[dtype] = open_graph(self.graph, self.folder, dtype=dtype)
        return Predictor(self.known_task(), self.tokenizer, self._engines[dtype], max_length=self.graph.max_length)
