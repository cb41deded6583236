"""Two environments of one person, one local backend: each kernel's tasks run with its own packages."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

import flyte_nb
from flyte_nb.admin import daemon

REPORT = """
import json, os, signal, sys
import flyte_nb
from flyte_nb import task, workflow, Secret

@task(secret_requests=[Secret(group="shop", key="token")])
def asking() -> str:
    from flyte_nb import current_context
    return current_context().secrets.get("shop", "token")

@task
def look(x: int) -> dict:
    import os, shutil, signal, subprocess, sys
    import colours
    return {
        "python": sys.executable,
        "minor": "%d.%d" % sys.version_info[:2],
        "colours": colours.VERSION,
        "paint": subprocess.run(["paint"], capture_output=True, text=True).stdout.strip(),
        "env": dict(os.environ),
        "hangup": signal.getsignal(signal.SIGHUP) == signal.SIG_DFL,
        "pid": os.getppid(),
    }

@workflow
def looking(x: int = 1) -> dict:
    return look(x=x)

@workflow
def unlocking() -> str:
    return asking()

def run(entity, **inputs):
    execution = session.launch(entity, inputs)
    try:
        execution.wait()
        return execution.outputs()["o0"]
    except flyte_nb.api.errors.FlyteNbError as error:
        return {"error": str(error)}

session = flyte_nb.connect(name="shop")
print(json.dumps([eval(line) for line in sys.argv[1:]], default=str))
"""

PAINT = "#!/bin/sh\necho painted with {version}\n"


class Place:
    """An environment with packages of its own, beside those that flyte_nb needs."""

    def __init__(self, folder: Path, version: str, python: str = sys.executable) -> None:
        self.folder = folder
        self.python = str(folder / "bin" / "python")
        if python == sys.executable:
            venv.create(folder, symlinks=True)
            shared = [sysconfig.get_paths()["purelib"]]
        else:
            subprocess.run([python, "-m", "venv", "--without-pip", str(folder)], check=True)
            ask = "import sysconfig; print(sysconfig.get_paths()['purelib'])"
            shared = [subprocess.check_output([python, "-c", ask], text=True).strip()]
        self.site = next((folder / "lib").glob("python*/site-packages"))
        names = "\n".join(f"import site; site.addsitedir({path!r})" for path in shared)
        own = Path(flyte_nb.__file__).parents[1]
        (self.site / "shared.pth").write_text(f"{names}\n{own}\n")
        self.install(version)

    def install(self, version: str) -> None:
        """As `pip install -U colours==<version>` leaves it."""
        for old in self.site.glob("colours*"):
            shutil.rmtree(old)
        (self.site / "colours").mkdir()
        (self.site / "colours" / "__init__.py").write_text(f"VERSION = {version!r}\n")
        about = self.site / f"colours-{version}.dist-info"
        about.mkdir()
        (about / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: colours\nVersion: {version}\n"
        )
        (about / "RECORD").write_text("colours/__init__.py,,\n")
        paint = self.folder / "bin" / "paint"
        paint.write_text(PAINT.format(version=version))
        paint.chmod(0o755)


class Shop:
    """The person's machine: programs that run in either environment, with one backend."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home"
        self.program = folder / "shop.py"
        self.program.write_text(REPORT)

    def run(self, place: Place, *lines: str, before=(), **variables: str):
        """The values of the lines, as a kernel in that environment sees them."""
        kept = ("HOME", "LANG", "TMPDIR", "SSL_CERT_FILE")
        environ = {name: os.environ[name] for name in kept if name in os.environ}
        environ |= {"PATH": f"{place.folder}/bin:{os.defpath}", "FLYTE_NB_HOME": str(self.home)}
        done = subprocess.run(
            [*before, place.python, str(self.program), *lines],
            env={**environ, **variables},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    shop = Shop(tmp_path_factory.mktemp("shop"))
    yield shop
    daemon.stop(shop.home)


@pytest.fixture(scope="module")
def red(shop):
    return Place(shop.folder / "red", "1.0")


@pytest.fixture(scope="module")
def blue(shop):
    return Place(shop.folder / "blue", "2.0")


LOOK = "run(looking, x={})"


def test_each_kernels_tasks_run_with_its_own_python_packages_and_commands(shop, red, blue):
    first = "under a `nohup`, in the first kernel"
    loud = {"MPLBACKEND": first, "CUDA_VISIBLE_DEVICES": "7", "SHOP_TOKEN": first}
    [seen] = shop.run(red, LOOK.format(1), before=["nohup"], **loud)
    assert (seen["colours"], seen["paint"]) == ("1.0", "painted with 1.0")
    info = daemon.status(shop.home)
    for number, (place, version) in enumerate([(blue, "2.0"), (red, "1.0"), (blue, "2.0")]):
        # The code is the same, so nothing is registered anew; the kernel is another.
        found = shop.run(place, LOOK.format(f"2{number}"), LOOK.format(f"3{number}"), MINE="1")
        for seen in found:  # cold and warm
            assert seen["colours"] == version
            assert seen["paint"] == f"painted with {version}"
            assert Path(seen["python"]).parent == place.folder / "bin"
            assert seen["env"]["VIRTUAL_ENV"] == str(place.folder)
            assert seen["hangup"]
            assert not set(seen["env"]) & {*loud, "MINE", "PYTHONPATH"}
    assert daemon.status(shop.home) == info  # one backend ran them all


def test_a_warm_task_runs_with_a_package_that_was_upgraded_meanwhile(shop, red):
    lines = [LOOK.format(41), LOOK.format(42)]
    assert [seen["colours"] for seen in shop.run(red, *lines)] == ["1.0", "1.0"]
    red.install("1.1")
    try:
        assert [seen["colours"] for seen in shop.run(red, LOOK.format(43))] == ["1.1"]
    finally:
        red.install("1.0")


def test_a_deleted_environment_is_named_with_the_remedy_and_the_remedy_helps(shop, red, blue):
    green = Place(shop.folder / "green", "3.0")
    [seen] = shop.run(green, LOOK.format(51))
    assert seen["colours"] == "3.0"
    shutil.rmtree(green.folder)
    [seen] = shop.run(blue, "run('shop.looking', x=52)")
    assert f"was registered from the Python {green.python}, and that is gone" in seen["error"]
    assert "Register it again from an environment that exists" in seen["error"]
    [_, seen] = shop.run(blue, "session.register(looking) and 0", "run('shop.looking', x=53)")
    assert seen["colours"] == "2.0"


def test_secrets_of_who_launches_reach_the_task_that_asks_and_nobody_else(shop, red, tmp_path):
    secrets = tmp_path / "mine.env"
    secrets.write_text("# of the shop\nexport SHOP_TOKEN='from a file'\n")
    looked = "run(looking, x={})['env']"
    found, seen = shop.run(red, "run(unlocking)", looked.format(61), _FSEC_SHOP_TOKEN="sesame")
    assert found == "sesame"
    assert "sesame" not in str(seen)
    assert shop.run(red, "run(unlocking)", FLYTE_NB_SECRETS=str(secrets)) == ["from a file"]
    [missing] = shop.run(red, "run(unlocking)")
    assert "set _FSEC_SHOP_TOKEN there, or write SHOP_TOKEN=…" in missing["error"]
    assert "FLYTE_NB_SECRETS" in missing["error"]
    (shop.home / "secrets.env").write_text("SHOP_TOKEN=of the home\n")
    try:
        assert shop.run(red, "run(unlocking)") == ["of the home"]
    finally:
        (shop.home / "secrets.env").unlink()
    assert list((shop.home / "lent").iterdir()) == []


def test_a_kernel_of_another_python_version_runs_its_tasks_with_that(shop, red):
    other = shutil.which("python3.12") if sys.version_info[:2] != (3, 12) else None
    needs = "import cloudpickle, flyteidl, fsspec, grpc, msgpack, platformdirs, psutil, yaml"
    if other is None or subprocess.run([other, "-c", needs], capture_output=True).returncode:
        pytest.skip("there is no python3.12 with what flyte_nb needs")
    violet = Place(shop.folder / "violet", "4.0", other)
    shop.run(red, LOOK.format(71))
    [seen] = shop.run(violet, LOOK.format(72))
    assert (seen["minor"], seen["colours"]) == ("3.12", "4.0")
    [seen] = shop.run(red, LOOK.format(73))
    assert (seen["minor"], seen["colours"]) == (
        f"{sys.version_info[0]}.{sys.version_info[1]}",
        "1.0",
    )
