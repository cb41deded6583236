"""flytekit's path of `WorkflowFailurePolicy`, `workflow`, `ImperativeWorkflow`, `reference_workflow`."""

from flyte_nb.sdk.imperative import ImperativeWorkflow as ImperativeWorkflow
from flyte_nb.sdk.references import reference_workflow as reference_workflow
from flyte_nb.sdk.workflow import WorkflowFailurePolicy as WorkflowFailurePolicy
from flyte_nb.sdk.workflow import workflow as workflow
