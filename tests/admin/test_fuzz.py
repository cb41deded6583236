"""A short run of `fuzz.py`, which is also a command for a long one."""

import importlib.util
from pathlib import Path

import grpc
import pytest


@pytest.fixture(scope="module")
def fuzz():
    spec = importlib.util.spec_from_file_location("fuzz", Path(__file__).with_name("fuzz.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.timeout(300)
def test_no_request_ends_in_a_fault_of_the_backend(hand_backend, specs, fuzz):
    token = hand_backend.home.token()
    with grpc.insecure_channel(hand_backend.endpoint) as channel:
        fuzz.prepare(channel, token, specs)
        maker = fuzz.Maker(1, fuzz.sound_requests(specs))
        (outcome,) = fuzz.bombard(channel, token, maker, 2_000)
    assert outcome.faults == []
    assert {name for name, _ in outcome.codes} == {
        method.path.rpartition("/")[2] for method in fuzz.methods()
    }
