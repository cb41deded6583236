"""Every test runs in a world of its own: no configuration of the person's, no backend of theirs."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

_OURS = ("FLYTE_", "FLYTECTL_", "_F_", "BATCH_JOB_")


@pytest.fixture(autouse=True, scope="session")
def own_world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No `FLYTE_*` variable and no `~/.flyte` reaches a test; the local backend's folder is a new one."""
    home = tmp_path_factory.mktemp("home")
    saved = dict(os.environ)
    for name in list(os.environ):
        if name.startswith(_OURS):
            del os.environ[name]
    os.environ["FLYTE_NB_HOME"] = str(home / "flyte_nb")
    os.environ["HOME"] = str(home)
    os.environ["JUPYTER_PLATFORM_DIRS"] = "1"
    yield home
    try:
        from flyte_nb.admin import daemon

        daemon.stop(home / "flyte_nb")
    finally:
        os.environ.clear()
        os.environ.update(saved)
