"""Write compiled workflows to files: closures and graphs."""

from pathlib import Path

from google.protobuf import json_format

from flyte_nb.api.files import write_atomically
from flyte_nb.commands.files import file_name
from flyte_nb.drafting.compile_report import CompileReport
from flyte_nb.graph.model import graph_of
from flyte_nb.graph.opening import openable, opened
from flyte_nb.graph.picture import GraphPicture


def write_closures(report: CompileReport, folder: Path) -> "list[str]":
    """Write each workflow's `CompiledWorkflowClosure` to `NAME.pb` and `NAME.json`; return the paths.

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


def draw_graphs(report: CompileReport, path: Path) -> "list[str]":
    """Draw each workflow that no other one uses, with every node opened; return the paths.

    One workflow is drawn to `path`. Of several, each gets a file of its own: `graph.NAME.svg`.

    Raises:
        UsageError: the suffix is not that of a picture, or the file cannot be written.
    """
    closures = {one.id.name: one.draft.closure for one in report.entities if one.draft.closure}
    inner = {sub.template.id.name for closure in closures.values() for sub in closure.sub_workflows}
    roots = [name for name in closures if name not in inner]
    written = []
    for name in roots:
        own = path.with_name(f"{path.stem}.{file_name(name)}{path.suffix}")
        graph = graph_of(closures[name])
        picture = GraphPicture(opened(graph, openable(graph, None)))
        written.append(str(picture.save(path if len(roots) == 1 else own)))
    return written
