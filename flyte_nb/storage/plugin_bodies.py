"""Send bytes over a plugin's pipe: inside of the message when they are few, through a file otherwise."""

import base64
import os
from typing import Any

from flyte_nb.storage.file import explain

INLINE_BYTES = 64 << 10
"""Larger bodies are written to a file in the folder that both processes know."""


def pack_body(body: "bytes | memoryview", folder: str, name: str) -> "dict[str, Any]":
    """Return a message's fields for `body`. A large body is written to the file `name` in `folder`.

    Raises:
        OSError: when the file cannot be written.
    """
    if len(body) <= INLINE_BYTES:
        return {"body": base64.b64encode(body).decode("ascii")}
    with open(os.path.join(folder, name), "xb", buffering=0) as file:
        view = memoryview(body)
        while view:
            view = view[file.write(view) :]
    return {"body": None, "body_file": name}


def take_body(message: "dict[str, Any]", folder: str) -> bytes:
    """Return the body from the fields that `pack_body` made, and remove its file.

    Raises:
        StorageError: when the file cannot be read.
    """
    if message["body"] is not None:
        return base64.b64decode(message["body"])
    # Only the last part of the name is used: the message comes from another process.
    path = os.path.join(folder, os.path.basename(message["body_file"]))
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.readall()
        os.unlink(path)
    except OSError as error:
        raise explain(error, "read", path) from error
    return data
