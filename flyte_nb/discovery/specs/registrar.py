"""The registrar for spec files: read them into `Spec` values, with every problem in them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from flyte_nb.api.errors import CompileFailed
from flyte_nb.api.identifiers import WORKFLOW, Identifier
from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import Location
from flyte_nb.discovery.specs import kinds, messages, text
from flyte_nb.discovery.specs.binary import binary_message
from flyte_nb.discovery.specs.files import BINARY, TEXT, SpecFile, files, unreadable
from flyte_nb.discovery.specs.spec import Spec

_MOST_PROBLEMS = 10_000  # of all files: nobody reads more


class _Full(Exception):
    """Ends the reading of files that have too many problems."""


class SpecFiles(NamedTuple):
    """The contents of spec files."""

    specs: "tuple[Spec, ...]"
    problems: "tuple[Problem, ...]"
    """Everything that could not be read, in all files."""


class SpecRegistrar:
    """Entities that spec files describe; see `read_specs`."""

    def __init__(self, targets: "Sequence[str]") -> None:
        """Name the spec files.

        Args:
            targets: Files, folders, globs and packages.
        """
        self._targets = tuple(targets)

    def load(self, env: "Mapping[str, str]") -> "list[Spec]":
        """Read the files, and return every spec in them, each once.

        Raises:
            UsageError: a target names nothing.
            CompileFailed: something in the files is no spec; it has every problem.
        """
        found = read_specs(self._targets)
        if found.problems:
            raise CompileFailed("These specs cannot be read:", found.problems)
        return list(found.specs)


def read_specs(targets: "Sequence[str]") -> SpecFiles:
    """Return the specs in files, folders, globs and packages, and everything that is wrong with them.

    Raises:
        UsageError: a target names nothing.
    """
    problems: list[Problem] = []
    specs: dict[tuple[str, str], Spec] = {}
    try:
        for file in files(targets, problems):
            for spec in _specs_of(file, problems):
                known = specs.setdefault((spec.resource_type, spec.short_name), spec)
                if known is not spec and (known.id, known.message) != (spec.id, spec.message):
                    problems.append(_described_twice(spec, known))
    except _Full:
        # No specs either: references to those that were not read would be reported as missing.
        problems.append(Problem("TooManyProblems", "There are more problems than these."))
        return SpecFiles((), tuple(problems))
    return SpecFiles(tuple(specs.values()), tuple(problems))


def _described_twice(spec: Spec, first: Spec) -> Problem:
    noun = spec.resource_type.replace("_", " ")
    place = f"{first.location.filename}:{first.location.line}"
    return Problem(
        "DuplicateName",
        f"The {noun} {spec.short_name} is described twice, and differently; first in {place}.",
        hint="Keep one of them, or give one another name.",
        location=spec.location,
        entity=spec.short_name,
    )


def _specs_of(file: SpecFile, problems: "list[Problem]") -> "Iterator[Spec]":
    suffix = Path(file.name).suffix.lower()
    if suffix in BINARY or (suffix not in TEXT and b"\0" in file.data[:4096]):
        yield from _of_binary(file, problems)
        return
    try:
        content = text.decoded(file.data)
        is_json = suffix == ".json" or (suffix not in TEXT and content.lstrip()[:1] in ("{", "["))
        documents = iter([text.json_document(content)]) if is_json else text.yaml_documents(content)
        empty = True
        for document in documents:
            empty = empty and document.data == []
            yield from _of_document(file.name, document, problems)
        if empty:
            problems.append(unreadable(file.name, "It is empty."))
    except text.Fault as fault:
        problems.append(unreadable(file.name, fault.message, fault.line, fault.hint))


def _of_binary(file: SpecFile, problems: "list[Problem]") -> "Iterator[Spec]":
    if not file.data:
        problems.append(unreadable(file.name, "It is empty."))
        return
    try:
        kind, message = binary_message(file.data, file.name)
    except kinds.NoKind as error:
        problems.append(unreadable(file.name, error.message, hint=error.hint))
        return
    yield from _named(kind, message, Location(file.name, 1), {}, problems)


def _of_document(name: str, document: text.Document, problems: "list[Problem]") -> "Iterator[Spec]":
    if not isinstance(document.data, list):
        yield from _of_item(name, document, document.data, (), problems)
        return
    for index, item in enumerate(document.data):
        if len(problems) >= _MOST_PROBLEMS:
            raise _Full
        yield from _of_item(name, document, item, (index,), problems)


def _of_item(
    name: str,
    document: text.Document,
    data: Any,
    base: "tuple[int, ...]",
    problems: "list[Problem]",
) -> "Iterator[Spec]":
    location = Location(name, document.line if document.is_json else document.line_of(base))
    label = f"document {document.number}" + (f", item {base[0]}" if base else "")
    if not isinstance(data, dict):
        problems.append(unreadable(name, f"The {label} is no mapping, so no spec.", location.line))
        return
    try:
        kind, body = kinds.kind_of(text.Table(data) if type(data) is dict else data)  # type: ignore[arg-type]
    except kinds.NoKind as error:
        problem = unreadable(name, f"{error.message} ({label})", location.line, error.hint)
        problems.append(problem._replace(entity=_name_in(data)))
        return
    message = kind.message()
    mistakes = messages.fill(message, body)
    entity = next((id.name for _, id, _ in kind.found(message) if id.name), "")
    for mistake in mistakes:
        line = _line(document, base, mistake.path, kind)
        problems.append(
            Problem(
                mistake.code,
                f"{mistake.message} ({label})",
                variable=messages.spoken(mistake.path),
                hint=mistake.hint,
                location=Location(name, line),
                entity=entity,
            )
        )
    if not mistakes:
        yield from _named(kind, message, location, _node_lines(document, base, body), problems)


def _name_in(data: "dict[str, Any]") -> str:
    """Return the name that an unreadable document gives itself, so that it is not reported as missing too."""
    id = data.get("id")
    name = id.get("name") if isinstance(id, dict) else None
    word = name.text if isinstance(name, text.Word) else name
    return word if isinstance(word, str) else ""


def _line(
    document: text.Document, base: "tuple[int, ...]", path: messages.Path, kind: kinds.Kind
) -> int:
    """Return the line of the value at `path`; a launch plan may have been written without its `spec:`."""
    line = document.line_of((*base, *path))
    if kind.name == "LaunchPlan" and path[:1] == ("spec",):
        line = max(line, document.line_of((*base, *path[1:])))
    return line


def _node_lines(
    document: text.Document, base: "tuple[int, ...]", body: "dict[str, Any]"
) -> "dict[str, int]":
    """Return the line of each node of a workflow; none for JSON, whose lines are not searched."""
    if document.is_json:
        return {}
    for way in (("nodes",), ("template", "nodes"), ("spec", "template", "nodes"),
                ("primary", "template", "nodes")):  # fmt: skip
        nodes: Any = body
        for step in way:
            nodes = nodes.get(step) if isinstance(nodes, dict) else None
        if isinstance(nodes, text.Items):
            return {
                node["id"]: line
                for node, line in zip(nodes, nodes.lines, strict=True)
                if isinstance(node, dict) and isinstance(node.get("id"), str)
            }
    return {}


def _named(
    kind: kinds.Kind,
    message: Any,
    location: Location,
    node_lines: "Mapping[str, int]",
    problems: "list[Problem]",
) -> "Iterator[Spec]":
    """Yield the specs in a message; an id must have a name, and no other resource type."""
    for noun, id, spec in kind.found(message):
        said = kinds.resource_type_of(id)
        if not id.name:
            problem = Problem(
                "NameMissing",
                f"The {noun.replace('_', ' ')} has no name.",
                variable="id.name",
                hint="Write id: {name: …}.",
                location=location,
            )
        elif said and said != noun:
            problem = Problem(
                "WrongValue",
                f"Its id says that it is a {said.replace('_', ' ')}; it is a"
                f" {noun.replace('_', ' ')}.",
                variable="id.resource_type",
                hint="Leave resource_type out.",
                location=location,
                entity=id.name,
            )
        else:
            identifier = Identifier(
                resource_type=noun,
                project=id.project,
                domain=id.domain,
                name=id.name,
                version=id.version,
            )
            lines = node_lines if noun == WORKFLOW else {}
            yield Spec(identifier, spec, location, lines)
            continue
        problems.append(problem)
