"""Container, shell, SQLite and echo tasks on the local backend give what they give in a local run."""

import os
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

import flyte_nb
from flyte_nb import (
    ContainerTask,
    Echo,
    FlyteFile,
    OutputLocation,
    ShellTask,
    SQLite3Config,
    SQLite3Task,
    __version__,
    dynamic,
    kwtypes,
    task,
    workflow,
)
from flyte_nb.admin.home import Serving
from flyte_nb.testing.backend import running_backend


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


count = ContainerTask(
    name="count",
    image="img:1",
    command=["sh", "-c", "wc -l < /var/inputs/text > /var/outputs/lines"],
    inputs=kwtypes(text=FlyteFile),
    outputs=kwtypes(lines=int),
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
)
write = ShellTask(
    name="write",
    script="seq {inputs.n} > {outputs.o}",
    inputs=kwtypes(n=int),
    output_locs=[OutputLocation("o", FlyteFile, "{ctx.working_directory}/numbers.txt")],
)
same = Echo(name="same", inputs=kwtypes(x=int))


@dynamic
def counted(n: int) -> int:
    return same(x=count(text=write(n=n)))


@task
def total(one: int, other: int, rows: pd.DataFrame) -> int:
    return one + other + int(rows["a"].sum())


def made(database):
    query = SQLite3Task(
        name="query",
        query_template="select a from t where a < {{ .inputs.n }}",
        inputs=kwtypes(n=int),
        output_schema_type=pd.DataFrame,
        task_config=SQLite3Config(uri=str(database)),
    )

    @workflow
    def every_kind(n: int) -> int:
        return total(one=same(x=count(text=write(n=n))), other=counted(n=n), rows=query(n=n))

    return every_kind


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
    types = {node.node_id: node for node in execution.nodes.values()} if execution.nodes else {}
    assert types
    again = session.register(every_kind)
    assert {each.state for each in again} == {"unchanged"}
