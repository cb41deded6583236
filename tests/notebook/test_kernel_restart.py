"""A kernel restarts in the middle of a run: the run goes on, and `%flyte watch` finds it again."""

from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.slow

DEFINE = """
%load_ext flyte_nb
from flyte_nb import task, workflow

@task
def slow(gate: str) -> int:
    print("waiting at the gate")
    open(gate).close()
    return 42

@workflow
def patient(gate: str) -> int:
    return slow(gate=gate)
"""


class _Kernel:
    def __init__(self, cwd: Path) -> None:
        self.manager, self.client = start_new_kernel(startup_timeout=240, cwd=str(cwd))

    def run(self, code: str, timeout_s: float = 240) -> "list[dict[str, Any]]":
        """The messages of a cell that has to succeed."""
        messages: list[dict[str, Any]] = []
        reply = self.client.execute_interactive(
            code, timeout=timeout_s, output_hook=messages.append
        )
        content = reply["content"]
        assert content["status"] == "ok", "\n".join(content.get("traceback", []))
        return messages

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(tmp_path: Path) -> "Any":
    started: list[_Kernel] = []

    def start() -> _Kernel:
        started.append(_Kernel(tmp_path))
        return started[-1]

    yield start
    for one in started:
        one.close()


def _texts(messages: "list[dict[str, Any]]") -> str:
    return "\n".join(
        str(message["content"].get("text") or message["content"].get("data", {}).get("text/plain"))
        for message in messages
        if message["msg_type"] in ("stream", "display_data", "update_display_data")
    )


def test_a_new_kernel_picks_the_run_up_and_sees_its_end(kernel, gate):
    first = kernel()
    first.run(DEFINE)
    first.run(f"run = %flyte launch patient gate={gate}\n")
    (name,) = [
        line
        for line in _texts(first.run("print(run.id.name)")).splitlines()
        if line and line != "None"
    ]
    first.close()

    second = kernel()
    second.run("%load_ext flyte_nb")
    shown = second.run("%flyte watch")
    (output,) = [m for m in shown if m["msg_type"] == "display_data"]
    assert "application/vnd.jupyter.widget-view+json" in output["content"]["data"]
    assert name in output["content"]["data"]["text/plain"]
    gate.open()
    ended = second.run("%flyte watch --wait")
    assert "succeeded" in _texts(ended)
    assert "waiting at the gate" in _texts(second.run("%flyte logs"))


def test_a_failed_run_fails_the_cell_and_names_the_line_of_the_cell(kernel):
    one = kernel()
    one.run("%load_ext flyte_nb\nfrom flyte_nb import task, workflow")
    one.run(
        "@task\ndef halve(n: int) -> float:\n    return n / 0\n\n"
        "@workflow\ndef wrong(n: int) -> float:\n    return halve(n=n)\n"
    )
    one.run("run = %flyte launch wrong n=3")
    messages: list[dict[str, Any]] = []
    reply = one.client.execute_interactive(
        "%flyte watch --wait", timeout=240, output_hook=messages.append
    )
    assert reply["content"]["status"] == "error"
    assert reply["content"]["ename"] == "ExecutionFailed"
    assert "ZeroDivisionError" in reply["content"]["evalue"]
    said = "\n".join(reply["content"]["traceback"])
    assert "cell [2], line 3" in said
    assert "flyte_nb/" not in said
