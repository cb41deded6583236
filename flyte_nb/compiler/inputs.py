"""Do these values start this workflow? What propeller checks before it runs one.

Source: flytepropeller/pkg/compiler/transformers/k8s/inputs.go at v1.16.8.
"""

from flyteidl.core import interface_pb2, literals_pb2
from google.protobuf.message import DecodeError, EncodeError

from flyte_nb.api.nodes import START_NODE
from flyte_nb.api.problems import Problem
from flyte_nb.compiler import reports, type_reports
from flyte_nb.compiler.casting import TooIntricate, TypeTable
from flyte_nb.compiler.inference import type_of_literal
from flyte_nb.compiler.problems import Collector, Enough


def check_inputs(
    interface: interface_pb2.TypedInterface, inputs: literals_pb2.LiteralMap
) -> "tuple[Problem, ...]":
    """Everything that keeps a workflow with this interface from starting with these inputs.

    Every input must be there: a launch plan's defaults have been filled in by now.
    """
    errors = Collector()
    try:
        _check(interface, inputs, errors)
    except (RecursionError, EncodeError, DecodeError):
        errors.add(reports.too_deep("input"))
    except TooIntricate:
        errors.add(reports.too_intricate())
    except Enough:
        pass
    return errors.problems


def _check(
    interface: interface_pb2.TypedInterface, inputs: literals_pb2.LiteralMap, errors: Collector
) -> None:
    table = TypeTable()
    expected = interface.inputs.variables
    for name in sorted(inputs.literals):
        if name not in expected:
            known = errors.names(expected)
            problem = reports.input_not_found(START_NODE, name, "The workflow", known)
            errors.add(problem._replace(flyte_text=f"Variable [{name}] not found on node []."))
            continue
        type = type_of_literal(table, inputs.literals[name])
        wanted = table.of(expected[name].type)
        if type is None:
            errors.add(type_reports.unknown_literal(START_NODE, name))
        elif not table.castable(type, wanted):
            # Flyte's text has the two types the other way round here.
            text = type_reports.value_mismatch(START_NODE, name, wanted, type).flyte_text
            problem = type_reports.value_mismatch(START_NODE, name, type, wanted)
            errors.add(problem._replace(flyte_text=text))
    for name in sorted(expected):
        if name not in inputs.literals:
            errors.add(
                reports.not_bound(START_NODE, name, table.of(expected[name].type), "The workflow")
            )
