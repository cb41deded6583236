"""Installations that register tasks, loans of executions, and attributes of projects."""

import json
import stat

import grpc
import pytest
from flyteidl.admin import (
    execution_pb2,
    matchable_resource_pb2,
    project_attributes_pb2,
    project_domain_attributes_pb2,
)
from flyteidl.core import literals_pb2, security_pb2
from google.protobuf.wrappers_pb2 import StringValue

from flyte_nb.admin.lent import Loan
from flyte_nb.admin.refused import Refused
from flyte_nb.admin.services.installations import KEEP
from flyte_nb.admin.services.lending import LEND
from flyte_nb.admin.store.installations import Installations, TaskBundle
from flyte_nb.admin.surroundings import AttemptSurroundings
from flyte_nb.api.errors import RemoteError, TaskFailed
from flyte_nb.api.identifiers import TASK, ExecutionId, Identifier
from flyte_nb.propeller.ports import Attempt, AttemptKey
from flyte_nb.runtime.machine import this_machine
from flyte_nb.testing.backend import in_process_calls

RED = {"python": "/red/bin/python", "version": "3.11", "prefix": "/red"}
BLUE = {"python": "/blue/bin/python", "version": "3.11", "prefix": "/blue"}
DOUBLE = ("flytesnacks", "development", "tasks.double", "v1")


class Person:
    """Registers, lends and launches on a backend, and looks at what attempts would get."""

    def __init__(self, backend, specs):
        self.backend = backend
        self.calls = in_process_calls(backend)
        self.specs = specs

    def call(self, path, **document):
        answer = self.backend.rpcs[path](StringValue(value=json.dumps(document)))
        return json.loads(answer.value)

    def keep(self, installation, *ids, bundle="", **more):
        tasks = [[*id, bundle] for id in ids or (DOUBLE,)]
        return self.call(KEEP, installation=installation, tasks=tasks, **more)

    def lend(self, name, *, entity=("launch_plan", *DOUBLE[:2], "flows.chain", "v1"), **loan):
        execution = [*DOUBLE[:2], name]
        return self.call(LEND, execution=execution, entity=entity, **loan)["wanted"]

    def register(self, *secrets):
        request = self.specs.task_request()
        for group, key in secrets:
            request.spec.template.security_context.secrets.add(
                group=group, key=key, mount_requirement=security_pb2.Secret.ENV_VAR
            )
        self.calls.CreateTask(request)
        self.calls.CreateWorkflow(self.specs.workflow_request())
        self.calls.CreateLaunchPlan(self.specs.launch_plan_request())
        return request.spec.template

    def launch(self, name):
        self.calls.CreateExecution(self.specs.execution_request(name, n=1))
        return ExecutionId(*DOUBLE[:2], name)

    def python(self, execution, id=DOUBLE, bundle=""):
        found = Installations(self.backend._database)
        document = found.of(execution, TaskBundle(Identifier(TASK, *id), bundle))
        return json.loads(document)["python"] if document else None

    def surroundings(self, execution, template):
        key = AttemptKey(execution, "n0", 0)
        attempt = Attempt(
            key, Identifier(TASK, *DOUBLE), template, literals_pb2.LiteralMap(), "", ""
        )
        home = self.backend.home
        return AttemptSurroundings(self.backend._database, self.backend._lent, home.secrets_file)(
            attempt
        )


@pytest.fixture
def person(hand_backend, specs):
    return Person(hand_backend, specs)


def test_an_execution_keeps_the_python_that_had_registered_when_it_began(person):
    person.keep(RED)
    person.register()
    first = person.launch("first")
    assert person.python(first) == "/red/bin/python"
    person.keep(BLUE)
    assert person.python(first) == "/red/bin/python"
    second = person.launch("second")
    assert person.python(second) == "/blue/bin/python"
    person.keep(BLUE)
    person.keep(RED)
    assert person.python(person.launch("third")) == "/red/bin/python"
    assert person.python(second) == "/blue/bin/python"


def test_a_task_that_another_client_registered_has_no_python_of_its_own(person):
    template = person.register()
    execution = person.launch("e")
    assert person.python(execution) is None
    found = person.surroundings(execution, template)
    assert (found.installation, found.variables, found.secrets) == (None, None, {})


def test_a_task_inside_of_a_dynamic_one_has_the_python_of_its_bundle(person):
    person.keep(RED, bundle="file:///b/index-1.json")
    person.register()
    execution = person.launch("e")
    inner = (*DOUBLE[:2], "nb.inner", "v1")
    assert person.python(execution, inner, "file:///b/index-1.json") == "/red/bin/python"
    assert person.python(execution, inner, "file:///b/index-2.json") is None


def test_a_task_that_another_machine_registered_has_no_python_here(person):
    person.keep(RED, machine=["elsewhere", "another-boot net:[1] pid:[1]"])
    person.register()
    assert person.python(person.launch("e")) is None
    person.keep(RED, machine=list(this_machine()))
    assert person.python(person.launch("f")) == "/red/bin/python"


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (KEEP, "no json"),
        (KEEP, "[" * 100_000),
        (KEEP, "[]"),
        (KEEP, "{}"),
        (KEEP, json.dumps({"installation": RED, "tasks": 1})),
        (KEEP, json.dumps({"installation": RED, "tasks": [["a"]]})),
        (KEEP, json.dumps({"installation": RED, "tasks": [["a"] * 4 + ["b" * 5000]]})),
        (KEEP, json.dumps({"installation": RED, "tasks": [], "machine": [1, 2]})),
        (KEEP, json.dumps({"installation": {"python": 1}, "tasks": []})),
        (LEND, "{}"),
        (LEND, json.dumps({"execution": ["p", "d", "n"], "entity": ["workflow", *DOUBLE]})),
        (
            LEND,
            json.dumps(
                {"execution": ["p", "d", "n"], "entity": ["task", *DOUBLE], "secrets": {"A": 1}}
            ),
        ),
        (LEND, json.dumps("x" * 2_000_000)),
    ],
)
def test_a_malformed_request_is_an_invalid_argument(hand_backend, path, text):
    with pytest.raises(Refused) as caught:
        hand_backend.rpcs[path](StringValue(value=text))
    assert caught.value.code == "INVALID_ARGUMENT"


def test_the_calls_are_served_over_grpc_to_callers_with_the_token(hand_backend):
    request = StringValue(value=json.dumps({"installation": RED, "tasks": []}))
    with grpc.insecure_channel(hand_backend.endpoint) as channel:
        call = channel.unary_unary(
            KEEP,
            request_serializer=StringValue.SerializeToString,
            response_deserializer=StringValue.FromString,
        )
        metadata = (("authorization", f"Bearer {hand_backend.home.token()}"),)
        assert call(request, metadata=metadata).value == "{}"
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


# --- loans --------------------------------------------------------------------------------------


def test_a_client_is_asked_for_the_secrets_of_the_tasks_and_only_those_reach_them(person):
    template = person.register(("shop", "token"))
    assert person.lend("e") == [["shop", "token", ""]]
    person.lend(
        "e", secrets={"SHOP_TOKEN": "sesame", "OTHER": "no"}, variables={"AWS_PROFILE": "x"}
    )
    found = person.surroundings(person.launch("e"), template)
    assert found.secrets == {"SHOP_TOKEN": "sesame"}
    assert found.variables == {"AWS_PROFILE": "x"}
    template.security_context.ClearField("secrets")
    assert person.surroundings(ExecutionId(*DOUBLE[:2], "e"), template).secrets == {}


def test_a_launch_without_credentials_does_not_get_the_backends_own(person):
    template = person.register()
    assert person.lend("e") == []
    assert person.surroundings(person.launch("e"), template).variables == {}


def test_the_secrets_of_a_task_that_is_launched_by_itself_are_asked_for_too(person):
    person.register(("shop", "token"))
    assert person.lend("e", entity=("task", *DOUBLE)) == [["shop", "token", ""]]
    assert person.lend("e", entity=("task", *DOUBLE[:3], "v9")) == []


def test_a_loan_is_private_and_ends_with_its_execution(person, engine):
    person.register(("shop", "token"))
    person.lend("e", secrets={"SHOP_TOKEN": "sesame"})
    execution = person.launch("e")
    [file] = person.backend.home.lent.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(person.backend.home.lent.stat().st_mode) == 0o700
    engine.succeed(execution)
    assert list(person.backend.home.lent.iterdir()) == []


def test_nobody_changes_the_loan_of_an_execution_that_runs(person):
    template = person.register(("shop", "token"))
    person.lend("e", secrets={"SHOP_TOKEN": "sesame"})
    execution = person.launch("e")
    person.lend("e", secrets={"SHOP_TOKEN": "another"})
    assert person.surroundings(execution, template).secrets == {"SHOP_TOKEN": "sesame"}


def test_loans_of_executions_that_never_began_are_deleted_at_the_next_start(person):
    person.register(("shop", "token"))
    person.lend("began", secrets={"SHOP_TOKEN": "x"})
    began = person.launch("began")
    person.lend("never", secrets={"SHOP_TOKEN": "y"})
    lent = person.backend._lent
    lent.sweep([began])
    assert lent.of(began) == Loan({}, {"SHOP_TOKEN": "x"})
    assert lent.of(began._replace(name="never")) is None


def test_an_execution_without_a_loan_gets_the_secrets_of_the_home_folder(person):
    template = person.register(("shop", "token"), ("shop", "other"))
    execution = person.launch("e")
    person.backend.home.secrets_file.write_text("_FSEC_SHOP_TOKEN=a\nNOBODY_ASKS=b\n")
    assert person.surroundings(execution, template).secrets == {"SHOP_TOKEN": "a"}
    person.backend.home.secrets_file.write_text("nonsense\n")
    with pytest.raises(TaskFailed) as caught:
        person.surroundings(execution, template)
    assert caught.value.info.code == "USER:SecretsNotReadable"
    assert "secrets.env, line 1: write NAME=value" in caught.value.info.message


# --- attributes of projects ---------------------------------------------------------------------


def config(**envs):
    pairs = [literals_pb2.KeyValuePair(key=key, value=value) for key, value in envs.items()]
    made = matchable_resource_pb2.WorkflowExecutionConfig()
    made.envs.values.extend(pairs)
    return made


def update(admin, domain="", **fields):
    attributes = matchable_resource_pb2.MatchingAttributes(**fields)
    if domain:
        admin.UpdateProjectDomainAttributes(
            project_domain_attributes_pb2.ProjectDomainAttributesUpdateRequest(
                attributes=project_domain_attributes_pb2.ProjectDomainAttributes(
                    project="flytesnacks", domain=domain, matching_attributes=attributes
                )
            )
        )
        return
    admin.UpdateProjectAttributes(
        project_attributes_pb2.ProjectAttributesUpdateRequest(
            attributes=project_attributes_pb2.ProjectAttributes(
                project="flytesnacks", matching_attributes=attributes
            )
        )
    )


def test_attributes_of_a_project_and_its_domain_reach_their_executions(registered, specs, engine):
    update(registered, workflow_execution_config=config(A="project", B="project", C="project"))
    update(registered, "development", workflow_execution_config=config(B="domain", C="domain"))
    update(registered, "production", workflow_execution_config=config(A="elsewhere"))
    request = specs.execution_request("e", n=1)
    request.spec.envs.values.add(key="C", value="launch")
    registered.CreateExecution(request)
    [launch] = engine.launches.values()
    assert launch.envs == {"A": "project", "B": "domain", "C": "launch"}


def test_attributes_are_read_as_they_apply_and_can_be_deleted(registered):
    kind = matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG
    asked = project_domain_attributes_pb2.ProjectDomainAttributesGetRequest(
        project="flytesnacks", domain="staging", resource_type=kind
    )
    with pytest.raises(RemoteError) as caught:
        registered.GetProjectDomainAttributes(asked)
    assert caught.value.code == "NOT_FOUND"
    update(registered, workflow_execution_config=config(A="1"))
    found = registered.GetProjectDomainAttributes(asked).attributes
    assert found.matching_attributes.workflow_execution_config == config(A="1")
    registered.DeleteProjectAttributes(
        project_attributes_pb2.ProjectAttributesDeleteRequest(
            project="flytesnacks", resource_type=kind
        )
    )
    found = registered.GetProjectAttributes(
        project_attributes_pb2.ProjectAttributesGetRequest(
            project="flytesnacks", resource_type=kind
        )
    ).attributes
    assert found.matching_attributes.workflow_execution_config.max_parallelism == 25


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (
            {"quality_of_service": {"tier": 1}},
            "Unrecognized matching attributes type for request",
        ),
        (
            {"workflow_execution_config": {"interruptible": {"value": True}}},
            "interruptible .* would have no effect",
        ),
    ],
)
def test_attributes_that_would_have_no_effect_are_refused(registered, fields, says):
    with pytest.raises(RemoteError, match=says) as caught:
        update(registered, **fields)
    assert caught.value.code == "INVALID_ARGUMENT"


def test_attributes_of_an_unknown_project_are_not_found(admin):
    kind = matchable_resource_pb2.WORKFLOW_EXECUTION_CONFIG
    with pytest.raises(RemoteError) as caught:
        admin.GetProjectAttributes(
            project_attributes_pb2.ProjectAttributesGetRequest(project="no", resource_type=kind)
        )
    assert caught.value.code == "NOT_FOUND"


def test_a_relaunch_does_not_get_the_loan_of_the_former_execution(person, engine):
    person.register(("shop", "token"))
    person.lend("e", secrets={"SHOP_TOKEN": "sesame"})
    engine.succeed(person.launch("e"))
    request = execution_pb2.ExecutionRelaunchRequest(name="again")
    request.id.project, request.id.domain, request.id.name = (*DOUBLE[:2], "e")
    person.calls.RelaunchExecution(request)
    assert person.backend._lent.of(ExecutionId(*DOUBLE[:2], "again")) is None
