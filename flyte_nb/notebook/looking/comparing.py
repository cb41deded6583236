"""Compare a workflow with what is registered under its name: what is new, what changed, what is gone."""

from collections.abc import Mapping

from flyte_nb.api.errors import RemoteError, UsageError
from flyte_nb.drafting.versions import UNVERSIONED
from flyte_nb.graph.changes import counts, diff
from flyte_nb.graph.elements import CHANGED, Graph, GraphNode
from flyte_nb.graph.palette import CHANGE_STYLES
from flyte_nb.notebook.kernel.ports import SessionPort
from flyte_nb.notebook.looking.exploring import Subject
from flyte_nb.registering.views import CHANGED as CHANGED_STATE
from flyte_nb.sdk.workflow import Workflow


def compared(session: SessionPort, entity: "Workflow | str", subject: Subject) -> Subject:
    """Return the subject with its differences from the latest registered version marked.

    The graphs are compared node by node. The fingerprint decides whether the code of a task changed, as it
    does in a registration. Nothing is sent, and no backend is started.

    Args:
        session: Where the workflow may be registered.
        entity: The workflow; a full name compares what is registered with itself.
        subject: The workflow as it is looked at.

    Raises:
        UsageError: The workflow does not compile, or the local backend does not run.
        RemoteError: FlyteAdmin cannot be reached.
    """
    if not subject.details.compiles:
        raise UsageError(f"{subject.name} does not compile, so it cannot be compared.")
    if not session.answers():
        raise UsageError(
            "The local backend does not run, so there is nothing to compare with. %flyte status starts"
            " it, and so does %flyte register."
        )
    old, version = None, ""
    try:
        message = session.fetch_workflow(subject.name).message
        old, version = message.closure.compiled_workflow, message.id.version
    except RemoteError as error:
        if error.code != "NOT_FOUND":
            raise
    marked = diff(old, subject.details.closure, unversioned=UNVERSIONED)
    # Graphs do not show code. A dry run finds the tasks whose fingerprint differs, and says why.
    if old is not None and not isinstance(entity, str):
        outcome = session.register(entity, dry_run=True)
        why = {e.id.name: e.why for e in outcome.entities if e.state == CHANGED_STATE}
        marked = _with_code(marked, why)
    return Subject(
        subject.name,
        marked,
        subject.details,
        humanize=subject.humanize,
        engine=subject.engine,
        compared=_summary(marked, version),
    )


def _with_code(graph: Graph, why: "Mapping[str, str]") -> Graph:
    """Return the graph with nodes marked as changed whose task has other code, at every level."""

    def marked(node: GraphNode) -> GraphNode:
        if node.mark or node.name not in why:
            return node
        return node._replace(mark=CHANGED, why=why[node.name])

    def level(graph: Graph) -> Graph:
        return graph._replace(nodes=tuple(marked(node) for node in graph.nodes))

    within = {key: level(inner) for key, inner in graph.within.items()}
    return level(graph)._replace(within=within)


def _summary(graph: Graph, version: str) -> str:
    """Return the outcome as a sentence, with the marks that the graph has."""
    if not version:
        return "Nothing is registered under this name yet: everything is new."
    found = [
        f"{CHANGE_STYLES[mark].mark} {count} {CHANGE_STYLES[mark].word}"
        for mark, count in counts(graph).items()
        if count
    ]
    summary = ", ".join(found) or "no node differs"
    return f"Compared with version {version}: {summary}."
