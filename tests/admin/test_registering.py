"""Tasks, workflows and launch plans: register, read and list them, in process and over gRPC."""

import pytest
from flyteidl.admin import common_pb2, execution_pb2, launch_plan_pb2, project_pb2
from flyteidl.core import identifier_pb2
from flyteidl.service import dataproxy_pb2

from flyte_nb.api.errors import RemoteError


def refusal(call, request):
    with pytest.raises(RemoteError) as caught:
        call(request)
    return caught.value.code, caught.value.message


def test_a_task_comes_back_as_it_was_registered(admin, specs):
    request = specs.task_request()
    admin.CreateTask(request)
    task = admin.GetTask(specs.get_request("TASK", "tasks.double"))
    assert task.id == request.id
    assert task.closure.compiled_task.template == request.spec.template
    assert task.closure.created_at.seconds > 0


def test_an_identical_task_exists_already_and_a_different_one_is_refused_with_the_difference(
    admin, specs
):
    admin.CreateTask(specs.task_request(retries=1))
    assert refusal(admin.CreateTask, specs.task_request(retries=1)) == (
        "ALREADY_EXISTS",
        "task with identical structure already exists",
    )
    code, text = refusal(admin.CreateTask, specs.task_request(retries=2))
    assert code == "INVALID_ARGUMENT"
    assert text == (
        "tasks.double task with different structure already exists. (Please register a new version"
        " of the task):\n/template/metadata/retries/retries:\n\t- 1 \n\t+ 2"
    )


def test_an_unknown_task_is_not_found_by_its_whole_id(admin, specs):
    assert refusal(admin.GetTask, specs.get_request("TASK", "nowhere")) == (
        "NOT_FOUND",
        'missing entity of type TASK with identifier resource_type:TASK project:"flytesnacks"'
        ' domain:"development" name:"nowhere" version:"v1"',
    )


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (lambda request: request.ClearField("id"), "missing id"),
        (lambda request: request.id.ClearField("project"), "missing project"),
        (lambda request: request.id.ClearField("domain"), "missing domain"),
        (lambda request: request.id.ClearField("name"), "missing name"),
        (lambda request: request.id.ClearField("version"), "missing version"),
        (lambda request: request.ClearField("spec"), "missing spec"),
        (lambda request: request.spec.template.ClearField("type"), "missing type"),
        (lambda request: request.spec.template.ClearField("metadata"), "missing metadata"),
        (
            lambda request: request.spec.template.metadata.runtime.CopyFrom(
                type(request.spec.template.metadata.runtime)(flavor="x")
            ),
            "missing runtime version",
        ),
        (lambda request: request.spec.template.ClearField("interface"), "missing typed interface"),
        (lambda request: request.spec.template.container.ClearField("image"), "missing image"),
        (
            lambda request: setattr(request.id, "domain", "moon"),
            "domain [moon] is unrecognized by system",
        ),
        (
            lambda request: setattr(request.id, "project", "mars"),
            "failed to validate that project [mars] and domain [development] are registered, err:"
            " [project [mars] not found]",
        ),
    ],
)
def test_an_incomplete_task_is_refused_with_what_is_missing(admin, specs, spoil, text):
    request = specs.task_request()
    spoil(request)
    assert refusal(admin.CreateTask, request) == ("INVALID_ARGUMENT", text)


def test_an_id_of_another_kind_is_refused(admin, specs):
    request = specs.task_request()
    request.id.resource_type = identifier_pb2.WORKFLOW
    code, text = refusal(admin.CreateTask, request)
    assert code == "INVALID_ARGUMENT"
    assert text.startswith(
        "unexpected resource type workflow for identifier [resource_type:WORKFLOW"
    )
    assert text.endswith("], expected task instead")


def test_resources_are_quantities_each_once_and_requests_within_limits(admin, specs):
    request = specs.task_request()
    resources = request.spec.template.container.resources
    resources.requests.add(name=1, value="500m")
    resources.limits.add(name=1, value="2")
    admin.CreateTask(request)
    request.id.version = "v2"
    resources.requests[0].value = "3"
    assert "is greater than the limit" in refusal(admin.CreateTask, request)[1]
    resources.requests[0].value = "many"
    assert "Parsing of CPU request failed for value many" in refusal(admin.CreateTask, request)[1]
    resources.requests[0].value = "1"
    resources.requests.add(name=1, value="1")
    assert "multiple times" in refusal(admin.CreateTask, request)[1]


def test_a_workflow_keeps_its_whole_closure_and_lists_show_its_interface(registered, specs):
    workflow = registered.GetWorkflow(specs.get_request("WORKFLOW", "flows.chain"))
    closure = workflow.closure.compiled_workflow
    assert [task.template.id.name for task in closure.tasks] == ["tasks.double"]
    assert closure.primary.template.id == workflow.id
    (listed,) = registered.ListWorkflows(specs.list_request("flows.chain")).workflows
    assert set(listed.closure.compiled_workflow.primary.template.interface.inputs.variables) == {
        "n"
    }
    assert not listed.closure.compiled_workflow.primary.template.nodes
    assert listed.closure.created_at == workflow.closure.created_at


def test_an_identical_workflow_exists_already_and_a_different_one_is_refused(registered, specs):
    assert refusal(registered.CreateWorkflow, specs.workflow_request()) == (
        "ALREADY_EXISTS",
        "workflow with identical structure already exists",
    )
    code, text = refusal(registered.CreateWorkflow, specs.workflow_request(length=3))
    assert code == "INVALID_ARGUMENT"
    assert text.startswith("flows.chain workflow with different structure already exists.")


def test_a_launch_plan_gets_its_expected_inputs_computed(registered, specs):
    plan = registered.GetLaunchPlan(specs.get_request("LAUNCH_PLAN", "flows.chain"))
    assert plan.closure.expected_inputs.parameters["n"].required
    assert plan.spec.default_inputs == plan.closure.expected_inputs
    assert set(plan.closure.expected_outputs.variables) == {"o0"}
    assert plan.closure.state == launch_plan_pb2.INACTIVE


def test_fixed_inputs_leave_the_expected_ones_and_defaults_are_kept(registered, specs):
    fixed = specs.launch_plan_request("fixed")
    fixed.spec.fixed_inputs.CopyFrom(specs.literals(n=3))
    registered.CreateLaunchPlan(fixed)
    plan = registered.GetLaunchPlan(specs.get_request("LAUNCH_PLAN", "fixed"))
    assert not plan.closure.expected_inputs.parameters
    default = specs.launch_plan_request("default")
    parameter = default.spec.default_inputs.parameters["n"]
    parameter.var.type.CopyFrom(specs.INTEGER)
    parameter.default.CopyFrom(specs.integer(7))
    registered.CreateLaunchPlan(default)
    plan = registered.GetLaunchPlan(specs.get_request("LAUNCH_PLAN", "default"))
    assert plan.closure.expected_inputs.parameters["n"].default == specs.integer(7)


def _wrong_default(request, specs):
    parameter = request.spec.default_inputs.parameters["n"]
    parameter.var.type.CopyFrom(specs.INTEGER)
    parameter.default.CopyFrom(specs.string("seven"))


def _scheduled(request, specs):
    request.spec.entity_metadata.schedule.cron_schedule.schedule = "0 6 * * *"


def _bad_cron(request, specs):
    request.spec.fixed_inputs.CopyFrom(specs.literals(n=1))
    request.spec.entity_metadata.schedule.cron_schedule.schedule = "0 25 * * *"


@pytest.mark.parametrize(
    ("spoil", "text"),
    [
        (
            lambda request, specs: request.spec.fixed_inputs.CopyFrom(specs.literals(x=1)),
            "unexpected fixed_input x",
        ),
        (
            lambda request, specs: request.spec.fixed_inputs.CopyFrom(specs.literals(n="a")),
            "invalid fixed_input wrong type n, expected simple:INTEGER, got simple:STRING instead",
        ),
        (
            _wrong_default,
            "Type mismatch for Parameter n in default_inputs has type simple:INTEGER, expected"
            " simple:STRING",
        ),
        (
            lambda request, specs: request.spec.default_inputs.parameters["n"].Clear(),
            "The Variable component of the Parameter n in default_inputs either is missing, or has a"
            " missing Type",
        ),
        (
            lambda request, specs: request.spec.default_inputs.parameters["n"].var.type.CopyFrom(
                specs.INTEGER
            ),
            "Invalid variable n in default_inputs - variable has neither default, nor is required."
            " One must be specified",
        ),
        (
            _scheduled,
            "Cannot create a launch plan with a schedule if there is an unbound required input. [n]"
            " is required",
        ),
        (_bad_cron, "Invalid cron expression: end of range (25) above maximum (23) in the hour 25"),
        (
            lambda request, specs: request.spec.labels.values.update({"-": "x"}),
            "invalid label key [-]: [name part must consist of alphanumeric characters, '-', '_' or"
            " '.', and must start and end with an alphanumeric character]",
        ),
        (
            lambda request, specs: request.spec.entity_metadata.notifications.add(phases=[4]),
            "invalid value for notification type",
        ),
    ],
)
def test_a_launch_plan_that_cannot_launch_is_refused(registered, specs, spoil, text):
    request = specs.launch_plan_request("other")
    spoil(request, specs)
    assert refusal(registered.CreateLaunchPlan, request) == ("INVALID_ARGUMENT", text)


def test_a_launch_plan_of_an_unknown_workflow_is_not_found(admin, specs):
    code, text = refusal(admin.CreateLaunchPlan, specs.launch_plan_request())
    assert code == "NOT_FOUND"
    assert text.startswith("missing entity of type WORKFLOW with identifier")


def test_one_version_of_a_launch_plan_is_active_at_a_time(registered, specs):
    active = launch_plan_pb2.ActiveLaunchPlanRequest()
    active.id.project, active.id.domain, active.id.name = specs.PROJECT, specs.DOMAIN, "flows.chain"
    assert refusal(registered.GetActiveLaunchPlan, active) == (
        "NOT_FOUND",
        "No active launch plan could be found: flytesnacks:development:flows.chain",
    )
    registered.CreateLaunchPlan(specs.launch_plan_request(version="v2"))
    for version in ("v1", "v2"):
        registered.UpdateLaunchPlan(
            launch_plan_pb2.LaunchPlanUpdateRequest(
                id=specs.id_of("LAUNCH_PLAN", "flows.chain", version), state=launch_plan_pb2.ACTIVE
            )
        )
        assert registered.GetActiveLaunchPlan(active).id.version == version
    listed = registered.ListActiveLaunchPlans(
        launch_plan_pb2.ActiveLaunchPlanListRequest(
            project=specs.PROJECT, domain=specs.DOMAIN, limit=10
        )
    )
    assert [plan.id.version for plan in listed.launch_plans] == ["v2"]
    former = registered.GetLaunchPlan(specs.get_request("LAUNCH_PLAN", "flows.chain"))
    assert former.closure.state == launch_plan_pb2.INACTIVE
    assert refusal(registered.CreateLaunchPlan, specs.launch_plan_request(version="v2"))[0] == (
        "ALREADY_EXISTS"
    )


def test_lists_come_in_pages_and_a_full_last_page_has_a_token_for_an_empty_one(admin, specs):
    for number in range(4):
        admin.CreateTask(specs.task_request(version=f"v{number}"))
    first = admin.ListTasks(specs.list_request("tasks.double", limit=2))
    assert [task.id.version for task in first.tasks] == ["v0", "v1"]
    second = admin.ListTasks(specs.list_request("tasks.double", limit=2, token=first.token))
    assert [task.id.version for task in second.tasks] == ["v2", "v3"]
    third = admin.ListTasks(specs.list_request("tasks.double", limit=2, token=second.token))
    assert (list(third.tasks), third.token) == ([], "")


def test_lists_are_sorted_and_filtered_as_asked(admin, specs):
    for version in ("b", "a", "c"):
        admin.CreateTask(specs.task_request(version=version))
    newest = admin.ListTasks(specs.list_request(limit=1, sort_by=common_pb2.Sort(key="created_at")))
    assert newest.tasks[0].id.version == "c"
    by_version = admin.ListTasks(
        specs.list_request(
            sort_by=common_pb2.Sort(key="version", direction=common_pb2.Sort.ASCENDING),
            filters="value_in(version,c;a;x)",
        )
    )
    assert [task.id.version for task in by_version.tasks] == ["a", "c"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"limit": 0}, "invalid value for limit"),
        ({"token": "x"}, "invalid pagination token x for ListTasks"),
        ({"filters": "nonsense"}, "invalid value for filters"),
        ({"filters": "like(name,x)"}, "unrecognized filter function: like"),
        ({"filters": "eq(colour,x)"}, "'t.colour' is invalid filter"),
        ({"filters": "eq(workflow.name,x)"}, "'w' entity is not allowed in filters"),
        ({"sort_by": common_pb2.Sort(key="colour")}, "invalid sort key 'colour'"),
    ],
)
def test_a_senseless_list_request_is_refused(admin, specs, fields, text):
    assert refusal(admin.ListTasks, specs.list_request(**fields)) == ("INVALID_ARGUMENT", text)


def test_names_are_listed_once_each_and_generated_ones_are_hidden(registered, specs):
    registered.CreateTask(specs.task_request(version="v2"))
    registered.CreateTask(specs.task_request(".flytegen.x"))
    ids = registered.ListTaskIds(
        common_pb2.NamedEntityIdentifierListRequest(
            project=specs.PROJECT, domain=specs.DOMAIN, limit=10
        )
    )
    assert [entity.name for entity in ids.entities] == ["tasks.double", ".flytegen.x"]
    request = common_pb2.NamedEntityListRequest(
        resource_type=identifier_pb2.TASK, project=specs.PROJECT, domain=specs.DOMAIN, limit=10
    )
    assert [e.id.name for e in registered.ListNamedEntities(request).entities] == ["tasks.double"]


def test_a_name_keeps_a_description_and_a_state(registered, specs):
    id = common_pb2.NamedEntityIdentifier(
        project=specs.PROJECT, domain=specs.DOMAIN, name="flows.chain"
    )
    registered.UpdateNamedEntity(
        common_pb2.NamedEntityUpdateRequest(
            resource_type=identifier_pb2.WORKFLOW,
            id=id,
            metadata=common_pb2.NamedEntityMetadata(
                description="a chain", state=common_pb2.NAMED_ENTITY_ARCHIVED
            ),
        )
    )
    get = common_pb2.NamedEntityGetRequest(resource_type=identifier_pb2.WORKFLOW, id=id)
    assert registered.GetNamedEntity(get).metadata.description == "a chain"
    active = common_pb2.NamedEntityListRequest(
        resource_type=identifier_pb2.WORKFLOW,
        project=specs.PROJECT,
        domain=specs.DOMAIN,
        limit=10,
        filters="eq(state,0)",
    )
    assert not registered.ListNamedEntities(active).entities
    get.id.name = "nobody"
    assert refusal(registered.GetNamedEntity, get) == ("NOT_FOUND", "entry not found")


def test_differences_are_shown_also_for_values_that_json_cannot_hold(admin, specs):
    request = specs.task_request()
    request.spec.template.custom["rate"] = float("inf")
    admin.CreateTask(request)
    request.spec.template.custom["rate"] = float("nan")
    request.spec.template.metadata.timeout.seconds = 2**62
    with pytest.raises(RemoteError, match="with different structure already exists") as caught:
        admin.CreateTask(request)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert "inf" in str(caught.value)
    assert "/metadata/timeout" in str(caught.value)


def test_enum_numbers_without_a_name_are_an_invalid_argument(admin, specs):
    def codes():
        for call, request in unnamed(specs):
            with pytest.raises(RemoteError) as caught:
                getattr(admin, call)(request)
            yield call, caught.value.code

    assert {code for _, code in codes()} == {"INVALID_ARGUMENT"}


def unnamed(specs):
    get = specs.get_request("WORKFLOW", "flows.chain")
    get.id.resource_type = 77
    yield "GetWorkflow", get
    execution = specs.execution_request("", n=1)
    execution.spec.launch_plan.resource_type = 77
    yield "CreateExecution", execution
    task = specs.task_request()
    for _ in range(2):
        task.spec.template.container.resources.limits.add(name=77, value="1")
    yield "CreateTask", task
    yield "UpdateProject", project_pb2.Project(id=specs.PROJECT, state=77)
    yield (
        "ListNamedEntities",
        common_pb2.NamedEntityListRequest(
            project=specs.PROJECT, domain=specs.DOMAIN, limit=1, resource_type=77
        ),
    )
    yield (
        "UpdateExecution",
        execution_pb2.ExecutionUpdateRequest(id=specs.execution_get("run-1").id, state=77),
    )
    yield "CreateDownloadLink", dataproxy_pb2.CreateDownloadLinkRequest(artifact_type=77)


def test_a_time_that_no_calendar_has_is_refused_with_the_launch_plan(registered, specs):
    odd = specs.launch_plan_request(version="v3")
    odd.spec.MergeFromString(
        b"\x82\x01\x11\x12\x0f\n\r\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x03"
    )
    with pytest.raises(RemoteError, match="invalid launch plan") as caught:
        registered.CreateLaunchPlan(odd)
    assert caught.value.code == "INVALID_ARGUMENT"
