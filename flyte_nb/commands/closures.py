"""Compiled workflows as files: each whole, or not there."""

import os
import re
import tempfile
from pathlib import Path

from google.protobuf import json_format

from flyte_nb.api.errors import UsageError
from flyte_nb.client.reports import Report


def write_closures(report: Report, folder: Path) -> "list[str]":
    """Write each workflow's `CompiledWorkflowClosure` to `NAME.pb` and `NAME.json`; the paths.

    Raises:
        UsageError: the folder cannot be written to.
    """
    written = []
    for one in report.entities:
        closure = one.draft.closure
        if closure is None:
            continue
        name = file_name(one.id.name)
        data = closure.SerializeToString(deterministic=True)
        text = json_format.MessageToJson(closure, preserving_proto_field_name=True, sort_keys=True)
        for path, content in ((f"{name}.pb", data), (f"{name}.json", f"{text}\n".encode())):
            write_atomically(folder / path, content)
            written.append(str(folder / path))
    return written


def file_name(entity_name: str) -> str:
    """An entity's name as a file's: what no file system likes becomes `_`."""
    return re.sub(r"[^\w.\-]", "_", entity_name).lstrip(".")[:200] or "_"


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or none. Raises `UsageError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror or error}.") from error
