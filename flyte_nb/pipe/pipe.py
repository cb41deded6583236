"""The pipe between host and worker: framed, versioned JSON messages over two file descriptors.

A frame has three parts: the magic `FNB` and the protocol's number (4 bytes), the length of the body (4
bytes, big-endian), and the body, which is one JSON object. User code can write to the descriptor. So every
frame begins with the magic: foreign bytes (`PipeGarbage`) differ from an end in the middle of a frame
(`PipeClosed`), and neither is ever taken for an answer. A body over `SPILL_BYTES` is
written to a file in the attempt's folder, and the frame names the file.

Every message has a `kind`. Host to worker: `ring`, `load`, `call`, `reply`. Worker to host: `ready`,
`download`, `upload`, `checkpoint`, `restore`, `deck`, each answered by a `reply`; then one of `LAST`.
"""

import json
import os
from typing import Any

from flyte_nb.api.errors import BundleError
from flyte_nb.api.version import PROTOCOL

MAGIC = b"FNB" + bytes([PROTOCOL])
LAST = ("outputs", "dynamic", "ignored", "failed")
"""Kinds of a worker's last message, its answer."""
SPILL_BYTES = 1 << 20
"""Bytes; a larger body goes by file."""

MOST_BYTES = 128 << 20
"""Bytes; a larger body is refused, because the other side would need several times as much memory."""

_HEADER = 8
# `json.dumps` and `json.loads` make an encoder or check their arguments in every call.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()


class PipeClosed(BundleError):
    """The other side has closed the pipe or ended."""


class TooLarge(BundleError):
    """The message is larger than `MOST_BYTES`."""


class PipeGarbage(BundleError):
    """The bytes that arrived are not a frame of this protocol."""


class Pipe:
    """One end of the two-way pipe.

    It is not thread-safe: threads that share it need a lock around each question and its answer.

    Args:
        read_fd: the descriptor to read messages from.
        write_fd: the descriptor to write messages to.
        folder: the folder for large bodies, the same on both sides.
    """

    def __init__(self, read_fd: int, write_fd: int, folder: str) -> None:
        self.read_fd = read_fd
        self.write_fd = write_fd
        self.folder = folder
        self._spilled = 0

    def send(self, message: "dict[str, Any]") -> None:
        """Write one message.

        Raises:
            PipeClosed: when the other side does not read any more.
            TooLarge: when it is larger than `MOST_BYTES`; nothing was sent.
            OSError: when a large body cannot be written to its file.
        """
        # Counted first: encoding a message that is far too large would need several copies of it.
        if _least_bytes(message) > MOST_BYTES:
            raise _too_large()
        body = _ENCODER.encode(message).encode()
        if len(body) > MOST_BYTES:
            raise _too_large()
        if len(body) > SPILL_BYTES:
            body = json.dumps({"kind": message["kind"], "file": self._spill(body)}).encode()
        view = memoryview(MAGIC + len(body).to_bytes(4, "big") + body)
        try:
            while view:
                view = view[os.write(self.write_fd, view) :]
        except OSError as error:
            raise PipeClosed(
                f"The pipe is closed: {error}.", code="SYSTEM:WorkerPipeClosed"
            ) from error

    def receive(self) -> "dict[str, Any]":
        """Wait for the next message and return it.

        Raises:
            PipeClosed: when the other side ended, also in the middle of a frame.
            PipeGarbage: when what arrived is not a frame: something else wrote to the descriptor.
        """
        header = self._read(_HEADER)
        if header[:4] != MAGIC:
            raise _garbage(header)
        size = int.from_bytes(header[4:], "big")
        # A larger body would have been spilled. Waiting for bytes that nobody sends would take for ever.
        if size > SPILL_BYTES + 4096:
            raise _garbage(header)
        message = _parse(self._read(size))
        return self._unspill(str(message["file"])) if "file" in message else message

    def close(self) -> None:
        """Close both descriptors."""
        os.close(self.read_fd)
        os.close(self.write_fd)

    def _read(self, size: int) -> bytes:
        chunks = []
        while size:
            try:
                chunk = os.read(self.read_fd, min(size, 1 << 20))
            except OSError as error:
                raise PipeClosed(
                    f"The pipe is closed: {error}.", code="SYSTEM:WorkerPipeClosed"
                ) from error
            if not chunk:
                raise PipeClosed("The pipe was closed.", code="SYSTEM:WorkerPipeClosed")
            chunks.append(chunk)
            size -= len(chunk)
        return b"".join(chunks)

    def _unspill(self, path: str) -> "dict[str, Any]":
        # User code can write a frame by itself. It must not make the host read or delete other files.
        if os.path.dirname(path) != self.folder:
            raise _garbage(path.encode())
        try:
            with open(path, "rb") as file:
                # Of the open file, because user code could replace the path after a look at it.
                if os.fstat(file.fileno()).st_size > MOST_BYTES:
                    raise _garbage(path.encode())
                body = file.read()
            os.unlink(path)
        except OSError:
            raise _garbage(path.encode()) from None
        return _parse(body)

    def _spill(self, body: bytes) -> str:
        self._spilled += 1
        path = os.path.join(self.folder, f"frame-{os.getpid()}-{self._spilled}.json")
        with open(path, "wb") as file:
            file.write(body)
        return path


def _parse(body: bytes) -> "dict[str, Any]":
    try:
        text = body.decode()
        # Unlike `decode`, `raw_decode` does not search for white space around the document.
        message, end = _DECODER.raw_decode(text)
    except ValueError:
        raise _garbage(body) from None
    if end < len(text) or not isinstance(message, dict) or not isinstance(message.get("kind"), str):
        raise _garbage(body)
    return message


def _least_bytes(value: Any) -> int:
    """Return a lower bound of the size of the value's JSON in bytes, cheaply."""
    kind = type(value)
    if kind is str:
        return len(value)
    if kind is dict:
        return sum(map(_least_bytes, value.values()))
    if kind is not list and kind is not tuple:
        return 1
    # A long list is usually a column. The set of its types is found in C, without a call for each item.
    if len(value) > _LONG:
        kinds = set(map(type, value))
        if kinds <= _SMALL:
            return 2 * len(value)  # a digit and a comma
        if kinds == {str}:
            return sum(map(len, value))
    return sum(map(_least_bytes, value))


_LONG = 64  # items
_SMALL = frozenset({int, float, bool, type(None)})
"""Types whose JSON has at least one byte, whatever the value."""


def _too_large() -> TooLarge:
    return TooLarge(
        f"The task's values have more than {MOST_BYTES / 1e6:.0f} MB, the most that can be passed between"
        " tasks directly.",
        code="USER:ValuesTooLarge",
        hint="Use a FlyteFile, a DataFrame or an array instead: those are stored as files.",
    )


def _garbage(data: bytes) -> PipeGarbage:
    return PipeGarbage(
        f"The pipe between the worker and its host carries {data[:40]!r}, which is not a message"
        f" of protocol {PROTOCOL}.",
        code="SYSTEM:WorkerProtocol",
        hint="Something in the task wrote to a file descriptor that it did not open.",
    )
