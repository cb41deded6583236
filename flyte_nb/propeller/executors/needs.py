"""What an attempt needs of this machine, and what it may use: read from its task's resources. Pure.

Source: flyteplugins/go/tasks/pluginmachinery/flytek8s/container_helper.go at v1.16.8: a request that is not
set is the limit, and a limit that is not set is the request.
"""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from flyte_nb.compiler.quantities import amount
from flyte_nb.propeller.foreign.containers import Program

_GPU = "nvidia.com/gpu"
_UNITS = ("", "Ki", "Mi", "Gi", "Ti")


class Needs(NamedTuple):
    """The resources of one attempt. 0 means that the task says nothing."""

    cpus: float = 0.0
    memory_bytes: int = 0
    gpus: int = 0
    cpu_limit: float = 0.0
    memory_limit: int = 0
    only_waits: bool = False
    """Whether it takes up no processor unless it asks for one: an eager task waits for what it launches."""

    @property
    def processors(self) -> float:
        """How many processors it counts as. An attempt takes a slot, and a slot is a processor."""
        return self.cpus or (0.0 if self.only_waits else 1.0)


NOTHING = Needs()


def needs_of(program: Program) -> Needs:
    """Return what a task's container asks for. An amount that cannot be read counts as not set."""
    if not program.requests and not program.limits:
        return NOTHING
    requests, limits = dict(program.requests), dict(program.limits)
    cpus, cpu_limit = _both(requests, limits, "cpu")
    memory, memory_limit = _both(requests, limits, "memory")
    gpus, _ = _both(requests, limits, _GPU)
    return Needs(
        cpus=float(cpus),
        memory_bytes=int(memory),
        gpus=math.ceil(gpus),
        cpu_limit=float(cpu_limit),
        memory_limit=int(memory_limit),
    )


def _both(
    requests: "Mapping[str, str]", limits: "Mapping[str, str]", name: str
) -> "tuple[Decimal, Decimal]":
    """Return the request and the limit of one resource."""
    request, limit = (amount(each.get(name, "")) or Decimal(0) for each in (requests, limits))
    return max(request or limit, Decimal(0)), max(limit or request, Decimal(0))


def bytes_text(number: int) -> str:
    """Return an amount of memory as people write it: `1.5Gi`."""
    value, unit = float(number), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.1f}".removesuffix(".0") + _UNITS[unit]
