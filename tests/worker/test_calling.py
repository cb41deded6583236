"""`call`: the function that isolated and in-process runs share."""

import pytest

from flyte_nb.api.errors import BundleError, RecoverableError, StorageError, TaskFailed
from flyte_nb.api.literals import Literal
from flyte_nb.sdk import cell, context
from flyte_nb.testing.cells import Cells
from flyte_nb.types.registry import default_registry
from flyte_nb.worker import failures
from flyte_nb.worker.call import call

CELL = """
import typing
from flyte_nb import task
class Out(typing.NamedTuple):
    a: int
    b: str
@task
def f(n: int, k: int = 5) -> int:
    return n + k
@task
def several(n: int) -> Out:
    return Out(n, "x")
@task
def pair(n: int) -> tuple[int, str]:
    return n, "y"
@task
def nothing(n: int):
    pass
@task
def calls(n: int) -> int:
    return f(n=n) * f(n, k=0)
@task
def fails(n: int) -> int:
    raise ERROR
"""


@pytest.fixture
def cells():
    found = Cells()
    found.run(CELL)
    return found


def _call(task, **inputs):
    literals = {name: Literal("integer", value) for name, value in inputs.items()}
    return call(task, literals, default_registry())


def test_outputs_come_by_name(cells):
    assert _call(cells["several"], n=1) == {
        "a": Literal("integer", 1),
        "b": Literal("string_value", "x"),
    }
    assert _call(cells["pair"], n=1)["o1"].value == "y"
    assert _call(cells["nothing"], n=1) == {}


def test_an_input_that_was_not_sent_has_its_default(cells):
    assert _call(cells["f"], n=1)["o0"].value == 6
    assert _call(cells["f"], n=1, k=2)["o0"].value == 3


def test_a_task_that_calls_tasks_calls_their_functions(cells):
    assert _call(cells["calls"], n=2)["o0"].value == 14
    assert context.runner.get() is None


def _failure(cells, error):
    cells.namespace["ERROR"] = error
    with pytest.raises(TaskFailed) as caught:
        _call(cells["fails"], n=1)
    assert context.runner.get() is None
    return caught.value.info


@pytest.mark.parametrize(
    ("error", "code", "origin", "recoverable"),
    [
        (ValueError("no"), "USER:ValueError", "USER", False),
        (ValueError(), "USER:ValueError", "USER", False),
        (RecoverableError("later"), "USER:Recoverable", "USER", True),
        (StorageError("gone"), "SYSTEM:StorageError", "SYSTEM", False),
        (StorageError("slow", transient=True), "SYSTEM:StorageError", "SYSTEM", True),
        (BundleError("bad", code="USER:Bad"), "USER:Bad", "USER", False),
        (SystemExit(1), "USER:SystemExit", "USER", False),
    ],
)
def test_exceptions_are_classified_once(cells, error, code, origin, recoverable):
    info = _failure(cells, error)
    assert (info.code, info.origin, info.recoverable) == (code, origin, recoverable)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("if n > 5:\n    note = 'many'", "It is set in line 3 of the cell only."),
        ("if n > 5:\n    note, k = 'a', 1\nelif n > 4:\n    note = 'b'", "in line 3 and 5 of"),
        ("note = 'a'\ndel note", "It is set in line 2"),
        ("for note in range(0): pass\ndef g(): return note", "It is set in line 2"),
    ],
)
def test_an_output_that_no_line_of_a_task_cell_set_is_named_with_the_lines_that_would(body, said):
    made = cell.define(
        cell.parse("score(n: int) -> m: int, note: str"), f"{body}\nm = n", {"__name__": "__main__"}
    )
    with pytest.raises(TaskFailed) as caught:
        _call(made, n=1)
    assert caught.value.info.code == "USER:OutputNotSet"
    assert "score() ended without its output note: no line that ran sets it." in str(caught.value)
    assert said in str(caught.value)
    assert "write note = … before them" in str(caught.value)


def test_another_variable_that_is_not_set_stays_pythons_error():
    body = "if n > 5:\n    k = 1\nm = k"
    made = cell.define(cell.parse("score(n: int) -> m: int"), body, {"__name__": "__main__"})
    with pytest.raises(TaskFailed) as caught:
        _call(made, n=1)
    assert caught.value.info.code == "USER:UnboundLocalError"


def test_an_interrupt_of_the_notebook_stays_one(cells):
    cells.namespace["ERROR"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        _call(cells["fails"], n=1)


def test_a_traceback_has_the_users_frames_only(cells):
    message = _failure(cells, ValueError("no such row")).message
    assert "in fails\n" in message
    assert "raise ERROR" in message
    assert "worker/call.py" not in message
    assert message.endswith("Message:\n\n    ValueError: no such row")


def test_an_exception_whose_str_raises_is_still_described(cells):
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no text")

    assert "Odd" in _failure(cells, Odd()).message


def test_a_message_is_cut_in_the_middle(cells):
    message = _failure(cells, ValueError("x" * 1_000_000)).message
    assert len(message) < 110_000
    assert "characters …" in message


def test_exception_groups_lose_our_frames_too(cells):
    if not hasattr(__builtins__, "ExceptionGroup") and "ExceptionGroup" not in dir(
        __import__("builtins")
    ):
        pytest.skip("Python 3.10 has none")
    group = ExceptionGroup("several", [ValueError("one"), KeyError("two")])  # noqa: F821
    message = _failure(cells, group).message
    assert "ValueError: one" in message
    assert "worker/call.py" not in message


def test_a_signature_with_problems_is_a_failure_of_its_own(cells):
    cells.run("@task\ndef bad(n) -> int:\n    return n\n")
    with pytest.raises(TaskFailed) as caught:
        _call(cells["bad"], n=1)
    assert caught.value.info.code == "USER:SignatureProblems"


def test_our_frames_are_recognised():
    assert failures.is_ours(failures.__file__)
    assert failures.is_ours("<flyte_nb>/flyte_nb/worker/call.py")
    assert failures.is_ours("/else/flyte_nb/worker/bootstrap.py")
    assert not failures.is_ours("<cell 5f3a91c0>")
    assert not failures.is_ours("/home/me/flyte_nb_things/train.py")


def test_a_cut_message_keeps_its_trace_and_the_log_gets_all_of_it(cells):
    text = "first\n" + "x" * 2_000_000 + "\nlast"
    error = ValueError(text)
    info = _failure(cells, error)
    assert len(info.message) < 150_000
    trace, _, message = info.message.partition("Message:")
    assert "raise ERROR" in trace
    assert message.strip().startswith("ValueError: first")
    assert message.endswith("last")
    assert failures.whole_text(error) == f"ValueError: {text}\n"
    assert failures.whole_text(ValueError("short")) == ""
