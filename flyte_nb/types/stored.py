"""The base class of FlyteFile and FlyteDirectory: something at a URI or a local path."""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from flyte_nb.api.errors import CodecError
from flyte_nb.api.ports import DataAccess
from flyte_nb.types import ambient
from flyte_nb.types.file_formats import Extension, FileFormat, Formatted, named_format


class Stored(os.PathLike):  # type: ignore[type-arg]  # os.PathLike[str] cannot be subclassed in 3.10
    """A file or folder at a URI or a local path. It is downloaded when its path is asked for."""

    metadata: "dict[str, str] | None" = None
    """Free text by name that travels with a file."""

    wanted_place: "str | bool | None" = None
    """Where the author wants a local path to be stored; `False` leaves it where it is."""

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        downloader: "Callable[[], Any] | None" = None,
        wanted_place: "str | os.PathLike[str] | bool | None" = None,
    ) -> None:
        """Make a value of a local path or a URI; nothing is read or checked yet.

        Args:
            path: a local path, or a URI.
            downloader: writes the content to `path` when it is first needed.
            wanted_place: where a local path is to be stored; `False` leaves it where it is.
        """
        text = os.fspath(path)
        self.uri = text if "://" in text else ""
        """Where it is stored; empty while it exists on this machine only."""
        self._path = "" if self.uri else text
        self._download: Callable[[], str] | None = None
        # The path is kept empty until the author's function has written it, as a set path means that it is
        # there.
        if downloader is not None and not self.uri:
            self._download, self._path = Given(downloader, text), ""
        if wanted_place is not None and wanted_place is not True:
            self.wanted_place = wanted_place if wanted_place is False else os.fspath(wanted_place)

    def __class_getitem__(cls, format: Any) -> Any:
        # typing passes a tuple when it builds the type again from resolved parts.
        if isinstance(format, tuple) and len(format) == 1:
            format = format[0]
        if isinstance(format, FileFormat):
            return Formatted(cls, (format,))
        name = named_format(format)
        return Formatted(cls, (FileFormat(name),)) if name else cls

    extension = Extension()
    """Returns the format: `csv` of `FlyteFile["csv"]`, and an empty text of `FlyteFile`."""

    @classmethod
    def from_source(cls, source: "str | os.PathLike[str]") -> Any:
        """Return the value that is stored at a URI or path."""
        return cls(source)

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

    @property
    def downloaded(self) -> bool:
        """Whether the content is on this machine already."""
        return bool(self._path)

    def download(self) -> str:
        """Download the content now and return its local path.

        Raises:
            CodecError: when it is in a store that cannot be read from here.
            StorageError: when the store does not give it.
        """
        if self._path:
            return self._path
        if self._download is not None:
            self._path = self._download()
            return self._path
        local = local_path(self.uri)
        # A local store's own file is used in place. `_path` stays empty, because the value still lives at its
        # URI.
        if local:
            return local
        data = ambient.data_access()
        if data is None:
            raise CodecError(
                f"{self.uri} can only be read where there is a store.",
                hint="Pass it to a task, which downloads it when it opens it.",
            )
        self._path = data.download(self.uri)
        return self._path

    def reach_by(self, data: DataAccess) -> None:
        """Download through `data` once the path is asked for; do nothing when the content is here."""
        if self.uri and not self._path:
            self._download = Download(data, self.uri)

    def __fspath__(self) -> str:
        return self.path

    def __str__(self) -> str:
        return self.uri or self._path

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        # By place and not by content: comparing must never download anything.
        return type(other) is type(self) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __getstate__(self) -> "dict[str, Any]":
        # Another process has neither the downloaded copy nor the connection to a store.
        state = {"uri": self.uri, "_path": "" if self.uri else self._path, "_download": None}
        asked = {"metadata": self.metadata, "wanted_place": self.wanted_place}
        return {**state, **{name: value for name, value in asked.items() if value is not None}}

    @classmethod
    def __get_pydantic_core_schema__(cls, source: object, handler: object) -> Any:
        """Return how pydantic checks and writes a field of this type; see `file_fields.py`."""
        return import_module("flyte_nb.types.file_fields").field_schema(cls)

    def _data(self) -> "DataAccess | None":
        """Return what this value downloads through, or else what the running code has."""
        own = self._download
        return own.data if isinstance(own, Download) else ambient.data_access()


def local_path(uri: str) -> str:
    """Return the path on this machine that a `file://` URI or a plain path names; empty for any other."""
    if uri.startswith("file://"):
        from urllib.parse import unquote, urlsplit  # only `file://` URIs need it

        return unquote(urlsplit(uri).path)
    return (
        uri if uri.startswith("/") else ""
    )  # the local backend's store is a folder of this machine


class Download:
    """Downloads one URI when called.

    A class and not a closure, so that code that packs values can see what it holds.
    """

    __slots__ = ("_uri", "data")

    def __init__(self, data: DataAccess, uri: str) -> None:
        self.data = data
        self._uri = uri

    def __call__(self) -> str:
        """Return a local path of the content."""
        return self.data.download(self._uri)


class Given:
    """Calls the author's own downloader once, and returns the path that it writes."""

    __slots__ = ("_downloader", "_path")

    def __init__(self, downloader: "Callable[[], Any]", path: str) -> None:
        self._downloader = downloader
        self._path = path

    def __call__(self) -> str:
        """Return the local path that the author's function wrote."""
        self._downloader()
        return self._path
