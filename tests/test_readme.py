"""README is true: its cells, its commands and its table run as written, on a backend of their own.

The cells run in one kernel, in order, and `docs/writing.md` after them.
"""

import os
import re
import shlex
from pathlib import Path

import pytest
import yaml

from flyte_nb.__main__ import main
from flyte_nb.admin import daemon
from flyte_nb.commands.parsing import parser

nbclient = pytest.importorskip("nbclient", reason="cells need nbclient")
nbformat = pytest.importorskip("nbformat", reason="cells need nbformat")
pytest.importorskip("sklearn", reason="README's cells need scikit-learn")

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
WRITING = (ROOT / "docs" / "writing.md").read_text(encoding="utf-8")

# Runs that last until they are stopped.
SLEEP = """
@task
def sleep() -> None:
    import threading

    threading.Event().wait(600)

sleepers = [session.launch(sleep) for _ in range(3)]
print(*(each.name for each in sleepers))
"""


def blocks(text, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def table(text):
    """Return the rows of the table of cells, calls and commands, by what they do."""
    rows = re.findall(
        r"^\| ([a-z ]+) \| `(%.+?)` \| `(.+?)` \| `(flyte-nb.+?)` \|$", text, re.MULTILINE
    )
    return {what: columns for what, *columns in rows}


class Kernel:
    """A kernel as a notebook's; each cell has to succeed."""

    def __init__(self, client):
        self._client = client
        self._count = 0

    def run(self, source):
        """Return what the cell put out: text of streams, and text and HTML of displays."""
        cell = nbformat.v4.new_code_cell(source)
        self._client.nb.cells.append(cell)
        self._client.execute_cell(cell, self._count)
        self._count += 1
        return "\n".join(_texts(cell.outputs))


def _texts(outputs):
    for output in outputs:
        if output.output_type == "stream":
            yield output.text
        else:
            yield from (
                output.data[kind] for kind in ("text/plain", "text/html") if kind in output.data
            )


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `shop.yaml`, in which commands run, and a backend's home for this module."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "shop.yaml").write_text(blocks(README, "yaml")[0])
    before, home = Path.cwd(), os.environ["FLYTE_NB_HOME"]
    os.environ["FLYTE_NB_HOME"] = str(folder / "home")
    os.chdir(folder)
    yield folder
    os.chdir(before)
    os.environ["FLYTE_NB_HOME"] = home
    daemon.stop(folder / "home")


@pytest.fixture(scope="module")
def kernel(place):
    """A kernel that has run README's cells."""
    notebook = nbformat.v4.new_notebook()
    client = nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(place)}}
    )
    environment = {**os.environ, "JPY_SESSION_NAME": str(place / "digits.ipynb")}
    with client.setup_kernel(env=environment):
        made = Kernel(client)
        made.outputs = [made.run(source) for source in blocks(README, "python")]
        made.run("import flyte_nb\nsession = flyte_nb.connect()")
        yield made


@pytest.fixture
def command(place, capsys):
    """Run a line of a shell in this process, and return what it printed; it has to succeed."""

    def run(line, code=0):
        words = shlex.split(line, comments=True)
        assert words[0] == "flyte-nb"
        capsys.readouterr()
        assert main(words[1:]) == code, capsys.readouterr().err
        return capsys.readouterr().out

    return run


def test_readme_is_read_in_a_minute():
    assert README.count("\n") <= 170
    pictures = re.findall(r'(?:src|srcset)="(.+?)"', README)
    assert len(pictures) == 4
    for picture in pictures:
        assert (ROOT / picture).stat().st_size < 150_000, picture


def test_the_one_command_installs_an_extra_that_exists_and_starts_the_quickstart():
    [install, *_] = blocks(README, "sh")
    pip, _, start = install.partition("&&")
    extra = re.fullmatch(r"pip install '\.\[(\w+)\]' ", pip).group(1)
    assert f"\n{extra} = [" in (ROOT / "pyproject.toml").read_text()
    for line in (start.strip(), "flyte-nb quickstart --headless"):
        assert parser().parse_args(shlex.split(line)[1:]).command.name == "quickstart"
        assert line in README


def test_the_cells_draw_run_and_follow_the_workflow(kernel):
    defined, cell, drawn, followed, ended = kernel.outputs
    assert (defined, cell) == ("", "")
    assert "<img" in drawn
    assert "5 nodes" in drawn
    assert "digits.train" in followed
    accuracy = float(re.search(r"'o0': ([\d.]+)", ended).group(1))
    assert 0.7 < accuracy <= 1


def test_it_runs_in_the_kernel_too(kernel):
    assert "`train(n=300)`" in README
    assert 0.7 < float(kernel.run("train(n=300)").splitlines()[-1]) <= 1


def test_specs_without_an_sdk_register_and_run(command):
    register, launch = blocks(README, "sh")[1].splitlines()
    assert "shop.welcome" in command(register)
    assert "SUCCEEDED" in command(launch)
    kinds = [document["kind"] for document in yaml.safe_load_all(blocks(README, "yaml")[0])]
    assert kinds == ["Task", "Workflow", "LaunchPlan"]


def test_the_local_backend_says_how_other_clients_find_it(kernel, command, place):
    assert all(f"`flyte-nb {name}`" in README for name in ("up", "down"))
    assert f"export FLYTECTL_CONFIG={place / 'home' / 'config.yaml'}" in command("flyte-nb up")
    assert (place / "home" / "config.yaml").is_file()
    assert parser().parse_args(["down"]).command.name == "down"


def test_every_row_of_the_table_does_what_it_says(kernel, command, place):
    rows, done = table(README), []
    name = kernel.run("print(run.name)").strip()
    assert len(rows) == README.count("\n| ") - 1  # but for the head

    def row(what):
        done.append(what)
        return rows[what]

    cell, call, line = row("check")
    assert all(name in kernel.run(cell) for name in ("digits.train", "digits.best"))
    assert kernel.run(f"{call}.problems").strip() == "()"
    assert "shop.welcome" in command(line)

    cell, call, line = row("draw")
    assert "5 nodes" in kernel.run(cell)
    assert "<svg" in kernel.run(f"print({call}.svg)")
    command(line)
    assert "<svg" in (place / "shop.svg").read_text()

    cell, call, line = row("see what travels")
    assert all(name in kernel.run(cell) for name in ("load", "fit", "best"))
    assert kernel.run(f"len({call}.tasks)") == "3"
    assert "digits.fit" in command(line) or "fit" in command(line)

    cell, call, line = row("register")
    assert "unchanged" in kernel.run(cell)
    assert kernel.run(f"{call}.uploaded_bytes") == "0"
    assert "unchanged" in command(line)

    cell, call, line = row("launch")
    assert "digits.train" in kernel.run(cell)
    assert kernel.run(f"({call}).wait().phase") == "'SUCCEEDED'"
    launched = command(line).strip()

    cell, call, line = row("follow")
    assert "digits.train" in kernel.run(cell)
    assert kernel.run(f"[view.phase for view in {call}][-1]") == "'SUCCEEDED'"
    assert "SUCCEEDED" in command(line.replace("NAME", launched))

    cell, call, line = row("read logs")
    assert "fold 3: " in kernel.run(cell)
    assert "fold 3: " in kernel.run(f"print({call})")
    assert "hello Ada" in command(line.replace("NAME", launched))

    cell, call, line = row("list runs")
    assert name in kernel.run(cell)
    assert name in kernel.run(f"[view.id.name for view in {call}]")
    assert launched in command(line)

    cell, call, line = row("stop a run")
    first, _, third = kernel.run(SLEEP).split()
    assert "terminated" in kernel.run(cell.replace("NAME", first))
    kernel.run(call.replace("run", "sleepers[1]", 1))
    assert "aborted" in command(line.replace("NAME", third))
    phases = kernel.run("[list(each.watch())[-1].phase for each in sleepers]")
    assert phases.count("ABORTED") == 3

    cell, call, line = row("ask where you are")
    assert "local backend" in kernel.run(cell)
    assert kernel.run(f"{call}['answers']") == "True"
    assert "answers: True" in command(line)

    cell, call, line = row("get help")
    assert "%flyte launch" in kernel.run(cell)
    assert "Start an execution" in kernel.run(call)
    assert done == list(rows)


def test_help_lists_every_command_of_the_table(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    for _, _, line in table(README).values():
        assert line == "flyte-nb --help" or line.split()[1] in printed


def test_the_page_on_writing_runs(kernel):
    outputs = [kernel.run(source) for source in blocks(WRITING, "python")]
    assert [each for each in outputs if each] == ["2.0", "3.0", "3.0", "[10.0, 20.0]", "5"]
