"""Tasks that are a query: `SQLTask`, and `SQLite3Task`, which runs here and where it is launched."""

import contextlib
import os
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from flyte_nb.api.errors import UsageError
from flyte_nb.sdk.declared import (
    Declared,
    DeclaredTask,
    NotHere,
    TemplateTask,
    Types,
    with_task_metadata,
)
from flyte_nb.sdk.task import TaskOptions
from flyte_nb.types.files import FlyteFile
from flyte_nb.types.schema import FlyteSchema

if TYPE_CHECKING:
    from flyte_nb.sdk.options import TaskMetadata

_INPUT = re.compile(r"({{\s*\.inputs\.(\w+)\s*}})", re.IGNORECASE)


def interpolate_query(query_template: str, inputs: "Mapping[str, object]") -> str:
    """Return the query with each `{{ .inputs.x }}` replaced by the text of that input.

    Raises:
        ValueError: the query names an input that is not there, or one that is there is not named.
    """
    named = {found[2] for found in _INPUT.finditer(query_template)}
    lacking = sorted(named - inputs.keys())
    if lacking:
        raise ValueError(
            f"The query names {', '.join(lacking)}, and its inputs are {', '.join(inputs) or 'none'}."
        )
    unused = sorted(inputs.keys() - named)
    if unused:
        raise ValueError(
            f"The query does not name the input {', '.join(unused)}."
            f" Write {{{{ .inputs.{unused[0]} }}}} in it, or remove the input."
        )
    return _INPUT.sub(lambda found: str(inputs[found[2]]), query_template)


def _on_one_line(query: str) -> str:
    return " ".join(query.split())


class Query:
    """The query of a task. It is mixed into each class of tasks that run one."""

    query_template: str

    def get_query(self, **inputs: object) -> str:
        """Return the query for these inputs.

        Raises:
            ValueError: the inputs are not those that the query names.
        """
        return interpolate_query(self.query_template, inputs)

    @classmethod
    def interpolate_query(cls, query_template: str, **inputs: object) -> str:
        """Return any query with `{{ .inputs.x }}` replaced by the text of the input.

        Raises:
            ValueError: the inputs are not those that the query names.
        """
        return interpolate_query(query_template, inputs)


class _Elsewhere(NotHere):
    noun = "SQL task"

    def run(self, inputs: "dict[str, object]") -> object:
        """Refuse: only a plugin of a cluster asks the engine.

        Raises:
            UsageError: always.
        """
        raise UsageError(
            f"{self.name} is a query that a plugin of a Flyte cluster runs; nothing here can."
            " Launch it there. In a test, replace it by a function."
        )


class SQLTask(Query, TemplateTask):
    """A query for an engine that a plugin of a Flyte cluster asks. Kinds for one engine derive from it.

    Here nothing can run it. `SQLite3Task` and `DuckDBQuery` run their queries themselves.
    """

    noun = "SQL task"

    def __init__(
        self,
        name: str,
        query_template: str,
        task_config: object = None,
        task_type: str = "sql_task",
        inputs: "Types | None" = None,
        metadata: "TaskMetadata | None" = None,
        outputs: "Types | None" = None,
        **options: object,
    ) -> None:
        """Record the task.

        Args:
            name: the name that it is registered with.
            query_template: the query; `{{ .inputs.x }}` stands for an input.
            task_config: what a class that derives from it knows about its engine.
            task_type: the type that Flyte finds the plugin by.
            inputs: the types of the inputs.
            metadata: `retries`, `cache` and the like, in place of options.
            outputs: the types of the outputs.
            **options: those of `@task`.

        Raises:
            UsageError: something has a value that it cannot have.
        """
        super().__init__(
            _Elsewhere(name, inputs, outputs), with_task_metadata("SQLTask", metadata, options)
        )
        self.task_type = task_type
        self.task_config = task_config
        self.query_template = _on_one_line(_text(name, query_template))

    def __getstate__(self) -> "dict[str, object]":
        kept = ("task_type", "task_config", "query_template")
        return {**super().__getstate__(), **{name: getattr(self, name) for name in kept}}

    def __setstate__(self, state: "dict[str, object]") -> None:
        super().__setstate__(state)
        vars(self).update({k: v for k, v in state.items() if k not in ("function", "options")})


class SQLite3Config:
    """The database of an `SQLite3Task`: a file, here or in a store."""

    def __init__(self, uri: str, compressed: bool = False) -> None:
        """Note where it is.

        Args:
            uri: its path or URI.
            compressed: whether it is an archive (zip, tar, …) that has the database as its only file.
        """
        self.uri = uri
        self.compressed = compressed

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SQLite3Config) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((self.uri, self.compressed))

    def __repr__(self) -> str:
        return f"SQLite3Config(uri={self.uri!r}, compressed={self.compressed!r})"


class SQLite3Query(Declared):
    """Runs a query on a copy of the database."""

    noun = "SQLite task"

    def __init__(
        self, name: str, inputs: "Types | None", result: object, query: str, config: SQLite3Config
    ) -> None:
        """Note the query and the database."""
        super().__init__(name, inputs, {"results": result})
        self.query_template = query
        self.config = config

    def run(self, inputs: "dict[str, object]") -> object:
        """Return the rows as a pandas DataFrame."""
        # Tables are pandas frames, as flytekit's are. The SDK itself does without pandas.
        pandas = import_module("pandas")
        query = interpolate_query(self.query_template, inputs)
        with tempfile.TemporaryDirectory() as folder:
            path = _database(self.config, folder)
            with contextlib.closing(sqlite3.connect(path)) as connection:
                frame: object = pandas.read_sql_query(query, connection)
                return frame


class SQLite3Task(Query, DeclaredTask):
    """A query on an SQLite database that is a file. Its output `results` is a table.

    ```python
    tracks = SQLite3Task(
        name="tracks",
        query_template="select Name from tracks limit {{ .inputs.limit }}",
        inputs=kwtypes(limit=int),
        output_schema_type=pd.DataFrame,
        task_config=SQLite3Config(uri="https://example.com/chinook.zip", compressed=True),
    )
    ```
    """

    noun = "SQLite task"
    task_type = "sqlite"
    function: SQLite3Query

    def __init__(
        self,
        name: str,
        query_template: str,
        inputs: "Types | None" = None,
        task_config: "SQLite3Config | None" = None,
        output_schema_type: object = None,
        container_image: str = "",
        metadata: "TaskMetadata | None" = None,
        **options: object,
    ) -> None:
        """Record the task.

        Args:
            name: the name that it is registered with.
            query_template: the query; `{{ .inputs.x }}` stands for an input.
            inputs: the types of the inputs.
            task_config: the database.
            output_schema_type: the type of the result: a frame's, `StructuredDataset` or a schema.
            container_image: the image that it runs in.
            metadata: `retries`, `cache` and the like, in place of options.
            **options: those of `@task`.

        Raises:
            UsageError: something has a value that it cannot have.
        """
        if not isinstance(task_config, SQLite3Config) or not isinstance(task_config.uri, str):
            raise UsageError(
                f"{name} has no database. Write task_config=SQLite3Config(uri='data.db')."
            )
        if container_image:
            options["container_image"] = container_image
        recorded: TaskOptions = with_task_metadata("SQLite3Task", metadata, options)
        query = _on_one_line(_text(name, query_template))
        result = FlyteSchema if output_schema_type is None else output_schema_type
        super().__init__(SQLite3Query(name, inputs, result, query, task_config), recorded)
        self._describe()

    def __setstate__(self, state: "dict[str, object]") -> None:
        super().__setstate__(state)
        self._describe()

    def _describe(self) -> None:
        self.query_template = self.function.query_template
        config = self.function.config
        self.custom = {
            "query_template": self.query_template,
            "uri": config.uri,
            "compressed": config.compressed,
        }

    @property
    def task_config(self) -> SQLite3Config:
        """The database."""
        return self.function.config


def _database(config: SQLite3Config, folder: str) -> str:
    """Return the path of a copy of the database in `folder`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the archive has not exactly one file.
    """
    source = os.fspath(FlyteFile(config.uri).download())
    if not config.compressed:
        return shutil.copyfile(source, os.path.join(folder, "database"))
    # The kind of an archive follows from its name, which a downloaded file may have lost.
    named = shutil.copyfile(source, os.path.join(folder, os.path.basename(config.uri)))
    unpacked = os.path.join(folder, "unpacked")
    shutil.unpack_archive(named, unpacked)
    return os.path.join(unpacked, _only(config.uri, sorted(os.listdir(unpacked))))


def _only(uri: str, files: "Iterable[str]") -> str:
    found = list(files)
    if len(found) != 1:
        raise ValueError(
            f"The archive {uri} has {len(found)} files ({', '.join(found)}); it has to have one database."
        )
    return found[0]


def _text(name: str, query: object) -> str:
    if not isinstance(query, str):
        raise UsageError(f"{name}: query_template={query!r}: write a query as text.")
    return query
