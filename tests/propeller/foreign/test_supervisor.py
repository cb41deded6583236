"""Raw containers and images, run by a supervisor: as a process, and by an engine that is a script."""

import json
import os
import signal

import pytest
import yaml
from flyteidl.core.literals_pb2 import LiteralMap
from flyteidl.core.tasks_pb2 import DataLoadingConfig, Resources
from flyteidl.core.types_pb2 import BlobType, SimpleType
from google.protobuf.json_format import ParseDict

from flyte_nb.api.errors import SYSTEM, UNKNOWN, USER, TaskFailed
from flyte_nb.propeller.executors.attempt_folder import AttemptFolder, lives
from flyte_nb.propeller.foreign.missing import command_missing
from flyte_nb.testing.closures import integer, integers, task
from flyte_nb.testing.propeller_conformance import key
from flyte_nb.testing.waiting import wait_until


def raw_task(command, inputs=(), outputs=("o0",), format=DataLoadingConfig.JSON, **options):
    template = task("raw", inputs, outputs=outputs, command=command, **options)
    template.type = "raw-container"
    config = template.container.data_config
    config.enabled = True
    config.input_path, config.output_path = "/var/inputs", "/var/outputs"
    config.format = format
    return template


def shell(script, *args):
    return ["sh", "-c", script, "sh", *args]


def test_inputs_and_outputs_are_files_in_the_folders_that_the_task_names(bench):
    script = 'cat /var/inputs/x > "$1/o0"'
    report = bench.run(raw_task(shell(script, "/var/outputs"), ["x"]), integers(x=7))
    assert report.error is None, report.error
    assert integer(report.outputs) == 7


def test_values_in_the_command_are_not_taken_for_paths(bench):
    made = LiteralMap()
    made.literals["x"].scalar.primitive.string_value = "/var/inputs"
    template = raw_task(shell('printf %s "$1" > /var/outputs/o0', "{{.inputs.x}}"), ["x"])
    template.interface.outputs.variables["o0"].type.simple = SimpleType.STRING
    report = bench.run(template, made)
    assert report.outputs.literals["o0"].scalar.primitive.string_value == "/var/inputs"


def everything(bench) -> LiteralMap:
    made = LiteralMap()
    primitives = {"i": ("integer", 3), "f": ("float_value", 2.0), "b": ("boolean", True)}
    primitives["s"] = ("string_value", "é<")
    for name, (kind, value) in primitives.items():
        setattr(made.literals[name].scalar.primitive, kind, value)
    made.literals["d"].scalar.primitive.duration.FromSeconds(90)
    made.literals["t"].scalar.primitive.datetime.FromSeconds(1)
    made.literals["none"].scalar.none_type.SetInParent()
    made.literals["struct"].scalar.generic.update({"a": 1})
    made.literals["error"].scalar.error.message = "why"
    made.literals["opt"].scalar.union.value.scalar.primitive.integer = 5
    for number in (1, 2):
        item = made.literals["list"].collection.literals.add()
        item.scalar.primitive.integer = number
    made.literals["map"].map.literals["k"].scalar.primitive.integer = 1
    uri = (bench.path / "there.csv").as_uri()
    bench.store.write(uri, b"a,b")
    made.literals["file"].scalar.blob.uri = uri
    folder = (bench.path / "parts").as_uri()
    bench.store.write(f"{folder}/deep/one", b"1")
    made.literals["folder"].scalar.blob.uri = folder
    made.literals[
        "folder"
    ].scalar.blob.metadata.type.dimensionality = BlobType.BlobDimensionality.MULTIPART
    offloaded = (bench.path / "large.pb").as_uri()
    bench.store.write(offloaded, made.literals["i"].SerializeToString())
    made.literals["large"].offloaded_metadata.uri = offloaded
    return made


def copied(bench, format):
    """Run a task that copies its inputs away; return the folder."""
    inputs = everything(bench)
    there = bench.path / "copy"
    template = raw_task(["cp", "-r", "/var/inputs", str(there)], list(inputs.literals), (), format)
    report = bench.run(template, inputs)
    assert report.error is None, report.error
    return there


def test_every_kind_of_input_is_written_as_copilot_writes_it(bench):
    there = copied(bench, DataLoadingConfig.JSON)
    files = {
        str(path.relative_to(there)): path.read_text()
        for path in there.rglob("*")
        if path.is_file() and path.name not in ("inputs.pb", "inputs.json")
    }
    assert files == {
        "i": "3",
        "f": "2",
        "b": "true",
        "s": "é<",
        "d": "1m30s",
        "t": "1970-01-01T00:00:01Z",
        "none": "null",
        "struct": '{"a":1}',
        "error": "why",
        "opt": "5",
        "list/0": "1",
        "list/1": "2",
        "map/k": "1",
        "file": "a,b",
        "folder/deep/one": "1",
        "large": "3",
    }
    work = AttemptFolder(bench.path / "attempts", key("e")).work
    plain = json.loads((there / "inputs.json").read_text())
    assert plain == {
        "i": 3,
        "f": 2,
        "b": True,
        "s": "é<",
        "d": None,
        "t": "1970-01-01T00:00:01Z",
        "none": None,
        "struct": {"a": 1},
        "error": "why",
        "opt": 5,
        "list": [1, 2],
        "map": {"k": 1},
        "file": f"{work}/inputs/file",
        "folder": f"{work}/inputs/folder",
        "large": 3,
    }
    local = LiteralMap.FromString((there / "inputs.pb").read_bytes())
    assert local.literals["file"].scalar.blob.uri == f"{work}/inputs/file"
    assert local.literals["large"].scalar.primitive.integer == 3


def test_the_common_file_has_the_format_that_the_task_asks_for(bench):
    there = copied(bench, DataLoadingConfig.YAML)
    assert yaml.safe_load((there / "inputs.yaml").read_text())["list"] == [1, 2]
    assert not (there / "inputs.json").exists()


def test_with_protobuf_there_is_no_other_common_file(bench):
    there = copied(bench, DataLoadingConfig.PROTO)
    assert (there / "inputs.pb").exists()
    assert not list(there.glob("inputs.[jy]*"))


def test_every_simple_type_and_blobs_are_read_from_files(bench):
    written = {
        "INTEGER": "-4\n",
        "FLOAT": " 1.5 ",
        "STRING": "text",
        "BOOLEAN": "True",
        "DATETIME": "2024-02-29T12:00:00.25+01:00",
        "DURATION": "1m30s",
        "STRUCT": '{"a": [1]}',
        "NONE": "",
    }
    script = "".join(
        f"printf '%s' '{text}' > /var/outputs/{name}\n" for name, text in written.items()
    )
    script += (
        "echo a,b > /var/outputs/FILE.csv; mkdir /var/outputs/DIR; echo 1 > /var/outputs/DIR/x"
    )
    template = raw_task(shell(script), outputs=())
    for name in written:
        template.interface.outputs.variables[name].type.simple = SimpleType.Value(name)
    for name in ("FILE", "DIR"):
        template.interface.outputs.variables[name].type.blob.SetInParent()
    report = bench.run(template)
    assert report.error is None, report.error
    found = report.outputs.literals
    assert found["INTEGER"].scalar.primitive.integer == -4
    assert found["FLOAT"].scalar.primitive.float_value == 1.5
    assert found["STRING"].scalar.primitive.string_value == "text"
    assert found["BOOLEAN"].scalar.primitive.boolean is True
    assert found["DATETIME"].scalar.primitive.datetime.ToJsonString() == "2024-02-29T11:00:00.250Z"
    assert found["DURATION"].scalar.primitive.duration.seconds == 90
    assert found["STRUCT"].scalar.generic["a"] == [1]
    assert found["NONE"].scalar.HasField("none_type")
    raw = (bench.path / "raw").as_uri()
    assert found["FILE"].scalar.blob.uri == f"{raw}/FILE"
    assert bench.store.read(f"{raw}/FILE") == b"a,b\n"
    assert found["DIR"].scalar.blob.metadata.type.dimensionality == BlobType.MULTIPART
    assert bench.store.read(f"{raw}/DIR/x") == b"1\n"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("true", "file not found at path ["),
        ("echo seven > /var/outputs/o0", "the output o0: failed to parse integer value: 'seven'"),
        ("mkdir /var/outputs/o0", "expected file for type [INTEGER], found dir"),
        (
            "printf %2000s 1 > /var/outputs/o0",
            "maximum allowed filesize is [1024], but found [2000]",
        ),
        ("echo no luck > /var/outputs/_ERROR; echo 1 > /var/outputs/o0", "User Error: no luck"),
    ],
)
def test_outputs_that_cannot_be_read_fail_the_attempt_in_copilots_words(bench, script, why):
    error = bench.run(raw_task(shell(script))).error
    assert (error.code, error.origin, error.recoverable) == ("OutputUploadFailed", UNKNOWN, True)
    assert why in error.message


def test_an_output_of_a_type_that_copilot_cannot_upload_fails_the_attempt(bench):
    template = raw_task(shell("true"), outputs=())
    template.interface.outputs.variables["o0"].type.collection_type.simple = SimpleType.INTEGER
    error = bench.run(template).error
    assert "currently CoPilot uploader does not support [collection_type]" in error.message


def test_inputs_that_cannot_be_fetched_fail_the_attempt_before_its_command_runs(bench):
    made = LiteralMap()
    made.literals["x"].scalar.blob.uri = (bench.path / "nowhere").as_uri()
    ran = bench.path / "ran"
    error = bench.run(raw_task(["touch", str(ran)], ["x"]), made).error
    assert error.code == "InputDownloadFailed"
    assert "variable [x] download/store failed: incorrect blob reference" in error.message
    assert not ran.exists()


def test_a_key_of_a_map_cannot_lead_out_of_the_inputs(bench):
    made = LiteralMap()
    made.literals["x"].map.literals["../../evil"].scalar.primitive.integer = 1
    error = bench.run(raw_task(["true"], ["x"]), made).error
    assert "'../../evil' cannot be the name of a file" in error.message


def test_a_command_that_fails_ends_the_attempt_with_its_exit_code(bench):
    error = bench.run(raw_task(shell("echo oh; exit 3"))).error
    assert (error.code, error.origin, error.recoverable) == ("NonZeroExitCode", USER, True)
    assert "exit code 3" in error.message
    assert "oh" in error.message


def test_a_command_that_a_signal_ends_is_reported_so(bench):
    error = bench.run(raw_task(shell("kill -11 $$$$"))).error
    assert error.code == "KilledBySignal"
    assert "SIGSEGV" in error.message


def test_a_command_that_is_not_here_is_named_with_what_to_install(bench):
    error = bench.run(raw_task(["Rscript"])).error
    assert (error.code, error.recoverable) == ("CommandNotFound", False)
    assert (
        "The command 'Rscript' is not on this machine. Install R on this machine" in error.message
    )
    assert "image local may have it. No container engine" in error.message
    with pytest.raises(TaskFailed, match="Install Julia on this machine"):
        bench.executor.start(bench.attempt(task("t", command=["julia"])))
    flytekits = command_missing("/opt/pyflyte-execute", "")
    assert flytekits.message.endswith("-m pip install flytekit.")


def test_an_attempt_that_is_killed_ends_with_its_command(bench):
    template = raw_task(shell("echo $$$$ > here; echo on; exec sleep 1000"))
    attempt = bench.attempt(template)
    bench.executor.start(attempt)
    note = AttemptFolder(bench.path / "attempts", key("e")).work / "here"
    wait_until(lambda: note.exists() and note.read_text().strip(), "the command's number")
    pid = int(note.read_text())
    bench.executor.kill(attempt.key)
    report = bench.end()
    assert report.error.code == "SYSTEM:Interrupted"
    assert not lives(pid)


# Images


def test_an_image_is_run_by_the_engine_that_answers(bench, engine):
    engine.install("podman", version=(1, ""))
    engine.install("docker")
    template = raw_task(shell('cat /var/inputs/x > "$1/o0"', "/var/outputs"), ["x"], env={"A": "1"})
    limits = template.container.resources.limits
    limits.add(name=Resources.CPU, value="500m")
    limits.add(name=Resources.MEMORY, value="1Gi")
    report = bench.run(template, integers(x=7), envs={"FLYTE_ATTEMPT_NUMBER": "0"})
    assert report.error is None, report.error
    assert integer(report.outputs) == 7
    run = engine.run
    assert run["run"] == "local"
    assert run["command"][:2] == ["sh", "-c"]
    options = run["options"]
    work = AttemptFolder(bench.path / "attempts", key("e")).work
    assert ["--volume", f"{work}/inputs:/var/inputs"] in options
    assert ["--volume", f"{work}/outputs:/var/outputs"] in options
    assert ["--volume", f"{bench.path}:{bench.path}"] in options
    assert ["--cpus", "0.5"] in options
    assert ["--memory", str(1 << 30)] in options
    assert ["--network", "host"] in options
    named = {option[1] for option in options if option[0] == "--env"}
    assert {"A", "FLYTE_ATTEMPT_NUMBER", "FLYTECTL_CONFIG"} <= named
    assert not named & {"PATH", "HOME", "TMPDIR"}


def test_the_container_is_removed_when_it_has_ended(bench, engine):
    engine.install()
    bench.run(raw_task(shell("echo 1 > /var/outputs/o0")))
    name = next(option[1] for option in engine.run["options"] if option[0] == "--name")
    removal = {"asked": ["rm", "--force", name]}
    wait_until(lambda: engine.said()[-1] == removal, "the removal")


def test_a_killed_supervisor_leaves_no_container_and_the_lock_until_then(bench, engine):
    engine.install()
    attempt = bench.attempt(raw_task(shell("exec sleep 1000")))
    bench.executor.start(attempt)
    folder = AttemptFolder(bench.path / "attempts", key("e"))
    wait_until(lambda: any("run" in entry for entry in engine.said()), "the container")
    os.kill(folder.process().pid, signal.SIGKILL)
    assert bench.end().error.origin == SYSTEM
    name = next(option[1] for option in engine.run["options"] if option[0] == "--name")
    assert engine.said()[-1] == {"asked": ["rm", "--force", name]}
    assert not lives(engine.run["pid"])


def test_a_container_over_its_memory_is_reported_so(bench, engine):
    engine.install(exit=137, inspect=(0, "true\n"))
    error = bench.run(raw_task(["true"])).error
    assert (error.code, error.origin, error.recoverable) == ("OOMKilled", USER, True)


def test_an_engine_that_cannot_start_the_container_is_the_systems_fault(bench, engine):
    engine.install(exit=125)
    error = bench.run(raw_task(["true"])).error
    assert (error.code, error.origin, error.recoverable) == ("ContainerNotStarted", SYSTEM, True)


def test_without_the_image_the_command_runs_as_a_process(bench, engine):
    engine.install(image=(1, ""), pull=(1, "no such image"))
    report = bench.run(raw_task(shell("echo 1 > /var/outputs/o0")))
    assert report.error is None, report.error
    assert "docker cannot get the image local" in bench.log()


def test_an_engine_that_is_named_must_be_there_and_have_the_image(bench, engine):
    bench.environ["FLYTE_NB_CONTAINERS"] = "docker"
    error = bench.run(raw_task(["true"])).error
    assert error.code == "ContainerEngineNotFound"
    assert "The container engine docker was not found" in error.message


def test_a_named_engine_without_the_image_fails_the_attempt(bench, engine):
    engine.install("mine", image=(1, ""), pull=(1, ""))
    bench.environ["FLYTE_NB_CONTAINERS"] = str(engine.folder / "mine")
    error = bench.run(raw_task(["true"])).error
    assert (error.code, error.recoverable) == ("ImageNotAvailable", True)


def test_images_can_be_forbidden(bench, engine):
    engine.install()
    bench.environ["FLYTE_NB_CONTAINERS"] = "off"
    report = bench.run(raw_task(shell("echo 1 > /var/outputs/o0")))
    assert report.error is None, report.error
    assert engine.said() == []


def test_an_image_without_a_command_runs_its_own(bench, engine):
    engine.install(exit=3)
    template = task("t", args=["--flag"], outputs=())
    bench.run(template)
    assert engine.run["command"] == ["--flag"]
    assert not any(option[0] == "--entrypoint" for option in engine.run["options"])


def test_a_task_that_runs_by_itself_needs_no_supervisor_afterwards(bench, engine):
    """With an engine that does not answer, the supervisor becomes the command."""
    engine.install(version=(1, ""))
    report = bench.run(task("t", command=shell("exit 4"), outputs=()))
    assert "exit code 4" in report.error.message


def test_the_primary_container_of_a_pod_runs_and_the_log_names_the_rest(bench):
    template = task("t", outputs=())
    template.ClearField("container")
    template.config["primary_container_name"] = "main"
    container = {
        "name": "main",
        "image": "i",
        "command": ["sh", "-c", 'echo "$FROM_POD and $FLYTE_ATTEMPT_NUMBER"'],
        "env": [{"name": "FROM_POD", "value": "pod"}],
    }
    ParseDict({"containers": [container, {"name": "side"}]}, template.k8s_pod.pod_spec)
    report = bench.run(template, envs={"FLYTE_ATTEMPT_NUMBER": "2"})
    assert report.error is None, report.error
    assert bench.log().splitlines() == [
        "This machine does not run or mount: the container side.",
        "pod and 2",
    ]


def test_a_supervisor_goes_on_when_the_backend_ends_and_is_adopted_by_the_next(bench, tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    attempt = bench.attempt(raw_task(shell(f"read x < {pipe}; echo $x > /var/outputs/o0")))
    bench.executor.start(attempt)
    bench.close()
    bench.forget()
    assert bench.executor.adopt(attempt) is not None
    with open(pipe, "w") as file:
        file.write("8\n")
    assert integer(bench.end().outputs) == 8
