"""UploadServer: a signed location, content that is checked, files that appear whole or not at all."""

import base64
import hashlib
import http.client
import os
import socket
import struct
import threading
from urllib.parse import urlsplit

import pytest
from flyteidl.service import dataproxy_pb2

from flyte_nb.admin.uploads import UploadServer
from flyte_nb.api.errors import RemoteError
from flyte_nb.testing.waiting import wait_until


def put(url, body, headers=None):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request("PUT", f"{parts.path}?{parts.query}", body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def location(admin, specs, content=b"", **fields):
    return admin.CreateUploadLocation(
        dataproxy_pb2.CreateUploadLocationRequest(
            project=specs.PROJECT,
            domain=specs.DOMAIN,
            content_md5=hashlib.md5(content).digest(),
            **fields,
        )
    )


def read(native_url):
    with open(native_url.removeprefix("file://"), "rb") as file:
        return file.read()


def test_a_file_is_put_at_its_location_and_read_from_its_native_url(admin, specs):
    answer = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    assert put(answer.signed_url, b"hello", dict(answer.headers)) == (200, "")
    assert answer.native_url.endswith("/objects/flytesnacks/development/root/a.txt")
    assert read(answer.native_url) == b"hello"


def test_without_names_the_content_names_the_place(admin, specs):
    answer = location(admin, specs, b"hello")
    folder = base64.b32encode(hashlib.md5(b"hello").digest()).decode()
    assert f"/development/{folder}/" in answer.native_url


def test_content_that_was_changed_on_the_way_is_refused_and_leaves_nothing(
    admin, specs, hand_backend
):
    answer = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    status, text = put(answer.signed_url, b"hullo", dict(answer.headers))
    assert status == 400
    assert "Send it again" in text
    folder = hand_backend.home.objects / "flytesnacks/development/root"
    assert list(folder.iterdir()) == []


def test_a_content_md5_other_than_the_locations_is_refused(admin, specs):
    answer = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    other = base64.b64encode(hashlib.md5(b"other").digest()).decode()
    assert put(answer.signed_url, b"other", {"Content-MD5": other})[0] == 400


@pytest.mark.parametrize(
    ("old", "new"), [("a.txt", "b.txt"), ("signature=", "signature=0"), ("expires=1", "expires=2")]
)
def test_a_url_that_was_changed_is_refused(admin, specs, old, new):
    answer = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    assert put(answer.signed_url.replace(old, new), b"hello", dict(answer.headers))[0] == 403


def test_an_expired_url_is_refused(tmp_path):
    uploads = UploadServer(tmp_path)
    try:
        assert put(uploads.location("a", md5="", expires_at=1), b"x")[0] == 403
    finally:
        uploads.close()


@pytest.mark.parametrize("name", ["../../token", "/etc/passwd", "a/../../../x", "a\\b"])
def test_no_name_leads_out_of_the_projects_folder(admin, specs, name):
    with pytest.raises(RemoteError, match="must stay below"):
        location(admin, specs, b"x", filename=name, filename_root="root")


def test_an_upload_that_breaks_off_leaves_nothing(admin, specs, hand_backend):
    answer = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    parts = urlsplit(answer.signed_url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", "100")
    connection.endheaders(b"hel")
    connection.sock.shutdown(1)
    assert connection.getresponse().status == 400
    connection.close()
    folder = hand_backend.home.objects / "flytesnacks/development/root"
    assert list(folder.iterdir()) == []


def test_an_existing_file_is_rewritten_only_with_the_same_content(admin, specs):
    names = {"filename": "a.txt", "filename_root": "root"}
    put(location(admin, specs, b"hello", **names).signed_url, b"hello")
    assert location(admin, specs, b"hello", **names).signed_url
    with pytest.raises(RemoteError, match="file already exists at location") as caught:
        location(admin, specs, b"other", **names)
    assert caught.value.code == "ALREADY_EXISTS"


def test_asking_to_upload_a_file_again_renews_its_time_of_change(admin, specs):
    names = {"filename": "a.txt", "filename_root": "root"}
    answer = location(admin, specs, b"hello", **names)
    put(answer.signed_url, b"hello", dict(answer.headers))
    path = answer.native_url.removeprefix("file://")
    os.utime(path, (1e9, 1e9))
    location(admin, specs, b"hello", **names)
    assert os.stat(path).st_mtime > 1.5e9


def test_a_location_without_a_required_field_is_refused(admin):
    with pytest.raises(RemoteError, match="project and domain are required"):
        admin.CreateUploadLocation(dataproxy_pb2.CreateUploadLocationRequest())
    request = dataproxy_pb2.CreateUploadLocationRequest(project="p", domain="d")
    with pytest.raises(RemoteError, match="content_md5 or filename_root"):
        admin.CreateUploadLocation(request)
    request.filename_root = "r"
    request.expires_in.seconds = 7200
    with pytest.raises(RemoteError, match="cannot exceed max allowed expiration"):
        admin.CreateUploadLocation(request)


def test_many_files_come_at_once(admin, specs):
    answers = []

    def upload(number):
        content = bytes([number]) * 100_000
        answer = location(admin, specs, content, filename=f"{number}", filename_root="root")
        answers.append((put(answer.signed_url, content)[0], read(answer.native_url) == content))

    threads = [threading.Thread(target=upload, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [(200, True)] * 8


def get(url):
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def download(admin, uri):
    request = dataproxy_pb2.CreateDownloadLocationRequest(native_url=uri)
    return admin.CreateDownloadLocation(request).signed_url


def test_an_uploaded_file_can_be_read_by_a_signed_url(admin, specs):
    place = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    put(place.signed_url, b"hello")
    url = download(admin, place.native_url)
    assert get(url) == (200, b"hello")
    assert get(url.replace("a.txt", "b.txt"))[0] == 403
    assert get(url.replace("/download/", "/upload/"))[0] == 404
    assert (
        get(place.signed_url.replace("/upload/", "/download/"))[0] == 403
    )  # each for its own verb


def test_a_missing_object_is_404(admin, specs, hand_backend):
    url = download(admin, f"file://{hand_backend.home.objects}/none")
    assert get(url)[0] == 404


@pytest.mark.parametrize(
    ("asked", "status", "body", "range_"),
    [
        ("bytes=0-0", 206, b"h", "bytes 0-0/5"),
        ("bytes=1-2", 206, b"el", "bytes 1-2/5"),
        ("bytes=3-", 206, b"lo", "bytes 3-4/5"),
        ("bytes=-2", 206, b"lo", "bytes 3-4/5"),
        ("bytes=-99", 206, b"hello", "bytes 0-4/5"),
        ("bytes=3-99", 206, b"lo", "bytes 3-4/5"),
        ("bytes=5-", 416, b"The object ends before that.", None),
        ("bytes=-", 200, b"hello", None),
        ("bytes=0-1,3-4", 200, b"hello", None),
        ("bytes=2-1", 416, b"The object ends before that.", None),
        ("lines=0-1", 200, b"hello", None),
    ],
)
def test_a_part_of_an_object_can_be_read_and_its_etag_names_the_object(
    admin, specs, asked, status, body, range_
):
    place = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    put(place.signed_url, b"hello")
    parts = urlsplit(download(admin, place.native_url))
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.request("GET", f"{parts.path}?{parts.query}", headers={"Range": asked})
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (status, body)
    assert answer.headers["Content-Range"] == range_
    if range_:
        assert answer.headers["ETag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    connection.close()


@pytest.mark.parametrize("spelled", ["{}", "file://{}"])
def test_a_path_and_its_uri_name_the_same_object(admin, specs, spelled):
    place = location(admin, specs, b"hello", filename="a.txt", filename_root="root")
    assert place.native_url.startswith("/")
    put(place.signed_url, b"hello")
    assert get(download(admin, spelled.format(place.native_url))) == (200, b"hello")


def test_a_refused_rewrite_renews_the_time_of_change_of_the_object(admin, specs):
    names = {"filename": "a.txt", "filename_root": "root"}
    place = location(admin, specs, b"hello", **names)
    put(place.signed_url, b"hello")
    os.utime(place.native_url, (1e9, 1e9))
    request = dataproxy_pb2.CreateUploadLocationRequest(
        project=specs.PROJECT, domain=specs.DOMAIN, **names
    )
    with pytest.raises(RemoteError, match="file already exists"):
        admin.CreateUploadLocation(request)
    assert os.stat(place.native_url).st_mtime > 1.5e9


@pytest.mark.parametrize("uri", ["file:///etc/passwd", "s3://bucket/x", "file://{0}/../token"])
def test_no_file_outside_of_the_storage_gets_a_url(admin, hand_backend, uri):
    with pytest.raises(RemoteError, match="is not in this backend's storage"):
        download(admin, uri.format(hand_backend.home.objects))


def test_a_link_to_a_deck_needs_a_node_that_has_one(admin, specs):
    request = dataproxy_pb2.CreateDownloadLinkRequest()
    with pytest.raises(RemoteError, match="invalid artifact type"):
        admin.CreateDownloadLink(request)
    request.artifact_type = dataproxy_pb2.ARTIFACT_TYPE_DECK
    with pytest.raises(RemoteError, match="source is required"):
        admin.CreateDownloadLink(request)
    request.node_execution_id.node_id = "n0"
    request.node_execution_id.execution_id.name = "none"
    with pytest.raises(RemoteError, match="failed to find node execution"):
        admin.CreateDownloadLink(request)


@pytest.fixture
def uploads(tmp_path):
    made = UploadServer(tmp_path)
    yield made
    made.close()


@pytest.mark.parametrize("signature", ["%C3%A9", "%FF", "%ED%A0%80", ""])
def test_a_signature_that_is_not_ascii_is_refused_like_any_wrong_one(uploads, capfd, signature):
    url = uploads.location("a.txt", md5="", expires_at=1 << 40)
    base, _, _ = url.rpartition("signature=")
    assert put(f"{base}signature={signature}", b"x")[0] == 403
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("verb", ["PUT", "GET"])
def test_a_client_that_leaves_in_the_middle_leaves_a_line_in_the_log(
    uploads, tmp_path, capfd, caplog, verb
):
    caplog.set_level("INFO", "flyte_nb.admin")
    with (tmp_path / "large").open("wb") as file:
        file.truncate(64 << 20)  # more than the buffers between the two hold
    if verb == "PUT":
        parts = urlsplit(uploads.location("other", md5="", expires_at=1 << 40))
    else:
        parts = urlsplit(uploads.download_location("large", expires_at=1 << 40))
    with socket.create_connection((parts.hostname, parts.port)) as client:
        head = f"{verb} {parts.path}?{parts.query} HTTP/1.1\r\nContent-Length: 1000000\r\n\r\n"
        client.sendall(head.encode() + b"x" * 1000)
        if verb == "GET":
            client.recv(1000)
        # A reset instead of an orderly end: the other side gets an error at once.
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: "a client closed its connection" in caplog.text, "a line in the log")
    assert capfd.readouterr().err == ""
    assert not (tmp_path / "other").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["large"]


# --- what is no request ---------------------------------------------------------------------


def raw(port, data):
    """Send bytes as they are; the answer's first line."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    return answer.partition(b"\r\n")[0].decode()


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"nonsense\r\n\r\n", "400"),
        (b"GET\r\n\r\n", "400"),
        (b"GET / HTTP/9.x\r\n\r\n", "400"),
        (b"GET / HTTP/" + b"9" * 5000 + b".1\r\n\r\n", "400"),
        (b"\xff\xfe\x00 \x01 \x02\r\n\r\n", "400"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505"),
        (b"POST /upload/x HTTP/1.1\r\n\r\n", "501"),
        (b"GET http://[ HTTP/1.1\r\n\r\n", "400"),
        (b"PUT //[::1 HTTP/1.1\r\n\r\n", "404"),
        (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n\r\n", "414"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "404"),
        (b"GET / HTTP/1.1\r\nx: " + b"a" * 70_000 + b"\r\n\r\n", "431"),
        (b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 200 + b"\r\n", "431"),
        (b"GET /download/x?expires=" + b"9" * 5000 + b" HTTP/1.1\r\n\r\n", "404"),
        (b"GET /download/x?expires=\xb2 HTTP/1.1\r\n\r\n", "404"),
        (b"GET /download/x?expires=9&signature=%ff HTTP/1.1\r\n\r\n", "403"),
        (b"PUT /upload/%00?expires=9&md5=&signature=x HTTP/1.1\r\n\r\n", "403"),
    ],
)
def test_a_malformed_request_is_answered_and_nothing_is_printed(
    files_server, request_bytes, status, capfd, caplog
):
    port, _ = files_server
    assert raw(port, request_bytes).split()[1] == status
    assert capfd.readouterr().err == ""
    assert caplog.text == ""


@pytest.mark.parametrize("length", ["-1", "1e3", "9" * 5000, "²", "0x10", " "])
def test_a_length_that_is_no_number_is_answered(files_server, length):
    port, uploads = files_server
    url = urlsplit(uploads.location("a/b", md5="", expires_at=2**40))
    head = f"PUT {url.path}?{url.query} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n"
    assert raw(port, head.encode("latin-1")).split()[1] in ("400", "411")


@pytest.mark.timeout(120)
def test_idle_connections_do_not_keep_other_clients_out(files_server):
    port, uploads = files_server
    before = threading.active_count()
    idle = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(300)]
    try:
        url = uploads.location("a/b", md5="", expires_at=2**40)
        assert put(url, b"hello")[0] == 200
        wait_until(lambda: threading.active_count() - before < 100, "threads end")
    finally:
        for connection in idle:
            connection.close()


@pytest.fixture
def files_server(tmp_path):
    """Return the port of a file server, and the `UploadServer` that signs its URLs."""
    uploads = UploadServer(tmp_path)
    try:
        port = urlsplit(uploads.location("x", md5="", expires_at=1)).port
        yield port, uploads
    finally:
        uploads.close()
