"""Texts of clients that the server parses: filters, durations, quantities, cron, tokens, URLs.

Each parser takes time in proportion to the text. A parser that tries combinations would need minutes
for the texts of `LONG`, and the time limit of the test would end it.
"""

import re
from decimal import Decimal

import pytest
from flyteidl.admin import project_pb2
from flyteidl.core import tasks_pb2
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.service import dataproxy_pb2
from hypothesis import example, given
from hypothesis import strategies as st

from flyte_nb.admin import cron
from flyte_nb.admin.refused import Refused
from flyte_nb.admin.store import filters
from flyte_nb.admin.store.filters import parse_filters, split_expression
from flyte_nb.admin.store.listing import offset_of
from flyte_nb.admin.store.resources import EXECUTION, TASK
from flyte_nb.api.errors import RemoteError, TaskFailed
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.compiler.quantities import amount
from flyte_nb.propeller.durations import go_nanoseconds, rfc3339
from flyte_nb.propeller.foreign.templates import fill
from flyte_nb.propeller.ports import Attempt, AttemptKey

FLYTES_PATTERN = re.compile(r"(.+)\((.+),\s?(.+)\)", re.ASCII)
"""flyteadmin/pkg/manager/impl/util/filters.go at v1.16.8; Go's engine matches it in linear time."""

LONG = 200_000


@pytest.fixture
def attempt():
    """An attempt at a task of no inputs."""
    key = AttemptKey(ExecutionId("p", "development", "run-1"), "n0", 0)
    task_id = Identifier("task", "p", "development", "t", "v1")
    return Attempt(key, task_id, tasks_pb2.TaskTemplate(), LiteralMap(), "/in/inputs.pb", "/out")


def refused(call):
    """Return the text of a call that must be refused with INVALID_ARGUMENT."""
    with pytest.raises(RemoteError) as caught:
        call()
    assert caught.value.code == "INVALID_ARGUMENT"
    return str(caught.value)


@given(st.text("ab(),; \t)(", max_size=14))
@example("eq(name,a)")
@example("eq(name, a)")
@example("value_in(name,a(b),c)")
@example("a((,),,)")
@example("eq(name,)")
@example("eq(name, )")
def test_an_expression_is_split_as_flytes_pattern_splits_it(text):
    match = FLYTES_PATTERN.search(text)
    assert split_expression(text) == (match.groups() if match else None)


def test_a_filter_has_one_line():
    assert split_expression("eq(name,a\nb)") is None


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text",
    [
        "(" * 200 + "," * 200,
        "(" * LONG + "," * LONG,
        "a(" * LONG + "b," * LONG,
        ",)" * LONG,
        "eq(name," * LONG,
        "contains(duration," + "9" * LONG,
    ],
)
def test_a_long_text_that_is_no_filter_is_refused_in_no_time(text):
    with pytest.raises(Refused, match="filters"):
        parse_filters(text, TASK)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "read",
    [
        lambda: parse_filters(f"eq(duration,{'9' * LONG}x)", EXECUTION),
        lambda: parse_filters(f"eq(duration,{'9' * LONG})", EXECUTION),
        lambda: parse_filters(f"contains(name,{'%a' * LONG})", TASK),
        lambda: parse_filters(f"value_in(name,{';'.join('ab' for _ in range(LONG))})", TASK),
        lambda: parse_filters("+".join(["eq(name,a)"] * 2000), TASK),
        lambda: offset_of("9" * LONG, "ListTasks"),
    ],
)
def test_a_text_that_is_much_too_long_is_refused_in_a_sentence(read):
    with pytest.raises(Refused) as caught:
        read()
    assert caught.value.code == "INVALID_ARGUMENT"


def test_as_many_filters_as_are_allowed_are_answered(admin, specs):
    values = ";".join(
        f"v{number}" for number in range(filters.MAX_VALUES - filters.MAX_EXPRESSIONS)
    )
    text = "+".join(
        [f"value_in(version,{values})", *["eq(name,a)"] * (filters.MAX_EXPRESSIONS - 1)]
    )
    assert list(admin.ListTasks(specs.list_request(filters=text)).tasks) == []
    pattern = "%" * filters.MAX_PATTERN
    assert (
        list(admin.ListTasks(specs.list_request(filters=f"not_like(name,{pattern})")).tasks) == []
    )


@pytest.mark.parametrize(
    "token", ["-1", "1_0", "٣", " 1", "1 ", "0x1", "1e3", "9" * 19, "+", "1\n"]
)
def test_a_page_token_that_go_cannot_read_as_a_number_is_refused(token):
    with pytest.raises(Refused, match="invalid pagination token"):
        offset_of(token, "ListTasks")


def test_a_page_token_is_an_offset(admin, specs):
    for token, offset in (("", 0), ("0", 0), ("+7", 7), ("007", 7), ("9" * 18, 10**18 - 1)):
        assert offset_of(token, "ListTasks") == offset
        assert list(admin.ListTasks(specs.list_request(token=token)).tasks) == []


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("1h30m", 5400 * 10**9),
        ("-1.5s", -15 * 10**8),
        ("+2ms", 2 * 10**6),
        (".5us", 500),
        ("1.s", 10**9),
        ("3µs", 3000),
        ("3μs", 3000),
        ("0", 0),
        ("90", 90 * 10**9),
        ("1e-9", 1),
        ("nan", None),
        ("inf", None),
        ("1e400", None),
        ("1_000", None),
        (" 1", None),
        ("", None),
        ("s", None),
        ("1h 2m", None),
        ("1h30", None),
        ("--1s", None),
        ("300000000h", None),
        ("9" * 30, None),
    ],
)
def test_durations_are_read_as_go_reads_them(text, nanoseconds):
    assert go_nanoseconds(text) == nanoseconds


def test_a_duration_that_no_column_holds_is_refused(admin, specs):
    request = specs.list_request(filters="gt(duration,1e300)")
    with pytest.raises(RemoteError) as caught:
        admin.ListExecutions(request)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_a_time_that_no_calendar_has_is_compared_as_text(admin, specs):
    for time in ("9999-12-31T23:59:59-14:00", "yesterday", "9" * 5000):
        admin.ListTasks(specs.list_request(filters=f"gt(created_at,{time})"))


def test_years_before_1000_sort_before_later_ones(admin, specs):
    admin.CreateTask(specs.task_request())
    request = specs.list_request(filters="gt(created_at,0999-01-01T00:00:00Z)")
    assert len(admin.ListTasks(request).tasks) == 1
    assert rfc3339(-30_641_760_000_000_000) == "0999-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1500m", "1.5"),
        ("2Ki", "2048"),
        ("1E", "1e18"),
        ("1e3", "1000"),
        ("1E-2", "0.01"),
        ("+.5k", "500"),
        ("3.", "3"),
    ],
)
def test_quantities_are_amounts(text, value):
    assert amount(text) == Decimal(value)


@pytest.mark.timeout(60)
def test_a_quantity_that_cannot_be_read_is_refused_with_the_task(admin, specs):
    exponents = ("1e401", "1e999999999999999999")
    for text in ("", "1K", "one", "1m\n", "١", *exponents, "9" * LONG + "x", "0" * LONG):
        assert amount(text) is None
        request = specs.task_request()
        requests = request.spec.template.container.resources.requests
        requests.add(name=tasks_pb2.Resources.CPU, value=text)
        refused(lambda request=request: admin.CreateTask(request))


@pytest.mark.parametrize(
    ("expression", "is_right"),
    [
        ("@every 5m", True),
        ("@every 1h30m", True),
        ("@every", False),
        ("@every soon", False),
        ("@every 5", False),
        ("*/5 * * * *", True),
        ("*/" + "9" * 5000 + " * * * *", False),
        ("*/٣ * * * *", False),
        ("* " * LONG, False),
        ("0 " * 4 + "9" * 900, False),
    ],
)
def test_a_wrong_cron_expression_is_refused_with_the_reason(expression, is_right):
    problem = cron.problem(expression)
    assert (problem == "") is is_right
    assert len(problem) < 3000


def test_a_flyte_url_with_odd_parts_is_refused(admin):
    node = "flyte://v1/p/d/x/n0"
    for url in (f"{node}/{'9' * 10}/i", f"{node}/٣/i", f"{node}/i\n", "flyte://v1/" + "a" * LONG):
        request = dataproxy_pb2.GetDataRequest(flyte_url=url)
        refused(lambda request=request: admin.GetData(request))


def test_a_name_that_no_execution_may_have_is_refused(registered, specs):
    for name in ("run-1\n", "Run-1", "\u212aelvin", "1run", "run_1", "run/1", "..", "r" * 64):
        request = specs.execution_request(name, n=1)
        refused(lambda request=request: registered.CreateExecution(request))


def test_a_name_that_no_project_may_have_is_refused(admin):
    for project in ("p\n", "P", "p/q", "..", "p_q", "-p", "ß", "p" * 64):
        message = project_pb2.Project(id=project, name="name")
        request = project_pb2.ProjectRegisterRequest(project=message)
        refused(lambda request=request: admin.RegisterProject(request))


def test_a_label_value_ends_where_its_text_ends(registered, specs):
    request = specs.launch_plan_request(version="v2")
    request.spec.labels.values["team"] = "blue\n"
    with pytest.raises(RemoteError, match="invalid label value"):
        registered.CreateLaunchPlan(request)


@pytest.mark.timeout(60)
def test_a_command_of_many_openings_is_read_once(attempt):
    attempt.inputs.literals["y"].scalar.primitive.integer = 1
    with pytest.raises(TaskFailed, match="requested input is not found"):
        fill(["{{.inputs.x}}"], attempt)
    text = "{{.inputs." * LONG
    assert fill([text], attempt) == [text]
    text = "{{" + " " * LONG + "{{.input" * LONG
    assert fill([text], attempt) == [text]


def test_a_datetime_that_no_calendar_has_fails_the_task_and_not_the_engine(attempt):
    attempt.inputs.literals["when"].scalar.primitive.datetime.seconds = 10**15
    with pytest.raises(TaskFailed, match="not in the years 1 to 9999"):
        fill(["{{.inputs.when}}"], attempt)
