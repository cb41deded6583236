"""Compiled workflows as files."""

from pathlib import Path

from google.protobuf import json_format

from flyte_nb.client.reports import Report
from flyte_nb.commands.files import file_name, write_atomically


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
