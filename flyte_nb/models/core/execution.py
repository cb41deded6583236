"""flytekit's path of `WorkflowExecutionPhase`."""

from flyte_nb.sdk.notifications import WorkflowExecutionPhase as WorkflowExecutionPhase
