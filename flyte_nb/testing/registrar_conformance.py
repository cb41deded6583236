"""The suite for registrars. Derive a class, and give it a `registrar` fixture that finds something.

```python
class TestMine(RegistrarConformance):
    @pytest.fixture
    def registrar(self):
        return MyRegistrar()
```
"""

from collections.abc import Mapping

import pytest

from flyte_nb.api.identifiers import LAUNCH_PLAN, TASK, WORKFLOW
from flyte_nb.api.ports import Registrar


class RegistrarConformance:
    """The suite; see `flyte_nb.api.ports.Registrar`."""

    @pytest.fixture
    def env(self) -> "Mapping[str, str]":
        """The environment that the registrar gets."""
        return {}

    def test_it_finds_something(self, registrar: Registrar, env: "Mapping[str, str]") -> None:
        """An empty answer would let the rest of the suite pass for nothing."""
        assert list(registrar.load(env))

    def test_each_entity_says_its_kind_module_and_name(
        self, registrar: Registrar, env: "Mapping[str, str]"
    ) -> None:
        """Names are text, and `resource_type` is a task, a workflow or a launch plan."""
        for entity in registrar.load(env):
            assert entity.resource_type in (TASK, WORKFLOW, LAUNCH_PLAN)
            assert isinstance(entity.module, str)
            assert isinstance(entity.short_name, str)
            assert entity.short_name

    def test_each_entity_is_found_once(
        self, registrar: Registrar, env: "Mapping[str, str]"
    ) -> None:
        """Neither one object twice, nor two of one kind with one name."""
        found = [(item.resource_type, item.module, item.short_name) for item in registrar.load(env)]
        assert len(found) == len(set(found))

    def test_loading_again_finds_the_same_in_the_same_order(
        self, registrar: Registrar, env: "Mapping[str, str]"
    ) -> None:
        """Nothing is consumed, and nothing depends on chance."""
        assert list(registrar.load(env)) == list(registrar.load(env))

    def test_the_environment_it_reads_is_the_one_it_is_given(
        self, registrar: Registrar, env: "Mapping[str, str]", monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """`FLYTE_*` variables of the process have no effect."""
        before = list(registrar.load(env))
        monkeypatch.setenv("FLYTE_PLATFORM_URL", "elsewhere:1")
        monkeypatch.setenv("FLYTE_NB_NOTEBOOK", "another")
        assert list(registrar.load(env)) == before

    def test_the_environment_is_left_as_it_is(
        self, registrar: Registrar, env: "Mapping[str, str]"
    ) -> None:
        """A registrar changes nothing."""
        given = dict(env)
        list(registrar.load(given))
        assert given == dict(env)
