"""A store in a folder, and flytekit's own literals, for comparing side by side."""

import shutil
import uuid
from pathlib import Path

import pytest


class FolderData:
    """`DataAccess` over a folder; URIs are `store://<name>`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.downloads: list[str] = []
        (root / "store").mkdir()

    def download(self, uri: str) -> str:
        self.downloads.append(uri)
        return self._path(uri)

    def upload(self, path: str, *, name: str = "", uri: str = "") -> str:
        uri = uri or f"store://{uuid.uuid4().hex}/{name or Path(path).name}"
        target = Path(self._path(uri))
        target.parent.mkdir(parents=True, exist_ok=True)
        if Path(path).is_dir():
            shutil.copytree(path, target)
        else:
            shutil.copy(path, target)
        return uri

    def uris_below(self, uri: str) -> list[str]:
        root = Path(self._path(uri))
        found = sorted(each for each in root.rglob("*") if each.is_file())
        return [f"{uri}/{each.relative_to(root).as_posix()}" for each in found]

    def scratch(self, suffix: str = "") -> str:
        return str(self.root / f"{uuid.uuid4().hex}{suffix}")

    def _path(self, uri: str) -> str:
        if uri.startswith("store://"):
            return str(self.root / "store" / uri.removeprefix("store://"))
        return uri.removeprefix("file://")


@pytest.fixture
def data(tmp_path: Path) -> FolderData:
    return FolderData(tmp_path)
