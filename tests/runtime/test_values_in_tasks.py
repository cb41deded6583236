"""Values in a task's own process: files at a place of choice, listings, models, frames, generators."""

HEAD = """
import os
from collections.abc import Iterator
from typing import Any
import pandas as pd
import pydantic
from flyte_nb import FlyteDirectory, FlyteFile, StructuredDataset, current_context, task
"""


def test_a_task_makes_writes_lists_and_reads_files_in_the_store(bench):
    done = bench.run(
        HEAD + "@task\ndef f() -> list[str]:\n"
        "    folder = FlyteDirectory.new_remote('made')\n"
        "    for name in ('b', 'a'):\n"
        "        with folder.new_dir('sub').new_file(name).open('w') as out:\n"
        "            out.write(name * 3)\n"
        "    found = [path for _, path in folder.crawl()]\n"
        "    [sub] = folder.listdir()\n"
        "    return [*found, type(sub).__name__, *[each.open().read() for each in sub.listdir()]]\n"
    )
    assert done.outputs["o0"].value == (
        "string_value",
        ["sub/a", "sub/b", "FlyteDirectory", "aaa", "bbb"],
    )


def test_a_task_stores_a_file_where_it_says(bench, tmp_path):
    place = f"file://{tmp_path}/chosen/x.txt"
    done = bench.run(
        HEAD + f"@task\ndef f() -> FlyteFile:\n"
        "    made = FlyteFile.new('x.txt')\n"
        "    with made.open('w') as out:\n"
        "        out.write('here')\n"
        f"    return FlyteFile(made.path, remote_path={place!r}, metadata={{'k': 'v'}})\n"
    )
    assert done.outputs["o0"].value[0] == place
    assert done.outputs["o0"].metadata == {"k": "v"}
    assert (tmp_path / "chosen" / "x.txt").read_text() == "here"


def test_a_model_with_a_table_and_a_file_travels_between_processes(bench, tmp_path):
    models = (
        "class Report(pydantic.BaseModel):\n"
        "    title: str\n    rows: StructuredDataset\n    file: FlyteFile\n"
    )
    made = bench.run(
        HEAD + models + "@task\ndef make() -> Report:\n"
        "    file = FlyteFile.new('notes.txt')\n"
        "    with file.open('w') as out:\n"
        "        out.write('noted')\n"
        "    rows = StructuredDataset(pd.DataFrame({'a': [1, 2]}))\n"
        "    return Report(title='t', rows=rows, file=file)\n",
        name="make",
    )
    read = bench.run(
        "@task\ndef read(report: Report) -> list[str]:\n"
        "    total = sum(int(part['a'].sum()) for part in report.rows.open(pd.DataFrame).iter())\n"
        "    return [report.title, str(total), report.file.open().read()]\n",
        {"report": made.outputs["o0"]},
        name="read",
    )
    assert read.outputs["o0"].value == ("string_value", ["t", "3", "noted"])


def test_a_generator_of_a_task_knows_its_run(bench):
    done = bench.run(
        HEAD + "@task\ndef f() -> Iterator[str]:\n"
        "    for name in ('a', 'b'):\n"
        "        made = os.path.join(current_context().working_directory, name)\n"
        "        open(made, 'w').close()\n"
        "        yield os.path.basename(made)\n"
    )
    assert done.outputs["o0"].value == ("string_value", ["a", "b"])


def test_an_error_in_a_generator_is_the_authors_own(bench):
    done = bench.run(
        HEAD + "@task\ndef f() -> Iterator[int]:\n    yield 1\n    raise ValueError('half way')\n"
    )
    assert done.error.code == "USER:ValueError"
    assert "half way" in done.error.message


def test_a_message_travels_between_processes(bench):
    head = "from google.protobuf.struct_pb2 import Struct\nfrom flyte_nb import task\n"
    made = bench.run(
        head + "@task\ndef f() -> Struct:\n"
        "    made = Struct()\n    made.update({'n': 1.5, 'xs': ['a']})\n    return made\n"
    )
    read = bench.run(
        "@task\ndef g(s: Struct) -> float:\n    return s['n'] + len(s['xs'])\n",
        {"s": made.outputs["o0"]},
        name="g",
    )
    assert read.outputs["o0"].value == 2.5
