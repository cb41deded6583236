"""Check the inputs of an execution against the workflow's interface, as propeller does before it starts.

Source: flytepropeller/pkg/compiler/transformers/k8s/inputs.go at v1.16.8.
"""

from flyteidl.core import interface_pb2, literals_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api.nodes import START_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import shape_problems, type_problems
from flyte_nb.compiler.casting import TooComplex, TypeTable
from flyte_nb.compiler.collector import Collector, TooManyProblems
from flyte_nb.compiler.inference import type_of_literal


def check_inputs(
    interface: interface_pb2.TypedInterface, inputs: literals_pb2.LiteralMap
) -> "tuple[Problem, ...]":
    """Return every reason why a workflow with this interface cannot start with these inputs.

    Args:
        interface: the workflow's.
        inputs: a value for every input; the caller has filled in the launch plan's defaults.

    Returns:
        The problems; empty when the workflow can start.
    """
    errors = Collector()
    try:
        _check(interface, inputs, errors)
    except (RecursionError, EncodeError, DecodeError):
        errors.add(shape_problems.too_deep("input"))
    except TooComplex:
        errors.add(shape_problems.too_complex())
    except TooManyProblems:
        pass
    return errors.problems


def _check(
    interface: interface_pb2.TypedInterface, inputs: literals_pb2.LiteralMap, errors: Collector
) -> None:
    """Add the problems of the given inputs, then those of the missing ones, to `errors`."""
    table = TypeTable()
    expected = interface.inputs.variables
    for name in sorted(inputs.literals):
        if name not in expected:
            known = errors.names(expected)
            # Flyte reports these on no node at all, so its text has empty brackets.
            problem = shape_problems.input_not_found(START_NODE, name, "The workflow", known)
            errors.add(problem._replace(flyte_text=f"Variable [{name}] not found on node []."))
            continue
        type = type_of_literal(table, inputs.literals[name])
        wanted = table.of(expected[name].type)
        if type is None:
            errors.add(type_problems.unknown_literal(START_NODE, name))
        elif not table.castable(type, wanted):
            # In its text Flyte exchanges the two types here. Its text is quoted as it is; ours is right.
            text = type_problems.value_mismatch(START_NODE, name, wanted, type).flyte_text
            problem = type_problems.value_mismatch(START_NODE, name, type, wanted)
            errors.add(problem._replace(flyte_text=text))
    for name in sorted(expected):
        if name not in inputs.literals:
            errors.add(
                shape_problems.not_bound(
                    START_NODE, name, table.of(expected[name].type), "The workflow"
                )
            )
