"""Write `api` tasks, workflows and launch plans as flyteidl's specs, as flytekit writes them.

flytekit sets some fields that mean nothing (`retries {}`, empty `overrides {}`). They are set here too, so
that a workflow written with either SDK compiles to an equal closure. Lists without an order of their own
(inputs by variable, upstream ids) are sorted, so that equal specs have equal bytes.
"""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import ParamSpec, TypeVar

from flyteidl.admin import description_entity_pb2, launch_plan_pb2, task_pb2, workflow_pb2
from flyteidl.core import literals_pb2, security_pb2, tasks_pb2
from flyteidl.core import workflow_pb2 as core_workflow_pb2
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import CodecError
from flyte_nb.api.specs import (
    Container,
    DataLoading,
    LaunchPlanSpec,
    TaskMetadata,
    TaskTemplate,
    WorkflowTemplate,
)
from flyte_nb.api.version import __version__
from flyte_nb.wire.encoding import field
from flyte_nb.wire.identifiers import (
    execution_id_from_idl,
    execution_id_to_idl,
    identifier_from_idl,
    identifier_to_idl,
)
from flyte_nb.wire.launch_options import fill_launch_options
from flyte_nb.wire.literals import literal_to_idl
from flyte_nb.wire.nodes import CONTAINER_ORDER, NodeWriter, duration_to_idl, resources_to_idl
from flyte_nb.wire.structs import fill_struct
from flyte_nb.wire.types import interface_to_idl, variable_to_idl

# Identifiers are exported here too: most callers of specs need them.
__all__ = [
    "execution_id_from_idl",
    "execution_id_to_idl",
    "identifier_from_idl",
    "identifier_to_idl",
    "launch_plan_to_idl",
    "task_spec_to_idl",
    "workflow_spec_to_idl",
]

P = ParamSpec("P")
M = TypeVar("M")

_MOUNTS = {
    "any": security_pb2.Secret.ANY,
    "env_var": security_pb2.Secret.ENV_VAR,
    "file": security_pb2.Secret.FILE,
}
_FORMATS = {
    "json": tasks_pb2.DataLoadingConfig.JSON,
    "yaml": tasks_pb2.DataLoadingConfig.YAML,
    "proto": tasks_pb2.DataLoadingConfig.PROTO,
}
_DOWNLOADS = {
    "download_eager": tasks_pb2.IOStrategy.DOWNLOAD_EAGER,
    "download_stream": tasks_pb2.IOStrategy.DOWNLOAD_STREAM,
    "do_not_download": tasks_pb2.IOStrategy.DO_NOT_DOWNLOAD,
}
_UPLOADS = {
    "upload_eager": tasks_pb2.IOStrategy.UPLOAD_EAGER,
    "upload_on_exit": tasks_pb2.IOStrategy.UPLOAD_ON_EXIT,
    "do_not_upload": tasks_pb2.IOStrategy.DO_NOT_UPLOAD,
}
_ON_FAILURE = {
    "fail_immediately": core_workflow_pb2.WorkflowMetadata.FAIL_IMMEDIATELY,
    "fail_after_executable_nodes_complete": (
        core_workflow_pb2.WorkflowMetadata.FAIL_AFTER_EXECUTABLE_NODES_COMPLETE
    ),
}


def _sendable(translate: "Callable[P, M]") -> "Callable[P, M]":
    """Wrap a translation so that text with a lone surrogate raises `CodecError` like every other fault."""

    @functools.wraps(translate)
    def translated(*args: P.args, **kwargs: P.kwargs) -> M:
        try:
            return translate(*args, **kwargs)
        except UnicodeEncodeError as error:
            raise CodecError(
                f"The text {error.object!r:.80} cannot be sent: {error.reason}.",
                hint="Flyte's strings are Unicode text; remove lone surrogates from it.",
            ) from None

    return translated


@_sendable
def task_spec_to_idl(template: TaskTemplate) -> task_pb2.TaskSpec:
    """Return the task as `admin.TaskSpec`, with its docstring as description.

    Raises:
        CodecError: when a part cannot be expressed in flyteidl.
    """
    spec = task_pb2.TaskSpec(description=_description(template.description))
    message = spec.template
    message.id.CopyFrom(identifier_to_idl(template.id))
    message.type = template.type
    message.task_type_version = template.task_type_version
    _metadata(message.metadata, template.metadata)
    message.interface.CopyFrom(interface_to_idl(template.interface))
    if template.custom:
        fill_struct(message.custom, template.custom)
    if template.container is not None:
        _container(message.container, template.container)
    for secret in template.secrets:
        if secret.mount_requirement not in _MOUNTS:
            raise CodecError(
                f"The secret {secret.key!r} has the mount requirement {secret.mount_requirement!r}.",
                hint=f"Use one of {[*_MOUNTS]}.",
            )
        message.security_context.secrets.add(
            group=secret.group,
            group_version=secret.group_version,
            key=secret.key,
            mount_requirement=_MOUNTS[secret.mount_requirement],
        )
    _fill(message.config, template.config)
    return spec


@_sendable
def workflow_spec_to_idl(
    template: WorkflowTemplate, sub_workflows: "Iterable[WorkflowTemplate]" = ()
) -> workflow_pb2.WorkflowSpec:
    """Return the workflow as `admin.WorkflowSpec`, with each sub-workflow once, sorted by id.

    Raises:
        CodecError: when a part cannot be expressed in flyteidl.
    """
    spec = workflow_pb2.WorkflowSpec(description=_description(template.description))
    writer = NodeWriter()
    workflow_template_to_idl(spec.template, template, writer)
    # A sub-workflow that several nodes run is sent once; sorted, so that equal specs have equal bytes.
    inner = {str(sub.id): sub for sub in sub_workflows}
    for name in sorted(inner):
        workflow_template_to_idl(spec.sub_workflows.add(), inner[name], writer)
    return spec


@_sendable
def launch_plan_to_idl(spec: LaunchPlanSpec) -> launch_plan_pb2.LaunchPlanSpec:
    """Return the launch plan as `admin.LaunchPlanSpec`; a fixed input is no parameter of it.

    Raises:
        CodecError: when a part cannot be expressed in flyteidl.
    """
    message = launch_plan_pb2.LaunchPlanSpec(
        workflow_id=identifier_to_idl(spec.workflow_id),
        max_parallelism=spec.max_parallelism,
    )
    # flytekit sends these messages also when they are empty.
    message.entity_metadata.SetInParent()
    message.raw_output_data_config.SetInParent()
    message.default_inputs.SetInParent()
    message.fixed_inputs.SetInParent()
    for name, parameter in spec.default_inputs.items():
        # A launch cannot set a fixed input, so it is not a parameter.
        if name in spec.fixed_inputs:
            continue
        entry = message.default_inputs.parameters[name]
        entry.var.CopyFrom(variable_to_idl(parameter.variable))
        # Flyte's parameter has one of the two.
        if parameter.default is None:
            entry.required = True
        else:
            entry.default.CopyFrom(literal_to_idl(parameter.default))
    for name, literal in spec.fixed_inputs.items():
        message.fixed_inputs.literals[name].CopyFrom(literal_to_idl(literal))
    message.labels.SetInParent()
    message.annotations.SetInParent()
    _fill(message.labels.values, spec.labels)
    _fill(message.annotations.values, spec.annotations)
    fill_launch_options(message, spec.options)
    return message


def workflow_template_to_idl(
    message: core_workflow_pb2.WorkflowTemplate, template: WorkflowTemplate, writer: NodeWriter
) -> None:
    """Set the fields of an empty `message` from the workflow.

    Args:
        message: Filled in place.
        template: The workflow.
        writer: The one for the whole spec, so that sub-workflows share what repeats.

    Raises:
        CodecError: when a part cannot be expressed in flyteidl.
    """
    message.id.CopyFrom(identifier_to_idl(template.id))
    on_failure = _ON_FAILURE.get(template.on_failure)
    if on_failure is None:
        raise CodecError(
            f"The failure policy is {template.on_failure!r}.", hint=f"Use one of {[*_ON_FAILURE]}."
        )
    message.metadata.on_failure = on_failure
    message.metadata.SetInParent()
    message.metadata_defaults.interruptible = template.interruptible
    message.metadata_defaults.SetInParent()
    message.interface.CopyFrom(interface_to_idl(template.interface))
    # 22: nodes, 2a: outputs, 32: failure_node. As bytes, because `NodeWriter` writes bytes.
    parts = [field(b"\x22", writer.node(node)) for node in template.nodes]
    parts.extend(field(b"\x2a", writer.binding(binding)) for binding in template.outputs)
    if template.failure_node is not None:
        parts.append(field(b"\x32", writer.node(template.failure_node)))
    try:
        message.MergeFromString(b"".join(parts))
    except DecodeError:
        raise CodecError(
            "A value in the workflow is nested too deeply to be sent.",
            hint="protobuf reads about 30 levels of lists or dicts; flatten it, or pickle it.",
        ) from None


def _metadata(message: tasks_pb2.TaskMetadata, metadata: TaskMetadata) -> None:
    message.discoverable = metadata.discoverable
    message.runtime.type = tasks_pb2.RuntimeMetadata.FLYTE_SDK
    message.runtime.version = __version__
    message.runtime.flavor = "python"
    if metadata.timeout_s:
        message.timeout.CopyFrom(duration_to_idl(metadata.timeout_s))
    message.retries.retries = metadata.retries
    message.retries.SetInParent()
    message.discovery_version = metadata.discovery_version
    message.deprecated_error_message = metadata.deprecated_error_message
    # Unset leaves the choice to the workflow or the platform, and `false` does not.
    if metadata.interruptible is not None:
        message.interruptible = metadata.interruptible
    message.cache_serializable = metadata.cache_serializable
    message.cache_ignore_input_vars.extend(metadata.cache_ignore_input_vars)
    message.generates_deck.value = metadata.generates_deck
    message.generates_deck.SetInParent()
    message.metadata.SetInParent()
    _fill(message.metadata.labels, dict(metadata.labels))
    _fill(message.metadata.annotations, dict(metadata.annotations))
    message.pod_template_name = metadata.pod_template_name


def _container(message: tasks_pb2.Container, container: Container) -> None:
    message.image = container.image
    message.command.extend(container.command)
    message.args.extend(container.args)
    message.resources.CopyFrom(
        resources_to_idl(container.requests, container.limits, CONTAINER_ORDER)
    )
    for key, value in container.env:
        # Flyte has a list here and no map, so the author's order stays.
        message.env.append(literals_pb2.KeyValuePair(key=key, value=value))
    if container.data is not None:
        _data_loading(message.data_config, container.data)


def _data_loading(message: tasks_pb2.DataLoadingConfig, data: DataLoading) -> None:
    message.enabled = True
    message.input_path = data.input_path
    message.output_path = data.output_path
    message.format = _FORMATS[data.format]
    if data.io_strategy in _DOWNLOADS:
        message.io_strategy.download_mode = _DOWNLOADS[data.io_strategy]
    elif data.io_strategy:
        message.io_strategy.upload_mode = _UPLOADS[data.io_strategy]
    if data.io_strategy:
        message.io_strategy.SetInParent()  # the usual modes are 0, and would leave no message


def _description(docstring: str) -> description_entity_pb2.DescriptionEntity:
    # As in flytekit, the first paragraph is the short description and the rest is the long one.
    short, _, long = inspect.cleandoc(docstring).strip().partition("\n\n")
    message = description_entity_pb2.DescriptionEntity(short_description=" ".join(short.split()))
    if long.strip():
        message.long_description.value = long.strip()
    message.long_description.format = description_entity_pb2.DESCRIPTION_FORMAT_RST
    return message


def _fill(target: "MutableMapping[str, str]", values: "Mapping[str, str]") -> None:
    for key, value in values.items():
        target[key] = value
