"""The compiler's verdict on a workflow, joined with what tracing found.

Tracing knows lines and the author's words; the compiler knows the whole rule set. Where both speak of
the same node and variable, tracing's words stay and take the compiler's code and Flyte's text.
"""

from collections.abc import Sequence

from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import WorkflowTemplate


def join(
    traced: "Sequence[Problem]", compiled: "Sequence[Problem]", template: WorkflowTemplate
) -> "tuple[Problem, ...]":
    """Both lists as one: nothing said twice, everything with the place where it was written."""
    if not traced and not compiled:
        return ()
    places = {node.id: node.location for node in template.nodes}
    by_place = {(item.node_id, item.variable): item for item in compiled}
    joined = []
    told = set()
    for problem in traced:
        place = (problem.node_id, problem.variable)
        told.add(place)
        twin = by_place.get(place)
        if twin is not None and problem.node_id:
            problem = problem._replace(code=twin.code, flyte_text=twin.flyte_text)
        joined.append(problem)
    for problem in compiled:
        if (problem.node_id, problem.variable) in told and problem.node_id:
            continue
        if traced and not problem.variable:
            continue  # a follow-up: the trace left something out because of what it told already
        joined.append(problem)
    return tuple(
        problem._replace(
            location=problem.location or places.get(problem.node_id),
            entity=problem.entity or template.id.name,
        )
        for problem in joined
    )
