"""`flyte-nb execute` of a trivial task against `pyflyte-execute`; packing a task over a big array."""

import os
import resource
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.literals import Literal
from flyte_nb.bundle.command import task_args
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.testing.cells import Cells
from flyte_nb.wire.literal_bytes import literal_map_from_bytes, literal_map_to_bytes

pytest.importorskip("flytekit", reason="the peer is not installed here")

OURS = """
from flyte_nb import task
@task
def hello(a: int, b: str) -> str:
    return f"{b}{a}"
"""
THEIRS = """
from flytekit import task
@task
def hello(a: int, b: str) -> str:
    return f"{b}{a}"
"""
MAX_RSS_KB = 25 * 1024


@pytest.fixture(scope="module")
def attempt(tmp_path_factory):
    """The inputs, and the two commands; bytecode is written, as in an installed package."""
    root = tmp_path_factory.mktemp("execute")
    inputs = {"a": Literal("integer", 7), "b": Literal("string_value", "x")}
    (root / "inputs.pb").write_bytes(literal_map_to_bytes(inputs))
    for name in ("out", "fk", "raw"):
        (root / name).mkdir()
    (root / "fk_mod.py").write_text(THEIRS)
    cells = Cells()
    cells.run(OURS)
    packed = pack(cells["hello"], scope=Scope())
    [staged] = stage([packed], DirectoryStaging(f"file://{root}/staging", open_stores()))
    filled = {
        "{{.input}}": f"file://{root}/inputs.pb",
        "{{.outputPrefix}}": f"file://{root}/out",
        "{{.rawOutputDataPrefix}}": f"file://{root}/raw",
        "{{.prevCheckpointPrefix}}": '""',
    }
    ours = [filled.get(part, part) for part in task_args(packed.name, staged.index_uri)]
    ours[0] = str(Path(sys.executable).parent / "flyte-nb")
    theirs = [
        *[str(Path(sys.executable).parent / "pyflyte-execute"), "--inputs", f"{root}/inputs.pb"],
        *["--output-prefix", f"{root}/fk", "--raw-output-data-prefix", f"{root}/raw"],
        *["--checkpoint-path", f"{root}/raw/c", "--prev-checkpoint", '""', "--resolver"],
        *["flytekit.core.python_auto_container.default_task_resolver", "--"],
        *["task-module", "fk_mod", "task-name", "hello"],
    ]
    env = {
        **os.environ,
        "FLYTE_INTERNAL_EXECUTION_ID": "e",
        "FLYTE_INTERNAL_EXECUTION_PROJECT": "p",
        "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d",
        "FLYTE_INTERNAL_TASK_PROJECT": "p",
        "FLYTE_INTERNAL_TASK_DOMAIN": "d",
        "FLYTE_INTERNAL_TASK_NAME": "t",
        "FLYTE_INTERNAL_TASK_VERSION": "v",
        "FLYTE_SDK_LOGGING_LEVEL": "40",
    }
    env.pop("PYTHONDONTWRITEBYTECODE", None)

    def run(command, output):
        subprocess.run(command, cwd=root, env=env, check=True, capture_output=True)
        data = (root / output / "outputs.pb").read_bytes()
        assert literal_map_from_bytes(data)["o0"].value == "x7"

    with tarfile.open(root / "code.tar.gz", "w:gz") as code:
        code.add(root / "fk_mod.py", "fk_mod.py")
    fast = [theirs[0].replace("pyflyte-execute", "pyflyte-fast-execute")]
    fast += ["--additional-distribution", f"{root}/code.tar.gz", "--dest-dir", f"{root}/dest", "--"]
    (root / "dest").mkdir()
    sides = {"theirs": theirs, "fast": [*fast, *theirs]}

    def peer(name, *before):
        return lambda: run([*before, *sides[name]], "fk")

    yield lambda *before: run([*before, *ours], "out"), peer, (ours, env, root)
    shutil.rmtree(root)


def test_execute_a_trivial_task(compare, attempt):
    ours, peer, _ = attempt
    # On two free cores, which the worker's interpreter and the host's modules load side by side on.
    compare("flyte-nb execute", ours=ours, peer=peer("theirs"), bar=0.12, rounds=15)


@pytest.mark.skipif(
    shutil.which("taskset") is None, reason="nothing here holds a command to a core"
)
def test_execute_a_trivial_task_on_one_core(compare, attempt):
    ours, peer, _ = attempt
    one = ("taskset", "-c", str(min(os.sched_getaffinity(0))))
    theirs = peer("theirs", *one)
    compare("on one core", ours=lambda: ours(*one), peer=theirs, bar=0.15, rounds=11)


def test_execute_from_a_bundle_against_a_fast_registered_task(compare, attempt):
    """Both have to bring the code first: ours from the staging area, theirs from an archive."""
    ours, peer, _ = attempt
    compare("from a bundle", ours=ours, peer=peer("fast"), bar=0.1, rounds=7)


def test_no_process_of_an_attempt_needs_more_than_25_mb(attempt):
    command, env, root = attempt[2]
    code = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], check=True)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, *command],
        cwd=root,
        env=env,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < MAX_RSS_KB
    assert resource.getpagesize()


def test_pack_and_stage_a_task_over_a_big_array(compare, tmp_path):
    """Against writing the same bytes and hashing them: what has to be done once; then 0 bytes."""
    import hashlib

    import numpy as np

    megabytes = 100 if compare.enabled else 1
    cells = Cells()
    cells.namespace["rows"] = np.random.default_rng(1).random(megabytes * 131072)
    cells.run(OURS.replace('f"{b}{a}"', "str(rows.sum())"))
    area = DirectoryStaging(f"file://{tmp_path}/staging", open_stores())

    def again():
        [staged] = stage([pack(cells["hello"], scope=Scope())], area)
        return staged.sent_bytes

    def floor():
        hashlib.sha256(cells["rows"]).hexdigest()

    assert again() > megabytes << 20
    assert again() == 0
    compare(f"a task over {megabytes} MB, staged before", ours=again, peer=floor, bar=3, rounds=5)
