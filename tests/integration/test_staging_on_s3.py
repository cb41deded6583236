"""Bundles and files in a bucket: registered from a kernel with credentials, run by tasks that have them."""

import pytest

import flyte_nb
from flyte_nb import FlyteFile
from flyte_nb.admin import daemon
from flyte_nb.storage import open_stores
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.object_stores import s3_server

pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")


CELL = """
from flyte_nb import FlyteFile, task, workflow
@task
def lines(text: FlyteFile) -> int:
    with open(text) as file:
        return len(file.readlines())

@workflow
def count(text: FlyteFile) -> int:
    return lines(text=text)
"""


@pytest.fixture
def bucket(monkeypatch):
    with s3_server() as served:
        for name, value in served.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("FLYTE_NB_STAGING", f"{served.bucket}/mine")
        yield served.bucket


@pytest.fixture
def session(bucket, tmp_path):
    made = flyte_nb.connect(home=tmp_path / "home", name="nb")
    yield made
    made.close()
    daemon.stop(tmp_path / "home")


def test_a_workflow_whose_code_and_inputs_lie_in_a_bucket(session, bucket, tmp_path):
    cells = Cells()
    cells.run(CELL)
    count = cells["count"]
    first = session.register(count)
    assert first.uploaded_bytes > 100_000
    assert session.register(count).uploaded_bytes == 0
    (tmp_path / "text").write_text("one\ntwo\n")
    execution = session.launch(count, {"text": FlyteFile(str(tmp_path / "text"))})
    execution.wait()
    assert list(execution.outputs().values()) == [2]
    names = open_stores().list(f"{bucket}/mine")
    assert any("/bundles/index-" in name for name in names)
    assert any("/uploads/" in name and name.endswith("/text") for name in names)


def test_code_that_was_lost_from_a_bucket_is_staged_again_by_who_may_write_there(session, bucket):
    cells = Cells()
    cells.run(CELL)
    session.register(cells["count"])
    store = open_stores()
    lost = store.list(f"{bucket}/mine/bundles")[:2]
    contents = {name: store.read(name) for name in lost}
    store.delete(lost[0])
    store.write(lost[1], contents[lost[1]][:-1])
    damages, _ = session.bundles.check()
    assert {item.uri for item in damages} == set(lost)
    again = session.register(cells["count"])
    assert again.uploaded_bytes == sum(map(len, contents.values()))
    assert ("unchanged", True) in {(e.state, "staged again" in e.why) for e in again.entities}
    assert {name: store.read(name) for name in lost} == contents
    assert session.bundles.check()[0] == []
