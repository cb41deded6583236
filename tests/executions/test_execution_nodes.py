"""The nodes of an execution as text: who is inside whom, in columns."""

from datetime import datetime, timezone

from flyte_nb.api.identifiers import ExecutionId, Identifier
from flyte_nb.executions.nodes import ExecutionNodes
from flyte_nb.executions.views import ExecutionView, NodeView

NONE = Identifier("workflow", "p", "d", "nb.wf", "v")


def shown(*nodes: NodeView) -> list[str]:
    view = ExecutionView(
        ExecutionId("p", "d", "e"), NONE, NONE, "RUNNING", datetime.now(timezone.utc), nodes=nodes
    )
    return repr(ExecutionNodes(None, view)).splitlines()


def test_nodes_stand_below_the_node_that_they_are_inside_of_and_columns_do_not_touch():
    nodes = (
        NodeView("n0", "n0", "spread", "DYNAMIC_RUNNING"),
        NodeView("n1", "n1", "after", "QUEUED"),
        NodeView("n0-0-dn0-0-dn0-0-dn0", "dn0", "deep", "SUCCEEDED", parent_id="n0-0-dn0"),
        NodeView("n0-0-dn0", "dn0", "inner", "RUNNING", parent_id="n0"),
    )
    assert shown(*nodes) == [
        "n0                    DYNAMIC_RUNNING  spread",
        "n0-0-dn0              RUNNING            inner",
        "n0-0-dn0-0-dn0-0-dn0  SUCCEEDED            deep",
        "n1                    QUEUED           after",
    ]


def test_a_node_whose_parent_is_unknown_is_shown_at_the_top():
    assert shown(NodeView("n0-0-n1", "n1", "inner", "RUNNING", parent_id="n0")) == [
        "n0-0-n1               RUNNING          inner"
    ]
    assert shown() == ["no nodes yet"]
