"""What a start of `flyte-nb` loads: every person pays for it at every call."""

import json
import subprocess
import sys

import pytest

_LOADED = """
import json, sys
before = set(sys.modules)
from flyte_nb.__main__ import main
try:
    main(sys.argv[1:])
except SystemExit:
    pass
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded(*arguments):
    done = subprocess.run(
        [sys.executable, "-I", "-c", _LOADED, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    "arguments", [["version"], ["--help"], ["register", "--help"], ["nothing"]]
)
def test_a_command_that_needs_no_room_loads_none(arguments):
    modules = loaded(*arguments)
    rooms = {name.split(".")[1] for name in modules if name.startswith("flyte_nb.")}
    assert rooms <= {"__main__", "api", "commands", "surface"}
    outside = {
        name.partition(".")[0]
        for name in modules
        if name.partition(".")[0] not in sys.stdlib_module_names and not name.startswith("flyte_nb")
    }
    assert outside == set()


def test_only_the_chosen_commands_module_is_loaded():
    ours = {name for name in loaded("version") if name.startswith("flyte_nb.commands.")}
    assert ours == {
        f"flyte_nb.commands.{name}" for name in ("dispatch", "parsing", "terminal", "version")
    }
