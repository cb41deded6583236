from pathlib import Path

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.client.config import CLIENT_SECRET, EXTERNAL_COMMAND, find

YAML = """
admin:
  endpoint: dns:///flyte.example.com
  authType: ClientSecret
  clientId: robot
  clientSecretLocation: /etc/secret
  insecure: false
  caCertFilePath: /etc/ca.pem
  scopes: [all, offline]
console:
  endpoint: https://console.example.com
task:
  project: weather
  domain: staging
"""


def written(folder: Path, text: str = YAML) -> Path:
    file = folder / ".flyte" / "config.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def test_nothing_configured_means_no_configuration(tmp_path):
    assert find({}, home=tmp_path) is None


def test_the_file_in_the_home_folder_is_read(tmp_path):
    file = written(tmp_path)
    config = find({}, home=tmp_path)
    assert config.endpoint == "flyte.example.com:443"
    assert config.auth.type == CLIENT_SECRET
    assert (config.auth.client_id, config.auth.scopes) == ("robot", ("all", "offline"))
    assert (config.project, config.domain) == ("weather", "staging")
    assert config.source == str(file)
    assert config.ca_cert_file == "/etc/ca.pem"


def test_flytectl_config_wins_over_the_home_folder(tmp_path):
    written(tmp_path)
    other = tmp_path / "other.yaml"
    other.write_text("admin: {endpoint: 'localhost:30080', insecure: true}")
    config = find({"FLYTECTL_CONFIG": str(other)}, home=tmp_path)
    assert (config.endpoint, config.insecure) == ("localhost:30080", True)


def test_a_variable_wins_over_the_file(tmp_path):
    written(tmp_path)
    env = {
        "FLYTE_PLATFORM_URL": "dns:///elsewhere:81",
        "FLYTE_PLATFORM_INSECURE": "True",
        "FLYTE_CREDENTIALS_AUTH_MODE": "external_process",
        "FLYTE_CREDENTIALS_COMMAND": "token,--for,flyte",
    }
    config = find(env, home=tmp_path)
    assert (config.endpoint, config.insecure) == ("elsewhere:81", True)
    assert (config.auth.type, config.auth.command) == (
        EXTERNAL_COMMAND,
        ("token", "--for", "flyte"),
    )
    assert config.source == "FLYTE_PLATFORM_URL"


def test_keys_are_read_whatever_their_case_as_flytectl_does(tmp_path):
    written(tmp_path, "admin: {Endpoint: 'a:1', authtype: ExternalCommand, command: [x, y]}")
    config = find({}, home=tmp_path)
    assert (config.endpoint, config.auth.command) == ("a:1", ("x", "y"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- 1\n- 2\n", "not a mapping"),
        ("admin: [", "cannot be read as YAML"),
        ("[platform]\nurl = a:1\n", "cannot be read as YAML"),
        ("admin: {endpoint: 'a b'}", "not host:port"),
    ],
)
def test_a_file_that_is_no_configuration_is_named(tmp_path, text, said):
    file = written(tmp_path, text)
    with pytest.raises(UsageError, match=said):
        find({}, home=tmp_path, path=file)


def test_a_named_file_that_is_missing_is_an_error_and_not_the_local_backend(tmp_path):
    with pytest.raises(UsageError, match="no such file"):
        find({"FLYTECTL_CONFIG": str(tmp_path / "gone.yaml")}, home=tmp_path)


def test_a_named_file_without_an_endpoint_says_what_to_add(tmp_path):
    file = written(tmp_path, "admin: {}")
    with pytest.raises(UsageError, match=r"admin\.endpoint"):
        find({}, home=tmp_path, path=file)
    assert find({}, home=tmp_path) is None  # not named by anybody: as if it were not there
