"""The pump carries views from the stream to the painter, in one thread, until the execution ends."""

import gc
import threading
import weakref

import pytest
from fake_executions import FakeExecution, succeeding

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.executions.views import ExecutionView
from flyte_nb.notebook.live.pump import Pump

NAMES = {"n0": "churn.load", "n1": "churn.fit"}
PATIENCE_S = 60


class Painter:
    def __init__(self) -> None:
        self.painted: list[ExecutionView] = []
        self.finished: list[ExecutionView] = []
        self.reasons: list[str] = []
        self.threads: set[str] = set()
        self.changed = threading.Condition()

    def _note(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.changed.notify_all()

    def paint(self, view: ExecutionView) -> None:
        with self.changed:
            self.painted.append(view)
            self._note()

    def finish(self, view: ExecutionView) -> None:
        with self.changed:
            self.finished.append(view)
            self._note()

    def lost(self, reason: str) -> None:
        with self.changed:
            self.reasons.append(reason)
            self._note()

    def wait(self, condition) -> None:
        with self.changed:
            assert self.changed.wait_for(condition, PATIENCE_S)


def _execution(kind=FakeExecution, **options) -> FakeExecution:
    return kind(
        ExecutionId("p", "d", "a1"),
        Identifier("workflow", "p", "d", "churn.pipeline", "v"),
        NAMES,
        succeeding(NAMES),
        speed=0,
        **options,
    )


def test_every_change_is_painted_and_the_end_is_painted_once():
    execution, painter = _execution(), Painter()
    pump = Pump(execution, painter, min_interval_s=0)
    pump.start()
    for step in range(1, 5):
        execution.advance()
        painter.wait(lambda step=step: painter.painted and painter.painted[-1].serial >= step)
    assert pump.join(PATIENCE_S)
    assert [view.phase for view in painter.finished] == ["SUCCEEDED"]
    assert painter.painted[-1] == painter.finished[0]
    serials = [view.serial for view in painter.painted]
    assert serials == sorted(serials)
    assert len(painter.threads) == 1


def test_a_burst_is_painted_as_its_last_view_when_the_interval_is_over():
    now = [0.0]
    burst, over = threading.Event(), threading.Event()

    class Bursting(FakeExecution):
        def watch(self):
            yield self.view()
            assert burst.wait(PATIENCE_S)
            for _ in range(3):
                self.advance()
                yield self.view()
            now[0] += 0.3  # the reader has them all
            assert over.wait(PATIENCE_S)

    execution, painter = _execution(Bursting), Painter()
    pump = Pump(execution, painter, min_interval_s=0.3, clock=lambda: now[0])
    pump.start()
    painter.wait(lambda: painter.painted)
    burst.set()
    painter.wait(lambda: len(painter.painted) > 1)
    pump.stop()
    over.set()
    assert pump.join(PATIENCE_S)
    assert [view.serial for view in painter.painted] == [0, 3]


def test_time_goes_on_while_nothing_changes():
    execution, painter = _execution(), Painter()
    pump = Pump(execution, painter, min_interval_s=0, tick_s=0.02)
    pump.start()
    painter.wait(lambda: len(painter.painted) >= 4)
    assert {view.serial for view in painter.painted} == {0}
    pump.stop()
    assert pump.join(PATIENCE_S)


def test_actions_submitted_in_any_thread_run_in_the_painting_thread():
    execution, painter = _execution(), Painter()
    pump = Pump(execution, painter)
    ran: list[str] = []
    done = threading.Event()
    pump.start()
    for _ in range(8):
        threading.Thread(
            target=lambda: pump.submit(lambda: ran.append(threading.current_thread().name))
        ).start()
    pump.submit(done.set)
    assert done.wait(PATIENCE_S)
    painter.wait(lambda: painter.painted)
    pump.stop()
    assert pump.join(PATIENCE_S)
    assert set(ran) <= painter.threads


def test_a_stopped_pump_paints_nothing_any_more():
    execution, painter = _execution(), Painter()
    pump = Pump(execution, painter, tick_s=0.01)
    pump.start()
    painter.wait(lambda: painter.painted)
    pump.stop()
    assert pump.join(PATIENCE_S)
    count = len(painter.painted)
    execution.advance(10)
    assert len(painter.painted) == count
    assert painter.finished == []


def test_a_painter_that_was_garbage_collected_ends_the_pump():
    execution, painter = _execution(), Painter()
    pump = Pump(execution, painter, tick_s=0.01)
    pump.start()
    gone = weakref.ref(painter)
    del painter
    gc.collect()
    assert pump.join(PATIENCE_S)
    assert gone() is None


@pytest.mark.parametrize("error", [RemoteError("gone", code="UNAVAILABLE"), ValueError("gone")])
def test_a_stream_that_breaks_off_is_reported_to_the_painter(error):
    class Broken(FakeExecution):
        def watch(self):
            yield self.view()
            raise error

    painter = Painter()
    execution = Broken(
        ExecutionId("p", "d", "a1"),
        Identifier("workflow", "p", "d", "w", "v"),
        NAMES,
        succeeding(NAMES),
        speed=0,
    )
    pump = Pump(execution, painter)
    pump.start()
    assert pump.join(PATIENCE_S)
    assert len(painter.reasons) == 1
    assert "gone" in painter.reasons[0]
    assert painter.finished == []


def test_a_painter_that_fails_gets_the_reason_and_is_not_called_again():
    class Clumsy(Painter):
        def paint(self, view):
            raise RuntimeError("no brush")

    execution, painter = _execution(), Clumsy()
    pump = Pump(execution, painter)
    pump.start()
    assert pump.join(PATIENCE_S)
    assert painter.reasons == ["RuntimeError: no brush"]


def test_no_thread_is_left_behind():
    before = set(threading.enumerate())
    execution, painter = _execution(), Painter()
    pump = Pump(execution, painter)
    pump.start()
    execution.advance(10)
    assert pump.join(PATIENCE_S)
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE_S)
        assert not thread.is_alive()
