"""Secrets: the file of lines, where each is looked for, and the error when it is nowhere."""

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.sdk.secrets import FILE_VARIABLE, Secrets, read_file


@pytest.fixture
def write(tmp_path):
    def write(text):
        path = tmp_path / "mine.env"
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A_B=x", "x"),
        ("export A_B=x", "x"),
        ("  a_b = x  ", "x"),
        ("A_B=x # of the shop", "x"),
        ("A_B=x#y", "x#y"),
        ("A_B='x # y'", "x # y"),
        ('A_B="x\\ny"', "x\ny"),
        ("A_B='x\\ny'", "x\\ny"),
        ("A_B=a=b==", "a=b=="),
        ("A_B=", ""),
        ("A_B='", "'"),
        ("A_B=größe", "größe"),
    ],
)
def test_a_line_of_the_file_gives_its_value(write, line, value):
    assert read_file(write(f"# mine\n\n{line}\n")) == {"A_B": value}


def test_a_line_of_another_form_is_named_by_its_number_and_not_shown(write):
    with pytest.raises(UsageError, match=r"mine.env, line 2: write NAME=value") as caught:
        read_file(write("A=1\nhunter2\n"))
    assert "hunter2" not in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"The file of secrets .*gone\.env cannot be read"):
        read_file(str(tmp_path / "gone.env"))


def test_on_a_persons_machine_variables_come_first_then_the_file_then_the_folder(write, tmp_path):
    folder = tmp_path / "secrets"
    (folder / "g").mkdir(parents=True)
    (folder / "g" / "k").write_text("of the folder\n")
    env = {"FLYTE_SECRETS_DEFAULT_DIR": str(folder)}
    assert Secrets(env, is_local=True).find("g", "k") == "of the folder"
    env[FILE_VARIABLE] = write("G_K=of the file")
    assert Secrets(env, is_local=True).find("g", "k") == "of the file"
    assert Secrets(env, is_local=True).find("g", "other") is None
    env["G_K"] = "of a variable"
    assert Secrets(env, is_local=True).find("g", "k") == "of a variable"
    env["_FSEC_G_K"] = "of the variable"
    assert Secrets(env, is_local=True).find("g", "k") == "of the variable"


def test_in_a_task_the_file_of_whoever_runs_the_backend_counts_for_nothing(write):
    env = {FILE_VARIABLE: write("G_K=not for tasks"), "FLYTE_SECRETS_DEFAULT_DIR": "/nowhere"}
    assert Secrets(env).find("g", "k") is None


def test_what_is_said_of_a_missing_secret_names_every_place_and_both_remedies():
    env = {"FLYTE_SECRETS_DEFAULT_DIR": "/nowhere"}
    with pytest.raises(UsageError) as caught:
        Secrets(env).get("g", "k", "v2")
    said = str(caught.value)
    for part in (
        *("the variable _FSEC_G_V2_K", "the file /nowhere/g/v2/k"),
        "@task(secret_requests=[Secret(group='g', key='k')])",
        *("set _FSEC_G_V2_K there", "write G_V2_K=…", FILE_VARIABLE),
    ):
        assert part in said
