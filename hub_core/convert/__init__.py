"""Foreign checkpoints, safely: PaddlePaddle's and torch's files become safetensors under `transformers`' names."""

from hub_core.convert.files import convert_file, read_foreign_state
from hub_core.convert.folder import convert_folder
from hub_core.convert.paddle import read_paddle_words, read_pdparams
from hub_core.convert.tensors import read_safetensors
from hub_core.convert.torch_pickle import read_torch_bin

__all__ = [
    "convert_file",
    "convert_folder",
    "read_foreign_state",
    "read_paddle_words",
    "read_pdparams",
    "read_safetensors",
    "read_torch_bin",
]
