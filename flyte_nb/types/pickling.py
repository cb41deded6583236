"""Write and read the pickle of a value, with the files that it refers to and the modules that it needs.

A pickled value may hold files: a `pathlib.Path`, or a `FlyteFile` of a local path. They exist on this
machine only. While the value is pickled, `ValuePickler` uploads each of them and writes its URI in its
place. While it is read, each becomes a file that is downloaded (`local_copy`, `Stored.reach_by`).
"""

import copyreg
import functools
import os
import pathlib
import sys
from importlib import import_module
from types import CodeType, FunctionType, ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

from flyte_nb.api.errors import CodecError, FlyteNbError
from flyte_nb.api.ring import CLOUDPICKLE
from flyte_nb.types.codec import Annotation, spell
from flyte_nb.types.companions import companions, meet_companions
from flyte_nb.types.files import FlyteDirectory, local_copy
from flyte_nb.types.stored import Stored

if TYPE_CHECKING:
    from pickle import PickleBuffer
    from typing import BinaryIO

    from flyte_nb.api.ports import DataAccess


_JOBLIB = "joblib.numpy_pickle"
"""The module that a pickle by joblib names before the bytes of an array."""

_PATHS = (pathlib.PosixPath, pathlib.WindowsPath)
# `_refuse_folders` searches this far. It is a help for authors, and must not cost large values much.
_DEEPEST = 6  # containers inside each other
_WIDEST = 10_000  # items of one container


class ForeignPickle(CodecError):
    """Raised for a file by joblib, which has arrays' bytes between the parts of the pickle."""


def dump(value: object, path: str, data: "DataAccess") -> str:
    """Write the pickle of `value` to a new file at `path` and return the file's MD5 as hex.

    Local files that the value refers to are uploaded through `data`, and the author's own modules that it
    needs are appended to the file.

    Raises:
        CodecError: when the value cannot be pickled, or refers to a folder or to a file that is not there.
        OSError: when the file cannot be written.
    """
    # Before the file is opened, so that a refused value uploads nothing and leaves no file.
    _refuse_folders(value, "", 0)
    with open(path, "wb") as file:
        written = _Digesting(file)
        try:
            pickler = _pickler_class(cloudpickle())(written, data)
            pickler.dump(value)
        except FlyteNbError:
            raise
        except Exception as error:  # pickling runs code of any class
            if written.broken is error:  # the disk is at fault, not the value
                raise
            raise CodecError(
                f"{spell(type(value))} cannot be pickled: {type(error).__name__}: {error}.",
                hint="Return the plain data in it, or write it to a file and return a FlyteFile.",
            ) from error
        # Behind the pickle, where readers do not look unless they know of it.
        written.write(companions(pickler.modules(), data))
    return written.hexdigest()


def load(file: "BinaryIO", python_type: Annotation, data: "DataAccess") -> Any:
    """Return the value that is pickled in an open file.

    Raises:
        CodecError: when a module is missing, or the pickle cannot be read by this Python.
        ForeignPickle: when joblib wrote the file; only joblib can read it.
    """
    try:
        # First, because unpickling imports the classes by name and would fail without their modules.
        meet_companions(file, data)
        return _unpickled(file, data)
    except FlyteNbError:
        raise
    # Its own case, because the author can mend it: the error names the module that is missing.
    except ModuleNotFoundError as error:
        raise _module_missing(str(error.name), python_type) from error
    except Exception as error:  # unpickling runs code of any class
        raise CodecError(
            f"A pickled {spell(python_type)} cannot be read by Python"
            f" {sys.version_info[0]}.{sys.version_info[1]}: {type(error).__name__}: {error}.",
            hint="Read it with the Python and the package versions that wrote it.",
        ) from error


class _Digesting:
    """A file to write to that computes the MD5 meanwhile.

    So the pickle of a large value never has to be in memory, nor read again.
    """

    def __init__(self, file: "BinaryIO") -> None:
        import hashlib  # its OpenSSL is loaded for pickled values only

        self._file = file
        self._digest = hashlib.md5(usedforsecurity=False)
        self.broken: OSError | None = None
        """The error of the first write that failed."""

    def write(self, data: "bytes | memoryview | PickleBuffer") -> int:
        self._digest.update(data)
        try:
            return self._file.write(data)
        except OSError as error:
            self.broken = error
            raise

    def hexdigest(self) -> str:
        return self._digest.hexdigest()


@functools.cache
def _pickler_class(cloudpickle: Any) -> Any:
    """Return the pickler class over the given cloudpickle module.

    It is made at run time because there are two: a kernel that loads a bundle gets the ring's copy beside
    the installed one.
    """

    class ValuePickler(cloudpickle.Pickler):  # type: ignore[misc]
        """Records the modules that a value needs, and uploads the files that it refers to."""

        def __init__(self, file: _Digesting, data: "DataAccess") -> None:
            super().__init__(file)
            self._data = data
            self._kinds: set[type] = set()
            self._named: set[str] = set()

        def reducer_override(self, value: Any) -> Any:
            kind = type(value)
            self._kinds.add(kind)
            if kind is FunctionType or isinstance(value, type):
                self._named.add(str(value.__module__))
                if kind is FunctionType and value.__module__ == "__main__":
                    # The function travels inside the pickle, and may import modules when it is called.
                    self._named.update(_names(value.__code__))
            elif kind in _PATHS:
                # Other paths stay paths: they may name files that the task is going to write.
                # The reader gets a path again, of its own copy of the file.
                if value.is_file():
                    return local_copy, (_uploaded(str(value), value, self._data),)
            elif isinstance(value, Stored):
                if not value.uri:
                    # Pickled as the file at its new URI, and the value itself stays unchanged.
                    state = {"uri": _uploaded(value.path, value, self._data), "_path": ""}
                    made: Any = copyreg.__newobj__  # type: ignore[attr-defined]
                    return made, (kind,), {**state, "_download": None}
            elif isinstance(value, ModuleType):
                self._named.add(value.__name__)
            return super().reducer_override(value)

        def modules(self) -> "set[str]":
            """Return names that may be modules which the reader needs; `companions` ignores all others."""
            return self._named | {str(kind.__module__) for kind in self._kinds}

    return ValuePickler


def _names(code: CodeType) -> "set[str]":
    """Return every global and attribute name in the code of a function and of the functions in it."""
    found = set(code.co_names)
    for const in code.co_consts:
        if isinstance(const, CodeType):
            found |= _names(const)
    return found


def _uploaded(path: str, value: object, data: "DataAccess") -> str:
    """Upload the file (or the folder of a FlyteDirectory) at `path`; return its URI.

    Raises:
        CodecError: when nothing is at `path`.
    """
    is_folder = isinstance(value, FlyteDirectory)
    if not (os.path.isdir(path) if is_folder else os.path.isfile(path)):
        noun = "folder" if is_folder else "file"
        raise CodecError(
            f"The value holds {value!r}, and there is no {noun} at {path!r}.",
            hint=f"Write the path of a {noun} that exists, or a URI with its scheme.",
        )
    path = os.path.abspath(path)
    return data.upload(path, name=os.path.basename(path))


def _refuse_folders(value: Any, place: str, depth: int) -> None:
    """Raise `CodecError` for a `pathlib.Path` of a folder: the reader's machine would not have the folder."""
    kind = type(value)
    if kind in _PATHS:
        if value.is_dir():
            where = f" at {place}" if place else ""
            raise CodecError(
                f"The path {str(value)!r}{where} is a folder of this machine, which the reader of the"
                " value may not have.",
                hint="Write FlyteDirectory(…) to send the folder's content, or str(…) to send its name.",
            )
    elif depth < _DEEPEST and kind is dict:
        for key, item in list(value.items())[:_WIDEST]:
            _refuse_folders(item, f"{place}[{key!r}]", depth + 1)
    elif depth < _DEEPEST and kind in (list, tuple):
        for number, item in enumerate(value[:_WIDEST]):
            _refuse_folders(item, f"{place}[{number}]", depth + 1)


def pickle_module() -> Any:
    """Return what a library can use in place of the module `pickle`: it also pickles a notebook's classes."""
    found = cloudpickle()
    return SimpleNamespace(
        __name__="pickle",
        Pickler=found.Pickler,
        Unpickler=_unpickler_class(found),
        dump=found.dump,
        load=found.load,
    )


@functools.cache
def _unpickler_class(found: Any) -> Any:
    """Return the unpickler that reads what either cloudpickle wrote.

    The writer's cloudpickle is the installed one in a kernel and the ring's copy in a task. Pickles name its
    functions by module, and the reader may only have the other.
    """
    import pickle  # as late as cloudpickle

    class Unpickler(pickle.Unpickler):
        """Notices files in the value, which are to be made downloadable."""

        holds_files = False
        data: "DataAccess | None" = None

        def find_class(self, module: str, name: str) -> Any:
            if module.startswith(_JOBLIB):
                raise ForeignPickle("The file was written by joblib.")
            top, dot, rest = module.partition(".")
            if top in (CLOUDPICKLE, "cloudpickle"):
                # Both copies have the same functions, so the one that is here can stand in.
                module = found.__name__ + dot + rest
            value = super().find_class(module, name)
            # The pickle holds the URI alone. Only the reader knows through what it downloads.
            if value is local_copy:
                return functools.partial(local_copy, data=self.data)
            if isinstance(value, type) and issubclass(value, Stored):
                self.holds_files = True
            return value

    return Unpickler


def _unpickled(file: "BinaryIO", data: "DataAccess") -> Any:
    unpickler = _unpickler_class(cloudpickle())(file)
    unpickler.data = data
    value = unpickler.load()
    if unpickler.holds_files:
        # `Stored` objects may be anywhere in the value, but pickle memoizes each of them.
        for part in _remembered(unpickler):
            if isinstance(part, Stored):
                part.reach_by(data)
    return value


def _remembered(unpickler: Any) -> "list[Any]":
    """Return the objects in the unpickler's memo, i.e. every object that was read."""
    # The C unpickler's memo is a proxy, which has `copy` but cannot be iterated itself.
    return list(unpickler.memo.copy().values())


def _module_missing(name: str, python_type: Annotation) -> CodecError:
    return CodecError(
        f"A pickled {spell(python_type)} needs the module {name!r}, which is not installed here and did"
        " not come with the value.",
        hint="If it is an installed package, add it to the task's image or environment. If it is a file"
        f" beside the notebook, write `import {name.partition('.')[0]}` in the task, and register again.",
    )


def cloudpickle() -> Any:
    """Return the cloudpickle module: the ring's own copy, or else the installed one.

    Raises:
        CodecError: when there is neither.
    """
    for name in (CLOUDPICKLE, "cloudpickle"):
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    raise CodecError(
        "This value can only be stored as a pickle, and cloudpickle is not installed here.",
        hint="Install cloudpickle.",
    )
