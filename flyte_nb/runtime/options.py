"""The options of `flyte-nb execute`. They are read by hand, because argparse takes 8 ms of every attempt."""

from collections.abc import Sequence
from typing import NamedTuple

from flyte_nb.api.errors import UsageError

_NAMES = {
    "task": "task",
    "inputs": "inputs",
    "outputprefix": "output_prefix",
    "rawoutputdataprefix": "raw_output_data_prefix",
    "checkpointpath": "checkpoint_path",
    "prevcheckpoint": "prev_checkpoint",
    "indexfilelocation": "index_file_location",
    "mapped": "mapped",
}
_REQUIRED = ("task", "inputs", "output_prefix", "index_file_location")

USAGE = (
    "usage: flyte-nb execute --task NAME --inputs URI --output-prefix URI"
    " [--raw-output-data-prefix URI] [--checkpoint-path URI] [--prev-checkpoint URI]"
    " [--mapped INPUT,…]"
    " --index-file-location URI"
)


DURABLE_VARIABLE = "FLYTE_NB_DURABLE"
"""`1` in an attempt's environment makes its uploads survive a power cut: its result will be cached."""


class Options(NamedTuple):
    """Where one attempt's files are. An empty field was not given."""

    task: str
    inputs: str
    output_prefix: str
    index_file_location: str
    raw_output_data_prefix: str = ""
    checkpoint_path: str = ""
    prev_checkpoint: str = ""
    mapped: str = ""
    """For an element of a map: the inputs of which it takes one item each, separated by commas."""


def parse(arguments: "Sequence[str]") -> Options:
    """Return the options in `--name value` and `--name=value`.

    `--output-prefix` and `--outputPrefix` are the same option. A template that was not filled in
    (`{{.prevCheckpointPrefix}}`, or propeller's `""`) counts as not given.

    Raises:
        UsageError: when an option is unknown or has no value, or a required option is missing.
    """
    found: dict[str, str] = {}
    waiting = iter(arguments)
    for argument in waiting:
        spelled, equals, value = argument.partition("=")
        name = _NAMES.get(spelled[2:].replace("-", "").lower()) if spelled[:2] == "--" else None
        if name is None:
            raise UsageError(f"flyte-nb execute: {argument!r} is not an option.\n{USAGE}")
        if not equals:
            following = next(waiting, None)
            if following is None:
                raise UsageError(f"flyte-nb execute: {argument} has no value.\n{USAGE}")
            value = following
        found[name] = _filled(value)
    missing = [name for name in _REQUIRED if not found.get(name)]
    if missing:
        spelled = ", ".join("--" + name.replace("_", "-") for name in missing)
        raise UsageError(f"flyte-nb execute: {spelled} is missing.\n{USAGE}")
    return Options(**found)


def _filled(value: str) -> str:
    if value in ('""', "''") or (value.startswith("{{") and value.endswith("}}")):
        return ""
    return value
