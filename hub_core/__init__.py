"""hub_core: a hub of pre-trained language models as plugins, on PyTorch, Chinese first.

    import hub_core as hub
    model = hub.Module(name="bilstm-ner-zh")
    model.predict(["新华社北京5月7日电"])

Nothing heavy is imported here: each public name loads what it needs when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from hub_core.version import __version__

if TYPE_CHECKING:
    from hub_core import datasets, errors
    from hub_core.combination import combine
    from hub_core.errors import HubError
    from hub_core.installation import download, install
    from hub_core.module import Module
    from hub_core.scratch import new_module
    from hub_core.text.files import tokenizer_from_files
    from hub_core.train.calibration import calibrate
    from hub_core.train.negatives import mine_negatives
    from hub_core.train.settings import TrainSettings
    from hub_core.train.trainer import Trainer

#: Public name -> where it lives; loaded on first use (PEP 562).
_PUBLIC = {
    "HubError": "hub_core.errors:HubError",
    "Module": "hub_core.module:Module",
    "TrainSettings": "hub_core.train.settings:TrainSettings",
    "Trainer": "hub_core.train.trainer:Trainer",
    "calibrate": "hub_core.train.calibration:calibrate",
    "combine": "hub_core.combination:combine",
    "datasets": "hub_core.datasets",
    "download": "hub_core.installation:download",
    "errors": "hub_core.errors",
    "install": "hub_core.installation:install",
    "mine_negatives": "hub_core.train.negatives:mine_negatives",
    "new_module": "hub_core.scratch:new_module",
    "tokenizer_from_files": "hub_core.text.files:tokenizer_from_files",
}

__all__ = [
    "HubError",
    "Module",
    "TrainSettings",
    "Trainer",
    "__version__",
    "calibrate",
    "combine",
    "datasets",
    "download",
    "errors",
    "install",
    "mine_negatives",
    "new_module",
    "tokenizer_from_files",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'hub_core' has no attribute {name!r}; public names: {', '.join(__all__)}")
    module, _, attribute = _PUBLIC[name].partition(":")
    loaded = importlib.import_module(module)
    return getattr(loaded, attribute) if attribute else loaded


def __dir__() -> list[str]:
    return __all__
