"""A module of flytekit's kinds of tasks that are more than a function; registered by pyflyte in a test."""

import os

from flytekit import ContainerTask, Deck, current_context, eager, kwtypes, task, workflow
from flytekit.exceptions.user import FlyteRecoverableException
from flytekit.extras.tasks.shell import OutputLocation, ShellTask
from flytekit.types.file import FlyteFile

_AREA = """
echo "$1 * $2" > /var/outputs/note
expr $(cat /var/inputs/a) \\* $(cat /var/inputs/b) > /var/outputs/area
"""

area = ContainerTask(
    name="area",
    input_data_dir="/var/inputs",
    output_data_dir="/var/outputs",
    inputs=kwtypes(a=float, b=float),
    outputs=kwtypes(area=float, note=str),
    image="example.org/none:1",
    command=["sh", "-c", _AREA, "sh", "{{.inputs.a}}", "{{.inputs.b}}"],
)

count = ShellTask(
    name="count",
    script="wc -l < {inputs.f} > {outputs.n}",
    inputs=kwtypes(f=FlyteFile),
    output_locs=[
        OutputLocation(var="n", var_type=FlyteFile, location="{ctx.working_directory}/n.txt")
    ],
)


@task
def lines(n: int) -> FlyteFile:
    path = os.path.join(current_context().working_directory, "lines.txt")
    with open(path, "w") as file:
        file.write("x\n" * n)
    return FlyteFile(path)


@task
def number_in(f: FlyteFile) -> int:
    with open(f) as file:
        return int(file.read())


@task(retries=1)
def continued(n: int) -> int:
    checkpoint = current_context().checkpoint
    before = checkpoint.read()
    if not before:
        checkpoint.write(str(n).encode())
        raise FlyteRecoverableException("again, please")
    return int(before.decode())


@task(enable_deck=True)
def decked(n: int) -> int:
    Deck("mine", f"<b>{n}</b>")
    return n


@workflow
def all_kinds(n: int) -> tuple[float, str, int, int, int]:
    size, note = area(a=3.0, b=4.0)
    return size, note, number_in(f=count(f=lines(n=n))), continued(n=n), decked(n=n)


@task
def add_one(x: int) -> int:
    return x + 1


@eager
async def eagerly(x: int) -> int:
    return add_one(x=x)
