"""A file that is written on this machine and stored at a URI when it is closed."""

import os
from typing import IO, Any

from flyte_nb.api.errors import CodecError
from flyte_nb.api.ports import DataAccess


def is_writing(mode: str) -> bool:
    """Return whether a file that is opened in this mode may be changed."""
    return any(letter in mode for letter in "wax+")


class Written:
    """An open file; closing it uploads what was written. It has the methods of the file that it wraps."""

    def __init__(
        self, uri: str, data: "DataAccess | None", mode: str, options: "dict[str, Any]"
    ) -> None:
        """Open a new local file.

        Args:
            uri: where it is stored when it is closed.
            data: stores it.
            mode: as of the built-in `open`.
            options: further options of the built-in `open`.

        Raises:
            CodecError: when there is no store, or the mode keeps what is there.
        """
        if data is None:
            raise CodecError(f"{uri} can only be written where there is a store.")
        if "w" not in mode:
            raise CodecError(
                f"{uri} can be written as a whole only, and the mode is {mode!r}.",
                hint="Open it with 'w' or 'wb'.",
            )
        self._uri = uri
        self._data = data
        folder = data.scratch()
        os.makedirs(folder, exist_ok=True)
        self._path = os.path.join(folder, os.path.basename(uri.rstrip("/")) or "file")
        self._file: IO[Any] = open(self._path, mode, **options)  # noqa: SIM115 - `close` closes it

    def close(self) -> None:
        """Close the file and store it; do nothing when it is closed already."""
        if not self._file.closed:
            self._file.close()
            self._data.upload(self._path, uri=self._uri)

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, kind: object, *error: object) -> None:
        if kind is None:
            self.close()
        else:  # what was written before the error is not the whole
            self._file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __iter__(self) -> "IO[Any]":
        return self._file
