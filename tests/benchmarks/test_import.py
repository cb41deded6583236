"""Import and declaration, whole processes, against flytekit."""

import subprocess
import sys

import pytest

pytest.importorskip("flytekit", reason="the peer is not installed here")

_ONE_TASK = """
from {sdk} import task, workflow

@task
def double(n: int) -> int:
    return 2 * n
"""


def _process(code: str):
    def run() -> None:
        subprocess.run([sys.executable, "-c", code], check=True)

    return run


def test_import_against_flytekit(compare):
    compare(
        "import",
        ours=_process("import flyte_nb"),
        peer=_process("import flytekit"),
        bar=0.08,
    )


def test_import_with_one_task_against_flytekit(compare, tmp_path):
    def program(sdk: str):  # a file: flytekit refuses tasks that are in none
        path = tmp_path / f"with_{sdk}.py"
        path.write_text(_ONE_TASK.format(sdk=sdk))
        return lambda: subprocess.run([sys.executable, str(path)], check=True)

    compare(
        "import with one task declared",
        ours=program("flyte_nb"),
        peer=program("flytekit"),
        bar=0.11,
    )


def test_declaring_a_task(compare):
    from flyte_nb import task

    def declare() -> None:
        for _ in range(200):

            @task(retries=2)
            def fit(rows: int, depth: int = 3) -> float:
                return rows / depth

    compare.absolute("declare a task", declare, bar_us=50, per=200)
