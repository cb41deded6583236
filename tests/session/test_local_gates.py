"""Gates of local runs, answered by `with answers(…)`; failure handlers and conditions as launched."""

from dataclasses import dataclass

import pytest

from flyte_nb import (
    FlyteError,
    answers,
    approve,
    conditional,
    sleep,
    task,
    wait_for_input,
    workflow,
)
from flyte_nb.api.errors import ExecutionFailed

HANDLED: list[tuple[int, str]] = []


@dataclass
class Size:
    width: int


@task
def double(n: int) -> int:
    if n > 100:
        raise ValueError("too large")
    return 2 * n


@task
def clean(n: int, err: "FlyteError | None" = None) -> None:
    HANDLED.append((n, err.message.rpartition(": ")[2] if err else ""))


@workflow
def gated(n: int) -> int:
    level = wait_for_input("level", 3600, int)
    return approve(double(n=level), "my review", 3600)


@workflow
def sized() -> Size:
    return wait_for_input("size", 3600, Size)


@workflow(on_failure=clean)
def handled(n: int) -> int:
    return double(n=n)


@workflow
def outer(n: int) -> int:
    return handled(n=n)


@workflow
def chosen(n: int) -> int:
    twice = double(n=n)
    return (
        conditional("size")
        .if_((twice > 10) & (n < 50))
        .then(double(n=twice))
        .elif_(twice > 10)
        .then(outer(n=twice))
        .else_()
        .fail("too small")
    )


@workflow
def slow():
    sleep(0.01)


def test_answers_are_values_or_functions_of_what_waits():
    with answers({"my review": lambda value: value == 42}, level=21):
        assert gated(n=1) == 42
    given = answers({"my review": lambda value: value > 42}, level=lambda: 21)
    with given, pytest.raises(ExecutionFailed, match="received a reject signal") as caught:
        gated(n=1)
    assert caught.value.info.code == "ReceivedRejectSignal"


def test_inner_answers_add_to_outer_ones():
    with answers({"my review": True}, level=1):
        with answers(level=3):
            assert gated(n=1) == 6
        assert gated(n=1) == 2


def test_an_answer_has_the_authors_own_type():
    with answers(size=Size(3)):
        assert sized() == Size(3)


def test_an_answer_of_another_type_is_refused_by_its_name():
    with answers(level="many"), pytest.raises(ExecutionFailed, match=r"level.*does not fit.*int"):
        gated(n=1)


def test_where_nobody_can_be_asked_the_error_has_the_call_that_answers():
    with pytest.raises(ExecutionFailed) as caught:
        gated(n=1)
    assert caught.value.info.code == "USER:GateUnanswered"
    assert "with flyte_nb.answers({'level': …}): gated(…)" in str(caught.value)


def test_a_sleep_sleeps():
    assert slow() is None


def test_a_failure_handler_gets_the_inputs_and_the_error():
    HANDLED.clear()
    with pytest.raises(ValueError, match="too large"):
        handled(n=200)
    with pytest.raises(ValueError, match="too large"):
        outer(n=300)
    assert HANDLED == [(200, "too large"), (300, "too large")]


def test_conditions_choose_one_arm():
    assert chosen(n=6) == 24
    with pytest.raises(ExecutionFailed, match="too small") as caught:
        chosen(n=1)
    assert caught.value.info.code == "UserProvidedError"
    HANDLED.clear()
    with pytest.raises(ValueError, match="too large"):
        chosen(n=60)
    assert HANDLED == [(120, "too large")]
