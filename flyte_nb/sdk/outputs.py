"""Convert between what a function returns and its outputs by name."""

from typing import Any

from flyte_nb.api.errors import CodecError
from flyte_nb.sdk.signature import NAMED, NONE, SINGLE, TaskSignature
from flyte_nb.types.codec import show, spell


def pack(value: Any, signature: TaskSignature) -> "dict[str, Any]":
    """Return the outputs by name.

    Raises:
        CodecError: `value` does not have as many outputs as the signature says.
    """
    kind = signature.output_kind
    if kind == SINGLE:
        return {signature.output_names[0]: value}
    if kind == NONE:
        # A traced call of a task without outputs returns an empty tuple.
        if value is None or (isinstance(value, tuple) and not value):
            return {}
        raise CodecError(
            f"It returns {show(value)}, and its signature has no output.",
            hint=f"Write -> {_guess(value)}.",
        )
    names = signature.output_names
    if not isinstance(value, tuple):
        raise CodecError(
            f"It has {len(names)} outputs, and returns {spell(type(value))} {show(value)}.",
            hint=f"Write return {', '.join(names)}{',' if len(names) == 1 else ''}.",
        )
    if len(value) != len(names):
        raise CodecError(
            f"It has {len(names)} outputs, and returns {len(value)} values.",
            hint=f"Write return {', '.join(names)}.",
        )
    return dict(zip(names, value, strict=True))


def unpack(outputs: "dict[str, Any]", signature: TaskSignature) -> Any:
    """Return what the function would return for these outputs: a value, a tuple, a NamedTuple or `None`."""
    kind = signature.output_kind
    if kind == NONE:
        return None
    values = tuple(outputs[name] for name in signature.output_names)
    if kind == SINGLE:
        return values[0]
    if kind == NAMED and signature.output_class is not None:
        return signature.output_class(*values)
    return values


def _guess(value: Any) -> str:
    if isinstance(value, tuple):
        return f"tuple[{', '.join(spell(type(part)) for part in value)}]"
    return spell(type(value))
