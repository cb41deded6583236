"""`%%task score(model: Model, rows: pd.DataFrame) -> accuracy: float`: a cell that is a task.

The cell's body sees the inputs, its outputs are names that it sets. The function made of it keeps
the cell's line numbers: line 1 is the magic's line, the body starts in line 2.
"""

import ast
import io
import re
import symtable
import tokenize
from collections.abc import Iterator
from typing import Any, NamedTuple

from flyte_nb.sdk.task import Task, task

_INDENT = "    "
_EXAMPLE = "%%task score(model: Model, depth: int = 3) -> accuracy: float"
_NAME = re.compile(r"\s*([^\W\d]\w*)\s*")


class CellOutput(NamedTuple):
    """One output in the signature line."""

    name: str
    """Empty when only a type was given; then the body returns the value."""
    annotation: str
    column: int
    """Its column in the line, from 0."""


class CellSignature(NamedTuple):
    """What the line of a `%%task` says, as text."""

    name: str
    parameters: str
    outputs: "tuple[CellOutput, ...]" = ()
    options: str = ""
    """What follows `with`: keyword arguments of `@task`, e.g. `cache=True, retries=2`."""
    line: str = ""

    @property
    def output_names(self) -> "tuple[str, ...]":
        """Names of the outputs; empty when there is none, or one without a name."""
        return tuple(output.name for output in self.outputs if output.name)


def parse(line: str, *, filename: str = "<cell>") -> CellSignature:
    """Read `name(a: T, b: T = 1) -> x: float, y: dict with cache=True`.

    Args:
        line: the text after `%%task`; a comment or `;` at its end is ignored.
        filename: the cell's, for errors.

    Raises:
        SyntaxError: it is no signature; with the column, and what to write.
    """
    line = _without_comment(line)
    found = _NAME.match(line)
    if found is None:
        raise _wrong(f"Give the task a name: {_EXAMPLE}.", line, 0, filename)
    name = found.group(1)
    tokens = _tokens(line, found.end(), filename)
    parameters, at = "", 0
    if tokens and tokens[0].string == "(":
        at = _closing(tokens, line, filename)
        parameters = line[tokens[0].end[1] : tokens[at].start[1]].strip()
        at += 1
    rest = tokens[at:]
    clauses = [token for token in _at_top(rest) if token.string in ("->", "with")]
    if rest and (not clauses or clauses[0] is not rest[0]):
        raise _wrong(
            f"Expected -> and the outputs, as in {_EXAMPLE}.", line, rest[0].start[1], filename
        )
    outputs: tuple[CellOutput, ...] = ()
    options = ""
    for index, token in enumerate(clauses):
        ends = clauses[index + 1].start[1] if index + 1 < len(clauses) else len(line)
        if token.string == "->" and index == 0:
            outputs = _outputs(rest[1:], token, ends, line, filename)
        elif token.string == "with" and index == len(clauses) - 1:
            options = line[token.end[1] : ends].strip()
        else:
            raise _wrong(
                f"Unexpected {token.string}; write {_EXAMPLE}.", line, token.start[1], filename
            )
    signature = CellSignature(
        name=name, parameters=parameters, outputs=outputs, options=options, line=line
    )
    _check_text(signature, filename)
    return signature


def function_source(signature: CellSignature, body: str, *, filename: str = "<cell>") -> str:
    """Return the Python source of the task's function; its line numbers are the cell's.

    Args:
        signature: the cell's first line.
        body: the lines after it.
        filename: the cell's, for errors.

    Raises:
        SyntaxError: the body does not parse, never sets an output, or both names its outputs
            and returns.
    """
    tree = _parse_body(body, filename)
    lines = _lines(body)
    kept = _inside_strings(tree)
    indented = [
        line if not line or number in kept else _INDENT + line
        for number, line in enumerate(lines, start=2)
    ]
    if not tree.body:
        indented.append(_INDENT + "pass")
    names = signature.output_names
    _refuse_what_no_function_has(tree, body, filename)
    if names:
        _refuse_return(tree, body, filename)
        comma = "," if len(signature.outputs) > 1 and len(names) == 1 else ""
        indented.append(f"{_INDENT}return {', '.join(names)}{comma}")
    # The header is line 1, where the magic's line was, so every line of the body keeps its number.
    header = f"def {signature.name}({signature.parameters}) -> {_annotation(signature)}:"
    source = "\n".join([header, *indented]) + "\n"
    _check_outputs(signature, source, filename)
    return source


def define(
    signature: CellSignature, body: str, namespace: "dict[str, Any]", *, filename: str = "<cell>"
) -> Task:
    """Make the task and put it into `namespace`, as a cell with a `def` would.

    Raises:
        SyntaxError: as `function_source`, or when the options are no keyword arguments.
        UsageError: an option is unknown.
    """
    __tracebackhide__ = True  # an unknown name in the signature is the author's error
    source = function_source(signature, body, filename=filename)
    before = namespace.get(signature.name)
    exec(compile(source, filename, "exec", dont_inherit=True), namespace)
    function = namespace.pop(signature.name)
    if before is not None:
        namespace[signature.name] = before  # so that a wrong option does not lose the earlier task
    options: dict[str, Any] = {"output_names": signature.output_names}
    if signature.options:
        options.update(eval(f"dict({signature.options})", namespace))
    made: Task = task(**options)(function)
    namespace[signature.name] = made
    return made


def _without_comment(line: str) -> str:
    """Return the line up to its comment, and without a `;` at the end."""
    try:
        for token in tokenize.generate_tokens(io.StringIO(line).readline):
            if token.type == tokenize.COMMENT:
                line = line[: token.start[1]]
                break
    except (tokenize.TokenError, SyntaxError):
        return line  # `_tokens` raises what is wrong
    return line.rstrip().removesuffix(";")


def _tokens(line: str, start: int, filename: str) -> "list[tokenize.TokenInfo]":
    """Return the tokens from `start` on, with columns of the whole line."""
    # Spaces in place of the name, so that columns are those of the whole line.
    padded = " " * start + line[start:]
    reader = io.StringIO(padded).readline
    found: list[tokenize.TokenInfo] = []
    try:
        found.extend(each for each in tokenize.generate_tokens(reader) if each.type not in _LAYOUT)
    except (tokenize.TokenError, SyntaxError) as error:
        if found and isinstance(error, tokenize.TokenError) and "statement" in str(error.args[0]):
            return found  # an open bracket: `_closing` raises where it is
        text = str(error.args[0]) if error.args else "the line does not end"
        raise _wrong(f"Cannot read the signature: {text}.", line, start, filename) from None
    return found


_LAYOUT = frozenset(
    {tokenize.NEWLINE, tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    | {tokenize.COMMENT, tokenize.ENCODING}
)
"""Tokens that carry no text of the signature."""


def _closing(tokens: "list[tokenize.TokenInfo]", line: str, filename: str) -> int:
    depth = 0
    for index, token in enumerate(tokens):
        depth += _depth_change(token)
        if depth == 0:
            return index
    raise _wrong("The ( is never closed.", line, tokens[0].start[1], filename)


def _at_top(tokens: "list[tokenize.TokenInfo]") -> "list[tokenize.TokenInfo]":
    """Return the tokens that stand outside of any bracket."""
    depth, found = 0, []
    for token in tokens:
        depth += _depth_change(token)
        if depth == 0:
            found.append(token)
    return found


def _depth_change(token: tokenize.TokenInfo) -> int:
    if token.type != tokenize.OP:
        return 0
    if token.string in "([{":
        return 1
    return -1 if token.string in ")]}" else 0


def _outputs(
    tokens: "list[tokenize.TokenInfo]",
    arrow: tokenize.TokenInfo,
    ends: int,
    line: str,
    filename: str,
) -> "tuple[CellOutput, ...]":
    top = [token for token in _at_top(tokens) if token.start[1] < ends]
    starts = [arrow.end[1]] + [token.end[1] for token in top if token.string == ","]
    stops = [token.start[1] for token in top if token.string == ","] + [ends]
    outputs = []
    for start, stop in zip(starts, stops, strict=True):
        text = line[start:stop]
        column = start + len(text) - len(text.lstrip())
        colon = next((t for t in top if t.string == ":" and start <= t.start[1] < stop), None)
        if colon is None:
            outputs.append(CellOutput("", text.strip(), column))
            continue
        name = line[start : colon.start[1]].strip()
        if not name.isidentifier():
            raise _wrong(f"{name!r} is no name for an output.", line, column, filename)
        outputs.append(CellOutput(name, line[colon.end[1] : stop].strip(), column))
    if outputs == [CellOutput("", "None", outputs[0].column)]:
        return ()
    _check_names(outputs, line, filename)
    return tuple(outputs)


def _check_names(outputs: "list[CellOutput]", line: str, filename: str) -> None:
    seen = set()
    for output in outputs:
        if not output.annotation:
            raise _wrong(
                "An output needs a type, as in -> accuracy: float.", line, output.column, filename
            )
        if not output.name and len(outputs) > 1:
            raise _wrong(
                f"Give every output a name, as in -> x: {output.annotation}.",
                line,
                output.column,
                filename,
            )
        if output.name and output.name in seen:
            raise _wrong(f"Two outputs are called {output.name}.", line, output.column, filename)
        seen.add(output.name)


def _check_text(signature: CellSignature, filename: str) -> None:
    """Check that Python takes the parameters, types and options for what they should be."""
    pieces = [
        ("inputs", f"def {signature.name}({signature.parameters}): pass", signature.parameters),
        *(
            (f"type of {output.name or 'the output'}", f"({output.annotation})", output.annotation)
            for output in signature.outputs
        ),
        ("options", f"dict({signature.options})", signature.options),
    ]
    for what, source, text in pieces:
        try:
            ast.parse(source)
        except SyntaxError as error:
            column = max(signature.line.find(text), 0)
            raise _wrong(
                f"The {what} cannot be read: {error.msg}.", signature.line, column, filename
            ) from None
    call = ast.parse(f"dict({signature.options})", mode="eval").body
    if isinstance(call, ast.Call) and (call.args or any(not word.arg for word in call.keywords)):
        column = max(signature.line.rfind(signature.options), 0)
        raise _wrong(
            "After with, write options by name, as in with cache=True, retries=2.",
            signature.line,
            column,
            filename,
        )


def _parse_body(body: str, filename: str) -> ast.Module:
    try:
        return ast.parse("\n" + body, filename)
    except SyntaxError as error:
        text = (error.text or "").lstrip()
        if text.startswith(("%", "!")):
            error.msg = "A task runs without IPython, so it has no magics; write Python"
        raise


def _lines(body: str) -> "list[str]":
    """Return the lines as Python counts them: a form feed, which may be in a text, ends none."""
    return re.split(r"\r\n|\r|\n", body)


def _inside_strings(tree: ast.Module) -> "set[int]":
    """Return the lines that begin inside of a string: indenting them would change the string."""
    kept: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Constant, ast.JoinedStr)) and node.end_lineno is not None:
            if isinstance(node, ast.Constant) and not isinstance(node.value, (str, bytes)):
                continue
            kept.update(range(node.lineno + 1, node.end_lineno + 1))
    return kept


def _annotation(signature: CellSignature) -> str:
    annotations = [output.annotation for output in signature.outputs]
    if not annotations:
        return "None"
    return annotations[0] if len(annotations) == 1 else f"tuple[{', '.join(annotations)}]"


def _refuse_return(tree: ast.Module, body: str, filename: str) -> None:
    for node in _own_nodes(tree):
        if isinstance(node, ast.Return):
            raise _wrong_node(
                "The outputs are names that the cell sets; remove the return.", node, body, filename
            )


def _refuse_what_no_function_has(tree: ast.Module, body: str, filename: str) -> None:
    """Refuse what a notebook's cell may have at its top, and a task's function not."""
    for node in _own_nodes(tree):
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith)) or (
            isinstance(node, ast.comprehension) and node.is_async
        ):
            at = node.iter if isinstance(node, ast.comprehension) else node
            raise _wrong_node(
                "A task's cell runs without an event loop, so it cannot await by itself. Put it into"
                " async def main(): …, and write asyncio.run(main()).",
                at,
                body,
                filename,
            )
        if isinstance(node, (ast.Yield, ast.YieldFrom)):
            raise _wrong_node(
                "A task's cell gives its outputs by name, and yields nothing; collect the values in a"
                " list.",
                node,
                body,
                filename,
            )
        if isinstance(node, ast.ImportFrom) and any(each.name == "*" for each in node.names):
            raise _wrong_node(
                f"A task's cell is a function, where Python has no import *. Write import"
                f" {node.module or '…'}, or name what you need.",
                node,
                body,
                filename,
            )


def _own_nodes(tree: ast.Module) -> "Iterator[ast.AST]":
    """Yield the parts of the cell's own code, without functions and classes in it, in order."""
    waiting: list[ast.AST] = list(reversed(tree.body))
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting.extend(reversed(list(ast.iter_child_nodes(node))))


def _wrong_node(message: str, node: "ast.stmt | ast.expr", body: str, filename: str) -> SyntaxError:
    text = _lines(body)[node.lineno - 2]
    return _wrong(message, text, node.col_offset, filename, line=node.lineno)


def _check_outputs(signature: CellSignature, source: str, filename: str) -> None:
    # The symbol table knows every way to set a name: assignment, import, `for`, `with`, a parameter.
    table = symtable.symtable(source, filename, "exec")
    function = next(child for child in table.get_children() if child.get_name() == signature.name)
    for output in signature.outputs:
        if not output.name:
            continue
        symbol = function.lookup(output.name)
        if not (symbol.is_assigned() or symbol.is_parameter() or symbol.is_imported()):
            raise _wrong(
                f"The output {output.name} is never set in the cell; write {output.name} = … in it.",
                signature.line,
                output.column,
                filename,
            )


def _wrong(message: str, text: str, column: int, filename: str, line: int = 1) -> SyntaxError:
    return SyntaxError(message, (filename, line, column + 1, text))
