"""Choose what runs the attempts of a backend: this machine, or a Dask cluster."""

from collections.abc import Callable, Mapping
from pathlib import Path

from flyte_nb.api.errors import BackendError
from flyte_nb.api.ports import BlobStore
from flyte_nb.propeller.executors.foreign import Access
from flyte_nb.propeller.executors.warm import WarmExecutor
from flyte_nb.propeller.ports import Attempt, Executor, Surroundings
from flyte_nb.runtime.offloading import offloading_of_backend
from flyte_nb.runtime.variables import DASK_VARIABLE


def chosen_executor(
    environ: "Mapping[str, str]",
    home: Path,
    store: BlobStore,
    surroundings: "Callable[[Attempt], Surroundings]",
    access: Access,
) -> Executor:
    """Return the executor that the variables ask for.

    Args:
        environ: The backend's variables.
        home: The folder for attempts on this machine.
        store: Where inputs and outputs are stored.
        surroundings: Returns what an attempt gets from those who registered and launched it.
        access: How tasks of other SDKs reach the backend.

    Raises:
        BackendError: when a Dask cluster is asked for, and Dask is not installed or no scheduler answers.
    """
    address = environ.get(DASK_VARIABLE, "").strip()
    if not address:
        return WarmExecutor(home, store, surroundings=surroundings, access=access)
    try:
        # Not everybody has Dask, and it takes half a second to import.
        from flyte_nb.propeller.executors.dask_cluster import DaskExecutor
    except ImportError as error:
        raise BackendError(
            f"{DASK_VARIABLE}={address} asks for a Dask cluster, and Dask is not installed: {error}.",
            hint="pip install 'flyte-nb[dask]', or unset the variable.",
        ) from error
    limits = offloading_of_backend(environ)
    variables = limits.variables() if limits is not None else None
    return DaskExecutor(address, store, surroundings=surroundings, variables=variables)
