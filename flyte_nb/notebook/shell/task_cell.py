"""`%%task`: make a cell a task. Its body sees the inputs as variables and sets the outputs by their names."""

import linecache

from flyte_nb.notebook.kernel.failures import BrokenCell
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.sdk import cell as task_cell


def define(kernel: Kernel, line: str, body: str) -> None:
    """Compile the cell as a function, and define the task in the notebook.

    The function keeps the cell's file name and line numbers, so that syntax errors and tracebacks name the
    lines that a person sees.

    Args:
        kernel: The notebook's side.
        line: The signature, and options after it.
        body: The rest of the cell.

    Raises:
        BrokenCell: The signature or the body is not valid Python. The error has the cell's line.
        UsageError: An option is unknown.
    """
    __tracebackhide__ = True
    current = kernel.cells.current
    filename = current.filename if current else "<cell>"
    try:
        signature = task_cell.parse(line, filename=filename)
        source = task_cell.function_source(signature, body, filename=filename)
        task_cell.define(signature, body, kernel.namespace, filename=filename)
    except SyntaxError as error:
        raise BrokenCell(error) from None
    kernel.cells.also_defines([signature.name])
    # IPython has stored the transformed cell, a single line that calls the magic. Tracebacks and
    # `inspect.getsource` need the lines of the function. An entry without an mtime is not checked against the
    # disk, where there is no such file.
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
