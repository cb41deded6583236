"""The plan of a task that is called by itself: one node, as in the workflow that Flyte makes for a task."""

from flyteidl.core.compiler_pb2 import CompiledWorkflowClosure
from flyteidl.core.interface_pb2 import VariableMap
from flyteidl.core.literals_pb2 import Binding, BindingData
from flyteidl.core.tasks_pb2 import TaskTemplate
from flyteidl.core.types_pb2 import OutputReference
from flyteidl.core.workflow_pb2 import ArrayNode

from flyte_nb.api.identifiers import TASK
from flyte_nb.api.nodes import END_NODE
from flyte_nb.propeller.plan import ExecutionPlan, plan_of
from flyte_nb.wire.identifiers import identifier_from_idl

_NODE = "n0"


def plan_of_task(task: TaskTemplate, array: "ArrayNode | None" = None) -> ExecutionPlan:
    """Return the plan of one node that runs the task. Its `workflow_id` is the task's identifier.

    Args:
        task: The task.
        array: How its elements run, when it is a map.
    """
    closure = CompiledWorkflowClosure()
    closure.tasks.add().template.CopyFrom(task)
    template = closure.primary.template
    template.id.CopyFrom(task.id)
    node = template.nodes.add(id=_NODE)
    node.metadata.name = task.id.name
    if array is None:
        node.task_node.reference_id.CopyFrom(task.id)
    else:
        node.array_node.CopyFrom(array)
        node.metadata.name = array.node.metadata.name
        node.array_node.node.task_node.reference_id.CopyFrom(task.id)
    node.inputs.extend(_bindings("", task.interface.inputs))
    end = template.nodes.add(id=END_NODE)
    end.inputs.extend(_bindings(_NODE, task.interface.outputs))
    closure.primary.connections.upstream[END_NODE].ids.append(_NODE)
    return plan_of(closure)._replace(workflow_id=identifier_from_idl(task.id, TASK))


def _bindings(node_id: str, variables: VariableMap) -> list[Binding]:
    """Return a binding of each variable to the output of that name; the empty node has the inputs."""
    return [
        Binding(var=name, binding=BindingData(promise=OutputReference(node_id=node_id, var=name)))
        for name in variables.variables
    ]
