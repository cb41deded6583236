"""Start servers on loopback that speak the real protocols of S3, GCS and Azure, for tests of stores.

S3 is moto's server and GCS an emulator from PyPI (both in `[dev]`). Azure is azurite from npm, which is
installed once into the folder for temporary files. A test whose server is not installed is skipped, with the
reason.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

BUCKET = "bucket"

_UNTIL_STDIN_CLOSES = "; print(port, flush=True); sys.stdin.read()"
_S3 = (
    "import sys; from moto.server import ThreadedMotoServer as Server;"
    " server = Server('127.0.0.1', 0, verbose=False); server.start();"
    " port = server.get_host_and_port()[1]"
) + _UNTIL_STDIN_CLOSES
_GCS = (
    "import sys; from gcp_storage_emulator.server import create_server;"
    f" server = create_server('127.0.0.1', 0, in_memory=True, default_bucket={BUCKET!r});"
    " server.start(); port = server._api._httpd.server_address[1]"
) + _UNTIL_STDIN_CLOSES
_AZURE_KEY = (  # public: every emulator of Azure's storage has this key
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)


class Served(NamedTuple):
    """A running server: the environment variables that lead to it, and the URI of its one bucket."""

    env: "dict[str, str]"
    bucket: str


@contextmanager
def s3_server() -> "Iterator[Served]":
    """Start moto's S3 server and yield where it is; skip the test when it is not installed."""
    _needs("moto.server", "flask", "s3fs")
    with _process([sys.executable, "-c", _S3]) as port:
        env = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "tests",
            "AWS_SECRET_ACCESS_KEY": "tests",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        _make_bucket("s3", env)
        yield Served(env, f"s3://{BUCKET}")


@contextmanager
def gcs_server() -> "Iterator[Served]":
    """Start an emulator of Google's storage and yield where it is; skip the test when it is not installed."""
    _needs("gcp_storage_emulator", "gcsfs")
    with _process([sys.executable, "-c", _GCS]) as port:
        env = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
        yield Served(env, f"gs://{BUCKET}")


@contextmanager
def azure_server() -> "Iterator[Served]":
    """Start azurite, Microsoft's emulator, and yield where it is; skip the test without node and npm."""
    _needs("adlfs")
    node, main = shutil.which("node"), _azurite()
    if node is None or main is None:
        pytest.skip("Azure is not tried: azurite needs node and npm")
    command = [node, str(main), "--blobHost", "127.0.0.1", "--blobPort", "0", "--silent"]
    command += ["--inMemoryPersistence", "--skipApiVersionCheck", "--disableTelemetry"]
    with _process(command) as port:
        endpoint = f"http://127.0.0.1:{port}/devstoreaccount1"
        env = {
            "AZURE_STORAGE_CONNECTION_STRING": (
                "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;"
                f"AccountKey={_AZURE_KEY};BlobEndpoint={endpoint};"
            )
        }
        _make_bucket("abfs", env)
        yield Served(env, f"abfs://{BUCKET}")


def _needs(*modules: str) -> None:
    missing = [name for name in modules if find_spec(name.partition(".")[0]) is None]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}; pip install '.[dev]'")


@contextmanager
def _process(command: "Sequence[str]") -> "Iterator[str]":
    """Start a server, yield the port that it prints, and end the server."""
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        try:
            yield _port(server)
        finally:
            server.kill()


def _port(server: "subprocess.Popen[str]") -> str:
    assert server.stdout is not None
    for line in server.stdout:
        if found := re.search(r"(?:127\.0\.0\.1:|^)(\d{2,5})$", line.strip()):
            return found[1]
    raise RuntimeError(f"{server.args!r} ended before it printed its port")


def _make_bucket(scheme: str, env: "dict[str, str]") -> None:
    """Make the bucket, in a new process: the environment of this one does not lead to the server yet."""
    code = f"import fsspec; fsspec.filesystem({scheme!r}).mkdir({BUCKET!r})"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, **env}, check=True)


def _azurite() -> "Path | None":
    """Return the path of azurite's program, installed when it is not there; `None` when it cannot be."""
    npm = shutil.which("npm")
    if npm is None:
        return None
    folder = Path(tempfile.gettempdir(), f"flyte-nb-azurite-{os.getuid()}")
    main = folder / "node_modules/azurite/dist/src/blob/main.js"
    if not main.exists():
        # Installed beside and renamed: another test run may look for it at the same time.
        fresh = Path(tempfile.mkdtemp(prefix="flyte-nb-azurite-"))
        command = [npm, "install", "--prefix", str(fresh), "--no-audit", "--no-fund", "azurite@3"]
        command += ["--fetch-timeout=60000", "--fetch-retries=1"]  # ms; npm's default is minutes
        if subprocess.run(command, capture_output=True, check=False).returncode:
            shutil.rmtree(fresh, ignore_errors=True)
            return None
        shutil.rmtree(folder, ignore_errors=True)
        fresh.rename(folder)
    return main
