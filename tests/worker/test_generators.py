"""Tasks that yield: their code runs while the output is written, as the rest of a task runs."""

from collections.abc import Iterator

import pytest

from flyte_nb import current_context, task
from flyte_nb.api.errors import TaskFailed
from flyte_nb.api.literals import COLUMN, Literal
from flyte_nb.types.registry import default_registry
from flyte_nb.worker.call import call


@task
def counted(n: int) -> Iterator[int]:
    yield from range(n)


@task
def broken(n: int) -> Iterator[int]:
    yield n
    open("/no/such/file")  # noqa: SIM115


@task
def named(n: int) -> Iterator[str]:
    for _ in range(n):
        yield current_context().execution_id.name


@task
def wrong(n: int) -> Iterator[int]:
    yield "text"


def outputs(entity, n: int):
    return call(entity, {"n": Literal("integer", n)}, default_registry())


def test_what_a_task_yields_is_its_list():
    assert outputs(counted, 3)["o0"] == Literal(COLUMN, ("integer", [0, 1, 2]))
    assert outputs(named, 1)["o0"] == Literal(COLUMN, ("string_value", ["local"]))


def test_an_error_between_two_items_is_the_authors():
    with pytest.raises(TaskFailed) as caught:
        outputs(broken, 3)
    assert caught.value.info.origin == "USER"
    assert isinstance(caught.value.__cause__, FileNotFoundError)


def test_an_item_that_does_not_fit_is_named():
    with pytest.raises(TaskFailed, match=r"Expected int, got str 'text'.*\$\[0\]"):
        outputs(wrong, 1)
