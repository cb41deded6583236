"""Real kernels: a restarted one gives equal bytes, and messages name places as IPython does."""

import json

import pytest
from jupyter_client.manager import start_new_kernel

CELLS = [
    "import enum\nfrom dataclasses import dataclass\nfrom flyte_nb import task\nlabels = {'b', 'a', 'c'}",
    "@dataclass\nclass Model:\n    w: float\nclass Kind(enum.Enum):\n    A = 'a'\n"
    "def helper(x): return x in {'p', 'q', 'r'}",
    "@task\ndef f(n: int) -> float:\n    return Model(1.0).w + len(labels) + helper(Kind.A.value)",
]
ASK = """
import json
from flyte_nb.bundle.pack import pack
from flyte_nb.api.identifiers import Scope
p = pack(f, scope=Scope())
print(json.dumps([p.fingerprint, p.payload_sha256]))
"""
WRONG = [
    "import threading\nfrom flyte_nb import task\nlock = threading.Lock()",
    "@task\ndef f() -> str:\n    return str(lock)",
]


@pytest.fixture
def kernel():
    """Return a function that runs cells in a new kernel and returns what the last cell printed."""
    started = []

    def run(cells):
        manager, client = start_new_kernel(startup_timeout=240, kernel_name="python3")
        started.append((manager, client))
        printed = []

        def hear(message):
            if message["msg_type"] == "stream":
                printed.append(message["content"]["text"])
            if message["msg_type"] == "error":
                printed.append(json.dumps(message["content"]["evalue"]))

        for cell in cells:
            printed.clear()
            client.execute_interactive(cell, output_hook=hear, timeout=120)
        return json.loads("".join(printed))

    yield run
    for manager, client in started:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_restarted_kernel_gives_equal_bytes(kernel):
    first = kernel([*CELLS, ASK])
    assert kernel(["x = 1", *CELLS, "f.function(3)", CELLS[1], CELLS[2], ASK]) == first


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_travel_is_placed_by_its_cell(kernel):
    message = kernel([*WRONG, ASK])
    assert "f() uses the global 'lock' (Cell In[2], line 3)" in message
