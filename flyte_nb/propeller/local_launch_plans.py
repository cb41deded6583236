"""Launch plans as a run in this process knows them."""

from collections.abc import Callable
from typing import NamedTuple

from flyteidl.core.interface_pb2 import ParameterMap
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.api.identifiers import Identifier
from flyte_nb.propeller.plan import ExecutionPlan


class LocalLaunchPlan(NamedTuple):
    """A launch plan that is defined in this process."""

    plan: ExecutionPlan
    """The plan of its workflow."""
    defaults: ParameterMap
    """Every input that a launch may give, with its default."""
    fixed: LiteralMap
    max_parallelism: int = 0


Find = Callable[[Identifier], "LocalLaunchPlan | None"]
"""Returns the launch plan of that id; `None` when it is not defined here."""
