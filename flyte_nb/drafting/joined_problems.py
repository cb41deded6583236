"""Join the compiler's problems of a workflow with those that tracing found.

Tracing knows lines and the author's words; the compiler knows all of Flyte's rules. Where both report the
same node and variable, tracing's problem is kept, with the compiler's code and Flyte's text.
"""

from collections.abc import Sequence

from flyte_nb.api.problems import Problem
from flyte_nb.api.specs import WorkflowTemplate


def join(
    traced: "Sequence[Problem]", compiled: "Sequence[Problem]", template: WorkflowTemplate
) -> "tuple[Problem, ...]":
    """Return both lists as one, without repetitions, each problem with the line where it was written."""
    if not traced and not compiled:
        return ()
    places = {node.id: node.location for node in template.nodes}
    by_place = {(item.node_id, item.variable): item for item in compiled}
    joined = []
    reported = set()
    for problem in traced:
        place = (problem.node_id, problem.variable)
        reported.add(place)
        twin = by_place.get(place)
        if twin is not None and problem.node_id:
            problem = problem._replace(code=twin.code, flyte_text=twin.flyte_text)
        joined.append(problem)
    for problem in compiled:
        if (problem.node_id, problem.variable) in reported and problem.node_id:
            continue
        if traced and not problem.variable:
            # A follow-up: tracing left something out because of a problem that is in the list already.
            continue
        joined.append(problem)
    return tuple(
        problem._replace(
            location=problem.location or places.get(problem.node_id),
            entity=problem.entity or template.id.name,
        )
        for problem in joined
    )
