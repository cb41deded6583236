"""A workflow beside what is registered under its name: what is new, what changed, what is gone."""

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
    """The subject with marks and ghosts, by the latest version that is registered.

    The graphs are compared node by node; whether the code of a task is another one says its
    fingerprint, as a registration would find it. Nothing is sent and nothing is started.

    Raises:
        UsageError: The workflow does not compile, or there is nobody to ask.
        RemoteError: FlyteAdmin cannot be reached.
    """
    if not subject.details.compiles:
        raise UsageError(f"{subject.name} does not compile, so it cannot be compared.")
    if not session.answers():
        raise UsageError(
            "The local backend does not run, so there is nothing to compare with. %flyte status starts"
            " it, and %flyte register too."
        )
    old, version = None, ""
    try:
        message = session.fetch_workflow(subject.name).message
        old, version = message.closure.compiled_workflow, message.id.version
    except RemoteError as error:
        if error.code != "NOT_FOUND":
            raise
    marked = diff(old, subject.details.closure, unversioned=UNVERSIONED)
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
        compared=_said(marked, version),
    )


def _with_code(graph: Graph, why: "Mapping[str, str]") -> Graph:
    """What runs other code is changed as well, at every level."""

    def marked(node: GraphNode) -> GraphNode:
        if node.mark or node.name not in why:
            return node
        return node._replace(mark=CHANGED, why=why[node.name])

    def level(graph: Graph) -> Graph:
        return graph._replace(nodes=tuple(marked(node) for node in graph.nodes))

    within = {key: level(inner) for key, inner in graph.within.items()}
    return level(graph)._replace(within=within)


def _said(graph: Graph, version: str) -> str:
    """In a sentence, with the marks that stand on the graph."""
    if not version:
        return "Nothing is registered under this name yet: everything is new."
    found = [
        f"{CHANGE_STYLES[mark].mark} {count} {CHANGE_STYLES[mark].word}"
        for mark, count in counts(graph).items()
        if count
    ]
    told = ", ".join(found) or "no node differs"
    return f"Compared with version {version}: {told}."
