"""The framed pipe."""

import json
import os
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flyte_nb.pipe.pipe import MAGIC, SPILL_BYTES, Pipe, PipeClosed, PipeGarbage, TooLarge


@pytest.fixture
def ends(tmp_path):
    """Two pipes, each reading what the other writes."""
    there, back = os.pipe(), os.pipe()
    host = Pipe(back[0], there[1], str(tmp_path))
    worker = Pipe(there[0], back[1], str(tmp_path))
    yield host, worker
    for pipe in (host, worker):
        for descriptor in (pipe.read_fd, pipe.write_fd):
            try:
                os.close(descriptor)
            except OSError:
                continue


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)  # a busy machine is no failure
@given(value=JSON)
def test_a_message_comes_as_it_was_sent(tmp_path_factory, value):
    read_fd, write_fd = os.pipe()
    pipe = Pipe(read_fd, write_fd, str(tmp_path_factory.getbasetemp()))
    try:
        pipe.send({"kind": "x", "value": value})
        assert pipe.receive() == {"kind": "x", "value": value}
    finally:
        pipe.close()


def test_a_large_message_goes_by_file_and_leaves_none(ends, tmp_path):
    host, worker = ends
    message = {"kind": "outputs", "text": "é" * SPILL_BYTES}
    worker.send(message)
    assert len(list(tmp_path.iterdir())) == 1
    assert host.receive() == message
    assert list(tmp_path.iterdir()) == []


def test_a_message_just_below_the_limit_goes_through_the_pipe(ends, tmp_path):
    host, worker = ends
    message = {"kind": "outputs", "text": "x" * (SPILL_BYTES - 100)}
    writer = threading.Thread(target=worker.send, args=(message,))  # larger than the pipe's buffer
    writer.start()
    assert host.receive() == message
    writer.join()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"hello, here is the user",
        MAGIC + (5).to_bytes(4, "big") + b"{bad}",
        MAGIC + (2).to_bytes(4, "big") + b"[]",
        MAGIC + (2).to_bytes(4, "big") + b"{}",
        MAGIC + (2**31).to_bytes(4, "big") + b"{}",
        b"FNB\xff" + (12).to_bytes(4, "big") + b'{"kind":"x"}',
    ],
)
def test_bytes_that_are_not_a_frame_are_refused(ends, data):
    host, worker = ends
    os.write(worker.write_fd, data)
    with pytest.raises(PipeGarbage) as caught:
        host.receive()
    assert caught.value.code == "SYSTEM:WorkerProtocol"


@pytest.mark.parametrize("kept", range(20))
def test_a_frame_that_is_cut_short_is_never_an_answer(ends, kept):
    host, worker = ends
    body = b'{"kind":"outputs"}'
    os.write(worker.write_fd, (MAGIC + len(body).to_bytes(4, "big") + body)[:kept])
    os.close(worker.write_fd)
    with pytest.raises(PipeClosed):
        host.receive()


def test_writing_without_a_reader_raises_pipe_closed(ends):
    host, worker = ends
    os.close(worker.read_fd)
    with pytest.raises(PipeClosed):
        host.send({"kind": "call"})


def test_a_frame_that_names_a_file_outside_the_folder_is_refused(ends, tmp_path_factory):
    host, worker = ends
    secret = tmp_path_factory.mktemp("else") / "secret.json"
    secret.write_text('{"kind": "outputs"}')
    body = json.dumps({"kind": "outputs", "file": str(secret)}).encode()
    os.write(worker.write_fd, MAGIC + len(body).to_bytes(4, "big") + body)
    with pytest.raises(PipeGarbage):
        host.receive()
    assert secret.exists()


def test_a_body_over_the_limit_is_neither_sent_nor_read(ends, tmp_path, monkeypatch):
    other, one = ends
    path = tmp_path / "frame-1-1.json"
    with path.open("wb") as file:
        file.truncate(10 << 30)  # sparse: reading it would need all the memory there is
    body = json.dumps({"kind": "outputs", "file": str(path)}).encode()
    os.write(one.write_fd, MAGIC + len(body).to_bytes(4, "big") + body)
    with pytest.raises(PipeGarbage):
        other.receive()
    monkeypatch.setattr("flyte_nb.pipe.pipe.MOST_BYTES", 100)
    with pytest.raises(TooLarge, match="FlyteFile"):
        one.send({"kind": "outputs", "text": "x" * 200})
    one.send({"kind": "failed"})
    assert other.receive() == {"kind": "failed"}
