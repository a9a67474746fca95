"""What `load_checkpoint` names: a folder that was trained here, or weights from somewhere else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hub_core.errors import CheckpointError
from hub_core.hf_layout import CONFIG, hf_spec, read_object
from hub_core.spec import BEST, MANIFEST, WEIGHTS, HeadSpec, ModuleSpec, canonical, read_manifest

#: Files of weights that are looked for in a folder of somebody else's, and what such files end in.
_FOREIGN = ("model.pdparams", "model_state.pdparams", "pytorch_model.bin", "model.safetensors")
_SUFFIXES = (".pdparams", ".bin", ".safetensors")


@dataclass(frozen=True)
class NamedCheckpoint:
    """What `load_checkpoint` names: a module folder (with its spec), or one file of foreign weights.

    `heads` are what config.json beside foreign weights says about their head, empty where it says nothing.
    """

    folder: Path
    spec: ModuleSpec | None
    file: Path | None
    heads: tuple[HeadSpec, ...] = ()

    @classmethod
    def find(cls, path: Path) -> NamedCheckpoint:
        """Raises CheckpointError where there is nothing that can be loaded."""
        if not path.exists():
            raise CheckpointError(
                f"load_checkpoint={str(path)!r} does not exist; give a checkpoint folder "
                "(such as ckpt/best_model), a file in it, or a .pdparams file"
            )
        folder = path if path.is_dir() else path.parent
        if (folder / MANIFEST).is_file() and (path.is_dir() or path.name in (MANIFEST, WEIGHTS)):
            return cls(folder, read_manifest(folder), None)
        if not path.is_dir():
            if path.suffix not in _SUFFIXES and not path.name.endswith(".index.json"):
                raise CheckpointError(
                    f"load_checkpoint={str(path)!r} is no file of weights; give a checkpoint folder, the {MANIFEST} "
                    f"or {WEIGHTS} in it, or somebody's {', '.join(_SUFFIXES)} file"
                )
            return cls(folder, None, path)
        foreign = [path / name for name in _FOREIGN if (path / name).is_file()]
        if not foreign:
            best = f"; {str(path / BEST)!r} is one" if (path / BEST / MANIFEST).is_file() else ""
            raise CheckpointError(
                f"{path} is not a checkpoint: it has neither {MANIFEST} nor {', '.join(_FOREIGN)}{best}"
            )
        return cls(folder, None, foreign[0], _heads_beside(path))

    def agreeing_with(self, base: ModuleSpec) -> ModuleSpec:
        """The checkpoint's spec. Raises CheckpointError where it was made from another module than `base`."""
        if self.spec is None:
            raise CheckpointError(f"{self.folder} has no {MANIFEST}")
        origin = (self.spec.base or self.spec.name).partition("==")[0]
        if canonical(origin) not in (base.canonical, canonical((base.base or "").partition("==")[0])):
            raise CheckpointError(
                f"{self.folder} was made from {self.spec.base or self.spec.title}, not from {base.title}; "
                f"hub.Module(directory={str(self.folder)!r}) loads it as what it is"
            )
        return self.spec


def _heads_beside(folder: Path) -> tuple[HeadSpec, ...]:
    """The head that ``config.json`` beside foreign weights describes; of the folder's tokenizer nothing is asked."""
    if not (folder / CONFIG).is_file():
        return ()
    config = read_object(folder / CONFIG)
    if "model_type" not in config:
        return ()
    where = str(folder / CONFIG)
    return hf_spec(config, {}, ("tokenizer.json",), name="foreign", version="0.0.0", where=where).heads
