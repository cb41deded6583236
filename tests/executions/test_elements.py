"""What is shown of a map's elements, whatever parts of them a backend sends."""

from datetime import datetime, timezone

from flyteidl.admin.task_execution_pb2 import TaskExecutionClosure
from flyteidl.event.event_pb2 import ExternalResourceInfo

from flyte_nb.api.errors import ErrorInfo
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.api.literals import COLLECTION, INTEGER, NOTHING, Literal
from flyte_nb.executions.elements import Elements, counts_line
from flyte_nb.executions.logs import logs_of
from flyte_nb.executions.python_values import type_of
from flyte_nb.executions.views import ElementView, ExecutionView, LogLink, NodeView
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.enums import CACHE_STATUSES, TASK_PHASES


def closure(*infos, size=0):
    made = TaskExecutionClosure()
    made.metadata.external_resources.extend(infos)
    if size:
        made.custom_info.update({"elements": {"UNDEFINED": size}})
    return made


def info(index, phase, attempt=0, log="", cache="CACHE_DISABLED", error=""):
    made = ExternalResourceInfo(
        index=index,
        retry_attempt=attempt,
        phase=TASK_PHASES.Value(phase),
        cache_status=CACHE_STATUSES.Value(cache),
    )
    if log:
        made.logs.add(name="log", uri=log)
    if error:
        made.custom_info.update({"error": {"code": "C", "message": error, "kind": "USER"}})
    return made


def test_elements_that_have_not_begun_are_counted():
    elements = Elements()
    elements.take(closure(size=3))
    assert elements.view() == (ElementView(0), ElementView(1), ElementView(2))
    assert counts_line(elements.view()) == "× 3"


def test_later_parts_add_to_what_is_known():
    elements = Elements()
    elements.take(closure(info(1, "RUNNING", log="file:///log"), size=2))
    elements.take(closure(info(1, "FAILED", error="no")))
    elements.take(closure(info(0, "SUCCEEDED", cache="CACHE_HIT")))
    assert elements.view() == (
        ElementView(0, 0, "SUCCEEDED", "CACHE_HIT"),
        ElementView(
            1, 0, "FAILED", "", ErrorInfo("C", "no", "USER"), (LogLink("log", "file:///log"),)
        ),
    )


def test_a_further_attempt_takes_the_place_of_the_one_before():
    elements = Elements()
    elements.take(closure(info(0, "FAILED", error="no"), info(0, "RUNNING", attempt=1)))
    elements.take(closure(info(0, "FAILED", error="no")))  # sent again
    assert elements.view() == (ElementView(0, 1, "RUNNING"),)


def test_the_elements_are_taken_out_of_the_message():
    message = closure(info(0, "RUNNING"))
    Elements().take(message)
    assert not message.metadata.external_resources


def test_counts_are_one_short_line():
    phases = ["SUCCEEDED"] * 37 + ["RUNNING"] * 2 + ["FAILED"] + ["UNDEFINED"] * 2
    elements = [ElementView(number, phase=phase) for number, phase in enumerate(phases)]
    assert counts_line(elements) == "× 42: 37 ✓ 2 ◐ 1 ✕"


def test_a_list_with_none_in_it_is_read_without_its_type():
    registry = default_registry()
    literal = Literal(COLLECTION, [NOTHING, Literal(INTEGER, 3), NOTHING])
    codec = registry.codec(registry.guess(type_of(literal)))
    assert codec.decode(literal, None) == [None, 3, None]
    nothing = Literal(COLLECTION, [NOTHING])
    assert registry.codec(registry.guess(type_of(nothing))).decode(nothing, None) == [None]


def test_logs_of_a_large_map_show_what_failed_first_and_say_what_is_left_out():
    elements = tuple(
        ElementView(
            number,
            phase="FAILED" if number == 70 else "SUCCEEDED",
            logs=(LogLink("log", f"file:///{number}"),),
        )
        for number in range(100)
    )
    node = NodeView("n0", "n0", "fit", "RUNNING", elements=elements)
    read = []

    def bytes_at(uri):
        read.append(uri)
        return b"printed\n"

    id = Identifier("workflow", "p", "d", "w", "v1")
    view = ExecutionView(
        ExecutionId("p", "d", "e"), id, id, "RUNNING", datetime.now(timezone.utc), nodes=(node,)
    )
    parts = logs_of(view, {}, bytes_at, "n0", None)
    assert read[0] == "file:///70"
    assert len(read) == 20
    assert "80 further elements have logs" in parts
