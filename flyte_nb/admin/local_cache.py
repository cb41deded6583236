"""Where the results of cached tasks are kept when they run in a kernel: in the local backend's home folder.

The backend's own cache is another one, because its results refer to files that the backend may remove.
"""

from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from flyte_nb.admin.home import Home
from flyte_nb.client.data import KernelData
from flyte_nb.propeller.local_catalog import FILES, LocalCatalog
from flyte_nb.storage import open_stores
from flyte_nb.storage.file import local_path

_FOLDER = "local-cache"


def folder_of_cache(home: "Path | None" = None) -> Path:
    """Return the folder of the cache; `home` is the local backend's, `None` means the default one.

    Raises:
        BackendError: when it is not clear which folder is meant.
    """
    return Home(home).folder / _FOLDER


def local_catalog(data: KernelData, home: "Path | None" = None) -> LocalCatalog:
    """Return the cache of runs in this kernel.

    Args:
        data: Has the files of the kernel, which are removed with it.
        home: The local backend's folder; `None` means the default one.

    Raises:
        BackendError: when it is not clear which folder is meant.
    """
    folder = folder_of_cache(home)
    kept = KernelData(open_stores(), folder_uri=str(folder / FILES))

    def keep(uri: str) -> str:
        temporary = data.temporary_folder
        path = local_path(uri)
        if not temporary or not path.startswith(temporary + "/"):
            return uri
        return kept.upload(path)

    return LocalCatalog(folder, keep, lambda: data.temporary_folder)


class CacheFacts(NamedTuple):
    """What a person is shown about the cache."""

    folder: str
    results: int

    @property
    def sentence(self) -> str:
        """The facts as one sentence."""
        return f"{self.results} results of local runs are kept in {self.folder}."


def local_cache_facts(home: "Path | None" = None) -> CacheFacts:
    """Return where results of local runs are kept, and how many there are.

    Raises:
        BackendError: when it is not clear which folder is meant.
        StorageError: when the folder cannot be read.
    """
    folder = folder_of_cache(home)
    with closing(LocalCatalog(folder, str)) as catalog:
        return CacheFacts(str(folder), catalog.count())


def clear_local_cache(home: "Path | None" = None) -> CacheFacts:
    """Forget all results of local runs; return how many there were.

    Raises:
        BackendError: when it is not clear which folder is meant.
        StorageError: when the folder cannot be changed.
    """
    folder = folder_of_cache(home)
    with closing(LocalCatalog(folder, str)) as catalog:
        return CacheFacts(str(folder), catalog.clear())
