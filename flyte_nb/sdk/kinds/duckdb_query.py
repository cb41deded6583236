"""`DuckDBQuery`: a query in DuckDB over frames that are inputs."""

import contextlib
import json
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from flyte_nb.api.errors import UsageError
from flyte_nb.sdk.declared import Declared, DeclaredTask, Types, with_task_metadata
from flyte_nb.types.datasets import StructuredDataset

if TYPE_CHECKING:
    from flyte_nb.sdk.options import TaskMetadata


class _Rows(Protocol):
    """What is used of DuckDB's relation."""

    def to_arrow_table(self) -> object: ...


class _Connection(Protocol):
    """What is used of a connection to DuckDB."""

    def register(self, name: str, table: object) -> object: ...

    def execute(self, query: str, parameters: object = None) -> object: ...

    def executemany(self, query: str, parameters: object = None) -> object: ...

    def sql(self, query: str, *, params: object = None) -> "_Rows | None": ...

    def close(self) -> None: ...


class Queries(Declared):
    """Runs queries one after the other in a database of their own, and returns the rows of the last."""

    noun = "DuckDB task"

    def __init__(self, name: str, inputs: "Types | None", queries: "tuple[str, ...]") -> None:
        """Note the queries."""
        super().__init__(name, inputs, {"result": StructuredDataset})
        self.queries = queries

    def run(self, inputs: "dict[str, object]") -> object:
        """Return the rows of the last query.

        Raises:
            ValueError: an input is neither a table nor parameters, or a query lacks its parameters.
        """
        parameters: list[object] = []
        database: _Connection = import_module("duckdb").connect(":memory:")
        with contextlib.closing(database):
            for name, value in inputs.items():
                given = self._parameters(name, value)
                if given is not None:
                    parameters = given
                else:
                    database.register(name, _table(value))
            *before, last = self._with_parameters(parameters)
            for query, given in before:
                self._execute(database, query, given)
            rows = database.sql(last[0], params=last[1])
            if rows is None:
                raise ValueError(f"{self.name}: the last query, {last[0]!r}, gives no rows.")
            return StructuredDataset(dataframe=rows.to_arrow_table())

    def _parameters(self, name: str, value: object) -> "list[object] | None":
        """Return the parameters in the value; `None` when it is a table."""
        if isinstance(value, str):
            value = json.loads(value)
        if isinstance(value, list):
            return value
        if isinstance(value, StructuredDataset) or type(value).__name__ in ("DataFrame", "Table"):
            return None
        raise ValueError(
            f"{self.name}: the input {name} is a {type(value).__name__}. Give a frame, or a list of"
            " parameters, also as JSON."
        )

    def _with_parameters(self, given: "list[object]") -> "list[tuple[str, list[object] | None]]":
        """Return the queries, each with its parameters; `None` for a query that takes none."""
        # A list of lists has the parameters of each query that takes some. Else they are of every such query.
        for_each = iter(given) if given and isinstance(given[0], list) else None
        found: list[tuple[str, list[object] | None]] = []
        for query in self.queries:
            own: object = None
            if any(mark in query for mark in "$?"):
                own = given if for_each is None else next(for_each, None)
                if not own:
                    raise ValueError(
                        f"{self.name}: the query {query!r} has no parameters. Give a list."
                    )
            found.append((query, own if isinstance(own, list) or own is None else [own]))
        return found

    def _execute(
        self, database: _Connection, query: str, parameters: "list[object] | None"
    ) -> None:
        # An insert may have several rows of parameters.
        if parameters and isinstance(parameters[0], list):
            database.executemany(query, parameters)
        else:
            database.execute(query, parameters)


class DuckDBQuery(DeclaredTask):
    """A task that runs queries in DuckDB. Its inputs are frames, named as in the queries, and parameters.

    ```python
    mean = DuckDBQuery(
        name="mean",
        query="select avg(age) from people where age > ?",
        inputs=kwtypes(people=pd.DataFrame, limits=list[int]),
    )
    ```

    Its output `result` is a `StructuredDataset`. DuckDB and pyarrow have to be installed where it runs.
    """

    noun = "DuckDB task"
    task_type = "duckdb"
    function: Queries

    def __init__(
        self,
        name: str,
        query: "str | Sequence[str]",
        inputs: "Types | None" = None,
        metadata: "TaskMetadata | None" = None,
        **options: object,
    ) -> None:
        """Record the task.

        Args:
            name: the name that it is registered with.
            query: the query, or several, of which the last one gives the rows.
            inputs: the types of the inputs.
            metadata: `retries`, `cache` and the like, in place of options.
            **options: those of `@task`.

        Raises:
            UsageError: something has a value that it cannot have.
        """
        queries = (query,) if isinstance(query, str) else tuple(query)
        if not queries or not all(isinstance(each, str) for each in queries):
            raise UsageError(f"{name}: query={query!r}: write a query as text, or a list of them.")
        recorded = with_task_metadata("DuckDBQuery", metadata, options)
        super().__init__(Queries(name, inputs, queries), recorded)


def _table(value: object) -> object:
    if not isinstance(value, StructuredDataset):
        return value
    return value.open(import_module("pyarrow").Table).all()
