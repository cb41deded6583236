"""Which GPUs this machine has, as `nvidia-smi` lists them."""

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping

ListGpus = Callable[[], "list[str]"]
"""Returns the ids of the GPUs, as `CUDA_VISIBLE_DEVICES` takes them; for a divided GPU those of its parts."""

VARIABLE = "CUDA_VISIBLE_DEVICES"

_WAIT_S = 20.0
"""The driver is loaded by the first question after a boot, which takes seconds."""
_GPU = re.compile(r"^GPU (\d+): .*\(UUID: (GPU-[^)]+)\)")
_PART = re.compile(r"^\s+MIG .*\(UUID: (MIG-[^)]+)\)")


def nvidia_gpus(environ: "Mapping[str, str]") -> "list[str]":
    """Return the GPUs of this machine that `environ` lets this process use; none without a driver."""
    command = shutil.which("nvidia-smi", path=environ.get("PATH"))
    if command is None:
        return []
    try:
        listed = subprocess.run(
            [command, "-L"], capture_output=True, text=True, timeout=_WAIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    # What is hidden from the backend stays hidden from its attempts.
    return _visible(gpus_in(listed.stdout), environ.get(VARIABLE))


def gpus_in(text: str) -> "list[tuple[str, str, list[str]]]":
    """Return `(index, id, parts)` of each GPU in what `nvidia-smi -L` prints."""
    found: list[tuple[str, str, list[str]]] = []
    for line in text.splitlines():
        gpu, part = _GPU.match(line), _PART.match(line)
        if gpu is not None:
            found.append((gpu[1], gpu[2], []))
        elif part is not None and found:
            # The parts of a divided GPU (MIG) are listed below it.
            found[-1][2].append(part[1])
    return found


def _visible(gpus: "list[tuple[str, str, list[str]]]", allowed: "str | None") -> "list[str]":
    """Return the ids of what the variable allows. CUDA ignores what follows on a name that is none."""
    # Of a GPU that is divided, programs can use only the parts.
    every = [each for _, id, parts in gpus for each in (parts or [id])]
    if allowed is None:
        return every
    by_name = {index: parts or [id] for index, id, parts in gpus}
    by_name |= {each: [each] for each in every}
    by_name |= {id: parts or [id] for _, id, parts in gpus}
    found: list[str] = []
    for name in filter(None, map(str.strip, allowed.split(","))):
        if name not in by_name:
            break
        found += by_name[name]
    # The variable may name a GPU twice, by its index and by its id.
    return list(dict.fromkeys(found))
