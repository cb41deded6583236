"""Store a large literal as a file of its own, and pass a reference in its place.

A backend that is told so offloads large outputs, as FlytePropeller does with
`literal-offloading-config`. Tasks learn the limits by two variables, which flytekit reads too.
Readers take a reference for what it refers to.

Source: flytepropeller/pkg/controller/nodes/common/utils.go (OffloadLargeLiteral) and
flyteplugins/go/tasks/pluginmachinery/flytek8s/k8s_resource_adds.go at v1.16.8.
"""

from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import NamedTuple

from flyteidl.core.literals_pb2 import Literal, LiteralMap

from flyte_nb.api import literals
from flyte_nb.api.errors import USER, ErrorInfo, TaskFailed, UsageError
from flyte_nb.api.ports import BlobStore
from flyte_nb.compiler.casting import TypeTable
from flyte_nb.compiler.digests import digest
from flyte_nb.compiler.inference import type_of_literal
from flyte_nb.runtime.results import OUTPUTS
from flyte_nb.runtime.variables import MAX_OFFLOADED, MIN_OFFLOADED
from flyte_nb.wire.literal_bytes import literal_map_to_bytes

LEAST_VARIABLE = "FLYTE_NB_OFFLOAD_MIN_MB"
MOST_VARIABLE = "FLYTE_NB_OFFLOAD_MAX_MB"
_USUAL_MOST_MB = 1000
_MB = 1024 * 1024


class Offloading(NamedTuple):
    """From which size on literals are offloaded, and which size is too large even for that."""

    least_mb: int
    most_mb: int = _USUAL_MOST_MB

    def variables(self) -> "dict[str, str]":
        """Return the variables by which tasks learn the limits."""
        return {MIN_OFFLOADED: str(self.least_mb), MAX_OFFLOADED: str(self.most_mb)}


def offloading_of_backend(environ: "Mapping[str, str]") -> "Offloading | None":
    """Return what the backend's variables ask for; `None` when large literals stay where they are.

    Raises:
        UsageError: when a variable is not a whole number.
    """
    return _limits(environ, LEAST_VARIABLE, MOST_VARIABLE)


def offloading_of_attempt(environ: "Mapping[str, str]") -> "Offloading | None":
    """Return what the variables of an attempt ask for; `None` when large literals stay where they are.

    Raises:
        UsageError: when a variable is not a whole number.
    """
    return _limits(environ, MIN_OFFLOADED, MAX_OFFLOADED)


def offloaded(
    values: LiteralMap, folder: str, store: BlobStore, limits: "Offloading | None"
) -> LiteralMap:
    """Return the map with a reference in place of each large literal, which is stored below `folder`.

    Raises:
        TaskFailed: when a literal is too large even for that.
        StorageError: when a literal cannot be stored.
    """
    if limits is None or values.ByteSize() < limits.least_mb * _MB:
        return values
    made = LiteralMap()
    for name, literal in values.literals.items():
        size = literal.ByteSize() // _MB
        if size >= limits.most_mb:
            text = (
                f"literal size [{size}] MB is larger than the max size [{limits.most_mb}] MB for"
                f" offloading: {name}. Return it as a file or a dataset."
            )
            raise TaskFailed(ErrorInfo("OutputSizeExceeded", text, USER))
        # A reference that was passed on is small, and must not be offloaded once more.
        if size < limits.least_mb or literal.WhichOneof("value") == "offloaded_metadata":
            made.literals[name].CopyFrom(literal)
        else:
            _refer(literal, made.literals[name], f"{folder}/{name}_offloaded_metadata.pb", store)
    return made


def write_offloaded(
    store: BlobStore,
    prefix: str,
    outputs: "Mapping[str, literals.Literal]",
    environ: "Mapping[str, str]",
) -> None:
    """Write the outputs of an attempt, large ones as files of their own.

    Raises:
        CodecError: when a value cannot be turned into a message.
        StorageError: when a file cannot be written.
        TaskFailed: when an output is too large.
        UsageError: when the attempt's variables are wrong.
    """
    limits = offloading_of_attempt(environ)
    data = literal_map_to_bytes(outputs)
    if limits is not None and len(data) >= limits.least_mb * _MB:
        data = offloaded(LiteralMap.FromString(data), prefix, store, limits).SerializeToString()
    store.write(f"{prefix.rstrip('/')}/{OUTPUTS}", data)


def _refer(literal: Literal, reference: Literal, uri: str, store: BlobStore) -> None:
    """Store the literal at `uri`, and make the other one a reference to it."""
    data = literal.SerializeToString(deterministic=True)
    store.write(uri, data)
    # The hash stands for the value in cache keys, so that equal values hit wherever they are stored.
    own = urlsafe_b64encode(digest(literal)).decode("ascii").rstrip("=")
    reference.hash = literal.hash or own
    reference.offloaded_metadata.uri = uri
    reference.offloaded_metadata.size_bytes = len(data)
    found = type_of_literal(TypeTable(), literal)
    if found is not None:
        reference.offloaded_metadata.inferred_type.CopyFrom(found.message)


def _limits(environ: "Mapping[str, str]", least: str, most: str) -> "Offloading | None":
    first = _number(environ, least, 0)
    return Offloading(first, _number(environ, most, _USUAL_MOST_MB)) if first else None


def _number(environ: "Mapping[str, str]", variable: str, usual: int) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return usual
    if not text.isascii() or not text.isdecimal():
        raise UsageError(f"The variable {variable} is {text!r}. Set it to a number of megabytes.")
    return int(text)
