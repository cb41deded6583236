"""Fill in the templates of a container's command and arguments. Pure.

Source: flyteplugins/go/tasks/pluginmachinery/core/template/template.go at v1.16.8.
"""

import re
from collections.abc import Callable, Iterable

from flyteidl.core.literals_pb2 import Literal, Primitive
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from flyte_nb.api.errors import TaskFailed
from flyte_nb.api.nodes import fixed_length_id
from flyte_nb.propeller.durations import rfc3339
from flyte_nb.propeller.foreign.containers import bad_specification
from flyte_nb.propeller.foreign.go_text import go_float, go_packed
from flyte_nb.propeller.ports import Attempt

TASK_TEMPLATE = "task.pb"

# The name excludes `{`. Otherwise a text with many `{{.inputs.` would be read to its end for each of them.
_INPUT_VALUE = re.compile(r"\{\{\s*[.$]inputs\.(?P<name>[^{}\s]+)\s*\}\}", re.IGNORECASE)
_PLACE = re.compile(r"\{\{\s*[.$](?P<name>[a-z]+)\s*\}\}", re.IGNORECASE)
_NAMESPACE = re.compile(r"\{\{\s*[.$]namespace\s*\}\}", re.IGNORECASE)
_NO_LETTER = re.compile(r"^[^a-zA-Z_]+")
_NOT_ALPHANUMERIC = re.compile(r"[^a-zA-Z0-9_]+")
_MAX_NAME = 50

_PLACES: dict[str, Callable[[Attempt], str]] = {
    "input": lambda attempt: attempt.input_uri,
    "inputprefix": lambda attempt: attempt.input_uri.rpartition("/")[0],
    "outputprefix": lambda attempt: attempt.output_prefix,
    "rawoutputdataprefix": lambda attempt: attempt.raw_output_prefix,
    "checkpointoutputprefix": lambda attempt: attempt.checkpoint_uri,
    "prevcheckpointprefix": lambda attempt: attempt.prev_checkpoint_uri or '""',
    "perretryuniquekey": lambda attempt: _unique_key(attempt),
    "tasktemplatepath": lambda attempt: f"{attempt.output_prefix}/{TASK_TEMPLATE}",
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
            raise _bad_template(match[0], f"requested input is not found [{name}]")
        return _text(attempt.inputs.literals[name], match[0])

    filled = _PLACE.sub(place, word)
    # After the others, because a prefix for raw data may name the namespace.
    id = attempt.key.execution
    filled = _NAMESPACE.sub(lambda _: f"{id.project}-{id.domain}", filled)
    if not attempt.inputs.literals:
        return filled  # propeller looks for inputs only when there are some
    # Values come last: what an input contains is data, and must not be taken for a template.
    return _INPUT_VALUE.sub(value, filled)


def _text(literal: Literal, template: str) -> str:
    """Return a value as propeller writes it into a command."""
    kind = literal.WhichOneof("value")
    if kind == "collection":
        return "[" + ",".join(_text(item, template) for item in literal.collection.literals) + "]"
    if kind != "scalar":
        raise _bad_template(template, f"received an unexpected primitive type [{kind}]")
    scalar = literal.scalar
    kind = scalar.WhichOneof("value")
    if kind == "primitive":
        return _primitive(scalar.primitive, template)
    if kind == "blob":
        return scalar.blob.uri
    if kind == "schema":
        return scalar.schema.uri
    if kind == "binary":
        if scalar.binary.tag != "msgpack":
            raise _bad_template(template, f"unsupported binary tag [{scalar.binary.tag}]")
        try:
            return go_packed(scalar.binary.value)
        except ValueError as error:
            raise _bad_template(
                template, f"failed to unmarshal messagepack bytes: {error}"
            ) from None
    # Also unions, so optional inputs: propeller writes no text for them.
    raise _bad_template(template, f"received an unexpected scalar type [{kind}]")


def _primitive(primitive: Primitive, template: str) -> str:
    kind = primitive.WhichOneof("value")
    if kind == "boolean":
        return "true" if primitive.boolean else "false"
    if kind == "float_value":
        return go_float(primitive.float_value)
    if kind == "datetime":
        try:
            return rfc3339(_microseconds(primitive.datetime))
        except OverflowError:
            raise _bad_template(template, "a datetime is not in the years 1 to 9999") from None
    if kind == "duration":
        # Propeller prints the message itself, and not the duration.
        parts = (("seconds", primitive.duration.seconds), ("nanos", primitive.duration.nanos))
        return " ".join(f"{name}:{number}" for name, number in parts if number)
    return str(getattr(primitive, kind)) if kind else ""


def _microseconds(value: "Timestamp | Duration") -> int:
    # Not `ToMicroseconds`, which raises for times outside of the calendar.
    return int(value.seconds) * 1_000_000 + int(value.nanos) // 1000


def _unique_key(attempt: Attempt) -> str:
    """Return a name that is unique for each attempt and valid nearly everywhere, as propeller makes it."""
    key = attempt.key
    name = fixed_length_id(f"{key.execution.name}-{key.node_id}-{key.attempt}", _MAX_NAME)
    return _NOT_ALPHANUMERIC.sub("_", _NO_LETTER.sub("a", name))


def _bad_template(template: str, why: str) -> TaskFailed:
    return bad_specification(
        f"The container's command cannot be filled in: input template [{template}]: {why}."
    )
