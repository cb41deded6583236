"""What executions use beside a recorder, an executor and a catalog. Each may be missing."""

from typing import NamedTuple

from flyte_nb.propeller.growth import GrowthLimits
from flyte_nb.propeller.ports import Children, FormerNodes, LaunchPlans, Signals
from flyte_nb.runtime.offloading import Offloading


class Services(NamedTuple):
    """Whom the drivers of an engine ask."""

    signals: "Signals | None" = None
    """Values for gates that wait; `None` keeps them in memory, where nobody sets any."""
    children: "Children | None" = None
    """Starts the executions of launch plan nodes, in this engine; `None` where nobody does."""
    launch_plans: "LaunchPlans | None" = None
    """Finds the registered launch plans that the nodes of dynamic tasks start."""
    limits: "GrowthLimits | None" = None
    """How deep and large executions may become; `None` means the usual limits."""
    former: "FormerNodes | None" = None
    """Knows the nodes of executions that are recovered; `None` where none is."""
    offloading: "Offloading | None" = None
    """From which size on outputs are stored as files of their own; `None` means never."""
