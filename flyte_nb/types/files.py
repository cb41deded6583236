"""FlyteFile and FlyteDirectory: files and folders as values.

They travel by URI. The content is downloaded when its path is asked for, so passing a file on costs nothing.
"""

import os
from collections.abc import Callable, Iterator
from typing import IO, Any, cast

from flyte_nb.api.errors import UsageError
from flyte_nb.api.ports import DataAccess
from flyte_nb.types import ambient
from flyte_nb.types.file_formats import FileFormat as FileFormat
from flyte_nb.types.stored import Download, Stored, local_path
from flyte_nb.types.writing import Written, is_writing


class FlyteFile(Stored):
    """A file. A local path is uploaded when the value is passed on; a URI refers to what is stored there.

    It is an `os.PathLike`: `open(file)`, `pandas.read_csv(file)` download it when needed.
    `FlyteFile["csv"]` states the format in a signature.

    Args:
        path: a local path or a URI.
        downloader: writes the content to a local `path` when it is first needed.
        remote_path: the URI to store a local path at; `False` leaves the file where it is.
        metadata: free text by name that travels with the file.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        downloader: "Callable[[], Any] | None" = None,
        remote_path: "str | os.PathLike[str] | bool | None" = None,
        metadata: "dict[str, str] | None" = None,
    ) -> None:
        super().__init__(path, downloader, remote_path)
        if metadata:
            self.metadata = metadata

    @property
    def remote_path(self) -> "str | bool | None":
        """Where the author wants the file to be stored."""
        return self.wanted_place

    @classmethod
    def new(cls, filename: "str | os.PathLike[str]") -> "FlyteFile":
        """Return a file of that name in the running task's own folder, for the task to write.

        Raises:
            UsageError: when the name is an absolute path.
        """
        return cls(_below(ambient.current_context().working_directory, filename))

    @classmethod
    def new_remote_file(cls, name: "str | None" = None, alt: "str | None" = None) -> "FlyteFile":
        """Return a new file in the store, for the task to write: `with file.open("w") as out`.

        Args:
            name: its name; a random one when it is missing.
            alt: the URI of a folder to put it in, in place of the task's own.
        """
        return cls(_new_place(name, alt))

    def open(
        self,
        mode: str = "r",
        cache_type: "str | None" = None,
        cache_options: "dict[str, Any] | None" = None,
        **options: Any,
    ) -> "IO[Any]":
        """Open the file as the built-in `open` does.

        A stored file is downloaded at the first use. One that is opened to be written is uploaded to its URI
        when it is closed.

        Args:
            mode: as of the built-in `open`.
            cache_type: unused: what is read lies on this machine's disk.
            cache_options: unused.
            **options: as of the built-in `open`, e.g. `encoding`.

        Raises:
            CodecError: when the file is in a store that cannot be read or written from here.
        """
        if self.uri and is_writing(mode):
            local = local_path(self.uri)
            if not local:
                return cast("IO[Any]", Written(self.uri, self._data(), mode, options))
            os.makedirs(os.path.dirname(local), exist_ok=True)
            return open(local, mode, **options)
        return open(self.path, mode, **options)


class FlyteDirectory(Stored):
    """A folder. A local path is uploaded when the value is passed on; a URI refers to what is stored there.

    It is an `os.PathLike`: `os.listdir(folder)` downloads it when needed; `folder.listdir()` does not.

    Args:
        path: a local path or a URI.
        downloader: writes the content to a local `path` when it is first needed.
        remote_directory: the URI to store a local path at; `False` leaves the folder where it is.
    """

    def __init__(
        self,
        path: "str | os.PathLike[str]",
        downloader: "Callable[[], Any] | None" = None,
        remote_directory: "str | os.PathLike[str] | bool | None" = None,
    ) -> None:
        super().__init__(path, downloader, remote_directory)

    @property
    def remote_directory(self) -> "str | bool | None":
        """Where the author wants the folder to be stored."""
        return self.wanted_place

    @property
    def sep(self) -> str:
        """What separates the parts of its path."""
        return "/" if self.uri else os.sep

    @classmethod
    def new(cls, dirname: "str | os.PathLike[str]") -> "FlyteDirectory":
        """Make a folder of that name in the running task's own folder, and return it.

        Raises:
            UsageError: when the name is an absolute path, or the folder exists.
        """
        path = _below(ambient.current_context().working_directory, dirname)
        try:
            os.makedirs(path)
        except FileExistsError:
            raise UsageError(f"The folder {path} exists already; choose another name.") from None
        return cls(path)

    @classmethod
    def new_remote(cls, stem: "str | None" = None, alt: "str | None" = None) -> "FlyteDirectory":
        """Return a new folder in the store, for the task to put files in with `new_file`.

        Args:
            stem: its name; a random one when it is missing.
            alt: the URI of a folder to put it in, in place of the task's own.
        """
        return cls(_new_place(stem, alt))

    def new_file(self, name: "str | None" = None) -> FlyteFile:
        """Return a file in this folder, for the task to write; its name is random when it is missing."""
        return FlyteFile(self._child(name))

    def new_dir(self, name: "str | None" = None) -> "FlyteDirectory":
        """Return a folder in this folder; its name is random when it is missing."""
        return FlyteDirectory(self._child(name))

    def listdir(self) -> "list[FlyteFile | FlyteDirectory]":
        """Return the files and folders in the folder, sorted by name; their contents are not downloaded."""
        found: dict[str, bool] = {}
        for path in self._paths():
            name, is_folder, _ = path.partition("/")
            found[name] = bool(is_folder)
        return [self._part(name, found[name]) for name in sorted(found)]

    def crawl(
        self, maxdepth: "int | None" = None, topdown: bool = True, **details: Any
    ) -> "Iterator[tuple[str, Any]]":
        """Yield the folder's place and the path of each file in it, also in folders inside.

        Args:
            maxdepth: how many folders deep; `None` for all.
            topdown: whether files come before those of the folders beside them.
            **details: `detail=True` yields a dict from the path to the file's name and type.
        """
        place = str(self)
        paths = [path for path in self._paths() if maxdepth is None or path.count("/") < maxdepth]
        paths.sort(key=lambda path: (path.count("/") * (1 if topdown else -1), path))
        for path in paths:
            name = f"{place.rstrip(self.sep)}/{path}"
            yield place, {path: {"name": name, "type": "file"}} if details.get("detail") else path

    def __truediv__(self, other: "str | os.PathLike[str]") -> Any:
        from pathlib import Path  # few tasks join paths like this

        return Path(self.path) / other

    def _paths(self) -> "list[str]":
        """Return the paths of the files in it, relative and with `/`; a stored folder is not downloaded."""
        local = self._path or local_path(self.uri)
        data = None if local else self._data()
        if data is not None:
            root = self.uri.rstrip("/") + "/"
            return [uri.removeprefix(root) for uri in data.uris_below(self.uri)]
        local = local or self.path
        return [
            os.path.relpath(os.path.join(folder, name), local).replace(os.sep, "/")
            for folder, _, names in os.walk(local)
            for name in names
        ]

    def _part(self, name: str, is_folder: bool) -> "FlyteFile | FlyteDirectory":
        made = (FlyteDirectory if is_folder else FlyteFile)(self._child(name))
        if self.uri and isinstance(self._download, Download):
            made.uri, made._path = made.uri or made._path, ""
            made.reach_by(self._download.data)
        return made

    def _child(self, name: "str | None") -> str:
        return self.sep.join([str(self).rstrip(self.sep), name or os.urandom(16).hex()])


def local_copy(uri: str, data: "DataAccess | None" = None) -> Any:
    """Return a `pathlib.Path` of a local copy of the file at `uri`.

    A pickled value that holds a path of an existing file names this function in the path's place (see
    `pickling.py`). Its name and parameters must not change, because stored values refer to them.
    """
    from pathlib import Path  # for values with paths only

    return Path(FlyteFile(uri).path if data is None else data.download(uri))


def _below(folder: str, name: "str | os.PathLike[str]") -> str:
    if os.path.isabs(name):
        raise UsageError(f"{os.fspath(name)!r} is an absolute path; write a name.")
    return os.path.join(folder, name)


def _new_place(name: "str | None", folder: "str | None") -> str:
    """Return the URI of a new object below `folder`, or below where the running task's files are stored."""
    context = ambient.current_context()
    # A notebook's own calls have no such place. Their values are uploaded when they are passed on.
    place = folder or context.raw_output_prefix or context.working_directory
    random = os.urandom(16).hex()
    return f"{place.rstrip('/')}/{random}/{name}" if name else f"{place.rstrip('/')}/{random}"
