"""PyTorch's tensors, modules and checkpoints, stored by `torch.save`.

flytekit's blobs are called `PyTorchTensor`, `PyTorchModule` and `PyTorchCheckpoint`. torch is never imported
before the author's own code needs it.
"""

# ruff: noqa: D102 - `Codec` and `ObjectCodec` document these methods
import sys
from importlib import import_module
from typing import Any

from flyte_nb.api.errors import CodecError, UsageError
from flyte_nb.types.codec import spell
from flyte_nb.types.pickling import pickle_module
from flyte_nb.types.stored_objects import ObjectCodec


class PyTorchCheckpoint:
    """What a training run needs to go on: the states of a module and an optimizer, and hyperparameters.

    A task that returns one stores a dict: `module_state_dict`, `optimizer_state_dict` and the hyperparameters
    by their names. A task that takes one gets that dict.

    Args:
        module: a `torch.nn.Module`.
        hyperparameters: a dict, a dataclass or a named tuple.
        optimizer: a `torch.optim.Optimizer`.

    Raises:
        UsageError: when all are missing, or the hyperparameters are of another type.
    """

    def __init__(
        self, module: object = None, hyperparameters: object = None, optimizer: object = None
    ) -> None:
        if hyperparameters is not None and _entries(hyperparameters) is None:
            raise UsageError(
                f"The hyperparameters are of the type {spell(type(hyperparameters))}."
                " Write a dict, a dataclass or a named tuple."
            )
        if module is None and not hyperparameters and optimizer is None:
            raise UsageError("PyTorchCheckpoint needs a module, an optimizer or hyperparameters.")
        self.module = module
        self.hyperparameters = hyperparameters
        self.optimizer = optimizer

    def state(self) -> "dict[str, Any]":
        """Return the dict that is stored."""
        found: dict[str, Any] = {}
        for name in ("module", "optimizer"):
            part: Any = getattr(self, name)
            if part is not None:
                found[f"{name}_state_dict"] = part.state_dict()
        return {**found, **(_entries(self.hyperparameters) or {})}


class TorchCodec(ObjectCodec):
    """Codec of what torch.save writes. Values come back on the first GPU where there is one."""

    imports = ("torch",)

    def write(self, value: object, path: str) -> None:
        import_module("torch").save(value, path)

    def read(self, path: str) -> object:
        torch = import_module("torch")
        place = "cuda:0" if torch.cuda.is_available() else "cpu"
        # The file is one that a task wrote. Modules are pickled, so it may hold more than weights.
        value: object = torch.load(
            path, map_location=place, pickle_module=pickle_module(), weights_only=False
        )
        return value


class TensorCodec(TorchCodec):
    """Codec of torch.Tensor."""

    transformer = "PyTorch Tensor"
    format = "PyTorchTensor"
    name = "tensor.pt"


class ModuleCodec(TorchCodec):
    """Codec of torch.nn.Module and of every class derived from it."""

    transformer = "PyTorch Module"
    format = "PyTorchModule"
    name = "module.pt"

    def write(self, value: Any, path: str) -> None:
        if any(type(part).__module__ == "__main__" for part in value.modules()):
            # The task that reads it may not have the notebook's classes, so they travel inside the file.
            import_module("torch").save(value, path, pickle_module=pickle_module())
        else:
            super().write(value, path)


class CheckpointCodec(TorchCodec):
    """Codec of PyTorchCheckpoint, which is read as the dict of its states."""

    transformer = "PyTorch Checkpoint"
    format = "PyTorchCheckpoint"
    name = "checkpoint.pt"

    def check(self, value: Any) -> None:
        """Raise when there is nothing to store.

        Raises:
            CodecError: when the checkpoint is empty.
        """
        if not value.state():
            raise CodecError("The checkpoint is empty.", hint="Give it a module or an optimizer.")

    def write(self, value: Any, path: str) -> None:
        super().write(value.state(), path)


def _entries(parameters: object) -> "dict[str, Any] | None":
    """Return hyperparameters as a dict; `None` when they are of another type."""
    if isinstance(parameters, dict):
        return parameters
    as_dict: Any = getattr(parameters, "_asdict", None)
    if isinstance(parameters, tuple) and as_dict is not None:
        return dict(as_dict())
    if hasattr(parameters, "__dataclass_fields__") and not isinstance(parameters, type):
        # Where there is a dataclass, its author has imported the module.
        return dict(sys.modules["dataclasses"].asdict(parameters))
    return None
