"""Write the inputs of a task as files, for a command that knows nothing of Flyte.

There is one file for each input, and a folder for a list, a map and a blob of many parts;
`inputs.pb`, and `inputs.json` or `inputs.yaml`, have all of them.

Source: flytecopilot/data/download.go at v1.16.8.
"""

import base64
import json
import math
import os
import urllib.request
from collections.abc import Callable

import yaml
from flyteidl.core.literals_pb2 import Blob, Literal, LiteralMap, Primitive, Scalar
from flyteidl.core.tasks_pb2 import DataLoadingConfig
from flyteidl.core.types_pb2 import BlobType
from google.protobuf.json_format import MessageToDict

from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.durations import go_duration, rfc3339
from flyte_nb.propeller.foreign.go_text import go_float_plain


class NotWritten(Exception):
    """An input cannot be written as a file. The text says which one, and why."""


class Download:
    """Writes inputs below one folder."""

    def __init__(self, store: BlobStore, folder: str, shown: str) -> None:
        """Set the folder; nothing is written yet.

        Args:
            store: Has the blobs.
            folder: Where the files are written.
            shown: The path under which the task's command sees that folder.
        """
        self._store = store
        self._folder = folder
        self._shown = shown

    def run(self, inputs: LiteralMap, format: int) -> None:
        """Write every input, and the file with all of them.

        Args:
            inputs: The inputs.
            format: A `DataLoadingConfig.LiteralMapFormat`.

        Raises:
            NotWritten: when an input has no form as a file.
            StorageError: when a blob cannot be fetched.
            OSError: when a file cannot be written.
        """
        os.makedirs(self._folder, exist_ok=True)
        plain, local = self._map(inputs, "")
        with open(f"{self._folder}/inputs.pb", "wb") as file:
            file.write(local.SerializeToString(deterministic=True))
        if format == DataLoadingConfig.JSON:
            self._write("inputs.json", _json(plain).encode())
        elif format == DataLoadingConfig.YAML:
            self._write("inputs.yaml", yaml.safe_dump(plain, allow_unicode=True).encode())

    def _map(self, values: LiteralMap, place: str) -> "tuple[dict[str, object], LiteralMap]":
        plain: dict[str, object] = {}
        local = LiteralMap()
        for name in sorted(values.literals):
            below = self._place(place, name)
            try:
                plain[name] = self._literal(values.literals[name], local.literals[name], below)
            except NotWritten as error:
                raise NotWritten(f"variable [{name}] download/store failed: {error}") from error
        return plain, local

    def _place(self, place: str, name: str) -> str:
        # A key of a map is any text, and the file must not get out of the folder.
        if name in ("", ".", "..") or "/" in name or "\0" in name:
            raise NotWritten(f"the name {name!r} cannot be the name of a file")
        return f"{place}/{name}" if place else name

    def _literal(self, literal: Literal, local: Literal, place: str) -> object:
        """Write one value to `place` and describe it in `local`; return it as plain data."""
        kind = literal.WhichOneof("value")
        if kind == "offloaded_metadata":
            data = self._store.read(literal.offloaded_metadata.uri)
            return self._literal(Literal.FromString(data), local, place)
        if kind == "scalar":
            return self._scalar(literal.scalar, local.scalar, place)
        if kind == "collection":
            os.makedirs(self._path(place), exist_ok=True)
            local.collection.SetInParent()
            return [
                self._literal(item, local.collection.literals.add(), f"{place}/{index}")
                for index, item in enumerate(literal.collection.literals)
            ]
        if kind == "map":
            os.makedirs(self._path(place), exist_ok=True)
            plain, below = self._map(literal.map, place)
            local.map.CopyFrom(below)
            return plain
        raise NotWritten(f"unsupported literal type [{kind}]")

    def _scalar(self, scalar: Scalar, local: Scalar, place: str) -> object:
        kind = scalar.WhichOneof("value")
        local.CopyFrom(scalar)
        if kind == "primitive":
            text, plain = _primitive(scalar.primitive)
            self._write(place, text.encode())
            return plain
        if kind == "blob":
            self._blob(scalar.blob, place)
            local.blob.uri = f"{self._shown}/{place}"
            return local.blob.uri
        if kind == "schema":
            self._folder_of(scalar.schema.uri, place)
            local.schema.uri = f"{self._shown}/{place}"
            return local.schema.uri
        if kind == "union":
            return self._literal(scalar.union.value, local.union.value, place)
        write = _PLAIN_SCALARS.get(kind or "")
        if write is None:
            raise NotWritten(f"unsupported scalar type [{kind}]")
        data, plain = write(scalar)
        self._write(place, data)
        return plain

    def _blob(self, blob: Blob, place: str) -> None:
        if blob.metadata.type.dimensionality == BlobType.MULTIPART:
            self._folder_of(blob.uri, place)
        elif blob.uri.startswith(("http://", "https://")):
            try:
                # A URL that the author gave as the value of a file.
                with urllib.request.urlopen(blob.uri) as answer:
                    self._write(place, answer.read())
            except OSError as error:
                raise NotWritten(f"Failed to download from url :{blob.uri}: {error}") from error
        elif self._store.size(blob.uri) is None:
            raise NotWritten(f"incorrect blob reference, does not exist: {blob.uri}")
        else:
            self._store.get(blob.uri, self._path(place))

    def _folder_of(self, uri: str, place: str) -> None:
        if not self._store.list(uri):
            raise NotWritten(f"there is nothing at {uri}")
        self._store.get(uri, self._path(place))

    def _write(self, place: str, data: bytes) -> None:
        with open(self._path(place), "wb") as file:
            file.write(data)

    def _path(self, place: str) -> str:
        return f"{self._folder}/{place}"


def _primitive(primitive: Primitive) -> "tuple[str, object]":
    """Return a primitive as the text of its file, and as plain data."""
    kind = primitive.WhichOneof("value")
    if kind == "string_value":
        return primitive.string_value, primitive.string_value
    if kind == "boolean":
        return ("true" if primitive.boolean else "false"), primitive.boolean
    if kind == "integer":
        return str(primitive.integer), primitive.integer
    if kind == "float_value":
        return go_float_plain(primitive.float_value), primitive.float_value
    if kind == "datetime":
        moment = primitive.datetime
        text = rfc3339(int(moment.seconds) * 1_000_000 + int(moment.nanos) // 1000)
        return text, text
    if kind == "duration":
        lapse = primitive.duration
        # Copilot leaves durations out of the common file: it has null for them.
        return go_duration(int(lapse.seconds) * 1_000_000 + int(lapse.nanos) // 1000), None
    return "null", None


def _generic(scalar: Scalar) -> "tuple[bytes, object]":
    plain = MessageToDict(scalar.generic)
    return _json(plain).encode(), plain


def _binary(scalar: Scalar) -> "tuple[bytes, object]":
    data = scalar.binary.value
    return data, base64.b64encode(data).decode()


_PLAIN_SCALARS: "dict[str, Callable[[Scalar], tuple[bytes, object]]]" = {
    "binary": _binary,
    "error": lambda scalar: (scalar.error.message.encode(), scalar.error.message),
    "generic": _generic,
    "none_type": lambda scalar: (b"null", None),
}


def _json(plain: object) -> str:
    try:
        return json.dumps(
            _whole(plain),
            separators=(",", ":"),
            sort_keys=True,
            allow_nan=False,
            ensure_ascii=False,
        )
    except ValueError as error:
        raise NotWritten(f"failed to marshal out inputs: {error}") from error


def _whole(plain: object) -> object:
    """Return the data with whole floats as integers: Go writes 2.0 as 2."""
    if isinstance(plain, float) and math.isfinite(plain) and plain.is_integer():
        return int(plain)
    if isinstance(plain, dict):
        return {name: _whole(value) for name, value in plain.items()}
    return [_whole(value) for value in plain] if isinstance(plain, list) else plain
