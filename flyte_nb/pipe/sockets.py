"""Send messages with open file descriptors over a Unix socket between two processes of one machine.

A frame is a header of 8 bytes (`FNZ1` and the body's length, big-endian) and a body, which is one JSON
object. Descriptors travel beside the header. The file imports the standard library only, because a zygote
loads it by its path before flyte_nb is importable.
"""

import json
import os
import socket
from array import array
from collections.abc import Sequence
from typing import Any

_MAGIC = b"FNZ1"
_HEADER = 8
_MOST_DESCRIPTORS = 16
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
"""Makes received descriptors close in programs that are started; 0 where the system has no such flag."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()


def send(control: socket.socket, message: "dict[str, Any]", fds: "Sequence[int]" = ()) -> None:
    """Send one frame.

    Args:
        control: a connected Unix socket.
        message: JSON data.
        fds: descriptors to send along; the receiver gets copies.

    Raises:
        OSError: when the other side does not read any more.
    """
    body = _ENCODER.encode(message).encode()
    data = memoryview(_MAGIC + len(body).to_bytes(4, "big") + body)
    # Descriptors travel with the first bytes. What the kernel did not take follows without them.
    sent = socket.send_fds(control, [data], fds) if fds else control.send(data)
    if sent < len(data):
        control.sendall(data[sent:])


def receive(control: socket.socket) -> "tuple[dict[str, Any], list[int]] | None":
    """Wait for the next frame; return its message and descriptors, or `None` at the end or on garbage.

    Programs that this process starts do not inherit the descriptors.
    """
    try:
        header, fds = _arrived(control)
        header += _read(control, _HEADER - len(header)) if header else b""
        size = int.from_bytes(header[4:], "big")
        body = _read(control, size)
    except ConnectionResetError:  # the other side ended before it had read everything
        return None
    # A program that starts before this line still inherits them; such a system has no better way.
    if not _CLOEXEC:
        for descriptor in fds:
            os.set_inheritable(descriptor, False)
    if len(header) < _HEADER or header[:4] != _MAGIC or len(body) < size:
        return None
    return _DECODER.raw_decode(body.decode())[0], fds


def _arrived(control: socket.socket) -> "tuple[bytes, list[int]]":
    """Return the first bytes of a frame, and the descriptors that came with them."""
    # `socket.recv_fds` ignores its flags. Without MSG_CMSG_CLOEXEC, a program that another thread starts
    # right now would inherit an attempt's lock and hold it for as long as it runs.
    fds = array("i")
    # Linux closes descriptors for which the receiver has no room.
    room = socket.CMSG_LEN(_MOST_DESCRIPTORS * fds.itemsize)
    header, extras, *_ = control.recvmsg(_HEADER, room, _CLOEXEC)
    for *_, content in extras:
        # Content that was cut off may end inside of a number.
        fds.frombytes(content[: len(content) // fds.itemsize * fds.itemsize])
    return header, fds.tolist()


def _read(control: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = control.recv(size - len(data))
        if not chunk:
            break
        data += chunk
    return data
