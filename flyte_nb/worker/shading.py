"""What the private copy of cloudpickle does otherwise than the installed one.

- The sentinels of `dataclasses` keep their identity; a class whose fields have copies of `MISSING` for
  defaults looks as if every field had one.
- A class that is known already is not filled again. In a notebook that reads back an instance of its
  own class, the class's methods would be replaced by copies with copied globals, and no longer
  follow the notebook's.
"""

import dataclasses
import weakref
from typing import Any

_SENTINELS = ("MISSING", "KW_ONLY", "_HAS_DEFAULT_FACTORY")


def adapt(cloudpickle: Any) -> None:
    """Change the private copy's module `cloudpickle`, in place."""
    filled: weakref.WeakSet[Any] = weakref.WeakSet()
    fill = cloudpickle._class_setstate

    def _class_setstate(made: Any, state: Any) -> Any:
        if made in filled:
            return made
        filled.add(made)
        return fill(made, state)

    # Pickles name it by its module and name.
    _class_setstate.__module__ = cloudpickle.__name__
    _class_setstate.__qualname__ = "_class_setstate"
    cloudpickle._class_setstate = _class_setstate
    cloudpickle._FLYTE_NB_FILLED = filled
    for name in _SENTINELS:
        sentinel = getattr(dataclasses, name, None)
        if sentinel is not None:
            cloudpickle.Pickler._dispatch_table[type(sentinel)] = _Sentinel(name)


class _Sentinel:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, _: Any) -> "tuple[Any, ...]":
        return getattr, (dataclasses, self._name)
