"""Tasks that are no Python function of the author: templates equal to flytekit's, equal local results."""

import datetime
import os
import shutil
import sqlite3
import sys
from collections import OrderedDict
from pathlib import Path

import pandas as pd
import pytest

import flyte_nb
from flyte_nb import (
    ContainerTask,
    DuckDBQuery,
    Echo,
    FlyteDirectory,
    FlyteFile,
    OutputLocation,
    Resources,
    Secret,
    ShellTask,
    SQLite3Config,
    SQLite3Task,
    SQLTask,
    TaskMetadata,
    UsageError,
    dynamic,
    kwtypes,
    map_task,
    task,
    workflow,
)
from flyte_nb.api.identifiers import Scope
from flyte_nb.drafting.compiling import compile_entity
from flyte_nb.sdk.kinds.shell import RawShellTask, get_raw_shell_task, subproc_execute
from flyte_nb.sdk.templates import task_template
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.specs import task_spec_to_idl

SCOPE = Scope(project="p", domain="d")


def template_of(made):
    template = task_template(made, SCOPE, default_registry(), version="v")
    return task_spec_to_idl(template).template


def template_of_flytekit(made):
    from flytekit.configuration import Image, ImageConfig, SerializationSettings
    from flytekit.tools.translator import get_serializable

    settings = SerializationSettings(
        ImageConfig(Image("default", "x", "y")), project="p", domain="d", version="v"
    )
    return get_serializable(OrderedDict(), settings, made).template.to_flyte_idl()


def same(ours, theirs):
    """Return both without what names the SDK and its release."""
    for each in (ours, theirs):
        each.metadata.runtime.Clear()
    return ours, theirs


def facts(template):
    return template.type, template.id.name, template.interface


def facts_of_flytekit(made):
    return made.task_type, made.name, made.interface.to_flyte_idl()


SIMPLE = {"name": "area", "image": "img:1", "command": ["sh", "-c", "echo {{.inputs.a}}"]}


def container_options(package):
    """Return options of every kind, with the values of `package`."""
    made = package.ContainerTask
    return {
        "least": SIMPLE,
        "whole": {
            **SIMPLE,
            "name": "core.area",
            "arguments": ["--a", "{{.inputs.a}}"],
            "inputs": package.kwtypes(a=float, f=package.FlyteFile, d=package.FlyteDirectory),
            "outputs": package.kwtypes(area=float, o=package.FlyteFile["csv"]),
            "input_data_dir": "/var/inputs",
            "output_data_dir": "/var/outputs",
            "environment": {"MODE": "fast"},
            "requests": package.Resources(cpu="1", mem="1Gi"),
            "limits": package.Resources(cpu="2"),
            "secret_requests": [package.Secret(group="g", key="k")],
        },
        "yaml": {**SIMPLE, "metadata_format": made.MetadataFormat.YAML},
        "proto": {**SIMPLE, "metadata_format": made.MetadataFormat.PROTO},
        "resources": {**SIMPLE, "resources": package.Resources(mem=("1Gi", "2Gi"))},
        "metadata": {
            **SIMPLE,
            "metadata": package.TaskMetadata(
                retries=2, timeout=60, cache=True, cache_version="1", interruptible=True
            ),
            "pod_template_name": "big",
        },
    }


class _Names:
    ContainerTask, kwtypes, FlyteFile, FlyteDirectory = (
        ContainerTask,
        staticmethod(kwtypes),
        FlyteFile,
        FlyteDirectory,
    )
    Resources, Secret, TaskMetadata = Resources, Secret, TaskMetadata


@pytest.mark.parametrize("name", list(container_options(_Names)))
def test_the_template_of_a_container_task_is_flytekits(name):
    import flytekit

    ours = template_of(ContainerTask(**container_options(_Names)[name]))
    options = {**container_options(flytekit)[name]}
    theirs = template_of_flytekit(flytekit.ContainerTask(**options))
    one, other = same(ours, theirs)
    assert one == other


@pytest.mark.parametrize(
    "strategy",
    [
        "DOWNLOAD_EAGER",
        "DOWNLOAD_STREAM",
        "DO_NOT_DOWNLOAD",
        "UPLOAD_EAGER",
        "UPLOAD_ON_EXIT",
        "DO_NOT_UPLOAD",
    ],
)
def test_an_io_strategy_is_one_mode_in_the_data_config(strategy):
    made = ContainerTask(**SIMPLE, io_strategy=ContainerTask.IOStrategy[strategy])
    config = template_of(made).container.data_config
    assert config.HasField("io_strategy")
    modes = config.io_strategy
    field = "upload_mode" if "UPLOAD" in strategy else "download_mode"
    number = getattr(modes, field)
    assert modes.DESCRIPTOR.fields_by_name[field].enum_type.values_by_number[number].name == (
        strategy
    )


def test_echo_and_sql_tasks_have_no_container_as_in_flytekit():
    import flytekit
    from flytekit.core.base_sql_task import SQLTask as TheirSQLTask
    from flytekit.core.task import Echo as TheirEcho

    one, other = same(
        template_of(Echo(name="e", inputs=kwtypes(x=int))),
        template_of_flytekit(TheirEcho(name="e", inputs=flytekit.kwtypes(x=int))),
    )
    assert one == other
    query = "select\n {{ .inputs.n }}"
    one, other = same(
        template_of(SQLTask("q", query, inputs=kwtypes(n=int), outputs=kwtypes(r=int))),
        template_of_flytekit(
            TheirSQLTask(
                "q", query, inputs=flytekit.kwtypes(n=int), outputs=flytekit.kwtypes(r=int)
            )
        ),
    )
    assert one == other


def test_shell_and_sqlite_tasks_have_flytekits_interface(tmp_path):
    import flytekit
    from flytekit.extras.sqlite3.task import SQLite3Config as TheirConfig
    from flytekit.extras.sqlite3.task import SQLite3Task as TheirTask
    from flytekit.extras.tasks.shell import OutputLocation as TheirLocation
    from flytekit.extras.tasks.shell import ShellTask as TheirShell

    ours = template_of(
        ShellTask(
            name="sh",
            script="true",
            inputs=kwtypes(x=str),
            output_locs=[
                OutputLocation("o", FlyteFile, "a"),
                OutputLocation("p", FlyteDirectory, "b"),
            ],
        )
    )
    theirs = TheirShell(
        name="sh",
        script="true",
        inputs=flytekit.kwtypes(x=str),
        output_locs=[
            TheirLocation("o", flytekit.FlyteFile, "a"),
            TheirLocation("p", flytekit.FlyteDirectory, "b"),
        ],
    )
    assert facts(ours) == facts_of_flytekit(theirs)
    common = {"name": "q", "query_template": "select {{.inputs.n}}", "inputs": {"n": int}}
    for result in (pd.DataFrame, None):
        ours = template_of(
            SQLite3Task(**common, output_schema_type=result, task_config=SQLite3Config("x.db"))
        )
        theirs = TheirTask(**common, output_schema_type=result, task_config=TheirConfig("x.db"))
        assert facts(ours) == facts_of_flytekit(theirs)


def test_the_custom_part_of_an_sqlite_task_is_flytekits():
    made = SQLite3Task(
        name="q", query_template="select 1", task_config=SQLite3Config("x.zip", compressed=True)
    )
    custom = dict(template_of(made).custom.items())
    assert custom == {"query_template": "select 1", "uri": "x.zip", "compressed": True}


# Local runs


@pytest.fixture
def without_images(monkeypatch):
    monkeypatch.setenv("FLYTE_NB_CONTAINERS", "off")


double = ContainerTask(
    name="double",
    image="img:1",
    command=["sh", "-c", "cp /var/inputs/text /var/outputs/copy; echo seen; echo {{.inputs.n}}$EXTRA"
             " > /var/outputs/number"],
    inputs=kwtypes(n=int, text=FlyteFile),
    outputs=kwtypes(number=int, copy=FlyteFile),
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    environment={"EXTRA": "0"},
    local_logs=True,
)  # fmt: skip


@workflow
def doubled(n: int, text: FlyteFile) -> tuple[int, FlyteFile]:
    made = double(n=n, text=text)
    return made.number, made.copy


def test_a_container_task_runs_here_as_a_process_with_files(without_images, tmp_path, capsys):
    (tmp_path / "a.txt").write_text("hello")
    number, copy = doubled(n=4, text=FlyteFile(str(tmp_path / "a.txt")))
    with open(copy) as file:
        assert (number, file.read()) == (40, "hello")
    assert "[Local Container] seen\n" in capsys.readouterr().out


def test_a_container_task_runs_alone_and_in_a_dynamic_task(without_images):
    count = ContainerTask(
        name="count",
        image="img:1",
        command=["sh", "-c", "echo {{.inputs.n}} > /o/n"],
        inputs=kwtypes(n=int),
        outputs=kwtypes(n=int),
        output_data_dir="/o",
    )

    @dynamic
    def counts(n: int) -> list[int]:
        return [count(n=each) for each in range(n)]

    assert count(n=3) == 3
    assert counts(n=3) == [0, 1, 2]


def test_a_container_task_that_fails_says_what_it_printed(without_images):
    bad = ContainerTask(name="bad", image="i:1", command=["sh", "-c", "echo oh no; exit 3"])
    with pytest.raises(Exception, match=r"(?s)exit code 3.*oh no"):
        bad()
    gone = ContainerTask(name="gone", image="i:1", command=["no-such-command"])
    with pytest.raises(Exception, match=r"'no-such-command' is not on this machine"):
        gone()


def test_echo_returns_its_inputs():
    same_number = Echo(name="same_number", inputs=kwtypes(x=int))

    @workflow
    def wf(x: int) -> int:
        return same_number(x=x)

    assert wf(x=3) == 3
    assert tuple(Echo(name="two", inputs=kwtypes(a=int, b=str))(a=1, b="x")) == (1, "x")


def test_a_shell_task_fills_in_inputs_and_returns_its_files(tmp_path, capsys):
    (tmp_path / "in.txt").write_text("a\nb\n")
    sh = ShellTask(
        name="sh",
        debug=True,
        script="cat {inputs.f} > {outputs.o}; mkdir -p {outputs.d}\n"
        "echo {inputs.x} ${{#HOME}} > {outputs.d}/x",
        inputs=kwtypes(f=FlyteFile, x=str),
        output_locs=[
            OutputLocation("o", FlyteFile, f"{tmp_path}/{{inputs.x}}.txt"),
            OutputLocation("d", FlyteDirectory, f"{tmp_path}/folder"),
        ],
    )

    @task
    def both(o: FlyteFile, d: FlyteDirectory) -> str:
        with open(o) as one, open(os.path.join(d, "x")) as other:
            return one.read() + other.read().split()[0]

    @workflow
    def wf(f: FlyteFile, x: str) -> str:
        made = sh(f=f, x=x)
        return both(o=made.o, d=made.d)

    assert wf(f=FlyteFile(str(tmp_path / "in.txt")), x="q") == "a\nb\nq"
    assert "mkdir -p" in capsys.readouterr().out
    assert sh.result.returncode == 0


SCRIPT = """
echo {inputs.when} {inputs.x} {inputs.f} > {outputs.o}
cat {inputs.f} >> {outputs.o}
"""


def test_a_script_gives_what_it_gives_in_flytekit(tmp_path):
    import flytekit
    from flytekit.extras.tasks import shell as theirs

    from flyte_nb.extras.tasks import shell as ours

    (tmp_path / "in").write_text("text")
    found = []
    for kinds, package in ((ours, flyte_nb), (theirs, flytekit)):
        made = kinds.ShellTask(
            name="sh",
            script=SCRIPT,
            inputs=package.kwtypes(x=float, when=datetime.datetime, f=package.FlyteFile),
            output_locs=[
                kinds.OutputLocation("o", package.FlyteFile, f"{tmp_path}/{{inputs.x}}.o")
            ],
        )
        when = datetime.datetime(2026, 1, 2, tzinfo=datetime.timezone.utc)
        given = made(x=1.5, when=when, f=package.FlyteFile(str(tmp_path / "in")))
        found.append(Path(given).read_text().replace("+00:00", ""))
    shown = [each.split() for each in found]
    assert shown[0][:2] == shown[1][:2] == ["2026-01-02T00:00:00", "1.5"]
    assert shown[0][-1] == shown[1][-1] == "text"


def test_an_sqlite_task_without_a_type_gives_a_schema_as_in_flytekit(database):
    from flytekit.extras.sqlite3 import task as theirs

    from flyte_nb.extras.sqlite3 import task as ours

    found = []
    for kinds in (ours, theirs):
        made = kinds.SQLite3Task(
            name="all",
            query_template="select * from t order by a desc",
            task_config=kinds.SQLite3Config(str(database)),
        )
        found.append(made().open().all().to_dict("list"))
    assert found[0] == found[1] == {"a": [3, 2, 1], "b": ["z", "y", "x"]}


def test_an_input_may_be_a_pair_of_a_type_and_a_default():
    made = ShellTask(name="d", script="exit {inputs.code}", inputs={"code": (int, 0)})
    assert made() is None
    with pytest.raises(Exception, match="exit code 3"):
        made(code=3)

    @workflow
    def wf():
        made()

    assert wf() is None


def test_a_script_that_fails_and_a_name_that_is_not_there_are_explained():
    bad = ShellTask(name="bad", script="echo out; echo err >&2; exit 4")
    with pytest.raises(Exception, match=r"(?s)exit code 4.*out.*err"):
        bad()
    with pytest.raises(ValueError, match=r"names \{inputs.y\}; its inputs are: x"):
        ShellTask(name="typo", script="echo {inputs.y}", inputs=kwtypes(x=int))(x=1)
    with pytest.raises(ValueError, match=r"A brace that is the shell's own is written twice"):
        ShellTask(name="brace", script="echo ${HOME}")()


def test_a_raw_shell_task_runs_a_script_with_variables(tmp_path):
    (tmp_path / "s.sh").write_text('echo "$GREETING $1" > said.txt')
    raw = get_raw_shell_task("raw")
    made = raw(env={"GREETING": "hello"}, script_args="Ada", script_file=str(tmp_path / "s.sh"))
    with open(os.path.join(made, "said.txt")) as file:
        assert file.read() == "hello Ada\n"
    assert isinstance(raw, RawShellTask)


def test_a_script_file_travels_with_the_task(tmp_path):
    (tmp_path / "s.sh").write_text("exit 0")
    made = ShellTask(name="from_file", script_file=str(tmp_path / "s.sh"))
    assert (made.script, made.script_file) == ("exit 0", str(tmp_path / "s.sh"))
    (tmp_path / "s.sh").unlink()
    assert made() is None


def test_a_shell_task_can_be_mapped_and_a_container_task_cannot(tmp_path):
    write = ShellTask(
        name="write",
        script="echo {inputs.x} > {outputs.o}",
        inputs=kwtypes(x=int),
        output_locs=[OutputLocation("o", FlyteFile, f"{tmp_path}/{{inputs.x}}")],
    )

    @workflow
    def wf(xs: list[int]) -> list[FlyteFile]:
        return map_task(write)(x=xs)

    assert [Path(each).read_text() for each in wf(xs=[1, 2])] == ["1\n", "2\n"]
    with pytest.raises(UsageError, match="container task"):
        map_task(double)


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "x.db"
    with sqlite3.connect(path) as rows:
        rows.execute("create table t (a, b)")
        rows.executemany("insert into t values (?, ?)", [(1, "x"), (2, "y"), (3, "z")])
    rows.close()
    return path


def test_an_sqlite_task_returns_the_rows_also_of_an_archive(database, tmp_path):
    plain = SQLite3Task(
        name="rows",
        query_template="select a, b from t\n where a <= {{ .inputs.n }}",
        inputs=kwtypes(n=int),
        output_schema_type=pd.DataFrame,
        task_config=SQLite3Config(uri=str(database)),
    )

    @workflow
    def wf(n: int) -> pd.DataFrame:
        return plain(n=n)

    assert wf(n=2).to_dict("list") == {"a": [1, 2], "b": ["x", "y"]}
    assert plain.query_template == "select a, b from t where a <= {{ .inputs.n }}"
    assert plain.get_query(n=5) == "select a, b from t where a <= 5"
    (tmp_path / "only").mkdir()
    shutil.copy(database, tmp_path / "only")
    archive = shutil.make_archive(str(tmp_path / "x"), "zip", tmp_path / "only")
    packed = SQLite3Task(
        name="packed",
        query_template="select count(*) as n from t",
        output_schema_type=pd.DataFrame,
        task_config=SQLite3Config(uri=archive, compressed=True),
    )
    assert packed()["n"].to_list() == [3]


def test_a_duckdb_query_reads_frames_and_takes_parameters():
    pytest.importorskip("duckdb")
    frame = pd.DataFrame({"a": [1, 2, 3]})
    above = DuckDBQuery(
        name="above",
        query="select sum(a) as s from rows where a > ?",
        inputs=kwtypes(rows=pd.DataFrame, least=list[int]),
    )

    @task
    def value(found: pd.DataFrame) -> int:
        return int(found["s"][0])

    @workflow
    def wf(rows: pd.DataFrame, least: list[int]) -> int:
        return value(found=above(rows=rows, least=least))

    assert wf(rows=frame, least=[1]) == 5
    several = DuckDBQuery(
        name="several",
        query=[
            "create table t (a int, b int)",
            "insert into t values (?, ?)",
            "select b from t where a = ?",
        ],
        inputs=kwtypes(given=str),
    )
    rows = several(given="[[[1, 10], [2, 20]], [2]]").open(pd.DataFrame).all()
    assert rows["b"].to_list() == [20]
    assert template_of(several).type == "duckdb"
    with pytest.raises(ValueError, match="has no parameters"):
        several(given="[]")


def test_the_inputs_of_a_query_are_those_that_it_names():
    with pytest.raises(ValueError, match="The query names n, and its inputs are m"):
        SQLTask.interpolate_query("select {{ .inputs.n }}", m=1)
    with pytest.raises(ValueError, match="does not name the input m"):
        SQLTask.interpolate_query("select {{.inputs.n}}", n=1, m=1)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: ContainerTask(name="c", image="", command=[]), "image=''"),
        (lambda: ContainerTask(name="c", image="i", command="ls"), "write a list of texts"),
        (lambda: ContainerTask(name="c", image="i", command=[], io_strategy=1), "DO_NOT_UPLOAD"),
        (lambda: ContainerTask(name="c", image="i", command=[], input_data_dir=1), "a folder"),
        (lambda: ContainerTask(name="", image="i", command=[]), "name=''"),
        (lambda: ContainerTask(name="c", image="i", command=[], inputs=[1]), "kwtypes"),
        (lambda: ContainerTask(name="c", image="i", command=[], inputs={"a b": int}), "'a b'"),
        (lambda: ContainerTask(name="c", image="i", command=[], colour=1), "no option 'colour'"),
        (
            lambda: ContainerTask(name="c", image="i", command=[], container_image="x"),
            "has no option container_image",
        ),
        (lambda: Echo(name="e", enable_deck=True), "echo task has no option enable_deck"),
        (lambda: SQLTask("q", "select 1")(), "a plugin of a Flyte cluster"),
        (lambda: ShellTask(name="s"), "s has no script"),
        (lambda: ShellTask(name="s", script="a", script_file="b"), "Give one of them"),
        (lambda: ShellTask(name="s", script_file="/no/such"), "/no/such cannot be read"),
        (
            lambda: ShellTask(name="s", script="a", output_locs=[OutputLocation("o", int, "x")]),
            "Write FlyteFile or FlyteDirectory",
        ),
        (lambda: SQLite3Task(name="q", query_template="select 1"), "has no database"),
    ],
)
def test_what_cannot_be_meant_is_said_where_it_is_written(make, said):
    with pytest.raises(UsageError, match=said):
        make()


def test_a_type_that_has_no_literal_is_a_problem_at_the_authors_line():
    def line():
        return sys._getframe(1).f_lineno

    made, here = ContainerTask(**SIMPLE, inputs={"a": tuple[int, ...]}), line()
    [problem] = compile_entity(made, SCOPE, default_registry()).problems
    assert (problem.location.filename, problem.location.line) == (__file__, here)


def test_the_version_of_a_container_task_follows_from_all_of_its_template():
    from flyte_nb.drafting.versions import template_fingerprint

    def version(**options):
        made = ContainerTask(**{**SIMPLE, **options})
        return template_fingerprint(made, SCOPE, default_registry())

    assert version() == version()
    others = [{"command": ["ls"]}, {"image": "img:2"}, {"output_data_dir": "/o"}, {"retries": 1}]
    assert len({version(), *(version(**each) for each in others)}) == 5


def test_commands_run_from_python_as_flytekits_do():
    assert subproc_execute(["echo", "hi"]).output == "hi\n"
    with pytest.raises(RuntimeError, match="exit code 2"):
        subproc_execute(["sh", "-c", "exit 2"])
