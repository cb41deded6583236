"""Bytes in the messages of a plugin's pipe: as they are when they are few, else by file."""

import base64
import os
from typing import Any

from flyte_nb.storage.file import explain

INLINE_BYTES = 64 << 10
"""Larger bodies lie in a file of the folder that both sides know."""


def pack_body(body: "bytes | memoryview", folder: str, name: str) -> "dict[str, Any]":
    """A message's fields for `body`; a file of that `name` is made in `folder` if it is large."""
    if len(body) <= INLINE_BYTES:
        return {"body": base64.b64encode(body).decode("ascii")}
    with open(os.path.join(folder, name), "xb", buffering=0) as file:
        view = memoryview(body)
        while view:
            view = view[file.write(view) :]
    return {"body": None, "body_file": name}


def take_body(message: "dict[str, Any]", folder: str) -> bytes:
    """The body in the fields of `pack_body`; its file is removed."""
    if message["body"] is not None:
        return base64.b64decode(message["body"])
    path = os.path.join(folder, os.path.basename(message["body_file"]))
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.readall()
        os.unlink(path)
    except OSError as error:
        raise explain(error, "read", path) from error
    return data
