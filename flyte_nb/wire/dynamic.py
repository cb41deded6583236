"""Write `api` dynamic jobs as flyteidl/core/dynamic_job.proto, the message that `futures.pb` holds."""

from flyteidl.core import dynamic_job_pb2
from google.protobuf.message import DecodeError

from flyte_nb.api.errors import CodecError
from flyte_nb.api.specs import DynamicJob
from flyte_nb.wire.encoding import field
from flyte_nb.wire.nodes import NodeWriter
from flyte_nb.wire.specs import task_spec_to_idl, workflow_template_to_idl


def dynamic_job_to_idl(job: DynamicJob) -> dynamic_job_pb2.DynamicJobSpec:
    """Return the job as `core.DynamicJobSpec`; all of its nodes have to succeed.

    Raises:
        CodecError: when a part cannot be expressed in flyteidl, or is nested too deeply.
    """
    message = dynamic_job_pb2.DynamicJobSpec(min_successes=len(job.nodes))
    writer = NodeWriter()
    # 0a: nodes, 1a: outputs. As bytes, because `NodeWriter` writes bytes.
    parts = [field(b"\x0a", writer.node(node)) for node in job.nodes]
    parts.extend(field(b"\x1a", writer.binding(binding)) for binding in job.outputs)
    try:
        message.MergeFromString(b"".join(parts))
    except DecodeError:
        raise CodecError(
            "A value in the dynamic workflow is nested too deeply to be sent.",
            hint="protobuf reads about 30 levels of lists or dicts; flatten it, or pickle it.",
        ) from None
    for template in job.tasks:
        message.tasks.append(task_spec_to_idl(template).template)
    for workflow in job.sub_workflows:
        workflow_template_to_idl(message.subworkflows.add(), workflow, writer)
    return message
