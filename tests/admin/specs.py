"""Requests that the admin tests send: small specs, made straight from flyteidl."""

from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, interface_pb2, literals_pb2, types_pb2

PROJECT, DOMAIN = "flytesnacks", "development"
INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)
STRING = types_pb2.LiteralType(simple=types_pb2.STRING)


def id_of(kind, name, version="v1", project=PROJECT, domain=DOMAIN):
    return identifier_pb2.Identifier(
        resource_type=identifier_pb2.ResourceType.Value(kind),
        project=project,
        domain=domain,
        name=name,
        version=version,
    )


def integer(value):
    literal = literals_pb2.Literal()
    literal.scalar.primitive.integer = value
    return literal


def string(value):
    literal = literals_pb2.Literal()
    literal.scalar.primitive.string_value = value
    return literal


def literals(**values):
    return literals_pb2.LiteralMap(
        literals={
            name: integer(value) if isinstance(value, int) else string(value)
            for name, value in values.items()
        }
    )


def variables(**types):
    return interface_pb2.VariableMap(
        variables={name: interface_pb2.Variable(type=type) for name, type in types.items()}
    )


def task_request(name="tasks.double", version="v1", args=("true",), retries=0):
    """A task of one integer in and one integer out, which runs the command `args`."""
    request = task_pb2.TaskCreateRequest(id=id_of("TASK", name, version))
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.type = "python-task"
    template.metadata.runtime.version = "0.1.0"
    template.metadata.retries.retries = retries
    template.interface.inputs.CopyFrom(variables(n=INTEGER))
    template.interface.outputs.CopyFrom(variables(o0=INTEGER))
    template.container.image = "none"
    template.container.args.extend(args)
    return request


def workflow_request(name="flows.chain", version="v1", task="tasks.double", length=2, wide=1):
    """`wide` chains of `length` nodes; the first chain's result is the workflow's."""
    request = workflow_pb2.WorkflowCreateRequest(id=id_of("WORKFLOW", name, version))
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.interface.inputs.CopyFrom(variables(n=INTEGER))
    template.interface.outputs.CopyFrom(variables(o0=INTEGER))
    for row in range(wide):
        for column in range(length):
            node = template.nodes.add(id=f"n{row * length + column}")
            node.metadata.name = task
            node.task_node.reference_id.CopyFrom(id_of("TASK", task))
            binding = node.inputs.add(var="n")
            if column:
                binding.binding.promise.node_id = f"n{row * length + column - 1}"
                binding.binding.promise.var = "o0"
                node.upstream_node_ids.append(f"n{row * length + column - 1}")
            else:
                binding.binding.promise.var = "n"
    output = template.outputs.add(var="o0")
    output.binding.promise.node_id = f"n{length - 1}"
    output.binding.promise.var = "o0"
    return request


def parent_request(name="flows.parent", launch_plan="flows.chain", task="tasks.double"):
    """A node that launches `launch_plan`, and one that runs the task with its result."""
    request = workflow_pb2.WorkflowCreateRequest(id=id_of("WORKFLOW", name))
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.interface.inputs.CopyFrom(variables(n=INTEGER))
    template.interface.outputs.CopyFrom(variables(o0=INTEGER))
    launch = template.nodes.add(id="launch")
    launch.workflow_node.launchplan_ref.CopyFrom(id_of("LAUNCH_PLAN", launch_plan))
    launch.inputs.add(var="n").binding.promise.var = "n"
    after = template.nodes.add(id="after", upstream_node_ids=["launch"])
    after.task_node.reference_id.CopyFrom(id_of("TASK", task))
    for target, node_id, var in (
        (after.inputs.add(var="n"), "launch", "o0"),
        (template.outputs.add(var="o0"), "after", "o0"),
    ):
        target.binding.promise.node_id, target.binding.promise.var = node_id, var
    return request


def launch_plan_request(name="flows.chain", version="v1", workflow="flows.chain"):
    request = launch_plan_pb2.LaunchPlanCreateRequest(id=id_of("LAUNCH_PLAN", name, version))
    request.spec.workflow_id.CopyFrom(id_of("WORKFLOW", workflow))
    return request


def launch_plan_update(name, *, active, version="v1"):
    state = launch_plan_pb2.ACTIVE if active else launch_plan_pb2.INACTIVE
    return launch_plan_pb2.LaunchPlanUpdateRequest(
        id=id_of("LAUNCH_PLAN", name, version), state=state
    )


def execution_request(name="", launch_plan="flows.chain", kind="LAUNCH_PLAN", **inputs):
    request = execution_pb2.ExecutionCreateRequest(project=PROJECT, domain=DOMAIN, name=name)
    request.spec.launch_plan.CopyFrom(id_of(kind, launch_plan))
    request.inputs.CopyFrom(literals(**inputs))
    return request


def get_request(kind, name, version="v1"):
    return common_pb2.ObjectGetRequest(id=id_of(kind, name, version))


def list_request(name="", limit=100, **fields):
    request = common_pb2.ResourceListRequest(limit=limit, **fields)
    request.id.project, request.id.domain, request.id.name = PROJECT, DOMAIN, name
    return request


def execution_get(name):
    request = execution_pb2.WorkflowExecutionGetRequest()
    request.id.project, request.id.domain, request.id.name = PROJECT, DOMAIN, name
    return request
