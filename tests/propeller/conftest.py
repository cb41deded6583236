"""What tests of the engine share: tasks that are small scripts, run without any library."""

import sys

import pytest
from flyteidl.core import execution_pb2
from flyteidl.core.errors_pb2 import ContainerError, ErrorDocument

from flyte_nb.testing.closures import integers, task

_PROLOGUE = """
import os, sys, signal
folder = sys.argv[1][len('file://'):]
os.makedirs(folder, exist_ok=True)
def leave(name, data):
    path = os.path.join(folder, name)
    with open(path + '.part', 'wb') as file:
        file.write(bytes.fromhex(data))
    os.rename(path + '.part', path)
"""


def _error(recoverable: bool) -> str:
    error = ContainerError(
        code="USER:ValueError",
        message="no",
        kind=ContainerError.RECOVERABLE if recoverable else ContainerError.NON_RECOVERABLE,
        origin=execution_pb2.ExecutionError.USER,
    )
    return ErrorDocument(error=error).SerializeToString().hex()


class Scripts:
    """Task templates whose containers run a few lines of Python."""

    outputs = f"leave('outputs.pb', '{integers(o0=42).SerializeToString().hex()}')\n"
    error = f"leave('error.pb', '{_error(False)}')\n"
    recoverable = f"leave('error.pb', '{_error(True)}')\n"
    hang = "print('hanging', flush=True)\nwhile True: signal.pause()\n"

    @staticmethod
    def futures(job) -> str:
        return f"leave('futures.pb', '{job.SerializeToString().hex()}')\n"

    def task(self, name: str, body: str, *, inputs=(), args=(), **options):
        return task(
            name,
            inputs,
            command=[sys.executable, "-I", "-S", "-c", _PROLOGUE + body],
            args=["{{.outputPrefix}}", *args],
            **options,
        )


@pytest.fixture(scope="session")
def scripts() -> Scripts:
    return Scripts()
