"""What the rules of the house are measured by. `python tests/house.py FOLDER …` prints the figures.

`test_house.py` holds the project to them; run it on any other package to compare.
"""

import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


class Source(NamedTuple):
    """One Python file."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """How many lines it has."""
        return self.text.count("\n")


def sources(folder: Path) -> "list[Source]":
    """Return every Python file below `folder`, sorted by path."""
    found = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        found.append(Source(path, text, ast.parse(text)))
    return found


def own_line_comments(source: Source) -> int:
    """Count the comments that stand on a line of their own."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    return sum(
        token.type == tokenize.COMMENT and token.line.lstrip().startswith("#") for token in tokens
    )


def imports_in_functions(source: Source) -> "list[str]":
    """Return the modules that functions import, one entry for each import statement."""
    found: list[str] = []

    def visit(node: ast.AST, inside: bool) -> None:
        for child in ast.iter_child_nodes(node):
            if inside and isinstance(child, ast.ImportFrom):
                found.append(child.module or "")
            elif inside and isinstance(child, ast.Import):
                found.append(child.names[0].name)
            visit(child, inside or isinstance(child, (*FUNCTIONS, ast.Lambda)))

    visit(source.tree, inside=False)
    return found


def uses_of_any(source: Source) -> int:
    """Count `Any` in annotations and elsewhere, in quoted annotations too."""
    count = 0
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Name) and node.id == "Any":
            count += 1
    for quoted in _quoted_annotations(source.tree):
        for node in ast.walk(quoted):
            count += isinstance(node, ast.Name) and node.id == "Any"
    return count


def _quoted_annotations(tree: ast.AST) -> "Iterator[ast.AST]":
    for node in ast.walk(tree):
        if isinstance(node, FUNCTIONS):
            holders = [
                node.returns,
                *(a.annotation for a in ast.walk(node.args) if isinstance(a, ast.arg)),
            ]
        elif isinstance(node, ast.AnnAssign):
            holders = [node.annotation]
        else:
            continue
        for holder in holders:
            for part in ast.walk(holder) if holder is not None else ():
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    try:
                        yield ast.parse(part.value, mode="eval")
                    except SyntaxError:
                        continue


def public_functions(tree: ast.Module) -> "Iterator[ast.FunctionDef]":
    """Yield the functions and methods that other rooms may call."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            yield node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            for member in node.body:
                if isinstance(member, ast.FunctionDef) and not member.name.startswith("_"):
                    yield member


def raised(function: ast.FunctionDef) -> "set[str]":
    """Return the names of the exceptions that the function's own body makes and raises."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (*FUNCTIONS, ast.Lambda, ast.ClassDef)):
                continue
            if isinstance(child, ast.Raise) and isinstance(child.exc, ast.Call):
                name = child.exc.func
                if isinstance(name, ast.Name) and name.id[:1].isupper():
                    found.add(name.id)
            visit(child)

    visit(function)
    return found


def modules_and_imports(package: Path) -> "dict[str, set[str]]":
    """Return which modules each module imports; inside functions and for type checking count too."""
    found: dict[str, set[str]] = {}
    trees = {}
    for source in sources(package):
        parts = source.path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        trees[name] = source.tree
    for name, tree in trees.items():
        found[name] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    found[name].add(whole if whole in trees else node.module)
            elif isinstance(node, ast.Import):
                found[name].update(alias.name for alias in node.names)
        found[name] = {other for other in found[name] if other in trees and other != name}
    return found


def circles(imports: "dict[str, set[str]]") -> "list[list[str]]":
    """Return the groups of modules that import each other in a loop (Tarjan's components)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(imports[name]):
            if other not in order:
                visit(other)
                low[name] = min(low[name], low[other])
            elif other in stack:
                low[name] = min(low[name], order[other])
        if low[name] == order[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in sorted(imports):
        if name not in order:
            visit(name)
    return found


def figures(folder: Path) -> str:
    """Return one line of figures about the package in `folder`."""
    files = sources(folder)
    lines = sum(source.lines for source in files) or 1
    comments = sum(own_line_comments(source) for source in files)
    anys = sum(uses_of_any(source) for source in files)
    lazy = sum(len(imports_in_functions(source)) for source in files)
    ignores = sum(source.text.count("# type: ignore") for source in files)
    return (
        f"{folder.name}: {lines} lines, {1000 * comments / lines:.1f} own-line comments and"
        f" {1000 * anys / lines:.1f} Any per 1000 lines, {lazy} imports inside functions,"
        f" {ignores} type ignores, {len(circles(modules_and_imports(folder)))} import circles"
    )


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        print(figures(Path(argument)))
