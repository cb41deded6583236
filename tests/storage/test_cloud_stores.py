"""S3, GCS and Azure work through fsspec, against servers that speak their protocols on loopback."""

import hashlib
import socket
import uuid

import pytest

from flyte_nb.api.errors import StorageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.fetch import fetch
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.stage import stage
from flyte_nb.storage import open_stores, remote
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.remote_options import options
from flyte_nb.testing import object_stores
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.storage_conformance import BlobStoreConformance, StagingAreaConformance
from flyte_nb.worker.load import load

# aiohttp's advice to the clouds' libraries, which hand it bytes.
pytestmark = pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")

CELL = """
import os
from flyte_nb import task
import numpy as np
rows = np.frombuffer(os.urandom(9_000_000), dtype=np.uint8).copy()
@task
def f() -> int:
    return len(rows)
"""


@pytest.fixture(scope="module", params=["s3", "gcs", "azure"])
def served(request):
    """Start a server, and set the variables that lead to it while it runs."""
    with (
        getattr(object_stores, f"{request.param}_server")() as running,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in running.env.items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope="module")
def store(served):
    return open_stores()


@pytest.fixture
def root(served):
    return f"{served.bucket}/{uuid.uuid4().hex}"


class TestCloudStores(BlobStoreConformance):
    pass


class TestStagingInClouds(StagingAreaConformance):
    @pytest.fixture
    def reader(self, store):
        return store

    @pytest.fixture
    def area(self, store, root):
        return DirectoryStaging(root, store)


def test_the_store_knows_the_md5_of_an_object(store, root):
    store.write(f"{root}/x", b"content")
    assert store.stat(f"{root}/x").md5 in (hashlib.md5(b"content").hexdigest(), "")


def test_a_bucket_that_does_not_exist_is_named(served, store):
    scheme = served.bucket.partition("://")[0]
    with pytest.raises(StorageError, match="no-such-bucket"):
        store.read(f"{scheme}://no-such-bucket/x")


@pytest.fixture(scope="module")
def packed():
    cells = Cells()
    cells.run(CELL)
    return [pack(cells["f"], scope=Scope(main_module="nb"))]


def test_a_bundle_is_staged_side_by_side_and_fetched_in_parts(packed, store, root, tmp_path):
    area = DirectoryStaging(root, store)
    [staged] = stage(packed, area)
    assert stage(packed, area)[0] == staged._replace(sent_bytes=0)
    fetched = fetch(staged.index_uri, "nb.f", store, str(tmp_path))
    assert (
        load(fetched.payload, fetched.buffers, fetched.modules, python=fetched.python).function()
        == 9_000_000
    )


def test_what_was_damaged_in_the_bucket_is_replaced(packed, store, root, tmp_path):
    area = DirectoryStaging(root, store)
    [staged] = stage(packed, area)
    for number, uri in enumerate(store.list(root)):
        data = store.read(uri)
        store.write(uri, data[:-1] if number % 2 else bytes(len(data)))
    assert stage(packed, area) == [staged]
    fetch(staged.index_uri, "nb.f", store, str(tmp_path))


def test_parts_of_an_upload_that_failed_are_not_left_to_be_paid(served, store, root, monkeypatch):
    if not served.bucket.startswith("s3:"):
        pytest.skip("only S3 keeps them")
    store.size(f"{root}/x")
    fs = store._stores["s3"]._fs
    bucket, key, _ = fs.split_path(f"{root}/x")
    fs.call_s3("create_multipart_upload", Bucket=bucket, Key=key)
    fs.call_s3("create_multipart_upload", Bucket=bucket, Key="of-somebody-else")

    def stalls(*_, **__):
        raise TimeoutError("stalled")

    monkeypatch.setattr(fs, "pipe_file", stalls)
    with pytest.raises(StorageError, match="stalled") as caught:
        store.write(f"{root}/x", bytes(100 << 20))
    assert caught.value.transient
    assert [item["Key"] for item in fs.list_multipart_uploads(bucket)] == ["of-somebody-else"]


def test_flytes_own_variables_lead_to_a_bucket():
    env = {
        "FLYTE_AWS_ENDPOINT": "http://minio:9000",
        "FLYTE_AWS_ACCESS_KEY_ID": "id",
        "FLYTE_AWS_SECRET_ACCESS_KEY": "secret",
    }
    given = options("s3", env)
    assert given["endpoint_url"] == "http://minio:9000"
    assert (given["key"], given["secret"]) == ("id", "secret")
    assert "key" not in options("s3", {})


def test_no_server_at_all_is_transient_and_named(monkeypatch):
    pytest.importorskip("s3fs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    with pytest.raises(StorageError, match="s3://bucket/x") as caught:
        open_stores().stat("s3://bucket/x")
    assert caught.value.transient


def test_a_server_that_never_answers_is_given_up(monkeypatch):
    pytest.importorskip("s3fs")
    monkeypatch.setattr(remote, "_STALLED_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "x")
        with pytest.raises(StorageError, match="s3://bucket/x") as caught:
            open_stores().read_part("s3://bucket/x", 0, 10)
    assert caught.value.transient


def test_public_data_is_read_without_credentials_and_not_written(served, store, root, monkeypatch):
    if not served.bucket.startswith("s3:"):
        pytest.skip("of S3's library only")
    store.write(f"{root}/public", b"for all")
    fs = store._stores["s3"]._fs
    bucket, key, _ = fs.split_path(f"{root}/public")
    fs.call_s3("put_object_acl", Bucket=bucket, Key=key, ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    nobody = open_stores()
    assert nobody.read(f"{root}/public") == b"for all"
    assert nobody.read_part(f"{root}/public", 4, 10) == b"all"
    with pytest.raises(StorageError, match="Check the credentials"):
        nobody.write(f"{root}/mine", b"1")
