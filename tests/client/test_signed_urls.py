"""Files sent and fetched by signed URLs: to our own backend, to a bucket, and to servers that fail."""

import hashlib
import os
import threading
import tracemalloc
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from flyteidl.service.dataproxy_pb2 import (
    CreateUploadLocationRequest,
    CreateUploadLocationResponse,
)

from flyte_nb.api.errors import StorageError, UsageError
from flyte_nb.bundle.retrying import Retrying
from flyte_nb.client import signed
from flyte_nb.client.data import KernelData
from flyte_nb.client.uploads import Uploads, UploadStaging
from flyte_nb.registering.staging_places import data_for
from flyte_nb.storage import open_stores
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.backend import backend, in_process_calls  # noqa: F401
from flyte_nb.testing.faults import FaultyStore
from flyte_nb.testing.signed_store import signed_store
from flyte_nb.testing.storage_conformance import StagingAreaConformance


class Client:
    """The part of an `AdminClient` that uploads need, straight to a backend."""

    def __init__(self, calls):
        self._calls = calls
        self.made = []

    def call(self, method, request, *, doing=""):
        self.made.append(method)
        return getattr(self._calls, method)(request)


@pytest.fixture
def client(backend):  # noqa: F811
    return Client(in_process_calls(backend))


@pytest.fixture
def uploads(client):
    return Uploads(client, project="flytesnacks", domain="development")


@pytest.fixture
def bucket():
    """A bucket of S3 behind a FlyteAdmin, for a kernel without credentials."""
    with signed_store() as store:
        yield store


@pytest.fixture
def bucket_uploads(bucket):
    return Uploads(bucket, project="p", domain="d")


class TestStagingInABucket(StagingAreaConformance):
    @pytest.fixture
    def area(self, bucket_uploads):
        return UploadStaging(bucket_uploads)

    @pytest.fixture
    def reader(self, bucket):
        store = MemoryStore()
        store.read = bucket.objects.__getitem__
        store.size = lambda uri: len(bucket.objects[uri])
        return store


@pytest.mark.parametrize("size", [0, 1, 24, 100_000])
def test_s3_gets_every_byte_though_flyteadmin_names_another_length(bucket, bucket_uploads, size):
    data = os.urandom(size)
    uri, sent = bucket_uploads.put_once("root", "a", data)
    assert sent == size
    assert bucket.objects[uri] == data


@pytest.mark.parametrize("name", ["Content-Length", "content-length", "CONTENT-LENGTH"])
def test_the_length_is_that_of_the_content_whatever_the_case_of_the_header(bucket, name):
    place = bucket.call("CreateUploadLocation", _request(b"some data"))
    headers = {n: v for n, v in place.headers.items() if n != "Content-Length"}
    signed.put(place.signed_url, b"some data", {**headers, name: "24"}, place.native_url)
    assert bucket.objects[place.native_url] == b"some data"


def test_headers_about_the_message_itself_are_never_taken_from_others(web):
    web.answers.append((200, b""))
    theirs = {"Transfer-Encoding": "chunked", "HOST": "elsewhere", "connection": "keep-alive"}
    signed.put(web.url, b"data", theirs, "s3://b/x")
    headers, body = web.requests[0]
    assert body == b"data"
    assert "Transfer-Encoding" not in headers
    assert headers["Host"].startswith("127.0.0.1:")


def test_what_was_changed_on_the_way_to_s3_is_refused_and_may_be_sent_again(bucket):
    place = bucket.call("CreateUploadLocation", _request(b"some data"))
    with pytest.raises(StorageError, match="BadDigest") as caught:
        signed.put(place.signed_url, b"other data", place.headers, place.native_url)
    assert caught.value.transient
    assert bucket.objects == {}


def test_an_object_is_asked_for_once_when_it_is_new_and_once_when_it_is_there(
    bucket, bucket_uploads
):
    uri, _ = bucket_uploads.put_once("root", "a", b"content")
    assert bucket.calls == {"CreateUploadLocation": 1}
    assert bucket_uploads.put_once("root", "a", b"content") == (uri, 0)
    assert bucket.calls["CreateUploadLocation"] == 2
    assert [verb for verb, _, _ in bucket.received] == ["PUT", "GET"]


@pytest.mark.parametrize("there", [b"", b"conten", b"tnetnoc"])
def test_what_is_damaged_in_a_bucket_is_stored_beside_it(bucket, bucket_uploads, there):
    uri, _ = bucket_uploads.put_once("root", "a", b"content")
    bucket.objects[uri] = there
    again, sent = bucket_uploads.put_once("root", "a", b"content")
    assert (again != uri, sent) == (True, 7)
    assert bucket_uploads.put_once("root", "a", b"content") == (again, 0)
    bucket.objects[again] = b"too"
    with pytest.raises(StorageError, match="Delete these objects") as caught:
        bucket_uploads.put_once("root", "a", b"content")
    assert uri in caught.value.message
    assert not caught.value.transient


def test_google_is_sent_no_digest_that_its_signature_does_not_cover(web):
    class Google:
        def call(self, method, request, *, doing=""):
            return CreateUploadLocationResponse(
                signed_url=web.url,
                native_url="gs://bucket/x",
                headers={"Content-Length": "0", "Content-MD5": ""},
            )

    uploads = Uploads(Google(), project="p", domain="d")
    web.answers += [(200, b""), (200, b"")]
    web.answer_headers = {
        "x-goog-hash": "crc32c=AAAAAA==,md5=jXd/OF09/siBXSD3SWAm3A=="
    }  # of b"data"
    assert uploads.put_once("root", "x", b"data") == ("gs://bucket/x", 4)
    assert "content-md5" not in {name.lower() for name in web.requests[0][0]}
    with pytest.raises(StorageError, match="the store has content of MD5") as caught:
        uploads.put_once("root", "x", b"other")
    assert caught.value.transient


def _request(data):
    return CreateUploadLocationRequest(
        project="p",
        domain="d",
        filename="a",
        filename_root="root",
        content_md5=hashlib.md5(data).digest(),
        add_content_md5_metadata=True,
    )


class TestUploadStaging(StagingAreaConformance):
    @pytest.fixture
    def area(self, uploads):
        return UploadStaging(uploads)

    @pytest.fixture
    def reader(self):
        return open_stores()


def test_a_file_is_sent_once_and_not_read_into_memory(uploads, tmp_path):
    (tmp_path / "a.bin").write_bytes(os.urandom(3_000_000))
    uri, sent = uploads.put_once("root", "a.bin", tmp_path / "a.bin")
    assert sent == 3_000_000
    assert open_stores().read(uri) == (tmp_path / "a.bin").read_bytes()
    assert uploads.put_once("root", "a.bin", tmp_path / "a.bin") == (uri, 0)


@pytest.mark.parametrize(
    "spoil", [lambda data: data[:-1], lambda data: b"", lambda data: data[::-1]]
)
def test_what_was_damaged_is_stored_beside_it_once(uploads, spoil):
    data = b"some content"
    uri, _ = uploads.put_once("root", "a", data)
    Path(uri.removeprefix("file://")).write_bytes(spoil(data))
    again, sent = uploads.put_once("root", "a", data)
    assert (again != uri, sent) == (True, len(data))
    assert open_stores().read(again) == data
    assert uploads.put_once("root", "a", data) == (again, 0)


def test_an_object_is_had_without_credentials(uploads, tmp_path):
    data = os.urandom(2_500_000)
    uri, _ = uploads.put_once("root", "a", data)
    uploads.get(uri, str(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == data


def test_an_object_that_is_not_there_leaves_no_file(uploads, tmp_path):
    uri, _ = uploads.put_once("root", "a", b"1")
    Path(uri.removeprefix("file://")).unlink()
    with pytest.raises(StorageError, match="404") as caught:
        uploads.get(uri, str(tmp_path / "a"))
    assert caught.value.missing
    assert [item.name for item in tmp_path.iterdir()] == ["home"]  # the backend's own


class OtherCloud:
    """FlyteAdmin of a cluster whose bucket this process cannot read."""

    def __init__(self, uploads):
        self._uploads = uploads

    def get(self, uri, path):
        self._uploads.get(uri.replace("s3://bucket", ""), path)


def test_a_kernel_without_credentials_reads_through_flyteadmin(uploads):
    uri, _ = uploads.put_once("root", "a", b"content")
    denied = StorageError("Cannot read s3://bucket: no credentials.")
    store = FaultyStore(MemoryStore(), fails=lambda call: denied)
    data = KernelData(store, uploads=OtherCloud(uploads), sleep=lambda seconds: None)
    there = f"s3://bucket{uri}"
    assert data.read(there) == b"content"
    assert Path(data.download(there)).read_bytes() == b"content"
    with pytest.raises(StorageError, match=r"no credentials.*FlyteAdmin does not hand it out"):
        data.read("s3://bucket/elsewhere")
    data.close()


@pytest.fixture
def poor_kernel(bucket_uploads):
    """A kernel that has no credentials for the bucket."""
    denied = StorageError("Cannot read s3://bucket: no credentials.")
    store = FaultyStore(MemoryStore(), fails=lambda call: denied)
    data = KernelData(store, uploads=bucket_uploads, sleep=lambda seconds: None)
    yield data
    data.close()


def below(folder):
    return {
        item.relative_to(folder).as_posix(): item.read_text()
        for item in Path(folder).rglob("*")
        if item.is_file()
    }


def test_a_kernel_without_credentials_reads_a_frame(bucket, poor_kernel):
    bucket.objects["s3://bucket/out/f/00000"] = b"parquet"
    assert below(poor_kernel.download("s3://bucket/out/f")) == {"00000": "parquet"}
    assert below(poor_kernel.download("s3://bucket/out/f/")) == {"00000": "parquet"}


def test_a_kernel_without_credentials_reads_back_the_folder_that_it_sent(
    bucket, poor_kernel, tmp_path
):
    (tmp_path / "d" / "inner").mkdir(parents=True)
    (tmp_path / "d" / "00000").write_text("1")
    (tmp_path / "d" / "inner" / "y z").write_text("2")
    uri = poor_kernel.upload(str(tmp_path / "d"))
    assert below(poor_kernel.download(uri)) == {"00000": "1", "inner/y z": "2"}
    inside = {name.removeprefix(f"{uri}/") for name in bucket.objects if name.startswith(f"{uri}/")}
    assert inside == {"00000", "inner/y z"}  # the list of them is not among them


def test_a_folder_of_unknown_files_has_another_error_than_a_missing_object(bucket, poor_kernel):
    bucket.objects["s3://bucket/out/d/part-1.csv"] = b"1"
    with pytest.raises(StorageError, match="folders that flyte_nb wrote"):
        poor_kernel.download("s3://bucket/out/d")


def test_a_file_that_the_list_of_a_folder_names_and_that_is_gone_is_named(bucket, poor_kernel):
    bucket.objects["s3://bucket/out/d.flyte_nb-files.json"] = b'{"files": ["a", "b"]}'
    bucket.objects["s3://bucket/out/d/a"] = b"1"
    with pytest.raises(StorageError, match="s3://bucket/out/d/b"):
        poor_kernel.download("s3://bucket/out/d")


@pytest.mark.parametrize(
    "listing",
    [
        *(b'{"files": ["../x"]}', b'{"files": ["/x"]}', b'{"files": ["a//x"]}', b'{"files": [1]}'),
        *(b"[", b"{}", b'{"files": "ab"}', b"\xff", b'{"files": ["a\\\\x"]}'),
    ],
)
def test_a_list_of_files_that_leads_elsewhere_is_refused(bucket, poor_kernel, listing):
    bucket.objects["s3://bucket/out/d.flyte_nb-files.json"] = listing
    bucket.objects["s3://bucket/out/x"] = b"1"
    with pytest.raises(StorageError, match="is no list of a folder's files"):
        poor_kernel.download("s3://bucket/out/d")


@pytest.mark.parametrize("name", ["x/..", "."])
def test_what_is_downloaded_stays_in_a_folder_of_its_own(name, tmp_path):
    (tmp_path / "there" / "x").mkdir(parents=True)
    (tmp_path / "there" / "a").write_text("1")
    data = KernelData(open_stores())
    path = Path(data.download(f"file://{tmp_path}/there/{name}"))
    assert path.name == "data"
    assert (path / "a").read_text() == "1"
    data.close()


def test_a_kernel_tries_again_what_failed_for_a_moment(tmp_path):
    (tmp_path / "a").write_text("1")
    busy = StorageError("busy", transient=True)
    store = FaultyStore(MemoryStore(), fails=lambda call: busy if call.number % 2 else None)
    data = KernelData(store, folder_uri="memory://b", sleep=lambda seconds: None)
    assert data.read(data.upload(str(tmp_path / "a"))) == b"1"
    data.close()


def test_a_person_with_credentials_names_a_folder_for_everything(tmp_path):
    data = data_for(None, "p", "d", root="", env={"FLYTE_NB_STAGING": f"file://{tmp_path}/mine/"})
    (tmp_path / "a").write_text("1")
    assert data.upload(str(tmp_path / "a")).startswith(f"file://{tmp_path}/mine/uploads/")
    with pytest.raises(UsageError, match="FLYTE_NB_STAGING='bucket' is no URI"):
        data_for(None, "p", "d", root="", env={"FLYTE_NB_STAGING": "bucket"})


@pytest.fixture
def web():
    """A web server that gives the answers in its list, and keeps the requests that it got."""
    served = SimpleNamespace(answers=[], requests=[], answer_headers={})

    class Handler(BaseHTTPRequestHandler):
        def do_PUT(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            served.requests.append((dict(self.headers), body))
            status, text = served.answers.pop(0)
            if not status:
                return  # hangs up without an answer
            self.send_response(status)
            for name, value in served.answer_headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    served.url = f"http://127.0.0.1:{server.server_address[1]}/x?signature=1"
    yield served
    server.shutdown()
    thread.join()
    server.server_close()


def test_every_header_that_flyteadmin_names_is_sent(web):
    class Azure:
        def call(self, method, request, *, doing=""):
            return CreateUploadLocationResponse(
                signed_url=web.url,
                native_url="abfs://container/x",
                headers={"x-ms-meta-flyteContentMD5": "abc", "Content-Type": "text/x"},
            )

    web.answers.append((201, b""))
    uri, sent = Uploads(Azure(), project="p", domain="d").put_once("root", "x", b"data")
    assert (uri, sent) == ("abfs://container/x", 4)
    headers, body = web.requests[0]
    lowered = {name.lower(): value for name, value in headers.items()}
    assert body == b"data"
    assert lowered["x-ms-meta-flytecontentmd5"] == "abc"
    assert lowered["content-type"] == "text/x"
    assert lowered["x-ms-blob-type"] == "BlockBlob"
    assert lowered["content-md5"] == "jXd/OF09/siBXSD3SWAm3A=="  # of b"data"
    assert lowered["content-length"] == "4"


@pytest.mark.parametrize(
    ("status", "text", "transient"),
    [
        (500, b"", True),
        (503, b"<Code>SlowDown</Code>", True),
        (429, b"", True),
        (403, b"<Message>Request has expired</Message>", True),
        (400, b"<Code>ExpiredToken</Code>", True),
        (400, b"<Code>BadDigest</Code>", True),
        (403, b"<Code>AccessDenied</Code>", False),
        (404, b"", False),
        (0, b"", True),
    ],
)
def test_an_error_is_transient_only_when_another_try_may_help(web, status, text, transient):
    web.answers.append((status, text))
    with pytest.raises(StorageError, match="s3://b/x") as caught:
        signed.put(web.url, b"data", {}, "s3://b/x")
    assert caught.value.transient is transient


def test_an_arrays_buffer_is_sent_without_a_copy_of_it(web):
    size = 20_000_000
    buffer = memoryview(bytearray(size))
    web.answers.append((200, b""))
    tracemalloc.start()
    try:
        signed.put(web.url, buffer, {}, "s3://b/x")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert web.requests[0][1] == buffer
    assert peak < 1.5 * size  # the server, which is here too, holds what it was sent


def test_no_header_is_sent_that_was_not_signed(web):
    web.answers.append((200, b""))
    signed.put(web.url, b"data", {"X-Signed": "1"}, "s3://b/x")
    names = {name.lower() for name in web.requests[0][0]}
    assert "x-signed" in names
    assert "content-type" not in names


def test_a_refused_connection_is_transient():
    with pytest.raises(StorageError, match="Connection refused") as caught:
        signed.put("http://127.0.0.1:9/x", b"", {}, "s3://b/x")
    assert caught.value.transient


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/y", ""])
def test_a_url_that_is_no_web_address_is_refused(url, tmp_path):
    with pytest.raises((StorageError, ValueError)):
        signed.put(url, b"", {}, "s3://b/x")


def test_each_try_asks_for_a_new_url_because_the_last_one_may_have_expired(web):
    """The first URL is refused as expired, the second finds a busy store, and the third one works."""
    asked = []

    class Admin:
        def call(self, method, request, *, doing=""):
            asked.append(request.filename)
            return CreateUploadLocationResponse(signed_url=web.url, native_url="s3://b/x")

    web.answers += [(403, b"Request has expired"), (503, b""), (200, b"")]
    uploads = Uploads(Admin(), project="p", domain="d")
    retrying = Retrying(lambda seconds: None)
    assert retrying(lambda: uploads.put_once("root", "x", b"data")) == ("s3://b/x", 4)
    assert asked == ["x"] * 3
