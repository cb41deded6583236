"""The api room is append-only: what was published keeps its name, its fields and their order."""

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest

import flyte_nb
import flyte_nb.api

SNAPSHOT = Path(__file__).with_name("api_surface.json")


def surface() -> dict[str, Any]:
    """Every public name of the api room; of a value class its fields, of a constant its value."""
    found: dict[str, Any] = {}
    for module in pkgutil.iter_modules(flyte_nb.api.__path__):
        loaded = importlib.import_module(f"flyte_nb.api.{module.name}")
        for name, value in vars(loaded).items():
            if name.startswith("_") and name != "__version__":
                continue
            home = getattr(value, "__module__", loaded.__name__)
            if home != loaded.__name__ or type(value).__name__ == "module":
                continue
            found[f"{module.name}.{name}"] = _described(value, name)
    return found


def _described(value: Any, name: str) -> Any:
    fields = getattr(value, "_fields", None)
    if isinstance(value, type) and fields is not None:
        return list(fields)
    if isinstance(value, type):
        return sorted(each for each in vars(value) if not each.startswith("_"))
    if isinstance(value, frozenset):
        return sorted(value)
    if isinstance(value, (str, int)) and name != "__version__":
        return value
    return "callable" if callable(value) else "value"


def test_nothing_that_was_published_is_gone_or_changed():
    """To publish more, run `python tests/api/test_api_surface.py` and commit the file."""
    published, now = json.loads(SNAPSHOT.read_text()), surface()
    assert sorted(set(published) - set(now)) == []
    for name, before in published.items():
        if isinstance(before, list):
            assert now[name][: len(before)] == before or set(before) <= set(now[name]), name
        else:
            assert now[name] == before, name


def test_fields_of_values_are_only_appended():
    published, now = json.loads(SNAPSHOT.read_text()), surface()
    for name, before in published.items():
        value = getattr(
            importlib.import_module(f"flyte_nb.api.{name.split('.')[0]}"), name.split(".")[1]
        )
        if hasattr(value, "_fields"):
            assert now[name][: len(before)] == before, name


def test_everything_that_is_there_is_published():
    assert sorted(set(surface()) - set(json.loads(SNAPSHOT.read_text()))) == []


def test_every_public_name_of_the_package_is_found_and_listed():
    assert sorted(flyte_nb.__all__) == dir(flyte_nb)
    for name in flyte_nb.__all__:
        if not flyte_nb._HOMES.get(name, "").startswith("flyte_nb.session.session"):
            assert getattr(flyte_nb, name) is not None
    stub = Path(flyte_nb.__file__).with_suffix(".pyi").read_text()
    assert [name for name in flyte_nb.__all__ if name not in stub] == []


def test_a_name_that_is_not_public_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        flyte_nb.nothing  # noqa: B018 - looked up on purpose


def test_loading_the_extension_hands_over_a_way_to_connect(monkeypatch):
    import sys
    import types

    handed = []
    extension = types.ModuleType("flyte_nb.notebook.shell.extension")
    extension.load = lambda ip, connect: handed.append((ip, connect))  # type: ignore[attr-defined]
    session = types.ModuleType("flyte_nb.session.session")
    session.connect = lambda **options: options  # type: ignore[attr-defined]
    session.default_session = lambda: "the one that holds"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "flyte_nb.notebook.shell.extension", extension)
    monkeypatch.setitem(sys.modules, "flyte_nb.session.session", session)
    flyte_nb.load_ipython_extension("shell")
    assert handed[0][0] == "shell"
    assert handed[0][1](project="p") == {"project": "p"}
    assert handed[0][1]() == "the one that holds"


if __name__ == "__main__":
    SNAPSHOT.write_text(json.dumps(surface(), indent=1, sort_keys=True) + "\n")
