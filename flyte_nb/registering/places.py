"""Where a session puts bundles and files: the local backend's folder, else FlyteAdmin's storage."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from flyte_nb.api.errors import UsageError
from flyte_nb.api.identifiers import Scope
from flyte_nb.api.ports import StagingArea
from flyte_nb.api.version import __version__
from flyte_nb.client.admin_client import AdminClient
from flyte_nb.client.data import KernelData
from flyte_nb.client.uploads import Uploads, UploadStaging
from flyte_nb.drafting.versions import python_minor
from flyte_nb.registering.register import Place
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.types.registry import Registry

IMAGE = "ghcr.io/flyte-nb/flyte-nb:py{python}-{version}"
"""The release's image, for tasks that name none. The local backend runs no images."""


BAKED_AT = "/opt/flyte_nb/bundles"

STAGING = "FLYTE_NB_STAGING"
"""URI of a folder (`s3://bucket/flyte`, …) for bundles and files, of whoever has its credentials."""


def data_for(
    client: AdminClient,
    project: str,
    domain: str,
    *,
    root: str,
    env: "Mapping[str, str]",
    roots: "Callable[[], Sequence[Path]]" = tuple,
) -> KernelData:
    """How the kernel moves files.

    Args:
        client: The FlyteAdmin.
        project: Where uploads through it go.
        domain: The same.
        root: URI of the local backend's object folder; empty when it is not on this machine.
        env: `FLYTE_NB_STAGING` takes the place of both.
        roots: Folders, as they are now, whose modules come with pickled values that need them.
    """
    uploads = Uploads(client, project=project, domain=domain)
    folder = _staging(env) or root
    return KernelData(
        open_stores(),
        folder_uri=f"{folder}/uploads" if folder else "",
        uploads=uploads,
        roots=roots,
    )


def _staging(env: "Mapping[str, str]") -> str:
    """The folder that a person named.

    Raises:
        UsageError: it is no URI.
    """
    named = env.get(STAGING, "").rstrip("/")
    if named and "://" not in named:
        raise UsageError(f"{STAGING}={named!r} is no URI. Write e.g. s3://bucket/flyte_nb.")
    return named


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
        env: `FLYTE_INTERNAL_IMAGE` is read from it, as flytekit does, and `FLYTE_NB_STAGING`.
        data: Uploads constants that need a file.
        root: URI of the local backend's object folder; empty when it is not on this machine.
        roots: Folders whose modules are shipped: the notebook's, those of registered modules.
    """
    folder = _staging(env) or root
    # Values of the local backend lie at plain paths. Indexes are named by URIs, as they always were:
    # what is registered already names them so, and is mended by registering it again.
    bundles = f"{_as_uri(folder)}/bundles" if folder else ""

    def staging(client: AdminClient) -> StagingArea:
        if bundles:
            return DirectoryStaging(bundles, open_stores(), seen=data.seen)
        return UploadStaging(Uploads(client, project=scope.project, domain=scope.domain))

    image = env.get("FLYTE_INTERNAL_IMAGE") or IMAGE.format(
        python=python_minor(), version=__version__
    )
    here = bundles if bundles.startswith("file://") else ""
    return Place(
        scope=scope,
        registry=registry,
        image=image,
        staging=staging,
        data=data,
        local_roots=tuple(roots),
        bundles=here,
        staged_at=bundles,
        objects=data,
    )


def _as_uri(folder: str) -> str:
    return f"file://{folder}" if folder.startswith("/") else folder


class Baked(NamedTuple):
    """Bundles that travel inside an image: written to a folder now, found by tasks in the image.

    Nothing is uploaded, and a task's container needs no access to a bucket to load its code. Each
    image gets a tag of its own; the image's name is `FLYTE_INTERNAL_IMAGE` or the task's option.
    """

    folder: Path
    """Where they are written, to be copied into the image. Grows; what is there is kept."""
    at: str = BAKED_AT
    """Their absolute path in the image."""

    def instead_of(self, place: Place) -> Place:
        """`place` with its bundles baked.

        Raises:
            UsageError: `at` is no absolute path.
        """
        if not self.at.startswith("/"):
            raise UsageError(f"{self.at!r} is no absolute path in an image. Write e.g. {BAKED_AT}.")
        named = f"file://{self.at.rstrip('/')}"
        written = Path(self.folder).absolute().as_uri()
        area = DirectoryStaging(written, open_stores(), named=named)
        return place._replace(
            staging=lambda client: area, bundles=named, staged_at=named, objects=None
        )
