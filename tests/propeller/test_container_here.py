"""Container tasks of a local run: time, cache, and the image where an engine answers."""

import os

import psutil
import pytest

from flyte_nb import ContainerTask, kwtypes
from flyte_nb.testing.waiting import wait_until
from tests.propeller.foreign.conftest import FakeEngine


@pytest.fixture
def without_images(monkeypatch):
    monkeypatch.setenv("FLYTE_NB_CONTAINERS", "off")


def test_a_container_task_ends_with_its_time_and_leaves_no_process(without_images, tmp_path):
    slow = ContainerTask(
        name="slow",
        image="i:1",
        command=["sh", "-c", f"echo $$$$ > {tmp_path}/pid; exec sleep 600"],
        timeout=2,
    )
    with pytest.raises(Exception, match="timeout"):
        slow()
    wait_until(
        lambda: not psutil.pid_exists(int((tmp_path / "pid").read_text())), "the command has ended"
    )


def test_a_cached_container_task_runs_once(without_images, tmp_path, monkeypatch):
    noted = ContainerTask(
        name="noted",
        image="i:1",
        command=["sh", "-c", f"echo x >> {tmp_path}/runs; echo {{{{.inputs.n}}}} > /o/n"],
        inputs=kwtypes(n=int),
        outputs=kwtypes(n=int),
        output_data_dir="/o",
        cache=True,
    )
    assert [noted(n=1), noted(n=1), noted(n=2)] == [1, 1, 2]
    assert (tmp_path / "runs").read_text() == "x\nx\n"


def test_a_container_task_of_a_local_run_uses_its_image_where_an_engine_answers(
    tmp_path, monkeypatch
):
    engine = FakeEngine(tmp_path)
    engine.install()
    monkeypatch.setenv("PATH", f"{engine.folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FLYTE_NB_CONTAINERS", "auto")
    made = ContainerTask(
        name="imaged",
        image="img:7",
        command=["sh", "-c", "echo 7 > /var/outputs/n"],
        outputs=kwtypes(n=int),
        output_data_dir="/var/outputs",
    )
    assert made() == 7
    assert [each["run"] for each in engine.said() if "run" in each] == ["img:7"]
