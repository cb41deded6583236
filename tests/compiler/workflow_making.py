"""Small messages for compiler tests: types, tasks, nodes, bindings, workflows."""

from flyteidl.core import (
    identifier_pb2,
    interface_pb2,
    literals_pb2,
    tasks_pb2,
    types_pb2,
    workflow_pb2,
)

from flyte_nb.api.errors import CompileFailed
from flyte_nb.compiler import compile_task, compile_workflow

INT = types_pb2.LiteralType(simple=types_pb2.INTEGER)
FLOAT = types_pb2.LiteralType(simple=types_pb2.FLOAT)
STR = types_pb2.LiteralType(simple=types_pb2.STRING)
BOOL = types_pb2.LiteralType(simple=types_pb2.BOOLEAN)
NONE = types_pb2.LiteralType(simple=types_pb2.NONE)
STRUCT = types_pb2.LiteralType(simple=types_pb2.STRUCT)


def listed(type):
    return types_pb2.LiteralType(collection_type=type)


def mapped(type):
    return types_pb2.LiteralType(map_value_type=type)


def union(*variants):
    return types_pb2.LiteralType(union_type=types_pb2.UnionType(variants=variants))


def tagged(type, tag):
    copy = types_pb2.LiteralType()
    copy.CopyFrom(type)
    copy.structure.tag = tag
    return copy


def enum(*values):
    return types_pb2.LiteralType(enum_type=types_pb2.EnumType(values=values))


def blob(format="", dimensionality=0):
    return types_pb2.LiteralType(
        blob=types_pb2.BlobType(format=format, dimensionality=dimensionality)
    )


def dataset(*columns, format=""):
    type = types_pb2.StructuredDatasetType(format=format)
    for name, column in columns:
        type.columns.add(name=name, literal_type=column)
    return types_pb2.LiteralType(structured_dataset_type=type)


def schema(*columns):
    type = types_pb2.SchemaType()
    for name, column in columns:
        type.columns.add(name=name, type=column)
    return types_pb2.LiteralType(schema=type)


def dataclass(**fields):
    type = types_pb2.LiteralType(simple=types_pb2.STRUCT)
    type.metadata.update(
        {"type": "object", "properties": {name: {"type": "integer"} for name in fields}}
    )
    for name, field in fields.items():
        type.structure.dataclass_type[name].CopyFrom(field)
    return type


def identifier(name, kind=identifier_pb2.WORKFLOW):
    return identifier_pb2.Identifier(
        resource_type=kind, project="p", domain="d", name=name, version="v"
    )


def variables(types):
    return interface_pb2.VariableMap(
        variables={name: interface_pb2.Variable(type=type) for name, type in types.items()}
    )


def interface(inputs=None, outputs=None):
    return interface_pb2.TypedInterface(
        inputs=variables(inputs or {}), outputs=variables(outputs or {})
    )


def task(name, inputs=None, outputs=None):
    template = tasks_pb2.TaskTemplate(
        id=identifier(name, identifier_pb2.TASK),
        type="python-task",
        interface=interface(inputs, outputs),
    )
    template.container.image = "image"
    template.container.args.append("run")
    return template


def promise(var, node_id="", *path):
    data = literals_pb2.BindingData()
    data.promise.var = var
    data.promise.node_id = node_id
    for step in path:
        if isinstance(step, int):
            data.promise.attr_path.add(int_value=step)
        else:
            data.promise.attr_path.add(string_value=step)
    return data


def value(plain):
    """Return the binding of an int, float, str, bool, None, list or dict; a binding is returned as it is."""
    if isinstance(plain, literals_pb2.BindingData):
        return plain
    data = literals_pb2.BindingData()
    if isinstance(plain, list):
        data.collection.SetInParent()
        data.collection.bindings.extend(value(item) for item in plain)
    elif isinstance(plain, dict):
        data.map.SetInParent()
        for key, item in plain.items():
            data.map.bindings[key].CopyFrom(value(item))
    elif isinstance(plain, literals_pb2.Scalar):
        data.scalar.CopyFrom(plain)
    elif plain is None:
        data.scalar.none_type.SetInParent()
    elif isinstance(plain, bool):
        data.scalar.primitive.boolean = plain
    elif isinstance(plain, int):
        data.scalar.primitive.integer = plain
    elif isinstance(plain, float):
        data.scalar.primitive.float_value = plain
    else:
        data.scalar.primitive.string_value = plain
    return data


def binding(var, plain):
    return literals_pb2.Binding(var=var, binding=value(plain))


def node(id, runs=None, *, after=(), name="", **inputs):
    message = workflow_pb2.Node(id=id, upstream_node_ids=after)
    message.inputs.extend(binding(var, plain) for var, plain in inputs.items())
    if name:
        message.metadata.name = name
    if isinstance(runs, tasks_pb2.TaskTemplate):
        message.task_node.reference_id.CopyFrom(runs.id)
    elif isinstance(runs, workflow_pb2.WorkflowTemplate):
        message.workflow_node.sub_workflow_ref.CopyFrom(runs.id)
    elif isinstance(runs, identifier_pb2.Identifier):
        message.workflow_node.launchplan_ref.CopyFrom(runs)
    return message


def comparison(var, constant):
    from flyteidl.core import condition_pb2

    expression = condition_pb2.BooleanExpression()
    expression.comparison.left_value.var = var
    expression.comparison.right_value.primitive.CopyFrom(value(constant).scalar.primitive)
    return expression


def branch(id, cases, otherwise, **inputs):
    """Return a branch. `cases`: pairs of condition and node, or None; `otherwise`: a node, text or None."""
    message = node(id, **inputs)
    block = message.branch_node.if_else
    for index, (condition, then) in enumerate(cases):
        case = block.case if index == 0 else block.other.add()
        if condition is not None:
            case.condition.CopyFrom(condition)
        if then is not None:
            case.then_node.CopyFrom(then)
        case.SetInParent() if index == 0 else None
    if isinstance(otherwise, str):
        block.error.message = otherwise
    elif otherwise is not None:
        block.else_node.CopyFrom(otherwise)
    message.branch_node.SetInParent()
    return message


def workflow(nodes, inputs=None, outputs=None, returns=None, *, name="wf"):
    """Return a workflow. `outputs`: types by name; `returns`: what each output is bound to."""
    return workflow_pb2.WorkflowTemplate(
        id=identifier(name),
        interface=interface(inputs, outputs),
        nodes=nodes,
        outputs=[binding(var, plain) for var, plain in (returns or {}).items()],
    )


def compiled(template, tasks=(), subs=(), plans=None):
    return compile_workflow(template, subs, [compile_task(each) for each in tasks], plans)


def problems(template, tasks=(), subs=(), plans=None):
    """Return the compiler's problems; none when the workflow compiles."""
    try:
        compiled(template, tasks, subs, plans)
    except CompileFailed as failed:
        return failed.problems
    return ()


def codes(*arguments, **options):
    return sorted({problem.code for problem in problems(*arguments, **options)})
