"""FlyteFile and FlyteDirectory: files that travel by URI and are downloaded when they are first used."""

# ruff: noqa: D102 - `Codec` says what these methods do
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
from flyte_nb.types.codec import Codec, mismatch, no_data, spell, unexpected


class FileFormat:
    """The format in `FlyteFile["csv"]`; text there would be taken for a forward reference."""

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
    """Something that lies at a URI or a local path, and is downloaded when its path is asked for."""

    def __init__(self, path: "str | os.PathLike[str]") -> None:
        text = os.fspath(path)
        self.uri = text if "://" in text else ""
        """Where it is stored; empty while it only exists here."""
        self._path = "" if self.uri else text
        self._download: Callable[[], str] | None = None

    def __class_getitem__(cls, format: Any) -> Any:
        if isinstance(format, tuple) and len(format) == 1:  # typing puts resolved parts together so
            format = format[0]
        if isinstance(format, FileFormat):
            return GenericAlias(cls, (format,))
        if not isinstance(format, str):
            raise TypeError(f"{cls.__name__}[{format!r}]: write the format as text, e.g. 'csv'.")
        return GenericAlias(cls, (FileFormat(format.lstrip(".")),))

    @property
    def path(self) -> str:
        """A local path with the content; downloads it the first time."""
        if not self._path:
            self._path = self.download()
        return self._path

    @property
    def remote_source(self) -> str:
        """Where it is stored, or an empty text; flytekit's name for `uri`."""
        return self.uri

    def download(self) -> str:
        """Fetch the content now; the local path.

        Raises:
            CodecError: when it lies in a store and nothing here knows how to reach it.
        """
        if self._path:
            return self._path
        if self._download is not None:
            return self._download()
        if self.uri.startswith("file://"):
            from urllib.parse import unquote, urlsplit

            return unquote(urlsplit(self.uri).path)
        if self.uri.startswith("/"):  # of the local backend, whose store is a folder
            return self.uri
        raise CodecError(
            f"{self.uri} can only be read inside of a task.",
            hint="Pass it to a task; there it is downloaded when it is opened.",
        )

    def reach_by(self, data: DataAccess) -> None:
        """Download through `data` when somebody asks for the path."""
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
        return {"uri": self.uri, "_path": "" if self.uri else self._path, "_download": None}


class FlyteFile(Stored):
    """A file. Give it a local path to have it uploaded, or a URI to refer to what is stored there.

    It is an `os.PathLike`: `open(file)`, `pandas.read_csv(file)` download it when needed.
    `FlyteFile["csv"]` says the format in a signature.
    """

    def open(self, mode: str = "r", **options: Any) -> "IO[Any]":
        """The file, opened as by `open`; downloaded the first time."""
        return open(self.path, mode, **options)


class FlyteDirectory(Stored):
    """A folder. Give it a local path to have it uploaded, or a URI to refer to what is stored there.

    It is an `os.PathLike`: `os.listdir(folder)` downloads it when needed.
    """

    def listdir(self) -> "list[str]":
        """The names in the folder, sorted; downloads it the first time."""
        return sorted(os.listdir(self.path))


class FileCodec(Codec):
    """FlyteFile and FlyteDirectory, of one format or of any."""

    packs = True

    def __init__(self, python_type: Any, made: "type[Stored]", blob: BlobType) -> None:
        self._made = made
        self._blob = blob
        self._noun = "file" if blob.dimensionality == SINGLE else "folder"
        self.transformer = "FlyteFilePath" if blob.dimensionality == SINGLE else "FlyteDirectory"
        super().__init__(python_type, LiteralType(literal_types.BLOB, blob))

    def encode(self, value: Any, data: "DataAccess | None") -> Literal:
        return Literal(literals.BLOB, (self._uri(value, data), self._blob))

    def decode(self, literal: Literal, data: "DataAccess | None") -> Any:
        if literal.kind != literals.BLOB:
            return super().decode(literal, data)
        uri, blob = literal.value
        if blob.dimensionality != self._blob.dimensionality:
            raise unexpected(self, literal)
        return self._at(uri, data)

    def pack(self, value: Any, data: "DataAccess | None") -> Any:
        return {"path": self._uri(value, data)}

    def unpack(self, plain: Any, data: "DataAccess | None") -> Any:
        path = plain.get("path") if isinstance(plain, dict) else plain
        if not isinstance(path, str):
            raise mismatch(self, plain)
        return self._at(path, data)

    def schema(self) -> "dict[str, Any]":
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

    def accepts_exactly(self, value: Any) -> bool:
        return type(value) is self._made

    def _at(self, uri: str, data: "DataAccess | None") -> Stored:
        found = self._made(uri)
        if data is not None:
            found._path = ""
            found.uri = uri
            found.reach_by(data)
        return found

    def _uri(self, value: Any, data: "DataAccess | None") -> str:
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
        name = os.path.basename(os.path.normpath(path))
        return data.upload(os.path.abspath(path), name=name)


def local_copy(uri: str, data: "DataAccess | None" = None) -> Any:
    """Return a `pathlib.Path` of a local copy: what a path in a pickled value is read as.

    Append-only, for values name this function.
    """
    from pathlib import Path

    return Path(FlyteFile(uri).path if data is None else data.download(uri))


class _Download:
    """Downloads one URI; an object, so that what it holds can be seen."""

    __slots__ = ("_data", "_uri")

    def __init__(self, data: DataAccess, uri: str) -> None:
        self._data = data
        self._uri = uri

    def __call__(self) -> str:
        return self._data.download(self._uri)


def file_codec(python_type: Any) -> Codec:
    """The codec of `FlyteFile`, `FlyteFile["csv"]`, `FlyteDirectory`, or of a class that is a path."""
    made = typing.get_origin(python_type) or python_type
    arguments = typing.get_args(python_type)
    format = arguments[0].name if arguments else ""
    if isinstance(made, type) and issubclass(made, FlyteDirectory):
        return FileCodec(python_type, FlyteDirectory, BlobType(format, MULTIPART))
    if isinstance(made, type) and (issubclass(made, FlyteFile) or made is os.PathLike):
        return FileCodec(python_type, FlyteFile, BlobType(format))
    raise CodecError(f"{spell(python_type)} is no type of file.", hint="Write FlyteFile.")
