"""In a real kernel whose cells have ids, displays are drawn again in their place and say why."""

from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import start_new_kernel

pytestmark = pytest.mark.slow

TASK = """
%load_ext flyte_nb
from flyte_nb import task, workflow
@task
def count(n: int) -> int:
    return n
"""
TRAIN = "@workflow\ndef train(n: int) -> int:\n    return count(n=n)\ntrain"


@pytest.fixture
def run(tmp_path: Path) -> "Any":
    """Return a function that runs a cell as a front end does and returns what it displayed."""
    manager, client = start_new_kernel(startup_timeout=240, cwd=str(tmp_path))

    def run(code: str, cell_id: str) -> "list[dict[str, Any]]":
        content = {
            "code": code, "silent": False, "store_history": True, "user_expressions": {},
            "allow_stdin": False, "stop_on_error": True,
        }  # fmt: skip
        sent = client.session.msg("execute_request", content, metadata={"cellId": cell_id})
        client.shell_channel.send(sent)
        found = []
        while True:
            message = client.get_iopub_msg(timeout=240)
            if message["parent_header"].get("msg_id") != sent["header"]["msg_id"]:
                continue
            kind, said = message["msg_type"], message["content"]
            assert kind != "error", "\n".join(said["traceback"])
            if kind in ("display_data", "execute_result", "update_display_data"):
                found.append({"kind": kind, **said})
            if kind == "status" and said["execution_state"] == "idle":
                return found

    yield run
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    from flyte_nb.admin import daemon

    daemon.stop(None)


def test_a_graph_is_drawn_again_in_its_place_and_an_alias_is_pointed_out(run: "Any") -> None:
    run(TASK, "task")
    (first,) = run(TRAIN, "train")
    assert first["kind"] == "display_data"
    assert run("other = count", "alias") == []
    run("@workflow\ndef by_alias(n: int) -> int:\n    return other(n=n)", "by_alias")
    assert run(TASK, "task") == []  # as it was: nothing to see
    (report,) = run("%flyte compile", "compile")
    assert "by_alias still uses the count of" in report["data"]["text/plain"]
    assert "run cell [3] again" in report["data"]["text/plain"]
    changed = run(TASK.replace("n: int)", "n: int, m: int)"), "task")
    assert [each["kind"] for each in changed] == ["update_display_data"] * 2
    ids = [each["transient"]["display_id"] for each in changed]
    assert ids == [each["transient"]["display_id"] for each in (first, report)]
    assert "train does not compile" in changed[0]["data"]["text/html"]
    assert "drawn again after cell [7]" in changed[0]["data"]["text/html"]
    run("other = count", "alias")
    (again,) = run("%flyte compile by_alias", "compile")
    assert "still uses" not in again["data"]["text/plain"]


def test_an_interactive_graph_is_drawn_again_in_its_place(run: "Any") -> None:
    run(TASK, "task")
    run(TRAIN.removesuffix("\ntrain"), "train")
    first = [each for each in run("%flyte graph train", "look") if "text/html" in each["data"]][-1]
    (picture,) = run("train.graph(depth=1)", "picture")
    assert run(TASK, "task") == []  # as it was
    (changed, redrawn) = run(TASK.replace("n: int)", "n: int, m: int)"), "task")
    assert redrawn["transient"]["display_id"] == picture["transient"]["display_id"]
    assert "drawn again after cell [6]" in redrawn["data"]["text/html"]
    assert changed["kind"] == "update_display_data"
    assert changed["transient"]["display_id"] == first["transient"]["display_id"]
    assert "does not compile" in changed["data"]["text/html"]
    assert "drawn again after cell [6]" in changed["data"]["text/html"]
    (mended, _) = run(TASK, "task")
    assert "does not compile" not in mended["data"]["text/html"]
