"""Tasks that are no Python function, in a module that travels: it imports what a task has, and no more."""

import pandas as pd

from flyte_nb import (
    ContainerTask,
    Echo,
    FlyteFile,
    OutputLocation,
    ShellTask,
    SQLite3Config,
    SQLite3Task,
    dynamic,
    kwtypes,
    task,
    workflow,
)

count = ContainerTask(
    name="count",
    image="img:1",
    command=["sh", "-c", "wc -l < /var/inputs/text > /var/outputs/lines"],
    inputs=kwtypes(text=FlyteFile),
    outputs=kwtypes(lines=int),
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
)
write = ShellTask(
    name="write",
    script="seq {inputs.n} > {outputs.o}",
    inputs=kwtypes(n=int),
    output_locs=[OutputLocation("o", FlyteFile, "{ctx.working_directory}/numbers.txt")],
)
same = Echo(name="same", inputs=kwtypes(x=int))


@dynamic
def counted(n: int) -> int:
    return same(x=count(text=write(n=n)))


@task
def total(one: int, other: int, rows: pd.DataFrame) -> int:
    return one + other + int(rows["a"].sum())


def made(database):
    query = SQLite3Task(
        name="query",
        query_template="select a from t where a < {{ .inputs.n }}",
        inputs=kwtypes(n=int),
        output_schema_type=pd.DataFrame,
        task_config=SQLite3Config(uri=str(database)),
    )

    @workflow
    def every_kind(n: int) -> int:
        return total(one=same(x=count(text=write(n=n))), other=counted(n=n), rows=query(n=n))

    return every_kind
