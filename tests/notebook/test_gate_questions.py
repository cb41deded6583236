"""Gates of local runs ask by a widget: in a real kernel, whose buttons are clicked while the cell runs."""

import json

import pytest

pytest.importorskip("ipykernel")
jupyter_client = pytest.importorskip("jupyter_client")
pytestmark = pytest.mark.slow

PATIENCE_S = 30.0
CELL = """
%load_ext flyte_nb
from flyte_nb import approve, task, wait_for_input, workflow

@task
def double(n: int) -> int:
    return 2 * n

@workflow
def gated(n: int) -> int:
    level = wait_for_input("level", 3600, int)
    return approve(double(n=level), "review", 3600)
"""


class FrontEnd:
    """What a front end does that knows no subshells: it runs cells, knows the widgets and sends events."""

    def __init__(self, client) -> None:
        self.client = client
        self.models: dict[str, dict] = {}
        self.shown: list[str] = []
        self.results: list[str] = []
        self.errors: list[str] = []

    def run(self, code, *, allow_stdin=True):
        self.client.execute(code, allow_stdin=allow_stdin)

    def until(self, condition):
        """Read what the kernel publishes until the condition holds."""
        while not condition():
            message = self.client.get_iopub_msg(timeout=PATIENCE_S)
            kind, content = message["msg_type"], message["content"]
            if kind == "comm_open":
                self.models[content["comm_id"]] = content["data"].get("state", {})
            elif kind == "comm_msg" and content["data"].get("method") == "update":
                self.models[content["comm_id"]].update(content["data"]["state"])
            elif kind in ("display_data", "update_display_data"):
                self.shown.append(content["data"].get("text/plain", ""))
            elif kind == "execute_result":
                self.results.append(content["data"]["text/plain"])
            elif kind == "error":
                self.errors.append(content["evalue"])

    def find(self, name, **state):
        for comm_id, known in self.models.items():
            fits = all(known.get(key) == value for key, value in state.items())
            if known.get("_model_name") == name and fits:
                return comm_id
        return None

    def send(self, comm_id, data):
        message = self.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
        self.client.shell_channel.send(message)

    def click(self, description):
        self.until(lambda: self.find("ButtonModel", description=description))
        comm_id = self.find("ButtonModel", description=description)
        self.send(comm_id, {"method": "custom", "content": {"event": "click"}})

    def type(self, text):
        self.until(lambda: self.find("TextModel"))
        self.send(self.find("TextModel"), {"method": "update", "state": {"value": text}})


@pytest.fixture(scope="module")
def front_end():
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    try:
        made = FrontEnd(client)
        made.run(CELL)
        yield made
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_value_is_typed_and_what_was_made_of_it_approved(front_end):
    front_end.run("gated(n=1)")
    front_end.until(lambda: any("waits for a value" in text for text in front_end.shown))
    front_end.type("many")
    front_end.click("Send")
    front_end.until(lambda: "is not an int" in json.dumps(list(front_end.models.values())))
    front_end.type("21")
    front_end.click("Send")
    front_end.until(lambda: any("waits for approval" in text for text in front_end.shown))
    front_end.click("Approve")
    front_end.until(lambda: front_end.results)
    assert front_end.results == ["42"]
    assert any("level = 21" in text for text in front_end.shown)
    assert any("review approved" in text for text in front_end.shown)


def test_where_nobody_can_click_the_error_has_the_call_that_answers(front_end):
    front_end.run("gated(n=1)", allow_stdin=False)
    front_end.until(lambda: front_end.errors)
    assert "nobody can be asked here" in front_end.errors[0]
    assert "with flyte_nb.answers({'level': …}): gated(…)" in front_end.errors[0]
