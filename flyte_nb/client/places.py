"""Where a session puts bundles and files: the local backend's folder, else FlyteAdmin's storage."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from flyte_nb.api.identifiers import Scope
from flyte_nb.api.version import __version__
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.data import KernelData
from flyte_nb.client.register import Place
from flyte_nb.client.uploads import Uploads, UploadStaging
from flyte_nb.client.versions import python_minor
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.types.registry import Registry

IMAGE = "ghcr.io/flyte-nb/flyte-nb:py{python}-{version}"
"""The release's image, for tasks that name none. The local backend runs no images."""


def data_for(client: AdminClient, project: str, domain: str, *, root: str) -> KernelData:
    """How the kernel moves files; `root` is the URI of the object folder, empty when it is not here."""
    uploads = Uploads(client, project=project, domain=domain)
    folder = f"{root}/uploads" if root else ""
    return KernelData(open_stores(), folder_uri=folder, uploads=uploads)


def place_for(
    scope: Scope,
    registry: Registry,
    env: "Mapping[str, str]",
    data: KernelData,
    *,
    root: str,
    roots: "Sequence[Path]",
) -> Place:
    """Where and how to register.

    Args:
        scope: Project, domain and the notebook's name.
        registry: The types.
        env: `FLYTE_INTERNAL_IMAGE` is read from it, as flytekit does.
        data: Uploads constants that need a file.
        root: URI of the local backend's object folder; empty when it is not on this machine.
        roots: Folders whose modules are shipped: the notebook's, those of registered modules.
    """

    bundles = f"{root}/bundles" if root else ""

    def staging(client: AdminClient) -> Any:
        if bundles:
            return DirectoryStaging(bundles, open_stores())
        return UploadStaging(Uploads(client, project=scope.project, domain=scope.domain))

    image = env.get("FLYTE_INTERNAL_IMAGE") or IMAGE.format(
        python=python_minor(), version=__version__
    )
    return Place(
        scope, registry, image, staging, data=data, local_roots=tuple(roots), bundles=bundles
    )
