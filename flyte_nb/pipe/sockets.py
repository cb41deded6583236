"""Messages that descriptors may come with, over a socket between two processes of one machine.

A frame is a header of 8 bytes (`FNZ1`, the body's length), which the descriptors lie beside, and a
JSON object. Standard library only: a zygote loads this file by its path.
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
"""For descriptors that programs do not inherit from the first; 0 where the system has none."""

_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()


def send(control: socket.socket, message: "dict[str, Any]", fds: "Sequence[int]" = ()) -> None:
    """Send one frame; `OSError` when nobody reads it any more."""
    body = _ENCODER.encode(message).encode()
    data = memoryview(_MAGIC + len(body).to_bytes(4, "big") + body)
    sent = socket.send_fds(control, [data], fds) if fds else control.send(data)
    if sent < len(data):
        control.sendall(data[sent:])


def receive(control: socket.socket) -> "tuple[dict[str, Any], list[int]] | None":
    """The next frame and its descriptors, which programs do not inherit; `None` at the end."""
    try:
        header, fds = _arrived(control)
        header += _read(control, _HEADER - len(header)) if header else b""
        size = int.from_bytes(header[4:], "big")
        body = _read(control, size)
    except ConnectionResetError:  # the end of somebody who had not read everything
        return None
    if not _CLOEXEC:
        for descriptor in fds:
            os.set_inheritable(descriptor, False)
    if len(header) < _HEADER or header[:4] != _MAGIC or len(body) < size:
        return None
    return _DECODER.raw_decode(body.decode())[0], fds


def _arrived(control: socket.socket) -> "tuple[bytes, list[int]]":
    # Not `socket.recv_fds`, which ignores its flags: a program that another thread starts right now
    # would inherit an attempt's lock, and hold it for as long as it lives.
    fds = array("i")
    room = socket.CMSG_LEN(_MOST_DESCRIPTORS * fds.itemsize)
    header, extras, *_ = control.recvmsg(_HEADER, room, _CLOEXEC)
    for *_, content in extras:
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
