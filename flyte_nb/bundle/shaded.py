"""Load the installed cloudpickle under a private name, under which the ring carries it too.

Payloads name its functions as `_flyte_nb_cloudpickle.…`. So a worker needs no cloudpickle of its own, and
the user's own cloudpickle, of whatever version, stays untouched.
"""

import importlib.util
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from flyte_nb.api.errors import BundleError
from flyte_nb.api.ring import CLOUDPICKLE
from flyte_nb.worker.shading import adapt

_MAIN = f"{CLOUDPICKLE}.cloudpickle"


def source_folder() -> Path:
    """Return the folder with the sources of the installed cloudpickle.

    Raises:
        BundleError: when cloudpickle is not installed, or not as files.
    """
    spec = importlib.util.find_spec("cloudpickle")
    if spec is None or spec.origin is None or not spec.origin.endswith("__init__.py"):
        raise BundleError(
            "cloudpickle is not installed as files, and tasks cannot be packed without it.",
            hint="pip install 'cloudpickle>=3.1,<3.2'",
        )
    return Path(spec.origin).parent


def cloudpickle() -> Any:
    """Return the private copy's main module. The first call loads it, which takes 20 ms.

    Raises:
        BundleError: when cloudpickle is not installed as files, or cannot be loaded.
    """
    loaded = sys.modules.get(_MAIN)
    if loaded is None:
        _load()
        loaded = import_module(_MAIN)
    return loaded


def _load() -> None:
    folder = source_folder()
    spec = importlib.util.spec_from_file_location(
        CLOUDPICKLE, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise BundleError(
            f"cloudpickle cannot be loaded from {folder}.",
            hint="Install it anew: pip install --force-reinstall 'cloudpickle>=3.1,<3.2'",
        )
    module = importlib.util.module_from_spec(spec)
    # Before it runs: its own modules import each other by this name.
    sys.modules[CLOUDPICKLE] = module
    try:
        spec.loader.exec_module(module)
        adapt(import_module(_MAIN))
    except BaseException:
        del sys.modules[
            CLOUDPICKLE
        ]  # so that the next call tries again and finds no half-loaded package
        raise
