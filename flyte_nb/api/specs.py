"""Tasks, workflows and launch plans as their author wrote them, as plain values.

`sdk` makes them, and `wire` translates them to flyteidl's `TaskSpec`, `WorkflowSpec` and `LaunchPlanSpec`.
"""

from typing import Any, NamedTuple, Union

from flyte_nb.api.identifiers import Identifier
from flyte_nb.api.literal_types import LiteralType
from flyte_nb.api.literals import Literal


class Location(NamedTuple):
    """A place in the author's source: a file name as in tracebacks, and a line counted from 1."""

    filename: str
    line: int


class Variable(NamedTuple):
    """One input or output of an interface."""

    type: LiteralType
    description: str = ""


class TypedInterface(NamedTuple):
    """Inputs and outputs by name, in the order of the signature."""

    inputs: "dict[str, Variable]"
    outputs: "dict[str, Variable]"


class Resources(NamedTuple):
    """Kubernetes quantities as text, e.g. `cpu="500m"`, `mem="1Gi"`; empty means unset."""

    cpu: str = ""
    mem: str = ""
    gpu: str = ""
    ephemeral_storage: str = ""


class SecretRequest(NamedTuple):
    """A secret the task may read (flyteidl/core/security.proto `Secret`)."""

    group: str
    key: str
    group_version: str = ""
    mount_requirement: str = "any"
    """`any`, `env_var` or `file`."""


class DataLoading(NamedTuple):
    """How a container gets its inputs and leaves its outputs as files (`DataLoadingConfig`)."""

    input_path: str = ""
    output_path: str = ""
    format: str = "json"
    """How the file with all inputs is written: `json`, `yaml` or `proto`."""
    io_strategy: str = ""
    """`download_eager`, `download_stream`, `do_not_download`, `upload_eager`, `upload_on_exit` or
    `do_not_upload`; empty for the usual one."""


class Container(NamedTuple):
    """How the task runs in a pod (flyteidl/core/tasks.proto `Container`)."""

    image: str
    args: "tuple[str, ...]" = ()
    command: "tuple[str, ...]" = ()
    env: "tuple[tuple[str, str], ...]" = ()
    requests: Resources = Resources()
    limits: Resources = Resources()
    data: "DataLoading | None" = None
    """Given when inputs and outputs are files (`ContainerTask`)."""


class TaskMetadata(NamedTuple):
    """The task's options (flyteidl/core/tasks.proto `TaskMetadata`)."""

    retries: int = 0
    timeout_s: float = 0.0
    """Seconds for one attempt; 0 means no limit."""
    discoverable: bool = False
    discovery_version: str = ""
    cache_serializable: bool = False
    cache_ignore_input_vars: "tuple[str, ...]" = ()
    interruptible: "bool | None" = None
    deprecated_error_message: str = ""
    generates_deck: bool = False
    pod_template_name: str = ""
    labels: "tuple[tuple[str, str], ...]" = ()
    """Kubernetes labels of its pods."""
    annotations: "tuple[tuple[str, str], ...]" = ()


class TaskTemplate(NamedTuple):
    """One task (flyteidl/core/tasks.proto `TaskTemplate`)."""

    id: Identifier
    type: str
    interface: TypedInterface
    metadata: TaskMetadata
    container: "Container | None" = None
    custom: "dict[str, Any]" = {}  # noqa: RUF012 - never mutated
    config: "dict[str, str]" = {}  # noqa: RUF012
    secrets: "tuple[SecretRequest, ...]" = ()
    description: str = ""
    """The function's docstring; it becomes the task's `DescriptionEntity`."""
    task_type_version: int = 0

    @property
    def is_complete(self) -> bool:
        """Whether it says all of what runs it, and no bundle does: a raw container, or a plugin of Flyte."""
        return self.container is None or self.container.data is not None


class OutputReference(NamedTuple):
    """The output of another node, or an input of the workflow, for which `node_id` is empty.

    `attr_path` leads to a part of the value: attributes and keys as text, positions as ints.
    """

    node_id: str
    var: str
    attr_path: "tuple[str | int, ...]" = ()


class BindingCollection(NamedTuple):
    """A list that has outputs of nodes among its items."""

    items: "tuple[BindingData, ...]"


class BindingMap(NamedTuple):
    """A dict that has outputs of nodes among its values."""

    items: "dict[str, BindingData]"


BindingData = Union[OutputReference, Literal, BindingCollection, BindingMap]  # noqa: UP007 - cheaper at import


class Binding(NamedTuple):
    """The value of one input of a node, or of one output of the workflow."""

    var: str
    data: "BindingData"


class NodeMetadata(NamedTuple):
    """Options of one node; `None` keeps the task's own."""

    name: str = ""
    timeout_s: "float | None" = None
    retries: "int | None" = None
    interruptible: "bool | None" = None
    cacheable: "bool | None" = None
    cache_version: "str | None" = None
    cache_serializable: "bool | None" = None


class TaskNode(NamedTuple):
    """The node runs a task."""

    reference: Identifier
    resources: "tuple[Resources, Resources] | None" = None
    """Requests and limits that replace the task's own."""


class OverriddenTaskNode(NamedTuple):
    """The node runs a task with more options of its own than `TaskNode` has."""

    reference: Identifier
    resources: "tuple[Resources, Resources] | None" = None
    container_image: str = ""


class WorkflowNode(NamedTuple):
    """The node runs another workflow inside this execution."""

    reference: Identifier


class LaunchPlanNode(NamedTuple):
    """The node starts an execution of its own."""

    reference: Identifier


class ArrayNode(NamedTuple):
    """The node runs a task once for every element of its list inputs.

    The sub-node of flyteidl's `ArrayNode` is made of these fields and of the node's own bindings.
    """

    reference: Identifier
    """The mapped task, as registered for the map: its interface takes lists and returns a list."""
    metadata: NodeMetadata = NodeMetadata()
    """Options of the sub-node, i.e. of each element."""
    resources: "tuple[Resources, Resources] | None" = None
    parallelism: "int | None" = None
    """Most elements at a time; 0 means no limit, `None` means the workflow's limit."""
    min_successes: "int | None" = None
    """Elements that have to succeed; `None` means that `min_success_ratio` decides."""
    min_success_ratio: float = 1.0
    bound_inputs: "tuple[str, ...]" = ()
    """Inputs that every element gets whole, instead of one item of a list."""
    run_all_sub_nodes: bool = False


class ApproveNode(NamedTuple):
    """The node waits until a person approves its input, which it then has as output."""

    signal_id: str


class SignalNode(NamedTuple):
    """The node waits until somebody gives it a value, which it then has as output."""

    signal_id: str
    type: LiteralType
    output: str


class SleepNode(NamedTuple):
    """The node waits for a time."""

    duration_s: float


class Comparison(NamedTuple):
    """Two operands that are compared (flyteidl/core/condition.proto `ComparisonExpression`)."""

    operator: str
    """`EQ`, `NEQ`, `GT`, `GTE`, `LT` or `LTE`."""
    left: "str | Literal"
    """The name of an input of the branch, or a constant."""
    right: "str | Literal"


class Conjunction(NamedTuple):
    """Two conditions that are joined."""

    operator: str
    """`AND` or `OR`."""
    left: "Comparison | Conjunction"
    right: "Comparison | Conjunction"


class BranchNode(NamedTuple):
    """The node runs one of several nodes. Its inputs are what the conditions compare."""

    arms: "tuple[tuple[Comparison | Conjunction, Node], ...]"
    """Conditions and nodes, in the order in which they are tried."""
    otherwise: "Node | None" = None
    """The node that runs when no condition holds; `None` when the branch fails then."""
    error: str = ""
    """The message that it fails with."""
    name: str = ""
    """The author's name for it, which the error carries."""


Target = Union[  # noqa: UP007 - cheaper at import
    TaskNode,
    OverriddenTaskNode,
    WorkflowNode,
    LaunchPlanNode,
    ArrayNode,
    ApproveNode,
    SignalNode,
    SleepNode,
    BranchNode,
]
"""What a node runs."""


class Node(NamedTuple):
    """One step of a workflow (flyteidl/core/workflow.proto `Node`)."""

    id: str
    target: "Target"
    bindings: "tuple[Binding, ...]" = ()
    upstream_node_ids: "tuple[str, ...]" = ()
    metadata: NodeMetadata = NodeMetadata()
    location: "Location | None" = None
    """Where the author called it. It is not registered."""


class WorkflowTemplate(NamedTuple):
    """One workflow (flyteidl/core/workflow.proto `WorkflowTemplate`)."""

    id: Identifier
    interface: TypedInterface
    nodes: "tuple[Node, ...]"
    outputs: "tuple[Binding, ...]"
    on_failure: str = "fail_immediately"
    """`fail_immediately` or `fail_after_executable_nodes_complete`."""
    interruptible: bool = False
    failure_node: "Node | None" = None
    description: str = ""


class DynamicJob(NamedTuple):
    """The nodes that a dynamic task's body created (flyteidl/core/dynamic_job.proto `DynamicJobSpec`)."""

    nodes: "tuple[Node, ...]"
    outputs: "tuple[Binding, ...]"
    tasks: "tuple[TaskTemplate, ...]"
    """Every task that the nodes run, each once. The host completes their containers."""
    sub_workflows: "tuple[WorkflowTemplate, ...]" = ()
    mapped: "dict[str, tuple[str, tuple[str, ...]]]" = {}  # noqa: RUF012 - never mutated
    """By the registered name of a map: the name of the task that it maps, and its list inputs."""


class StartedLaunchPlan(NamedTuple):
    """The interface of a launch plan that a dynamic task starts."""

    name: str
    interface: TypedInterface
    """Its inputs are those without a fixed value."""
    required: "tuple[str, ...]" = ()
    """Inputs without a default."""


class Parameter(NamedTuple):
    """An input of a launch plan: required, or with a default."""

    variable: Variable
    default: "Literal | None" = None


class Schedule(NamedTuple):
    """When a launch plan starts by itself (flyteidl/admin/schedule.proto `Schedule`)."""

    cron: str = ""
    """Five fields, or a word such as `@daily`; empty for a fixed rate."""
    offset: str = ""
    """An ISO 8601 duration by which starts are moved."""
    rate_value: int = 0
    rate_unit: str = ""
    """`MINUTE`, `HOUR` or `DAY`."""
    kickoff_time_input_arg: str = ""


class Notification(NamedTuple):
    """Who hears of the end of an execution (flyteidl/admin/common.proto `Notification`)."""

    kind: str
    """`email`, `pager_duty` or `slack`."""
    phases: "tuple[str, ...]"
    """Names of phases that are ends."""
    recipients: "tuple[str, ...]"
    """Addresses of mail."""


class LaunchOptions(NamedTuple):
    """Options of a launch plan beside its inputs, labels and annotations."""

    schedule: "Schedule | None" = None
    notifications: "tuple[Notification, ...]" = ()
    raw_output_prefix: str = ""
    iam_role: str = ""
    k8s_service_account: str = ""
    overwrite_cache: bool = False
    max_concurrency: int = 0
    """Executions that may run at once; 0 means no limit."""


class LaunchPlanSpec(NamedTuple):
    """One launch plan (flyteidl/admin/launch_plan.proto `LaunchPlanSpec`)."""

    id: Identifier
    workflow_id: Identifier
    default_inputs: "dict[str, Parameter]"
    fixed_inputs: "dict[str, Literal]" = {}  # noqa: RUF012 - never mutated
    labels: "dict[str, str]" = {}  # noqa: RUF012
    annotations: "dict[str, str]" = {}  # noqa: RUF012
    max_parallelism: int = 0
    options: LaunchOptions = LaunchOptions()
