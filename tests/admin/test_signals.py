"""Signals as FlyteAdmin serves them, and gates that wait for them in the real engine."""

import pytest
from flyteidl.admin import execution_pb2, signal_pb2, workflow_pb2
from flyteidl.core import identifier_pb2, literals_pb2, types_pb2

from flyte_nb.api.errors import RemoteError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.testing.backend import in_process_calls, running_backend
from flyte_nb.testing.waiting import wait_until

RUN = identifier_pb2.WorkflowExecutionIdentifier(
    project="flytesnacks", domain="development", name="e1"
)
ID = ExecutionId("flytesnacks", "development", "e1")
INTEGER = types_pb2.LiteralType(simple=types_pb2.INTEGER)


def signal_id(name="level", run=RUN):
    return identifier_pb2.SignalIdentifier(signal_id=name, execution_id=run)


def made(admin, name="level", type=INTEGER):
    request = signal_pb2.SignalGetOrCreateRequest(id=signal_id(name), type=type)
    return admin.GetOrCreateSignal(request)


def listed(admin, run=RUN, **options):
    options.setdefault("limit", 10)
    return admin.ListSignals(signal_pb2.SignalListRequest(workflow_execution_id=run, **options))


def refused(call, request):
    with pytest.raises(RemoteError) as caught:
        call(request)
    return caught.value.code, caught.value.message


def truth(value):
    literal = literals_pb2.Literal()
    literal.scalar.primitive.boolean = value
    return literal


def test_a_signal_is_made_once_and_keeps_its_value(admin, specs):
    assert made(admin) == signal_pb2.Signal(id=signal_id(), type=INTEGER)
    admin.SetSignal(signal_pb2.SignalSetRequest(id=signal_id(), value=specs.integer(3)))
    admin.SetSignal(signal_pb2.SignalSetRequest(id=signal_id(), value=specs.integer(4)))
    assert made(admin).value == specs.integer(4)


def test_signals_are_listed_by_execution_with_filters_and_pages(admin, specs):
    for name in ("a", "b", "c"):
        made(admin, name)
    other = identifier_pb2.WorkflowExecutionIdentifier(
        project="flytesnacks", domain="development", name="e2"
    )
    admin.GetOrCreateSignal(
        signal_pb2.SignalGetOrCreateRequest(id=signal_id("d", other), type=INTEGER)
    )
    assert [s.id.signal_id for s in listed(admin).signals] == ["a", "b", "c"]
    first = listed(admin, limit=2)
    assert [s.id.signal_id for s in first.signals] == ["a", "b"]
    assert [s.id.signal_id for s in listed(admin, limit=2, token=first.token).signals] == ["c"]
    found = listed(admin, filters="eq(signal_id,b)")
    assert [s.id.signal_id for s in found.signals] == ["b"]
    assert [s.id.signal_id for s in listed(admin, other).signals] == ["d"]


def test_wrong_requests_are_refused_in_flyteadmins_words(admin, specs):
    empty = identifier_pb2.SignalIdentifier(execution_id=RUN)
    nowhere = identifier_pb2.SignalIdentifier(signal_id="level")
    partly = signal_id(run=identifier_pb2.WorkflowExecutionIdentifier(project="p", domain="d"))
    get = signal_pb2.SignalGetOrCreateRequest
    assert refused(admin.GetOrCreateSignal, get()) == ("INVALID_ARGUMENT", "missing id")
    assert refused(admin.GetOrCreateSignal, get(id=nowhere))[1] == "missing execution_id"
    assert refused(admin.GetOrCreateSignal, get(id=empty))[1] == "missing signal_id"
    assert refused(admin.GetOrCreateSignal, get(id=partly))[1] == "missing name"
    assert refused(admin.GetOrCreateSignal, get(id=signal_id()))[1] == "missing type"
    listing = signal_pb2.SignalListRequest
    assert refused(admin.ListSignals, listing(limit=1))[1] == "missing execution_id"
    assert refused(admin.ListSignals, listing(workflow_execution_id=RUN))[1] == (
        "invalid value for limit"
    )
    wrong = listing(workflow_execution_id=RUN, limit=1, token="x")
    assert refused(admin.ListSignals, wrong)[1] == "invalid pagination token x for ListSignals"
    wrong = listing(workflow_execution_id=RUN, limit=1, filters="eq(nonsense,x)")
    assert refused(admin.ListSignals, wrong)[1] == "'s.nonsense' is invalid filter"
    setting = signal_pb2.SignalSetRequest
    assert refused(admin.SetSignal, setting())[1] == "missing id"
    assert refused(admin.SetSignal, setting(id=signal_id()))[1] == "missing value"
    assert refused(admin.SetSignal, setting(id=signal_id(), value=specs.integer(1))) == (
        "INVALID_ARGUMENT",
        "failed to validate that signal [{{flytesnacks development e1} level}] exists,"
        " err: [signal does not exist]",
    )
    made(admin)
    assert refused(admin.SetSignal, setting(id=signal_id(), value=specs.string("x"))) == (
        "INVALID_ARGUMENT",
        'requested signal value [scalar:{primitive:{string_value:"x"}}] is not castable to existing'
        " signal type [[8 1]]",
    )
    nothing = literals_pb2.Literal(hash="h")
    assert (
        "got unknown literal type"
        in refused(admin.SetSignal, setting(id=signal_id(), value=nothing))[1]
    )
    code, text = refused(
        admin.GetOrCreateSignal,
        get(id=signal_id(), type=types_pb2.LiteralType(simple=types_pb2.BOOLEAN)),
    )
    assert code == "ALREADY_EXISTS"
    assert text.startswith("value with matching already exists")
    assert not made(admin).HasField("value")


# In the real engine


def gated(specs):
    """A workflow without tasks, which returns the value that its gate waits for."""
    request = workflow_pb2.WorkflowCreateRequest(id=specs.id_of("WORKFLOW", "flows.gated"))
    template = request.spec.template
    template.id.CopyFrom(request.id)
    template.interface.outputs.CopyFrom(specs.variables(o0=INTEGER))
    node = template.nodes.add(id="n0")
    node.metadata.name = "level"
    node.gate_node.signal.signal_id = "level"
    node.gate_node.signal.type.CopyFrom(INTEGER)
    node.gate_node.signal.output_variable_name = "o0"
    binding = template.outputs.add(var="o0")
    binding.binding.promise.node_id = "n0"
    binding.binding.promise.var = "o0"
    return request


def launched(admin, specs):
    admin.CreateWorkflow(gated(specs))
    admin.CreateLaunchPlan(specs.launch_plan_request("flows.gated", workflow="flows.gated"))
    request = execution_pb2.ExecutionCreateRequest(
        project=RUN.project, domain=RUN.domain, name=RUN.name
    )
    request.spec.launch_plan.CopyFrom(specs.id_of("LAUNCH_PLAN", "flows.gated"))
    request.inputs.SetInParent()
    admin.CreateExecution(request)
    wait_until(lambda: len(listed(admin).signals) == 1, "the gate asks for its signal")


def ended(admin):
    return admin.GetExecution(execution_pb2.WorkflowExecutionGetRequest(id=RUN)).closure.phase in (
        4,
        6,
        7,
    )


def test_a_gate_opens_by_its_signal_also_after_the_backend_started_again(tmp_path, specs):
    with running_backend(tmp_path / "home") as backend:
        launched(in_process_calls(backend), specs)
    with running_backend(tmp_path / "home") as backend:
        admin = in_process_calls(backend)
        assert not ended(admin)
        admin.SetSignal(signal_pb2.SignalSetRequest(id=signal_id(), value=specs.integer(5)))
        wait_until(lambda: ended(admin), "the execution ends")
        data = admin.GetExecutionData(execution_pb2.WorkflowExecutionGetDataRequest(id=RUN))
        assert data.full_outputs.literals["o0"] == specs.integer(5)


def test_a_signal_that_was_set_while_no_engine_ran_opens_the_gate(tmp_path, specs):
    with running_backend(tmp_path / "home") as backend:
        admin = in_process_calls(backend)
        launched(admin, specs)
        backend.signals.listen(lambda execution, signal: None)
        admin.SetSignal(signal_pb2.SignalSetRequest(id=signal_id(), value=specs.integer(5)))
        assert not ended(admin)
    with running_backend(tmp_path / "home") as backend:
        admin = in_process_calls(backend)
        wait_until(lambda: ended(admin), "the execution ends")
