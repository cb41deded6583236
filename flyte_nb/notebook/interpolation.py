"""Replace `{expression}` and `$name` in a magic's line, where they can be evaluated.

IPython replaces them before a magic sees its line. It also takes the braces of dicts and of regular
expressions for expressions: `{"a":1}` becomes `a`. So our magics ask IPython for the raw line and replace
here. A text that cannot be evaluated stays as it was written.
"""

import re
import string
from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.executions.written import Names

_DOLLAR = re.compile(r"\$(\$?)([^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_CONVERSIONS: "Mapping[str, Callable[[Any], str]]" = {"r": repr, "s": str, "a": ascii}
_NAME = re.compile(r"[^\W\d]\w*")


def names_in(
    namespace: "Mapping[str, object]", local: "Mapping[str, object] | None" = None
) -> Names:
    """Return the names and expressions that a written input value can refer to.

    Args:
        namespace: The notebook's variables.
        local: The local variables of the function that runs the magic. They hide the notebook's.
    """
    # A copy: `eval` adds `__builtins__` to the mapping that it is given.
    known = dict(namespace)
    known.update(local or {})

    def evaluate(expression: str) -> Any:
        return eval(expression, known)

    return Names(known, evaluate, lambda text: _expanded(text, known))


def _expanded(text: str, known: "dict[str, Any]") -> str:
    """Return `text` with every `{expression}` and `$name` that can be evaluated replaced."""
    if "{" in text:
        text = _braces(text, known)
    return _DOLLAR.sub(lambda found: _dollar(found, known), text) if "$" in text else text


def _braces(text: str, known: "dict[str, Any]") -> str:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:  # braces without a partner
        return text
    done = []
    # Parsing also turns `{{` into `{`. If nothing was replaced, the original text is returned, so that a
    # text without expressions keeps its doubled braces.
    changed = False
    for before, field, spec, conversion in parts:
        done.append(before)
        if field is None:
            continue
        replacement = _evaluated(field, spec or "", conversion, known)
        changed = changed or replacement is not None
        tail = (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        done.append(f"{{{field}{tail}}}" if replacement is None else replacement)
    return "".join(done) if changed else text


def _evaluated(
    field: str, spec: str, conversion: "str | None", known: "dict[str, Any]"
) -> "str | None":
    """Return the text of an expression, or `None` if it cannot be evaluated or names no variable.

    Without a variable it is most likely no expression at all, like the `{3}` of a regular expression.
    """
    if not any(name in known for name in _NAME.findall(field)):
        return None
    try:
        value = eval(field, known)
        value = _CONVERSIONS[conversion](value) if conversion else value
        return format(value, spec)
    except Exception:  # noqa: BLE001 - the expression is a person's code and may raise anything
        return None


def _dollar(found: "re.Match[str]", known: "dict[str, Any]") -> str:
    """Return the value of `$name` or `$name.attribute` as text; `$$name` becomes a literal `$name`."""
    escaped, path = found.groups()
    first, *rest = path.split(".")
    if first not in known:
        return found.group()
    if escaped:
        return f"${path}"
    value = known[first]
    for name in rest:
        try:
            value = getattr(value, name)
        except Exception:  # noqa: BLE001 - a property is a person's code and may raise anything
            return found.group()
    return str(value)
