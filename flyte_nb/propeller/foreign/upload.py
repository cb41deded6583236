"""Read the outputs of a task from files, and store them.

There is one file for each output of a simple type, and a file or folder for a blob. A file `_ERROR`
makes the attempt fail with its text.

Source: flytecopilot/data/upload.go and flyteidl/clients/go/coreutils/literals.go at v1.16.8.
"""

import glob
import os
import re
from collections.abc import Callable
from datetime import datetime, timezone

from flyteidl.core.interface_pb2 import VariableMap
from flyteidl.core.literals_pb2 import Literal, LiteralMap
from flyteidl.core.types_pb2 import BlobType, SimpleType
from google.protobuf.json_format import Parse, ParseError

from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.durations import go_nanoseconds

ERROR_FILE = "_ERROR"
_MAX_SIMPLE = 1024
_MAX_ERROR = 1024 * 1024


class NotStored(Exception):
    """The outputs of a task cannot be stored. The text says which one, and why."""


class Upload:
    """Stores the files of one folder as outputs."""

    def __init__(self, store: BlobStore, folder: str, shown: str, prefix: str) -> None:
        """Set the folder; nothing is read yet.

        Args:
            store: Where blobs are stored.
            folder: Where the files are.
            shown: The path under which the task's command saw that folder, for texts.
            prefix: The URI below which blobs are stored.
        """
        self._store = store
        self._folder = folder
        self._shown = shown
        self._prefix = prefix

    def run(self, outputs: VariableMap) -> LiteralMap:
        """Store every output of the interface, and return them.

        Raises:
            NotStored: when the task left an error, or an output is missing or of another type.
            StorageError: when the store fails.
            OSError: when a file cannot be read.
        """
        self._check_error()
        made = LiteralMap()
        for name, variable in sorted(outputs.variables.items()):
            kind = variable.type.WhichOneof("type")
            if kind == "blob":
                self._blob(name, made.literals[name])
            elif kind == "simple":
                self._simple(name, variable.type.simple, made.literals[name])
            else:
                raise NotStored(
                    f"currently CoPilot uploader does not support [{kind}], system error:"
                    f" the output {name} has to be a file, a folder or of a simple type"
                )
        return made

    def _check_error(self) -> None:
        path = os.path.join(self._folder, ERROR_FILE)
        if os.path.isdir(path):
            raise NotStored("error file is a directory")
        if os.path.exists(path):
            size = os.path.getsize(path)
            if size > _MAX_ERROR:
                raise NotStored(f"error file too large {size}")
            with open(path, encoding="utf-8", errors="replace") as file:
                raise NotStored(f"User Error: {file.read()}")

    def _found(self, name: str) -> str:
        """Return the path of an output's file, which may have an extension."""
        path = os.path.join(self._folder, name)
        if os.path.exists(path):
            return path
        matches = glob.glob(f"{glob.escape(path)}.*")
        if len(matches) == 1:
            return matches[0]
        raise NotStored(f"file not found at path [{self._shown}/{name}]")

    def _blob(self, name: str, literal: Literal) -> None:
        path, uri = self._found(name), f"{self._prefix}/{name}"
        dimensionality = BlobType.MULTIPART if os.path.isdir(path) else BlobType.SINGLE
        self._store.put(path, uri)
        literal.scalar.blob.uri = uri
        literal.scalar.blob.metadata.type.dimensionality = dimensionality

    def _simple(self, name: str, type: int, literal: Literal) -> None:
        path = self._found(name)
        if os.path.isdir(path):
            raise NotStored(
                f"expected file for type [{_name(type)}], found dir at path [{self._shown}/{name}]"
            )
        size = os.path.getsize(path)
        if size > _MAX_SIMPLE:
            raise NotStored(
                f"maximum allowed filesize is [{_MAX_SIMPLE}], but found [{size}] for {name}"
            )
        with open(path, "rb") as file:
            data = file.read()
        read = _READERS.get(type)
        if read is None:
            raise NotStored(f"unsupported type {_name(type)}")
        try:
            read(data.decode("utf-8", "replace").strip(" \n\t"), literal)
        except (ValueError, OverflowError, ParseError) as error:
            raise NotStored(f"the output {name}: {error}") from error


def _name(type: int) -> str:
    return str(SimpleType.DESCRIPTOR.values_by_number[type].name)


def _integer(text: str, literal: Literal) -> None:
    if not re.fullmatch(r"[+-]?[0-9]+", text) or not -(1 << 63) <= int(text) < 1 << 63:
        raise ValueError(f"failed to parse integer value: {text!r}")
    literal.scalar.primitive.integer = int(text)


def _float(text: str, literal: Literal) -> None:
    try:
        if "_" in text:  # Python reads those as numbers, Go does not
            raise ValueError
        literal.scalar.primitive.float_value = float(text)
    except ValueError:
        raise ValueError(f"failed to parse Float value: {text!r}") from None


def _boolean(text: str, literal: Literal) -> None:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        literal.scalar.primitive.boolean = True
    elif text in ("0", "f", "F", "FALSE", "false", "False"):
        literal.scalar.primitive.boolean = False
    else:
        raise ValueError(f"failed to parse Bool value: {text!r}")


def _string(text: str, literal: Literal) -> None:
    literal.scalar.primitive.string_value = text


def _duration(text: str, literal: Literal) -> None:
    nanoseconds = go_nanoseconds(text, plain_seconds=False)
    if nanoseconds is None:
        raise ValueError(
            f"failed to parse Duration, valid formats: e.g. 300ms, -1.5h, 2h45m: {text!r}"
        )
    literal.scalar.primitive.duration.FromNanoseconds(nanoseconds)


def _datetime(text: str, literal: Literal) -> None:
    # `fromisoformat` of Python 3.10 knows no `Z`, and exactly three or six digits of a second.
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", text)
    if match is None:
        raise ValueError(f"failed to parse Datetime in RFC3339 format: {text!r}")
    zone = "+00:00" if match[3] == "Z" else match[3]
    moment = datetime.fromisoformat(match[1] + zone).astimezone(timezone.utc)
    stamp = literal.scalar.primitive.datetime
    stamp.FromDatetime(moment.replace(tzinfo=None))
    stamp.nanos = int((match[2] or "0").ljust(9, "0"))


def _struct(text: str, literal: Literal) -> None:
    try:
        Parse(text, literal.scalar.generic)
    except ParseError as error:
        raise ValueError(f"failed to load generic type as json.: {error}") from None


def _binary(text: str, literal: Literal) -> None:
    literal.scalar.binary.value = text.encode()
    literal.scalar.binary.tag = "msgpack"


def _error(text: str, literal: Literal) -> None:
    literal.scalar.error.message = text


def _none(text: str, literal: Literal) -> None:
    literal.scalar.none_type.SetInParent()


_READERS: "dict[int, Callable[[str, Literal], None]]" = {
    SimpleType.INTEGER: _integer,
    SimpleType.FLOAT: _float,
    SimpleType.BOOLEAN: _boolean,
    SimpleType.STRING: _string,
    SimpleType.DURATION: _duration,
    SimpleType.DATETIME: _datetime,
    SimpleType.STRUCT: _struct,
    SimpleType.BINARY: _binary,
    SimpleType.ERROR: _error,
    SimpleType.NONE: _none,
}
