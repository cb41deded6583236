"""What `current_context()` returns, and where secrets are looked up."""

import pytest

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import ExecutionId
from flyte_nb.sdk import context
from flyte_nb.sdk.execution_context import DirectRunner, context_from, current_context
from flyte_nb.sdk.secrets import Secrets

ENV = {
    "FLYTE_INTERNAL_EXECUTION_PROJECT": "p",
    "FLYTE_INTERNAL_EXECUTION_DOMAIN": "d",
    "FLYTE_INTERNAL_EXECUTION_ID": "run1",
    "FLYTE_INTERNAL_TASK_NAME": "book.f",
    "FLYTE_INTERNAL_TASK_VERSION": "v",
}


def test_the_environment_of_a_task_says_which_run_it_is(tmp_path):
    found = context_from(ENV, working_directory=str(tmp_path), raw_output_prefix="s3://b/x")
    assert found.execution_id == ExecutionId("p", "d", "run1")
    assert (found.task_id.name, found.task_id.version) == ("book.f", "v")
    assert found.working_directory == str(tmp_path)
    assert found.raw_output_prefix == "s3://b/x"
    assert found.logging.name == "flyte_nb.task"
    assert found.execution_date.tzinfo is not None


def test_outside_of_a_run_there_is_a_local_stand_in():
    assert current_context().execution_id.name == "local"


def test_inside_of_a_run_the_runners_context_is_used(tmp_path):
    made = context_from(ENV, working_directory=str(tmp_path))
    token = context.runner.set(DirectRunner(made))
    try:
        assert current_context() is made
    finally:
        context.runner.reset(token)


def test_a_secret_comes_from_the_environment_before_the_file(tmp_path):
    folder = tmp_path / "group" / "v1"
    folder.mkdir(parents=True)
    (folder / "key").write_text("from file\n")
    env = {"FLYTE_SECRETS_DEFAULT_DIR": str(tmp_path)}
    assert Secrets(env).get("Group", "KEY", "v1") == "from file"
    env["_FSEC_GROUP_V1_KEY"] = " from env "
    assert Secrets(env).get("group", "key", "v1") == "from env"


def test_prefixes_of_variables_and_files_can_be_set(tmp_path):
    (tmp_path / "g").mkdir()
    (tmp_path / "g" / "s-k").write_text("x")
    env = {
        "FLYTE_SECRETS_DEFAULT_DIR": str(tmp_path),
        "FLYTE_SECRETS_FILE_PREFIX": "s-",
        "FLYTE_SECRETS_ENV_PREFIX": "MY_",
    }
    assert Secrets(env).get("g", "k") == "x"
    assert Secrets({**env, "MY_G_K": "y"}).get("g", "k") == "y"


def test_a_variable_without_prefix_is_read_on_a_persons_own_machine_only(tmp_path):
    env = {"G_K": "x", "FLYTE_SECRETS_DEFAULT_DIR": str(tmp_path)}
    assert Secrets(env, is_local=True).get("g", "k") == "x"
    with pytest.raises(UsageError, match=r"_FSEC_G_K.*secret_requests"):
        Secrets(env).get("g", "k")
    with pytest.raises(UsageError, match="Say which secret"):
        Secrets(env).get()
