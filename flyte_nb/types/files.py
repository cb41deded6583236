"""FlyteFile and FlyteDirectory, and their codec.

They travel by URI. The content is downloaded when its path is asked for, so passing a file on costs nothing.
"""

# ruff: noqa: D102 - `Codec` documents these methods
import os
import typing
from collections.abc import Callable
from types import GenericAlias
from typing import IO, Any

from flyte_nb.api import literal_types, literals
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literal_types import MULTIPART, SINGLE, BlobType, LiteralType
from flyte_nb.api.literals import Literal
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


class FileFormat:
    """The format in `FlyteFile["csv"]`.

    It is an object, because `typing.get_type_hints` takes text in that place for a forward reference.
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FileFormat) and other.name == self.name

    def __hash__(self) -> int:
        return hash((FileFormat, self.name))

    def __repr__(self) -> str:
        return repr(self.name)

    def __reduce__(self) -> Any:
        return FileFormat, (self.name,)


class Stored(os.PathLike):  # type: ignore[type-arg]  # os.PathLike[str] cannot be subclassed in 3.10
    """A file or folder at a URI or a local path. It is downloaded when its path is asked for."""

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        text = os.fspath(path)
        self.uri = text if "://" in text else ""
        """Where it is stored; empty while it exists on this machine only."""
        self._path = "" if self.uri else text
        self._download: Callable[[], str] | None = None

    def __class_getitem__(cls, format: Any) -> Any:
        # typing passes a tuple when it builds the type again from resolved parts.
        if isinstance(format, tuple) and len(format) == 1:
            format = format[0]
        if isinstance(format, FileFormat):
            return GenericAlias(cls, (format,))
        if not isinstance(format, str):
            raise TypeError(f"{cls.__name__}[{format!r}]: write the format as text, e.g. 'csv'.")
        return GenericAlias(cls, (FileFormat(format.lstrip(".")),))

    @property
    def path(self) -> str:
        """A local path of the content, which is downloaded at the first use."""
        if not self._path:
            self._path = self.download()
        return self._path

    @property
    def remote_source(self) -> str:
        """The same as `uri`, by flytekit's name."""
        return self.uri

    def download(self) -> str:
        """Download the content now and return its local path.

        Raises:
            CodecError: when it is in a store that cannot be read from here, i.e. outside of a task.
        """
        if self._path:
            return self._path
        if self._download is not None:
            return self._download()
        if self.uri.startswith("file://"):
            from urllib.parse import unquote, urlsplit  # only `file://` URIs need it

            return unquote(urlsplit(self.uri).path)
        if self.uri.startswith("/"):  # the local backend's store is a folder of this machine
            return self.uri
        raise CodecError(
            f"{self.uri} can only be read inside a task.",
            hint="Pass it to a task, which downloads it when it opens it.",
        )

    def reach_by(self, data: DataAccess) -> None:
        """Download through `data` once the path is asked for; do nothing when the content is here."""
        if self.uri and not self._path:
            self._download = _Download(data, self.uri)

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.uri or self._path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __getstate__(self) -> "dict[str, Any]":
        # Another process has neither the downloaded copy nor the connection to a store.
        return {"uri": self.uri, "_path": "" if self.uri else self._path, "_download": None}


class FlyteFile(Stored):
    """A file. A local path is uploaded when the value is passed on; a URI refers to what is stored there.

    It is an `os.PathLike`: `open(file)`, `pandas.read_csv(file)` download it when needed.
    `FlyteFile["csv"]` states the format in a signature.
    """

    def open(self, mode: str = "r", **options: Any) -> "IO[Any]":
        """Open the file as the built-in `open` does, and download it at the first use."""
        return open(self.path, mode, **options)


class FlyteDirectory(Stored):
    """A folder. A local path is uploaded when the value is passed on; a URI refers to what is stored there.

    It is an `os.PathLike`: `os.listdir(folder)` downloads it when needed.
    """

    def listdir(self) -> "list[str]":
        """Return the names in the folder, sorted; download it at the first use."""
        return sorted(os.listdir(self.path))


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
        return Literal(literals.BLOB, (self._uri(value, data), self._blob))

    def decode(self, literal: Literal, data: "DataAccess | None") -> object:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        uri, blob = literal.value
        if blob.dimensionality != self._blob.dimensionality:
            raise unexpected(self, literal)
        return self._at(uri, data)

    def pack(self, value: object, data: "DataAccess | None") -> object:
        return {"path": self._uri(value, data)}

    def unpack(self, plain: object, data: "DataAccess | None") -> object:
        path = plain.get("path") if isinstance(plain, dict) else plain
        if not isinstance(path, str):
            raise mismatch(self, plain)
        return self._at(path, data)

    def schema(self) -> JsonSchema:
        path = [{"type": "string"}, {"type": "string", "format": "path"}]
        properties: dict[str, Any] = {"path": {"anyOf": path, "default": None}}
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

    def _at(self, uri: str, data: "DataAccess | None") -> Stored:
        """Return the file at `uri`, which downloads through `data` when it is used."""
        found = self._made(uri)
        if data is not None:
            # A plain path in a literal is in the local backend's store. As a URI it is copied when it is
            # used, and the task cannot change the stored file.
            found._path = ""
            found.uri = uri
            found.reach_by(data)
        return found

    def _uri(self, value: object, data: "DataAccess | None") -> str:
        """Return where the value is stored, after uploading it when it is a local path.

        Raises:
            CodecError: when the value is no path, or nothing is there.
            NeedsStore: when it has to be uploaded and `data` is `None`.
        """
        # An object that came from a store is passed on by its URI, without a download and an upload.
        if isinstance(value, Stored):
            if type(value) is not self._made:
                raise mismatch(self, value)
            if value.uri:
                return value.uri
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
        if data is None:
            raise no_data(self)
        # Tasks see the file under its own name, because many programs look at the extension.
        name = os.path.basename(os.path.normpath(path))
        return data.upload(os.path.abspath(path), name=name)


def local_copy(uri: str, data: "DataAccess | None" = None) -> Any:
    """Return a `pathlib.Path` of a local copy of the file at `uri`.

    A pickled value that holds a path of an existing file names this function in the path's place (see
    `pickling.py`). Its name and parameters must not change, because stored values refer to them.
    """
    from pathlib import Path  # for values with paths only

    return Path(FlyteFile(uri).path if data is None else data.download(uri))


class _Download:
    """Downloads one URI when called.

    A class and not a closure, so that code that packs values can see what it holds.
    """

    __slots__ = ("_data", "_uri")

    def __init__(self, data: DataAccess, uri: str) -> None:
        self._data = data
        self._uri = uri

    def __call__(self) -> str:
        return self._data.download(self._uri)


def file_codec(python_type: Annotation) -> Codec:
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
