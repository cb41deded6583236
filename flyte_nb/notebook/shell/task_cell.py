"""`%%task`: the cell is the task. Its body sees the inputs; its outputs are names it sets."""

import linecache

from flyte_nb.notebook.kernel.failures import BrokenCell
from flyte_nb.notebook.kernel.kernel import Kernel
from flyte_nb.sdk import cell as task_cell


def define(kernel: Kernel, line: str, body: str) -> None:
    """Compile the cell as a function and define the task in the notebook.

    The source keeps the cell's line numbers and its file name, so that a syntax error, a traceback
    and a fingerprint speak of the lines a person sees.

    Raises:
        BrokenCell: The signature or the body is no Python; it points at the cell's line.
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
    # IPython keeps the cell as it transformed it, one line that calls the magic. Tracebacks and
    # `inspect.getsource` need the lines of the function. No mtime: `checkcache` leaves it alone.
    lines = source.splitlines(keepends=True)
    linecache.cache[filename] = (len(source), None, lines, filename)
