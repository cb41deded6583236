"""Check a cron expression: the standard five fields, or a descriptor such as `@daily`.

It only checks; nothing here runs schedules. Source: robfig/cron v3 `ParseStandard`.
"""

from flyte_nb.propeller.durations import go_nanoseconds

_MAX_LENGTH = 1000
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"]
_FIELDS: tuple[tuple[str, int, int, dict[str, int]], ...] = (
    ("minute", 0, 59, {}),
    ("hour", 0, 23, {}),
    ("day of month", 1, 31, {}),
    ("month", 1, 12, {name: number for number, name in enumerate(_MONTHS, start=1)}),
    ("day of week", 0, 6, {name: number for number, name in enumerate(_DAYS)}),
)
_DESCRIPTORS = frozenset(
    {"@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly"}
)


def problem(expression: str) -> str:
    """Return what is wrong with `expression`; empty when nothing is."""
    if len(expression) > _MAX_LENGTH:
        return f"it has {len(expression)} characters, and at most {_MAX_LENGTH} are allowed"
    text = expression
    if text.startswith(("TZ=", "CRON_TZ=")):
        _, _, text = text.partition(" ")
        text = text.strip()
    if not text:
        return "empty spec string"
    if text.startswith("@"):
        if text in _DESCRIPTORS:
            return ""
        if text.startswith("@every "):
            length = text.removeprefix("@every ")
            is_length = go_nanoseconds(length, plain_seconds=False) is not None
            return "" if is_length else f"failed to parse duration {text}"
        return f"unrecognized descriptor: {text}"
    fields = text.split()
    if len(fields) != len(_FIELDS):
        return f"expected exactly {len(_FIELDS)} fields, found {len(fields)}: {fields}"
    for field, (name, low, high, words) in zip(fields, _FIELDS, strict=True):
        for part in field.split(","):
            found = _part_problem(part, low, high, words)
            if found:
                return f"{found} in the {name} {part}"
    return ""


def _part_problem(part: str, low: int, high: int, words: "dict[str, int]") -> str:
    range_text, slash, step = part.partition("/")
    if slash and not (_is_number(step) and int(step) > 0):
        return "step should be a positive number"
    # robfig/cron takes `?` for `*` in every field.
    if range_text in ("*", "?"):
        return ""
    ends = []
    for end in range_text.split("-"):
        number = words.get(end.lower(), int(end) if _is_number(end) else None)
        if number is None:
            return f"failed to parse number {end!r}"
        ends.append(number)
    if len(ends) > 2:
        return "too many hyphens"
    if ends[0] < low:
        return f"beginning of range ({ends[0]}) below minimum ({low})"
    if ends[-1] > high:
        return f"end of range ({ends[-1]}) above maximum ({high})"
    if ends[0] > ends[-1]:
        return f"beginning of range ({ends[0]}) beyond end of range ({ends[-1]})"
    return ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()  # Go reads ASCII digits only
