"""Where a node's deck is, as clients see it: while the task runs, and after its end."""

import pytest

from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.propeller.engine import Engine, Launch
from flyte_nb.propeller.executors.process import ProcessExecutor
from flyte_nb.propeller.records import NodeRecord
from flyte_nb.storage import open_stores
from flyte_nb.testing.closures import closure, integers, node, workflow
from flyte_nb.testing.recorders import MemoryRecorder
from flyte_nb.testing.waiting import PATIENCE_S

DECK = "leave('deck.html', '')\n"
SAYS_YES, SAYS_NO, SAYS_NOTHING = True, False, None


@pytest.fixture
def phases_with_deck(tmp_path, scripts):
    """Returns a function that runs a task, and returns for each phase of its node whether it had a deck."""
    store, recorder = open_stores(), MemoryRecorder()
    root = (tmp_path / "data").as_uri()
    engine = Engine(recorder, ProcessExecutor(tmp_path / "attempts", store), store, root)

    def run(says, body):
        template = scripts.task("t", body)
        if says is not None:
            template.metadata.generates_deck.value = says
        id = ExecutionId("p", "d", "e")
        engine.launch(
            Launch(id, closure(workflow("w", [node("n0", template)]), [template]), integers())
        )
        assert engine.wait(id, PATIENCE_S)
        records = [
            record
            for record in recorder.history(id)
            if isinstance(record, NodeRecord) and record.node_id == "n0"
        ]
        uris = {record.deck_uri for record in records} - {""}
        assert uris <= {f"{root}/metadata/p/d/e/propeller/n0/data/0/deck.html"}
        return {record.phase: bool(record.deck_uri) for record in records}

    yield run
    engine.close()


@pytest.mark.parametrize(
    ("says", "left", "running", "end"),
    [
        (SAYS_YES, True, True, True),
        (SAYS_YES, False, True, False),
        (SAYS_NO, True, False, False),
        (SAYS_NOTHING, True, False, True),
        (SAYS_NOTHING, False, False, False),
    ],
)
def test_a_deck_is_announced_while_running_and_kept_when_it_was_made(
    phases_with_deck, scripts, says, left, running, end
):
    found = phases_with_deck(says, (DECK if left else "") + scripts.outputs)
    assert found == {"QUEUED": False, "RUNNING": running, "SUCCEEDED": end}


@pytest.mark.parametrize(("says", "end"), [(SAYS_YES, True), (SAYS_NOTHING, False)])
def test_a_task_that_failed_has_the_deck_that_it_announced(phases_with_deck, scripts, says, end):
    found = phases_with_deck(says, DECK + scripts.error)
    assert found["FAILED"] is end
