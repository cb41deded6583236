"""How large an execution may become while it runs."""

import os
from collections.abc import Mapping
from typing import NamedTuple

from flyte_nb.api.errors import UsageError

DEPTH_VARIABLE = "FLYTE_NB_MAX_DYNAMIC_DEPTH"
NODES_VARIABLE = "FLYTE_NB_MAX_NODES"
NESTING_VARIABLE = "FLYTE_NB_MAX_NESTING"


class GrowthLimits(NamedTuple):
    """What nodes that come into being while an execution runs may add to it.

    A dynamic task may make nodes that run itself again. Without limits, one that never stops doing so
    fills the disk.
    """

    depth: int = 50
    """How many dynamic nodes may be inside each other."""
    nodes: int = 50_000
    """How many nodes an execution may have, all runs in it together."""
    nesting: int = 32
    """How many executions may start each other, each by a launch plan node of the one before."""


def growth_limits(environ: "Mapping[str, str] | None" = None) -> GrowthLimits:
    """Return the limits that the variables set; `None` means those of this process.

    Raises:
        UsageError: when a variable is not a whole number above 0.
    """
    environ = os.environ if environ is None else environ
    usual = GrowthLimits()
    return GrowthLimits(
        _number(environ, DEPTH_VARIABLE, usual.depth),
        _number(environ, NODES_VARIABLE, usual.nodes),
        _number(environ, NESTING_VARIABLE, usual.nesting),
    )


def too_nested(launch_plan: str, most: int) -> str:
    """Return the sentence that refuses one more execution in a row of `most` that started each other."""
    return (
        f"executions started each other {most} times, each a node of the one before: does"
        f" {launch_plan} start itself without an end? {most} are allowed;"
        f" set {NESTING_VARIABLE} to allow more"
    )


def _number(environ: Mapping[str, str], variable: str, usual: int) -> int:
    text = environ.get(variable, "").strip()
    if not text:
        return usual
    if not text.isascii() or not text.isdecimal() or int(text) < 1:
        raise UsageError(f"The variable {variable} is {text!r}. Set it to a whole number above 0.")
    return int(text)
