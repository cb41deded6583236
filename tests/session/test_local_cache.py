"""Cached tasks in a kernel: as launched, and kept beyond the kernel."""

import itertools
import linecache

import pytest

from flyte_nb.admin.local_cache import local_catalog
from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.sdk import context
from flyte_nb.session.local_runner import LocalRunner
from flyte_nb.storage import open_stores
from flyte_nb.types.registry import default_registry

_CELLS = itertools.count(1)


class OneKernel:
    """A namespace of cells with a runner, whose cache is in a folder that other kernels may use too."""

    def __init__(self, home, environ=None):
        self.data = KernelData(open_stores(), folder_uri=SCRATCH)
        self.environ = dict(environ or {})
        catalog = local_catalog(self.data, home)
        self.runner = LocalRunner(
            default_registry(),
            lambda: Scope("p", "d", main_module="nb"),
            self.data,
            catalog=lambda: catalog,
            environ=self.environ,
        )
        self.calls = []
        self.names = {"__name__": "__main__", "calls": self.calls}

    def cell(self, source):
        filename = f"<cache cell {next(_CELLS)}>"
        linecache.cache[filename] = (len(source), None, source.splitlines(True), filename)
        exec(compile(source, filename, "exec"), self.names)

    def run(self, name, **inputs):
        token = context.runner.set(self.runner)
        try:
            return self.names[name](**inputs)
        finally:
            context.runner.reset(token)


DOUBLE = """
from flyte_nb import task, workflow, Cache, HashMethod
FACTOR = 2

@task(cache=True{options})
def double(n: int, note: str = "") -> int:
    calls.append(n)
    return n * FACTOR

@workflow
def twice(n: int) -> int:
    return double(n=double(n=n))
"""


@pytest.fixture
def kernel(tmp_path):
    made = []

    def make(options="", **environ):
        one = OneKernel(tmp_path / "home", environ)
        # `calls` is not part of the code: a list that tasks append to would change their fingerprint.
        one.cell(DOUBLE.format(options=options))
        made.append(one)
        return one

    yield make
    for one in made:
        one.data.close()


VERSIONED = ', cache_version="1"'


def test_a_result_is_computed_once_in_workflows_and_alone(kernel):
    one = kernel(VERSIONED)
    assert (one.run("twice", n=1), one.run("twice", n=1), one.run("double", n=2)) == (4, 4, 4)
    assert one.calls == [1, 2]


def test_the_next_kernel_finds_it(kernel):
    kernel(VERSIONED).run("double", n=3)
    second = kernel(VERSIONED)
    assert second.run("twice", n=3) == 12
    assert second.calls == [6]


def test_another_version_or_input_computes_again(kernel):
    kernel(VERSIONED).run("double", n=3)
    second = kernel(', cache_version="2"')
    second.run("double", n=3)
    second.run("double", n=4)
    second.run("double", n=4, note="other")
    assert second.calls == [3, 4, 4]


def test_ignored_inputs_do_not_count(kernel):
    one = kernel(VERSIONED + ', cache_ignore_input_vars=("note",)')
    one.run("double", n=3)
    one.run("double", n=3, note="other")
    assert one.calls == [3]


def test_without_a_version_changed_code_and_changed_globals_compute_again(kernel):
    one = kernel()
    one.cell(
        "from flyte_nb import task, workflow\n"
        "@task(cache=True)\ndef times(n: int) -> int:\n    return n * FACTOR\n"
        "@workflow\ndef w(n: int) -> int:\n    return times(n=n)\n"
    )
    assert (one.run("w", n=3), one.run("times", n=3)) == (6, 6)
    one.cell("FACTOR = 10")
    assert (one.run("w", n=3), one.run("times", n=3)) == (30, 30)
    one.cell("FACTOR = 2")
    assert one.run("w", n=3) == 6
    one.cell("@task(cache=True)\ndef times(n: int) -> int:\n    return n + FACTOR\n")
    assert one.run("w", n=3) == 5


def test_the_cache_can_be_switched_off_and_overwritten_by_flytekits_variables(kernel):
    one = kernel(VERSIONED)
    one.run("double", n=3)
    one.environ["FLYTE_LOCAL_CACHE_ENABLED"] = "false"
    one.run("double", n=3)
    assert one.calls == [3, 3]
    del one.environ["FLYTE_LOCAL_CACHE_ENABLED"]
    one.environ["FLYTE_LOCAL_CACHE_OVERWRITE"] = "true"
    one.cell("FACTOR = 5")
    assert one.run("double", n=3) == 15
    del one.environ["FLYTE_LOCAL_CACHE_OVERWRITE"]
    assert one.run("double", n=3) == 15


def test_a_failed_task_is_not_kept(kernel):
    one = kernel()
    one.cell(
        "from flyte_nb import task\nFAILS = [True]\n"
        "@task(cache=True, cache_version='1')\ndef odd(n: int) -> int:\n"
        "    calls.append(n)\n    if FAILS:\n        raise ValueError(n)\n    return n\n"
    )
    with pytest.raises(ValueError, match="3"):
        one.run("odd", n=3)
    one.cell("FAILS.clear()")
    assert one.run("odd", n=3) == 3
    assert one.calls == [3, 3]


def test_files_that_a_cached_task_returned_are_there_in_the_next_kernel(kernel, tmp_path):
    source = (
        "from flyte_nb import task, FlyteFile\n"
        "@task(cache=True, cache_version='1')\ndef written(n: int) -> FlyteFile:\n"
        "    calls.append(n)\n"
        f"    path = {str(tmp_path / 'out.txt')!r}\n"
        "    with open(path, 'w') as file:\n        file.write(str(n))\n    return FlyteFile(path)\n"
    )
    first = kernel()
    first.cell(source)
    first.run("written", n=3)
    first.data.close()
    second = kernel()
    second.cell(source)
    with open(second.run("written", n=3)) as file:
        assert file.read() == "3"
    assert second.calls == []


def test_how_many_tasks_run_side_by_side_can_be_set_and_a_wrong_number_is_refused(kernel):
    one = kernel()
    one.cell(
        "import threading\nfrom flyte_nb import task, workflow\n"
        "@task\ndef where(n: int) -> str:\n    return threading.current_thread().name\n"
        "@workflow\ndef two() -> tuple[str, str]:\n    return where(n=1), where(n=2)\n"
    )
    assert set(one.run("two")) == {"flyte-nb-local"}
    one.environ["FLYTE_NB_LOCAL_PARALLELISM"] = "1"
    assert set(one.run("two")) == {"MainThread"}
    one.environ["FLYTE_NB_LOCAL_PARALLELISM"] = "many"
    with pytest.raises(UsageError, match="at least 1"):
        one.run("two")


def why(one, node="n0"):
    return one.runner.last.nodes[node].why()


def test_a_local_run_says_why_its_cached_nodes_ran_or_did_not(kernel):
    one = kernel(VERSIONED)
    one.run("twice", n=1)
    assert why(one).outcome == "miss"
    assert why(one).reason == "No earlier result of this task is known here."
    assert why(one, "n1").reason.endswith("n is 2 and was 1.")
    one.run("twice", n=1)
    assert why(one).outcome == "hit"
    assert why(one).reason.startswith("The call of twice at ")
    assert why(one).reason.endswith(" (n0) computed the result.")


def test_the_next_kernel_knows_what_changed_in_the_code(kernel):
    kernel().run("twice", n=1)
    other = kernel()
    other.cell("FACTOR = 3")
    other.run("twice", n=1)
    found = why(other)
    assert found.outcome == "miss"
    assert [change.part for change in found.changes] == ["code"]
    assert "global FACTOR changed" in found.reason
    assert "global FACTOR" in found.ran.parts


def test_what_is_not_cached_or_is_ignored_says_so(kernel):
    one = kernel(', cache_version="1", cache_ignore_input_vars=("note",)')
    one.run("double", n=1, note="a")
    node = next(iter(one.runner.last.nodes))
    one.run("double", n=1, note="b")
    assert (why(one, node).outcome, why(one, node).key.ignored) == ("hit", ("note",))
    plain = kernel(FLYTE_LOCAL_CACHE_ENABLED="0")
    plain.run("twice", n=1)
    assert why(plain).outcome == "not cached"


def test_clearing_forgets_the_notes_too(kernel):
    one = kernel(VERSIONED)
    one.run("twice", n=1)
    one.runner._catalog().clear()
    one.run("twice", n=5)
    assert why(one).reason == "No earlier result of this task is known here."
