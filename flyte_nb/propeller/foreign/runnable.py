"""Say of a task that this machine cannot run it, before anything waits for it. Pure."""

from flyteidl.core.tasks_pb2 import TaskTemplate

ECHO = "echo"
"""A task that returns its inputs. The engine runs it, without a process."""

OLD_MAP = "container_array"
"""A map as one task. The maps of today are array nodes, which the engine runs."""

_CLUSTERS = {
    "spark": "a Spark cluster, which Flyte's Spark plugin makes of pods",
    "mpi": "an MPI job, which Flyte's MPI plugin makes of pods",
    "pytorch": "a PyTorch job, which Flyte's PyTorch plugin makes of pods",
    "tensorflow": "a TensorFlow job, which Flyte's TensorFlow plugin makes of pods",
}
"""Types of tasks whose container is one of several. Alone it would wait for the others, or fail."""

_KINDS = {
    "sensor": "a sensor, which a connector service polls for",
    "sql_task": "SQL for an engine that a plugin of Flyte asks",
    "webhook": "a request that a connector service sends",
}


def why_not_here(task: TaskTemplate) -> str:
    """Return why this machine cannot run the task, as a sentence with a remedy; empty when it can.

    Whether a command is on this machine is not asked: it may be installed until then.
    """
    name, kind = task.id.name, task.type
    if kind in _CLUSTERS:
        return (
            f"The task {name} needs {_CLUSTERS[kind]}; the local backend has none."
            " Launch it on a Flyte cluster with that plugin."
        )
    if kind == OLD_MAP:
        return (
            f"The task {name} is a map of the kind that flytekit made before array nodes (container_array):"
            " its elements are started by a plugin of Flyte, which the local backend has not. Register it"
            " with the map_task of a newer flytekit, or launch it on a Flyte cluster."
        )
    if task.WhichOneof("target") in ("container", "k8s_pod") or kind == ECHO:
        return ""
    what = _KINDS.get(kind, f"of type {kind!r} and has no container: a connector or plugin runs it")
    return (
        f"The task {name} is {what}; the local backend has none."
        " Launch it on a Flyte cluster that has it, or write a task that does the work itself."
    )
