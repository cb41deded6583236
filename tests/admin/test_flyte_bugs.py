"""Bugs of FlyteAdmin that must not be bugs here, each by the number of its issue in flyteorg/flyte."""

import pytest
from flyteidl.admin import execution_pb2

from flyte_nb.api.errors import RemoteError


def test_6556_an_execution_is_stored_before_the_engine_acts_on_it(
    registered, engine, specs, monkeypatch
):
    found = []
    launch = engine.launch

    def launched(given):
        found.append(engine.recorder.history(given.id))  # fails for an execution that is not stored
        launch(given)

    monkeypatch.setattr(engine, "launch", launched)
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    assert found == [[]]
    (id,) = engine.launches
    engine.succeed(id, o0=8)  # records arrive, which needs the row


def test_6577_a_second_execution_of_a_name_is_refused_and_nothing_is_launched(
    registered, engine, specs
):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    (first,) = engine.launches.values()
    with pytest.raises(RemoteError) as caught:
        registered.CreateExecution(specs.execution_request("run-1", n=5))
    assert caught.value.code == "ALREADY_EXISTS"
    assert list(engine.launches.values()) == [first]
    engine.succeed(first.id, o0=8)


def test_280_an_execution_is_terminated_before_the_engine_has_begun_it(registered, engine, specs):
    registered.CreateExecution(specs.execution_request("run-1", n=4))
    (id,) = engine.launches
    ask = execution_pb2.ExecutionTerminateRequest(cause="enough")
    ask.id.project, ask.id.domain, ask.id.name = id.project, id.domain, id.name
    registered.TerminateExecution(ask)
    assert [(each, cause) for each, cause in engine.terminated if each == id]
