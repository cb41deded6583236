"""Make text from tasks and servers safe to show: it must not control the terminal that shows it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from re import Match

_COLOUR = r"\x1b\[[0-9;:]*m"
_CONTROL = r"[\x00-\x08\x0b-\x1f\x7f-\x9f]"
_CONTROL_IN_LOG = r"\x1b(?!\[[0-9;:]*m)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f-\x9f]"


def plain(text: str) -> str:
    r"""Return the text without colours, and with every other control character spelled: `\x1b`.

    Line ends and tabs stay. Use it for errors, names and other parts of sentences.
    """
    if text.isprintable():
        return text
    import re  # a worker without errors need not load it

    text = text.replace("\r\n", "\n")
    return re.sub(_CONTROL, _spelled, re.sub(_COLOUR, "", text))


def log(text: str) -> str:
    r"""Return the text of a log: colours and `\r` of progress bars stay, every other control is spelled.

    A text with colours ends with a reset, so that they do not reach what is shown after it.
    """
    import re  # as in `plain`

    shown = re.sub(_CONTROL_IN_LOG, _spelled, text)
    return f"{shown}\x1b[0m" if re.search(_COLOUR, shown) else shown


def _spelled(found: "Match[str]") -> str:
    return f"\\x{ord(found.group()):02x}"
