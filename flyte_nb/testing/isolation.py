"""A pytest plugin that keeps a person's configuration away from tests.

Use it with `pytest -p flyte_nb.testing.isolation`. No `FLYTE_*` variable and no `~/.flyte` of the person
reaches a test, no container engine is used, the local backend's folder is a new one, and a backend that was
started in it is stopped at the end.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

_OURS = ("FLYTE_", "FLYTECTL_", "_F_", "BATCH_JOB_")
_KEY = pytest.StashKey[tuple[Path, dict[str, str]]]()


def pytest_configure(config: pytest.Config) -> None:
    """Set a new home and remove our variables, before anything is collected."""
    home = Path(tempfile.mkdtemp(prefix="flyte-nb-tests-"))
    config.stash[_KEY] = (home, dict(os.environ))
    for name in list(os.environ):
        if name.startswith(_OURS):
            del os.environ[name]
    os.environ["FLYTE_NB_HOME"] = str(home / "flyte_nb")
    os.environ["HOME"] = str(home)
    # Whether this machine has podman or docker must not change what a test of a task sees.
    os.environ["FLYTE_NB_CONTAINERS"] = "off"
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the backend that was started, remove the home, and restore the environment."""
    home, environment = config.stash[_KEY]
    if (home / "flyte_nb").exists():
        # Not at the top: pytest loads this plugin before it measures coverage, and few runs start a backend.
        from flyte_nb.admin.daemon import stop

        stop(home / "flyte_nb")
    os.environ.clear()
    os.environ.update(environment)
    shutil.rmtree(home, ignore_errors=True)
