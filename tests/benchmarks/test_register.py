"""Registering 100 tasks, and again, against flytekit's FlyteRemote on the same backend."""

import importlib
import itertools
import sys

import pytest

import flyte_nb
from flyte_nb.admin import daemon

_PIPELINE = """
from {sdk} import task, workflow
{tasks}

@workflow
def wf(x: int) -> int:
{calls}
    return x
"""

_TASK = """
@task
def t{n}(a: int) -> int:
    return a + {salt}
"""


def pipeline(sdk: str, count: int, salt: int) -> str:
    return _PIPELINE.format(
        sdk=sdk,
        tasks="".join(_TASK.format(n=n, salt=salt) for n in range(count)),
        calls="".join(f"    x = t{n}(a=x)\n" for n in range(count)),
    )


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "flyte_nb"
    yield folder
    daemon.stop(folder)


@pytest.fixture
def both(home, tmp_path, monkeypatch, request):
    """Fresh workflows of both SDKs, and how each registers one."""
    pytest.importorskip("flytekit", reason="the peer is not installed here")
    from flytekit.configuration import Config, Image, ImageConfig, SerializationSettings
    from flytekit.remote import FlyteRemote

    count = 100 if request.config.getoption("benchmark_enable", default=False) else 3
    session = flyte_nb.connect(home=home, name="bench")
    remote = FlyteRemote(
        Config.auto(str(daemon.status(home).config_file)),
        default_project="flytesnacks",
        default_domain="development",
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    salts = itertools.count(1)

    def ours():
        namespace = {"__name__": "__main__"}
        exec(compile(pipeline("flyte_nb", count, next(salts)), "<cell>", "exec"), namespace)
        return namespace["wf"]

    def theirs():
        name = f"peer_pipeline_{next(salts)}"
        (tmp_path / f"{name}.py").write_text(pipeline("flytekit", count, 1))
        importlib.invalidate_caches()
        return importlib.import_module(name).wf

    def settings():
        return SerializationSettings(
            project="flytesnacks",
            domain="development",
            version="v1",
            image_config=ImageConfig(default_image=Image("default", "x/y", "1")),
        )

    yield (
        count,
        (ours, session.register),
        (theirs, lambda workflow: remote.register_workflow(workflow, settings(), "v1")),
    )
    session.close()
    for name in list(sys.modules):
        if name.startswith("peer_pipeline_"):
            del sys.modules[name]


def test_registering_tasks(compare, both):
    count, (make, register), (make_peer, register_peer) = both
    rounds = 9 + 2  # and the warm-up; what is registered has to be made before it is timed
    ready = [make() for _ in range(rounds)]
    peers = [make_peer() for _ in range(rounds)]
    compare(
        f"register {count} tasks",
        ours=lambda: register(ready.pop()),
        peer=lambda: register_peer(peers.pop()),
        bar=0.45,
    )


def test_registering_tasks_again(compare, both):
    count, (make, register), (make_peer, register_peer) = both
    workflow, peer = make(), make_peer()
    register(workflow)
    register_peer(peer)
    again = register(workflow)
    # Three lists, as on a cluster, and a call of the local backend's own: whose Python runs them.
    assert again.rpcs <= 3 + 1
    assert again.uploaded_bytes == 0
    compare(
        f"register {count} tasks again",
        ours=lambda: register(workflow),
        peer=lambda: register_peer(peer),
        bar=0.45,
    )
