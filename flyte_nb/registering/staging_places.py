"""Choose where a session stores bundles and files.

`FLYTE_NB_STAGING` names a folder of any store. Without it, the local backend's object folder is used when it
is on this machine, and FlyteAdmin's own storage through signed URLs otherwise. `Baked` writes bundles to a
local folder that is copied into a container image.
"""

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
from flyte_nb.registering.place import Place
from flyte_nb.storage import open_stores
from flyte_nb.storage.directory import DirectoryStaging
from flyte_nb.types.registry import Registry

IMAGE = "ghcr.io/flyte-nb/flyte-nb:py{python}-{version}"
"""The release's image, for tasks that name none. The local backend runs no images."""

BAKED_AT = "/opt/flyte_nb/bundles"
"""Where bundles are in an image, unless the author names another path."""

STAGING = "FLYTE_NB_STAGING"
"""The variable with the URI of a folder (`s3://bucket/flyte`, …) for bundles and files. This process needs
credentials for it."""


def data_for(
    client: AdminClient,
    project: str,
    domain: str,
    *,
    root: str,
    env: "Mapping[str, str]",
    roots: "Callable[[], Sequence[Path]]" = tuple,
) -> KernelData:
    """Return the access to files for a kernel.

    Args:
        client: The FlyteAdmin that signs URLs.
        project: The project that uploads through FlyteAdmin belong to.
        domain: The domain that uploads through FlyteAdmin belong to.
        root: URI of the local backend's object folder; empty when it is not on this machine.
        env: The environment. `FLYTE_NB_STAGING` wins over `root` and over FlyteAdmin's storage.
        roots: Returns the folders whose modules travel with pickled values that need them.

    Raises:
        UsageError: `FLYTE_NB_STAGING` is no URI.
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
    """Return the folder that a person named in `FLYTE_NB_STAGING`; empty without one.

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
    """Return where and how a session registers.

    Args:
        scope: Project, domain and the notebook's name.
        registry: The codecs of all types.
        env: The environment. `FLYTE_INTERNAL_IMAGE` names the image, as for flytekit;
            `FLYTE_NB_STAGING` names the folder for bundles.
        data: Stores constants that need a file.
        root: URI of the local backend's object folder; empty when it is not on this machine.
        roots: Folders whose modules travel: the notebook's, and those of registered modules.

    Raises:
        UsageError: `FLYTE_NB_STAGING` is no URI.
    """
    folder = _staging(env) or root
    # The local backend stores values at plain paths, but indexes are named by URIs, because registered
    # templates name them so. Another spelling would make every staged index look like a new one.
    bundles = f"{_as_uri(folder)}/bundles" if folder else ""

    def staging(client: AdminClient) -> StagingArea:
        if bundles:
            return DirectoryStaging(bundles, open_stores(), seen=data.seen)
        return UploadStaging(Uploads(client, project=scope.project, domain=scope.domain))

    image = env.get("FLYTE_INTERNAL_IMAGE") or IMAGE.format(
        python=python_minor(), version=__version__
    )
    # Members on this machine's disk can be looked at one by one without network.
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
    """Return the URI of a folder that is given by its path or its URI."""
    return f"file://{folder}" if folder.startswith("/") else folder


class Baked(NamedTuple):
    """Bundles that travel inside a container image.

    They are written to a local folder, which the author copies into the image. Nothing is uploaded, and
    a task's container needs no access to a bucket to load its code. Each image needs a tag of its own;
    the image's name is `FLYTE_INTERNAL_IMAGE` or the task's option.
    """

    folder: Path
    """The local folder. Bundles are added to it, and nothing is removed."""
    at: str = BAKED_AT
    """The absolute path that the folder gets in the image."""

    def instead_of(self, place: Place) -> Place:
        """Return `place` with its staging area replaced by these baked bundles.

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
