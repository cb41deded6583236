"""Container, shell, SQLite and echo tasks on the local backend give what they give in a local run."""

import os
import sqlite3
from pathlib import Path

import pytest

import flyte_nb
from flyte_nb import __version__
from flyte_nb.admin.home import Serving
from flyte_nb.testing.backend import running_backend
from tests.executions.declared_flows import made


@pytest.fixture(scope="module")
def session(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FLYTE_NB_CONTAINERS", "off")
        with running_backend(tmp_path_factory.mktemp("home")) as backend:
            serving = Serving(
                pid=os.getpid(), started_at=0.0, port=backend.port, version=__version__
            )
            backend.home.write_serving(serving)
            yield flyte_nb.connect(backend.home.config_file, name="kinds")


def test_every_kind_gives_the_same_here_and_launched(session, tmp_path, monkeypatch):
    monkeypatch.setenv("FLYTE_NB_CONTAINERS", "off")
    database = Path(tmp_path) / "x.db"
    with sqlite3.connect(database) as rows:
        rows.execute("create table t (a)")
        rows.executemany("insert into t values (?)", [(1,), (2,), (30,)])
    rows.close()
    every_kind = made(database)
    assert every_kind(n=5) == 13
    execution = session.launch(every_kind, {"n": 5})
    execution.wait(timeout=90)
    assert execution.outputs() == {"o0": 13}
    again = session.register(every_kind)
    assert {each.state for each in again.entities} == {"unchanged"}
