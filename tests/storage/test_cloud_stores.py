"""S3, GCS and Azure through fsspec, against servers that speak their protocols on loopback."""

import hashlib
import uuid

import pytest

from flyte_nb.api.errors import StorageError
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.storage.remote_options import options
from flyte_nb.testing import object_stores
from flyte_nb.testing.storage_conformance import BlobStoreConformance, StagingAreaConformance


@pytest.fixture(scope="module", params=["s3", "gcs", "azure"])
def served(request):
    """A server; its environment is ours as long as it runs."""
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


def test_the_store_tells_the_md5_of_an_object(store, root):
    store.write(f"{root}/x", b"content")
    assert store.stat(f"{root}/x").md5 in (hashlib.md5(b"content").hexdigest(), "")


def test_a_bucket_that_is_not_there_is_said(served, store):
    scheme = served.bucket.partition("://")[0]
    with pytest.raises(StorageError, match="no-such-bucket"):
        store.read(f"{scheme}://no-such-bucket/x")


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
