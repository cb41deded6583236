"""Find what FlyteAdmin refuses though it compiles, and describe references that lead nowhere.

Source: flyteadmin/pkg/manager/impl/validation at v1.16.8.
"""

import difflib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from flyteidl.core import interface_pb2, literals_pb2

from flyte_nb.api.identifiers import TASK
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import check_inputs
from flyte_nb.drafting.draft import Name
from flyte_nb.drafting.specs.naming import Entry, Reference

_NOT_GIVEN = "ParameterNotBound"
_IN_SPECS = {
    "Pass ": "Add it to the node's inputs: {var: …, binding: …}.",
    "Annotate ": "Give both the same type, or convert it in a task.",
    "Set one: @task(": "Write image: … in its container.",
}
"""The beginnings of hints for Python, and the hints for specs in their place."""
_MOST_TWINS = 20


def task_problems(entry: Entry) -> "list[Problem]":
    """Return what FlyteAdmin refuses about a task although it compiles, and what could never run."""
    template = entry.message.template
    problems = []
    if not template.type:
        problems.append(
            Problem(
                "ValueRequired",
                "The task has no type.",
                variable="type",
                hint="Write type: raw-container for a task that is only a container.",
            )
        )
    if template.metadata.HasField("runtime") and not template.metadata.runtime.version:
        problems.append(
            Problem(
                "ValueRequired",
                "The task's runtime has no version.",
                variable="metadata.runtime.version",
                hint="Give it one, or leave runtime out.",
            )
        )
    if entry.needs_source:
        problems.append(
            Problem(
                "NeedsSource",
                "It was made for fast registration, and needs an archive of its code.",
                hint="Register it with flytectl, or package it without --fast.",
            )
        )
    return problems


def workflow_problems(template: Any) -> "list[Problem]":
    """Return a problem for each node id that several nodes have: the compiler would drop all but one."""
    counts = Counter(node.id for node in template.nodes)
    twins = [(id, count) for id, count in counts.items() if count > 1][:_MOST_TWINS]
    return [
        Problem(
            "DuplicateId",
            f"{count} nodes have the id {id!r}, and Flyte would keep only one of them.",
            id,
            hint="Give each node an id of its own.",
        )
        for id, count in twins
    ]


def in_terms_of_specs(problem: Problem) -> Problem:
    """Return the problem with a hint that shows what to write in a spec, not in Python."""
    for begin, said in _IN_SPECS.items():
        if problem.hint.startswith(begin):
            return problem._replace(hint=said)
    return problem


def launch_plan_problems(spec: Any, interface: interface_pb2.TypedInterface) -> "list[Problem]":
    """Return a problem for each default or fixed input that the workflow lacks, or that does not fit."""
    problems: list[Problem] = []
    defaults = spec.default_inputs.parameters
    literals = {name: item.default for name, item in defaults.items() if item.HasField("default")}
    for field, given in (
        ("default_inputs", literals),
        ("fixed_inputs", dict(spec.fixed_inputs.literals)),
    ):
        found = check_inputs(interface, literals_pb2.LiteralMap(literals=given))
        problems.extend(
            problem._replace(node_id="", variable=f"{field}.{problem.variable}")
            for problem in found
            if problem.code != _NOT_GIVEN
        )
    for name in sorted(defaults):
        if name not in interface.inputs.variables and name not in literals:
            near = difflib.get_close_matches(name, interface.inputs.variables, n=1)
            problems.append(
                Problem(
                    "VariableNameNotFound",
                    f"The workflow has no input {name!r}.",
                    variable=f"default_inputs.{name}",
                    hint=f"Did you mean {near[0]!r}?" if near else "",
                )
            )
    return problems


def expected_inputs(
    interface: interface_pb2.TypedInterface, spec: Any
) -> interface_pb2.ParameterMap:
    """Return what a launch may give and must give: the workflow's inputs that are not fixed."""
    expected = interface_pb2.ParameterMap()
    for name, variable in interface.inputs.variables.items():
        if name in spec.default_inputs.parameters:
            expected.parameters[name].CopyFrom(spec.default_inputs.parameters[name])
        elif name not in spec.fixed_inputs.literals:
            expected.parameters[name].CopyFrom(interface_pb2.Parameter(var=variable, required=True))
    return expected


def missing(entry: Entry, reference: Reference, known: "Iterable[Name]", *, asked: bool) -> Problem:
    """Return the problem that what a node (or a launch plan) refers to does not exist."""
    noun = reference.noun.replace("_", " ")
    name, version = reference.message.name, reference.message.version
    if not name:
        message, hint = f"The reference to a {noun} has no name.", "Write name: …"
    else:
        near = difflib.get_close_matches(
            name, [other[3] for other in known if other[0] == reference.noun], n=1
        )
        which = f"{name} in version {version}" if version else name
        where = "neither among these specs nor registered" if asked else "not among these specs"
        message = f"The {noun} {which} is {where}."
        hint = (
            f"Did you mean {near[0]!r}?"
            if near and near[0] != name
            else "Register it first."
            if asked
            else "Name its file too, or look among what is registered with --remote."
        )
    # Flyte has no code of its own for launch plans.
    code = "TaskReferenceNotFound" if reference.noun == TASK else "WorkflowReferenceNotFound"
    variable = "" if reference.node_id else "workflow_id"
    return Problem(
        code=code,
        message=message,
        node_id=reference.node_id,
        variable=variable,
        hint=hint,
        entity=entry.id.name,
    )
