"""What attempts need, who has it, and what happens to one that uses more than it may."""

import os
import sys
import threading
from pathlib import Path

import pytest
from flyteidl.core.tasks_pb2 import Resources

from flyte_nb.api.errors import TaskFailed
from flyte_nb.propeller.executors.capacity import Capacity
from flyte_nb.propeller.executors.cgroups import Groups
from flyte_nb.propeller.executors.gpus import _visible, gpus_in, nvidia_gpus
from flyte_nb.propeller.executors.limiter import Limiter
from flyte_nb.propeller.executors.memory_limits import Guarded, MemoryGuard, resident_bytes
from flyte_nb.propeller.executors.needs import Needs, bytes_text, needs_of
from flyte_nb.propeller.foreign.containers import Program
from flyte_nb.propeller.overrides import overridden
from flyte_nb.propeller.ports import NoRoom
from flyte_nb.runtime.limits import ProcessLimits
from flyte_nb.testing import closures
from flyte_nb.testing.propeller_conformance import key
from flyte_nb.testing.waiting import PATIENCE_S

GIB = 1024**3


def needs(requests=(), limits=()):
    return needs_of(Program("", requests=tuple(requests), limits=tuple(limits)))


def test_a_limit_that_is_not_set_is_the_request_and_the_other_way_round():
    assert needs([("cpu", "500m"), ("memory", "1Gi")]) == Needs(0.5, GIB, 0, 0.5, GIB)
    assert needs(limits=[("cpu", "2")]) == Needs(cpus=2, cpu_limit=2)
    both = needs([("memory", "1Gi"), ("nvidia.com/gpu", "1")], [("memory", "2Gi")])
    assert both == Needs(memory_bytes=GIB, memory_limit=2 * GIB, gpus=1)


def test_amounts_that_cannot_be_read_or_are_negative_count_as_nothing():
    assert needs([("cpu", "many"), ("memory", "-1")]) == Needs()


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0"), (1536, "1.5Ki"), (GIB, "1Gi"), (5 * 1024**5, "5120Ti")]
)
def test_memory_is_written_as_people_write_it(number, text):
    assert bytes_text(number) == text


def test_overrides_of_a_node_replace_what_they_name_only():
    template = closures.task("t")
    template.container.image = "old"
    for name, value in ((Resources.CPU, "1"), (Resources.MEMORY, "1Gi")):
        template.container.resources.requests.add(name=name, value=value)
    node = closures.node("n0", template)
    assert overridden(template, node.task_node.overrides) is template
    over = node.task_node.overrides
    over.resources.requests.add(name=Resources.MEMORY, value="2Gi")
    over.container_image = "new"
    changed = overridden(template, over).container
    assert {entry.name: entry.value for entry in changed.resources.requests} == {
        Resources.CPU: "1",
        Resources.MEMORY: "2Gi",
    }
    assert (changed.image, template.container.image) == ("new", "old")


# GPUs

LISTED = """\
GPU 0: NVIDIA H200 (UUID: GPU-aaa)
  MIG 1g.18gb     Device  0: (UUID: MIG-p0)
  MIG 1g.18gb     Device  1: (UUID: MIG-p1)
GPU 1: NVIDIA H200 (UUID: GPU-bbb)
"""


def test_a_divided_gpu_is_its_parts():
    assert gpus_in(LISTED) == [("0", "GPU-aaa", ["MIG-p0", "MIG-p1"]), ("1", "GPU-bbb", [])]


@pytest.mark.parametrize(
    ("allowed", "expected"),
    [
        (None, ["MIG-p0", "MIG-p1", "GPU-bbb"]),
        ("", []),
        ("1", ["GPU-bbb"]),
        ("MIG-p1, 1", ["MIG-p1", "GPU-bbb"]),
        ("1,none,0", ["GPU-bbb"]),
    ],
)
def test_only_gpus_that_this_process_may_use_are_given_away(allowed, expected):
    assert _visible(gpus_in(LISTED), allowed) == expected


def test_the_machine_is_asked_by_nvidia_smi(tmp_path):
    command = tmp_path / "nvidia-smi"
    command.write_text(f"#!/bin/sh\ncat <<'END'\n{LISTED}END\n")
    command.chmod(0o755)
    environ = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    assert nvidia_gpus(environ) == ["MIG-p0", "MIG-p1", "GPU-bbb"]
    command.write_text("#!/bin/sh\nexit 9\n")
    assert nvidia_gpus(environ) == []
    assert nvidia_gpus({"PATH": str(tmp_path / "none")}) == []


def capacity(cpus=4, gpus=("g0", "g1"), memory=4 * GIB, processors=(0, 1, 2, 3)):
    return Capacity(
        cpus=cpus, gpus=lambda: list(gpus), memory_bytes=memory, processors=tuple(processors)
    )


def test_a_gpu_belongs_to_one_attempt_until_that_has_ended():
    has = capacity()
    first = has.take(key("a"), Needs(gpus=1), "t")
    second = has.take(key("b"), Needs(gpus=1), "t")
    assert {*first.gpus, *second.gpus} == {"g0", "g1"}
    with pytest.raises(NoRoom, match="1 GPU; 0 of 2 are free"):
        has.take(key("c"), Needs(gpus=1), "t")
    has.release(key("a"))
    assert has.take(key("c"), Needs(gpus=1), "t").gpus == first.gpus


def test_gpus_of_attempts_that_were_taken_over_are_taken():
    has = capacity()
    has.hold(key("a"), Needs(gpus=1), ("g1",))
    assert has.take(key("b"), Needs(gpus=1), "t").gpus == ("g0",)


@pytest.mark.parametrize(("there", "text"), [((), "no GPU"), (("g0",), "1 GPU ")])
def test_more_gpus_than_there_are_fail_at_once_with_a_remedy(there, text):
    has = capacity(gpus=there)
    with pytest.raises(TaskFailed) as caught:
        has.take(key("a"), Needs(gpus=2), "nb.train")
    assert caught.value.info.code == "ResourcesUnavailable"
    assert not caught.value.info.recoverable
    for part in (text, "nb.train asks for 2 GPUs", "with_overrides"):
        assert part in caught.value.info.message


# Processors and memory


def test_attempts_wait_for_processors_and_memory_that_others_have():
    has = capacity()
    has.take(key("a"), Needs(cpus=3, memory_bytes=3 * GIB), "t")
    has.take(key("b"), Needs(), "t")
    with pytest.raises(NoRoom, match="1 CPU; 0 of 4 are free"):
        has.take(key("c"), Needs(), "t")
    has.release(key("b"))
    with pytest.raises(NoRoom, match="2Gi of memory; 1Gi of 4Gi are free"):
        has.take(key("c"), Needs(cpus=1, memory_bytes=2 * GIB), "t")


def test_a_large_attempt_is_not_overtaken_for_ever():
    now = [0.0]
    has = Capacity(cpus=2, gpus=list, processors=(), clock=lambda: now[0])
    small, large = Needs(cpus=1), Needs(cpus=2)
    has.take(key("a"), small, "t")
    with pytest.raises(NoRoom, match="2 CPUs; 1 of 2 are free"):
        has.take(key("large"), large, "t")
    now[0] = 20.0
    with pytest.raises(NoRoom):
        has.take(key("large"), large, "t")
    has.take(key("b"), small, "t")  # there is room, and nobody has waited for long
    has.release(key("a"))
    now[0] = 31.0
    with pytest.raises(NoRoom):
        has.take(key("large"), large, "t")
    with pytest.raises(NoRoom, match="its turn; node n0 of large"):
        has.take(key("c"), small, "t")
    has.release(key("b"))
    has.take(key("large"), large, "t")
    has.release(key("large"))
    has.take(key("c"), small, "t")


def test_an_attempt_that_is_not_asked_for_any_more_keeps_nobody_waiting():
    now = [0.0]
    has = Capacity(cpus=2, gpus=list, processors=(), clock=lambda: now[0])
    has.take(key("a"), Needs(cpus=1), "t")
    with pytest.raises(NoRoom):
        has.take(key("gone"), Needs(cpus=2), "t")
    now[0] = 60.0
    has.take(key("b"), Needs(cpus=1), "t")


def test_an_eager_task_that_only_waits_keeps_nobody_from_the_processors():
    has = capacity(cpus=1)
    eager = Needs(only_waits=True)
    for name in "abc":
        has.take(key(name), eager, "t")
    has.take(key("d"), Needs(), "t")
    has.take(key("e"), eager, "t")


def test_what_asks_for_more_than_the_machine_runs_alone_and_is_told_once(caplog):
    has = capacity()
    large = Needs(cpus=64, memory_bytes=256 * GIB)
    has.take(key("a"), large, "nb.big")
    with pytest.raises(NoRoom):
        has.take(key("b"), Needs(), "t")
    has.release(key("a"))
    has.take(key("c"), Needs(), "t")
    with pytest.raises(NoRoom):
        has.take(key("d"), large, "nb.big")
    has.release(key("c"))
    has.take(key("d"), large, "nb.big")
    assert caplog.text.count("nb.big asks for 64 CPUs of 4 and 256Gi of 4Gi memory") == 1


def test_a_limit_of_processors_binds_to_those_that_the_fewest_attempts_have():
    has = capacity(cpus=8)
    assert has.take(key("a"), Needs(cpu_limit=1.5), "t").processors == (0, 1)
    assert has.take(key("b"), Needs(cpu_limit=2), "t").processors == (2, 3)
    assert has.take(key("c"), Needs(cpu_limit=4), "t").processors == ()
    assert has.take(key("d"), Needs(), "t").processors == ()


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="only Linux binds processes")
def test_limits_are_applied_to_a_process_that_was_started():
    first = min(os.sched_getaffinity(0))
    pid = os.posix_spawn(
        sys.executable, [sys.executable, "-c", "import signal; signal.pause()"], os.environ
    )
    try:
        ProcessLimits(processors=(first,)).apply(pid)
        assert os.sched_getaffinity(pid) == {first}
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
    ProcessLimits(processors=(first,)).apply(pid)  # it has ended: nothing happens


def test_memory_of_a_process_is_measured_with_its_children_and_is_nothing_after_its_end():
    assert resident_bytes(os.getpid()) > 10 * 1024**2
    pid = os.posix_spawn("/bin/true", ["true"], os.environ)
    os.waitpid(pid, 0)
    assert resident_bytes(pid) == 0


def test_an_attempt_over_its_limit_is_told_once_with_what_it_used():
    used, over, told = [10, 60, 200], [], threading.Event()

    def tell(number):
        over.append(number)
        told.set()

    guard = MemoryGuard(lambda pid: used.pop(0) if len(used) > 1 else used[0], look_s=0.001)
    guard.guard("a", Guarded(lambda: 1, 100, tell))
    guard.guard("none", Guarded(lambda: None, 100, over.append))
    assert told.wait(PATIENCE_S)
    assert guard.release("a") == 200
    assert guard.release("a") == 0
    guard.close()
    assert over == [200]


# Control groups, in folders that look like the kernel's


@pytest.fixture
def tree(tmp_path):
    own = tmp_path / "sys/fs/cgroup/user.slice/scope"
    own.mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cgroup.controllers").write_text("cpu memory pids")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/user.slice/scope\n")
    (own / "cgroup.controllers").write_text("cpu memory pids")
    (own / "cgroup.procs").write_text("7\n")
    return tmp_path


def test_a_group_is_made_for_each_attempt_with_its_limits(tree):
    groups = Groups.prepared(tree, pid=7)
    assert isinstance(groups, Groups)
    own = tree / "sys/fs/cgroup/user.slice/scope"
    assert (own / "flyte-nb-backend/cgroup.procs").read_text() == "7"
    assert (own / "cgroup.subtree_control").read_text() == "+memory +cpu"
    folder = groups.make("tag", Needs(cpu_limit=1.5, memory_limit=GIB))
    content = {path.name: path.read_text() for path in sorted(Path(folder).iterdir())}
    assert content == {
        "cpu.max": "150000 100000",
        "memory.max": str(GIB),
        "memory.oom.group": "1",
        "memory.swap.max": "0",
    }
    ProcessLimits(group=folder).apply(42)
    with open(f"{folder}/cgroup.procs") as file:
        assert file.read() == "42"


def test_the_kernels_counts_say_that_memory_ran_out(tree):
    groups = Groups.prepared(tree, pid=7)
    folder = groups.make("tag", Needs(memory_limit=GIB))
    assert (groups.peak("tag"), groups.was_killed("tag")) == (0, False)
    for name, text in (("memory.peak", "123\n"), ("memory.events", "low 0\noom_kill 0\n")):
        with open(f"{folder}/{name}", "w") as file:
            file.write(text)
    assert (groups.peak("tag"), groups.was_killed("tag")) == (123, False)
    with open(f"{folder}/memory.events", "w") as file:
        file.write("oom 1\noom_kill 2\n")
    assert groups.was_killed("tag")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (
            lambda root, own: (root / "sys/fs/cgroup/cgroup.controllers").unlink(),
            "no control groups",
        ),
        (
            lambda root, own: (own / "cgroup.controllers").write_text("pids"),
            "no controller for memory",
        ),
        (lambda root, own: (own / "cgroup.procs").write_text("7\n8\n"), "other programs"),
        (lambda root, own: (own / "cgroup.procs").unlink(), "not delegated"),
    ],
)
def test_without_groups_of_its_own_the_reason_is_given(tree, change, why):
    change(tree, tree / "sys/fs/cgroup/user.slice/scope")
    assert why in Groups.prepared(tree, pid=7)


def test_a_person_is_told_once_how_limits_are_kept(caplog):
    limiter = Limiter(lambda: "there are none")
    share = capacity().take(key("a"), Needs(cpu_limit=1, memory_limit=GIB), "t")
    for _ in range(2):
        assert limiter.limits_of(share, "tag") == ProcessLimits(processors=(0,))
    assert caplog.text.count("The reason: there are none.") == 1
    limiter.close()
