"""Codec of FlyteFile and FlyteDirectory."""

# ruff: noqa: D102 - `Codec` documents these methods
import os
import typing
from typing import Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import MULTIPART, SINGLE, BlobType, LiteralType
from flyte_nb.api.literals import Literal, marked
from flyte_nb.api.ports import DataAccess
from flyte_nb.types.codec import (
    Annotation,
    Codec,
    JsonSchema,
    mismatch,
    no_data,
    spell,
    unexpected,
)
from flyte_nb.types.files import FlyteDirectory, FlyteFile
from flyte_nb.types.stored import Stored


class FileCodec(Codec):
    """Codec of FlyteFile and FlyteDirectory, of one format or of any."""

    packs = True

    def __init__(self, python_type: Annotation, made: "type[Stored]", blob: BlobType) -> None:
        self._made = made
        self._blob = blob
        self._noun = "file" if blob.dimensionality == SINGLE else "folder"
        self.transformer = "FlyteFilePath" if blob.dimensionality == SINGLE else "FlyteDirectory"
        super().__init__(python_type, LiteralType(literal_types.BLOB, blob))

    def encode(self, value: object, data: "DataAccess | None") -> Literal:
        uri = self.place_of(value, data)
        return marked(Literal(literals.BLOB, (uri, self._blob)), _metadata(value))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        uri, blob = literal.value
        if blob.dimensionality != self._blob.dimensionality:
            raise unexpected(self, literal)
        return self._at(uri, data, literal.metadata)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        metadata = _metadata(value)
        path = {"path": self.place_of(value, data)}
        return {**path, "metadata": metadata} if metadata else path

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        fields: dict[str, Any] = plain if isinstance(plain, dict) else {"path": plain}
        path = fields.get("path")
        if not isinstance(path, str):
            raise mismatch(self, plain)
        return self._at(path, data, fields.get("metadata"))

    def schema(self) -> JsonSchema:
        path = [{"type": "string"}, {"type": "string", "format": "path"}]
        properties: JsonSchema = {"path": {"anyOf": path, "default": None}}
        if self._made is FlyteFile:
            texts = {
                "type": "object",
                "additionalProperties": {"type": "string"},
                "propertyNames": {"type": "string"},
            }
            properties["metadata"] = {"anyOf": [texts, {"type": "null"}], "default": None}
        return {
            "type": "object",
            "title": self._made.__name__,
            "properties": properties,
            "additionalProperties": False,
        }

    def accepts_exactly(self, value: object) -> bool:
        return type(value) is self._made

    def place_of(self, value: object, data: "DataAccess | None") -> str:
        """Return where the value is stored, after uploading it when it is a local path.

        Raises:
            CodecError: when the value is no path, or nothing is there.
            NeedsStore: when it has to be uploaded and `data` is `None`.
        """
        wanted: str | bool | None = None
        # An object that came from a store is passed on by its URI, without a download and an upload.
        if isinstance(value, Stored):
            if type(value) is not self._made:
                raise mismatch(self, value)
            if value.uri:
                return value.uri
            wanted = value.wanted_place
        elif not isinstance(value, (str, os.PathLike)):
            raise mismatch(self, value)
        path: str = os.fspath(value)
        if "://" in path:
            return path
        there = os.path.isfile(path) if self._noun == "file" else os.path.isdir(path)
        if not there:
            raise CodecError(
                f"There is no {self._noun} at {path!r}.",
                hint=f"Write the path of a {self._noun} that exists, or a URI with its scheme.",
            )
        if wanted is False:
            return os.path.abspath(path)
        if data is None:
            raise no_data(self)
        # Tasks see the file under its own name, because many programs look at the extension.
        name = os.path.basename(os.path.normpath(path))
        if wanted:
            return data.upload(os.path.abspath(path), name=name, uri=str(wanted))
        return data.upload(os.path.abspath(path), name=name)

    def _at(self, uri: str, data: "DataAccess | None", metadata: "dict[str, str] | None") -> Stored:
        """Return the file at `uri`, which downloads through `data` when it is used."""
        found = self._made(uri)
        if self._blob.format:
            vars(found)["__orig_class__"] = self.python_type  # as for FlyteFile["csv"](…)
        if metadata:
            found.metadata = metadata
        if data is not None:
            # A plain path in a literal is in the local backend's store. As a URI it is copied when it is
            # used, and the task cannot change the stored file.
            found._path = ""
            found.uri = uri
            found.reach_by(data)
        return found


def file_codec(python_type: Any) -> Codec:
    """Return the codec of `FlyteFile`, `FlyteFile["csv"]`, `FlyteDirectory` or `os.PathLike`.

    Raises:
        CodecError: when `python_type` is another class.
    """
    made = typing.get_origin(python_type) or python_type
    arguments = typing.get_args(python_type)
    format = arguments[0].name if arguments else ""
    if isinstance(made, type) and issubclass(made, FlyteDirectory):
        return FileCodec(python_type, FlyteDirectory, BlobType(format, MULTIPART))
    if isinstance(made, type) and (issubclass(made, FlyteFile) or made is os.PathLike):
        return FileCodec(python_type, FlyteFile, BlobType(format))
    raise CodecError(f"{spell(python_type)} is not a type of file.", hint="Write FlyteFile.")


def _metadata(value: object) -> "dict[str, str] | None":
    return value.metadata if isinstance(value, Stored) else None
