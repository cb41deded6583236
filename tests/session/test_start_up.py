"""What a fresh kernel loads before it has to."""

import json
import subprocess
import sys

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.session.session import connect

_FRESH = """
import json, sys
from flyte_nb import task, workflow

@task
def double(n: int) -> int:
    return 2 * n

@workflow
def wf(n: int) -> int:
    return double(n=n)

print(json.dumps([wf(n=3), sorted(sys.modules)]))
"""


def test_a_workflow_in_a_fresh_kernel_runs_without_grpc_and_without_the_backend():
    done = subprocess.run(
        [sys.executable, "-I", "-c", _FRESH], capture_output=True, text=True, check=True
    )
    value, modules = json.loads(done.stdout)
    assert value == 6
    rooms = {name.split(".")[1] for name in modules if name.startswith("flyte_nb.")}
    assert "grpc" not in modules
    assert rooms.isdisjoint({"admin", "registering", "commands", "notebook"})
    assert "flyte_nb.session.connection" not in modules


def test_connecting_to_an_unknown_kind_of_backend_names_the_kinds():
    with pytest.raises(UsageError, match="write 'auto' or 'local'"):
        connect(backend="remote")
