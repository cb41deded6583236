"""A warning about a secret names its kind and its place, and never shows its value."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.identifiers import Scope
from flyte_nb.bundle.pack import pack
from flyte_nb.bundle.secret_signs import secrets_in
from flyte_nb.testing.cells import Cells

# Put together here, so that no scanner takes this file for a leak.
SECRETS = {
    "an AWS access key": "AKIA" + "ABCDEFGHIJKLMNOP",
    "a private key": "-----BEGIN RSA PRIVATE " + "KEY-----\nMIIEow==\n",
    "a GitHub token": "ghp" + "_" + "a1B2" * 9,
    "a GitLab token": "glpat" + "-" + "a1B2_" * 4,
    "a Slack token": "xoxb" + "-1234567890-abc",
    "a Google API key": "AIza" + "x" * 35,
    "an API key": "sk" + "-proj-" + "a1B2" * 6,
    "a Stripe key": "sk" + "_live_" + "a1B2" * 6,
    "a Hugging Face token": "hf" + "_" + "abCd" * 9,
    "a signed token (JWT)": "eyJ" + "hbGciOiJI.eyJzdWIiOiIx.SflKxwRJSMeK",
    "a password in a URL": "postgres://me:" + "hunter2@db.example/x",
}
HARMLESS = [
    "https://example.org/a:b@c", "AKIA is a prefix", "ghp_short", "task-sk-1", "http://host:8080/x",
    "skip-everything-that-is-longer-than-that", "-----BEGIN CERTIFICATE-----", "s3://bucket/key",
]  # fmt: skip

USES = {
    "a global": "value = VALUE\n@task\ndef f() -> str:\n    return value\n",
    "a nested value": "value = {'a': [1, VALUE]}\n@task\ndef f() -> str:\n    return str(value)\n",
    "a default": "@task\ndef f(value: str = VALUE) -> str:\n    return value\n",
    "a constant": "@task\ndef f() -> str:\n    return VALUE\n",
    "a comment": "@task\ndef f() -> str:\n    return ''  # VALUE\n",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_every_kind_is_known_within_other_text(kind):
    assert secrets_in(f"x = '{SECRETS[kind]}' # y".encode()) == (kind,)


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_resembles_one_is_not(text):
    assert secrets_in(text.encode()) == ()


@given(st.binary(max_size=2000))
def test_any_bytes_are_looked_through(data):
    assert isinstance(secrets_in(data), tuple)


@pytest.mark.parametrize("use", USES)
def test_a_task_that_takes_one_along_is_warned_about_without_the_value(use):
    value = SECRETS["an AWS access key"]
    cells = Cells()
    text = value if use == "a comment" else repr(value)
    cells.run("from flyte_nb import task\n" + USES[use].replace("VALUE", text))
    packed = pack(cells["f"], scope=Scope())
    assert packed.warnings
    for warning in packed.warnings:
        assert "an AWS access key" in warning
        assert value not in warning
    if "comment" not in use and "constant" not in use:
        assert "'value'" in packed.warnings[0]


def test_a_module_that_holds_one_is_named(tmp_path, monkeypatch):
    import sys

    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "unit_leak").mkdir()
    (tmp_path / "unit_leak" / "__init__.py").write_text("")
    (tmp_path / "unit_leak" / "conf.ini").write_text(f"key={SECRETS['an AWS access key']}")
    cells = Cells()
    cells.run(
        "import unit_leak\nfrom flyte_nb import task\n@task\ndef f() -> str:\n    return str(unit_leak)\n"
    )
    packed = pack(cells["f"], scope=Scope(), local_roots=[tmp_path])
    del sys.modules["unit_leak"]
    [warning] = packed.warnings
    assert warning.startswith("unit_leak/conf.ini seems to contain an AWS access key")
