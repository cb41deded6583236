"""One element of a map, as propeller runs it: the whole lists in, its own output out."""

import subprocess
from functools import partial

import pytest

from flyte_nb import map_task
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.command import task_args
from flyte_nb.sdk.templates import task_template
from flyte_nb.wire.errors import error_document_from_bytes
from flyte_nb.wire.literal_bytes import literal_map_from_bytes

SOURCE = (
    "from flyte_nb import task\n"
    "@task\ndef f(n: int, names: list[str], by: int = 1) -> list[str]:\n    return names * n * by\n"
)
WHICH = {"BATCH_JOB_ARRAY_INDEX_VAR_NAME": "FLYTE_K8S_ARRAY_INDEX", "FLYTE_K8S_ARRAY_INDEX": "1"}


@pytest.fixture
def run(cold, monkeypatch):
    """Runs the element that the environment names of a map over `f`, with its lists."""
    cold.cells.run(SOURCE)
    mapped = map_task(partial(cold.cells["f"], by=2))
    names = mapped.list_inputs(cold.registry)
    codecs = mapped.signature(cold.registry).input_codecs

    def run(env, **inputs):
        staged, output = cold.stage(), cold.output()
        literals = {name: codecs[name].encode(value, None) for name, value in inputs.items()}
        command = cold.command(staged, literals, output)
        command[-2:-2] = ["--mapped", ",".join(names)]
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        subprocess.run(command, check=True, capture_output=True)
        error = output / "error.pb"
        if error.exists():
            return error_document_from_bytes(error.read_bytes())
        return literal_map_from_bytes((output / "outputs.pb").read_bytes())["o0"].value[1]

    return run


def test_an_element_takes_its_item_of_each_list_and_bound_inputs_whole(run):
    assert run(WHICH, n=[1, 2], names=[["a"], ["b"]], by=2) == ["b"] * 4


def test_the_offset_counts(run):
    env = {**WHICH, "BATCH_JOB_ARRAY_INDEX_OFFSET": "1"}
    assert run(env, n=[1, 2, 3], names=[["a"], ["b"], ["c"]], by=1) == ["c"] * 3


def test_an_element_that_nobody_numbered_is_refused(run):
    error = run({}, n=[1], names=[["a"]], by=1)
    assert error.code == "SYSTEM:MapIndexMissing"
    assert "BATCH_JOB_ARRAY_INDEX_VAR_NAME" in error.message


def test_a_list_without_the_element_and_an_input_that_is_no_list_are_named(run):
    error = run(WHICH, n=[1], names=[["a"], ["b"]], by=1)
    assert error.code == "USER:MapInputMismatch"
    assert "'n' of a map has 1 items, and this is element 1" in error.message


def test_the_template_runs_the_mapped_task_and_names_the_lists(bench):
    bench.cells.run(SOURCE)
    mapped = map_task(partial(bench.cells["f"], by=2))
    assert task_args("nb.f", "uri", mapped.list_inputs(bench.registry))[-4:] == (
        *("--mapped", "n,names"),
        *("--index-file-location", "uri"),
    )
    template = task_template(mapped, Scope(main_module="nb"), bench.registry)
    assert template.id.name.startswith("nb.map_f_")
