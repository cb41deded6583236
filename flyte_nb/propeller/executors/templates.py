"""Fill in the templates of a container's command and arguments. Pure.

Source: flyteplugins/go/tasks/pluginmachinery/core/template/template.go at v1.16.8.
"""

import re
from collections.abc import Callable, Iterable

from flyteidl.core.literals_pb2 import Literal, Primitive
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.api.errors import USER, ErrorInfo, TaskFailed
from flyte_nb.propeller.durations import go_duration, rfc3339
from flyte_nb.propeller.ports import Attempt

TASK_TEMPLATE = "task.pb"

# The name excludes `{`. Otherwise a text with many `{{.inputs.` would be read to its end for each of them.
_INPUT_VALUE = re.compile(r"\{\{\s*[.$]inputs\.(?P<name>[^{}\s]+)\s*\}\}", re.IGNORECASE)
_PLACE = re.compile(r"\{\{\s*[.$](?P<name>[a-z]+)\s*\}\}", re.IGNORECASE)
_NOT_ALPHANUMERIC = re.compile(r"[^a-z0-9A-Z]+")

_PLACES: dict[str, Callable[[Attempt], str]] = {
    "input": lambda attempt: attempt.input_uri,
    "inputprefix": lambda attempt: attempt.input_uri.rpartition("/")[0],
    "outputprefix": lambda attempt: attempt.output_prefix,
    "rawoutputdataprefix": lambda attempt: attempt.raw_output_prefix,
    "checkpointoutputprefix": lambda attempt: attempt.checkpoint_uri,
    "prevcheckpointprefix": lambda attempt: attempt.prev_checkpoint_uri or '""',
    "perretryuniquekey": lambda attempt: _unique_key(attempt),
    "tasktemplatepath": lambda attempt: f"{attempt.output_prefix}/{TASK_TEMPLATE}",
    "namespace": lambda attempt: f"{attempt.key.execution.project}-{attempt.key.execution.domain}",
}


def fill(words: Iterable[str], attempt: Attempt) -> list[str]:
    """Return the words with every `{{.input}}`, `{{ $outputPrefix }}`, … replaced. Unknown templates stay.

    Raises:
        TaskFailed: when the input in an `{{.inputs.<name>}}` does not exist, or its value cannot be
        written as text.
    """
    return [_filled(word, attempt) for word in words]


def wants_task_template(words: Iterable[str]) -> bool:
    """Return whether the command names the file `task.pb`, which must exist before it runs."""
    names = (match["name"].lower() for word in words for match in _PLACE.finditer(word))
    return "tasktemplatepath" in names


def _filled(word: str, attempt: Attempt) -> str:
    if "{{" not in word:
        return word

    def place(match: "re.Match[str]") -> str:
        write = _PLACES.get(match["name"].lower())
        return write(attempt) if write else match[0]

    def value(match: "re.Match[str]") -> str:
        name = match["name"]
        if name not in attempt.inputs.literals:
            raise _bad_template(
                f"the template {match[0]} names an input that the task does not have"
            )
        return _text(attempt.inputs.literals[name], match[0])

    # Values come last: what an input contains is data, and must not be taken for a template.
    return _INPUT_VALUE.sub(value, _PLACE.sub(place, word))


def _text(literal: Literal, template: str) -> str:
    """Return a value as propeller writes it into a command."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return "[" + ",".join(_text(item, template) for item in literal.collection.literals) + "]"
    scalar = literal.scalar
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _primitive(scalar.primitive)
    if kind == "blob":
        return scalar.blob.uri
    if kind == "schema":
        return scalar.schema.uri
    if kind == "union":
        return _text(scalar.union.value, template)
    raise _bad_template(f"the value for {template} is a {kind}, which cannot be written as text")


def _primitive(primitive: Primitive) -> str:
    kind = primitive.WhichOneof("value")
    if kind == "boolean":
        return "true" if primitive.boolean else "false"
    if kind == "float_value":
        return (
            f"{primitive.float_value:g}"
            if primitive.float_value % 1
            else str(int(primitive.float_value))
        )
    if kind == "datetime":
        try:
            return rfc3339(_microseconds(primitive.datetime))
        except OverflowError:
            raise _bad_template("a datetime is not between the years 1 and 9999") from None
    if kind == "duration":
        return go_duration(_microseconds(primitive.duration))
    return str(getattr(primitive, kind)) if kind else ""


def _microseconds(value: "Timestamp | Duration") -> int:
    # Not `ToMicroseconds`, which raises for times outside of the calendar.
    return int(value.seconds) * 1_000_000 + int(value.nanos) // 1000


def _unique_key(attempt: Attempt) -> str:
    """Return a name that is unique for each attempt and valid nearly everywhere, as propeller makes it."""
    key = attempt.key
    name = f"{key.execution.name}-{key.node_id}-{key.attempt}"
    joined = _NOT_ALPHANUMERIC.sub("_", name)
    return joined if joined[:1].isalpha() else f"a{joined}"


def _bad_template(why: str) -> TaskFailed:
    text = f"The container's command cannot be filled in: {why}."
    return TaskFailed(ErrorInfo("BadTaskSpecification", text, USER))
