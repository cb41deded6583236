"""`{expression}` and `$name` in a magic's line, as IPython has them, but with the values themselves.

IPython replaces them before a magic sees its line, and takes the braces of dicts and of regular expressions
for expressions: `{"a":1}` becomes `a`. So our magics ask for the line as it is.
"""

import re
import string
from collections.abc import Callable, Mapping
from typing import Any

from flyte_nb.executions.written import Names

_DOLLAR = re.compile(r"\$(\$?)([^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_CONVERSIONS: "Mapping[str, Callable[[Any], str]]" = {"r": repr, "s": str, "a": ascii}
_NAME = re.compile(r"[^\W\d]\w*")


def names_in(namespace: "Mapping[str, Any]", local: "Mapping[str, Any] | None" = None) -> Names:
    """Return what texts can refer to in a notebook.

    Args:
        namespace: The notebook's variables.
        local: Those of the function that runs the magic.
    """
    known = dict(namespace)
    known.update(local or {})

    def evaluate(expression: str) -> Any:
        return eval(expression, known)

    return Names(known, evaluate, lambda text: _expanded(text, known))


def _expanded(text: str, known: "dict[str, Any]") -> str:
    """Return the text with what can be evaluated in it replaced; else the text itself."""
    if "{" in text:
        text = _braces(text, known)
    return _DOLLAR.sub(lambda found: _dollar(found, known), text) if "$" in text else text


def _braces(text: str, known: "dict[str, Any]") -> str:
    try:
        parts = list(string.Formatter().parse(text))
    except ValueError:  # braces without a partner
        return text
    done = []
    changed = False
    for before, field, spec, conversion in parts:
        done.append(before)
        if field is None:
            continue
        said = _evaluated(field, spec or "", conversion, known)
        changed = changed or said is not None
        tail = (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
        done.append(f"{{{field}{tail}}}" if said is None else said)
    return "".join(done) if changed else text


def _evaluated(
    field: str, spec: str, conversion: "str | None", known: "dict[str, Any]"
) -> "str | None":
    """Return the text of an expression; `None` when it names no variable, like the `{3}` of a pattern."""
    if not any(name in known for name in _NAME.findall(field)):
        return None
    try:
        value = eval(field, known)
        value = _CONVERSIONS[conversion](value) if conversion else value
        return format(value, spec)
    except Exception:  # noqa: BLE001 - any code; then the braces are text
        return None


def _dollar(found: "re.Match[str]", known: "dict[str, Any]") -> str:
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
        except Exception:  # noqa: BLE001 - a property's own code
            return found.group()
    return str(value)
