"""Files and folders: made in a task, stored where the author says, listed without a download, in structs."""

import dataclasses
import os
import pickle
from pathlib import Path
from typing import Annotated, Any, Optional, TypeVar

import pydantic
import pytest

from flyte_nb import FlyteDirectory, FlyteFile, StructuredDataset, UsageError, kwtypes
from flyte_nb.api.errors import CodecError
from flyte_nb.api.literals import from_plain, to_plain
from flyte_nb.sdk import context
from flyte_nb.sdk.execution_context import DirectRunner, context_from
from flyte_nb.types.codec import NeedsStore
from flyte_nb.types.file_formats import FileExt
from flyte_nb.types.registry import Registry, default_registry
from flyte_nb.wire.literal_bytes import literal_from_bytes, literal_to_bytes


@pytest.fixture
def registry() -> Registry:
    return default_registry(warn_pickled=False)


class Attempt(DirectRunner):
    """The attempt that runs: it moves files and has folders of its own."""

    def __init__(self, data: Any, folder: Path, prefix: str) -> None:
        super().__init__(context_from({}, working_directory=str(folder), raw_output_prefix=prefix))
        self.data = data


@pytest.fixture
def attempt(data, tmp_path):
    """A task that runs, with the store of the test."""
    folder = tmp_path / "work"
    folder.mkdir()
    token = context.runner.set(Attempt(data, folder, "store://raw"))
    yield folder
    context.runner.reset(token)


def text(file: Any) -> str:
    with file.open() as opened:
        return opened.read()


def sent(literal: Any) -> Any:
    return literal_from_bytes(literal_to_bytes(from_plain(to_plain(literal))))


def test_a_format_is_what_a_file_type_answers():
    assert FlyteFile.extension() == FlyteDirectory.extension() == ""
    assert FlyteFile["csv"].extension() == "csv"
    assert FlyteFile[Annotated[str, FileExt("tar.gz")]].extension() == "tar.gz"
    assert FlyteFile[Annotated[str, FileExt("tar.gz")]] == FlyteFile["tar.gz"]
    assert FlyteFile[""] is FlyteFile
    assert FlyteFile[TypeVar("csv")] == FlyteFile["csv"]
    assert FlyteFile["csv"]("x.csv").extension() == "csv"
    assert FlyteFile("x.csv").extension() == ""
    read = default_registry().codec(FlyteFile["csv"]).unpack({"path": "s3://b/x"}, None)
    assert read.extension() == "csv"


def test_a_new_file_is_in_the_running_tasks_folder(attempt, registry, data):
    file = FlyteFile.new("report.txt")
    with file.open("w") as out:
        out.write("done")
    assert (attempt / "report.txt").read_text() == "done"
    literal = registry.codec(FlyteFile).encode(file, data)
    assert literal.value[0].endswith("/report.txt")
    with pytest.raises(UsageError, match="is an absolute path"):
        FlyteFile.new("/tmp/x")


def test_a_new_folder_is_made_once(attempt, registry, data):
    folder = FlyteDirectory.new("parts")
    assert os.path.isdir(attempt / "parts")
    (folder / "a.txt").write_text("a")
    assert registry.codec(FlyteDirectory).encode(folder, data).value[0].endswith("/parts")
    with pytest.raises(UsageError, match="exists already"):
        FlyteDirectory.new("parts")


def test_a_new_file_in_the_store_is_written_there_when_it_is_closed(attempt, registry, data):
    file = FlyteFile.new_remote_file("out.csv")
    assert file.uri.startswith("store://raw/")
    assert file.uri.endswith("/out.csv")
    with file.open("w") as out:
        out.write("a,b\n")
        assert not os.path.exists(data._path(file.uri))
    assert Path(data._path(file.uri)).read_text() == "a,b\n"
    assert registry.codec(FlyteFile).encode(file, None).value[0] == file.uri
    elsewhere = FlyteFile.new_remote_file("x", alt="store://other")
    assert elsewhere.uri.startswith("store://other/")


def test_what_was_not_written_to_its_end_is_not_stored(attempt, data):
    file = FlyteFile.new_remote_file("out.csv")
    with pytest.raises(TypeError), file.open("wb") as out:
        out.write("no bytes")
    assert not os.path.exists(data._path(file.uri))
    with pytest.raises(CodecError, match="as a whole only"):
        file.open("a")


def test_files_are_put_into_a_folder_in_the_store_one_by_one(attempt, registry, data):
    folder = FlyteDirectory.new_remote("parts")
    for name in ("a", "b"):
        with folder.new_dir("sub").new_file(name).open("w") as out:
            out.write(name)
    back = registry.codec(FlyteDirectory).decode(
        sent(registry.codec(FlyteDirectory).encode(folder, data)), data
    )
    assert [path for _, path in back.crawl()] == ["sub/a", "sub/b"]
    assert folder.new_file().uri.startswith(f"{folder.uri}/")


def test_a_file_that_an_author_names_by_uri_is_read_by_the_running_task(attempt, data):
    Path(data._path("store://there")).write_text("here")
    assert text(FlyteFile("store://there")) == "here"
    assert FlyteFile.from_source("store://there").downloaded is False


def test_a_local_file_is_stored_where_its_author_says(registry, data, tmp_path):
    (tmp_path / "x.txt").write_text("x")
    wanted = FlyteFile(tmp_path / "x.txt", remote_path="store://mine/y.txt")
    assert registry.codec(FlyteFile).encode(wanted, data).value[0] == "store://mine/y.txt"
    assert Path(data._path("store://mine/y.txt")).read_text() == "x"
    stays = FlyteFile(tmp_path / "x.txt", remote_path=False)
    assert registry.codec(FlyteFile).encode(stays, None).value[0] == str(tmp_path / "x.txt")
    assert (wanted.remote_path, stays.remote_path) == ("store://mine/y.txt", False)
    (tmp_path / "many").mkdir()
    folder = FlyteDirectory(tmp_path / "many", remote_directory="store://mine/many")
    assert registry.codec(FlyteDirectory).encode(folder, data).value[0] == "store://mine/many"
    assert folder.remote_directory == "store://mine/many"


def test_a_files_metadata_travels_with_it(registry, data, tmp_path):
    (tmp_path / "x").write_text("x")
    file = FlyteFile(tmp_path / "x", metadata={"source": "survey"})
    codec = registry.codec(FlyteFile)
    back = codec.decode(sent(codec.encode(file, data)), data)
    assert back.metadata == {"source": "survey"}
    assert pickle.loads(pickle.dumps(back)).metadata == {"source": "survey"}
    assert codec.decode(sent(codec.encode(FlyteFile(tmp_path / "x"), data)), data).metadata is None


def test_a_file_with_a_downloader_is_fetched_when_it_is_needed(tmp_path):
    calls = []
    path = tmp_path / "late"

    def fetch() -> None:
        calls.append(1)
        path.write_text("late")

    file = FlyteFile(path, fetch)
    assert (file.downloaded, calls) == (False, [])
    assert text(file) == "late"
    assert text(file) == "late"
    assert (file.downloaded, calls) == (True, [1])


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    for name in ("b.txt", "a.txt", "sub/c.txt", "sub/deep/d.txt"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    return root


def test_a_stored_folder_is_listed_without_a_download(registry, data, tree):
    codec = registry.codec(FlyteDirectory)
    folder = codec.decode(codec.encode(tree, data), data)
    entries = folder.listdir()
    assert [type(each).__name__ for each in entries] == ["FlyteFile", "FlyteFile", "FlyteDirectory"]
    assert [each.uri.rpartition("/")[2] for each in entries] == ["a.txt", "b.txt", "sub"]
    assert data.downloads == []
    assert text(entries[0]) == "a.txt"
    assert [each.uri.rpartition("/")[2] for each in entries[2].listdir()] == ["c.txt", "deep"]
    assert data.downloads == [entries[0].uri]
    assert FlyteDirectory.listdir(folder) == entries  # flytekit's way to call it


def test_a_folder_is_crawled(registry, data, tree):
    stored = registry.codec(FlyteDirectory).encode(tree, data)
    for folder in (registry.codec(FlyteDirectory).decode(stored, data), FlyteDirectory(tree)):
        place = str(folder)
        everything = ["a.txt", "b.txt", "sub/c.txt", "sub/deep/d.txt"]
        assert list(folder.crawl()) == [(place, path) for path in everything]
        assert [path for _, path in folder.crawl(maxdepth=1)] == ["a.txt", "b.txt"]
        assert next(path for _, path in folder.crawl(topdown=False)) == "sub/deep/d.txt"
        (_, detail) = next(folder.crawl(maxdepth=2, topdown=False, detail=True))
        assert detail == {"sub/c.txt": {"name": f"{place}/sub/c.txt", "type": "file"}}
    assert data.downloads == []


def test_a_local_folder_is_listed(tree):
    names = [str(each) for each in FlyteDirectory(tree).listdir()]
    assert names == [f"{tree}/a.txt", f"{tree}/b.txt", f"{tree}/sub"]


@dataclasses.dataclass
class Holder:
    file: FlyteFile
    folder: Optional[FlyteDirectory] = None


class Model(pydantic.BaseModel):
    file: FlyteFile
    folder: Optional[FlyteDirectory] = None
    rows: Optional[StructuredDataset] = None
    typed: Optional[FlyteFile["csv"]] = None  # noqa: F821


@pytest.mark.parametrize("kind", [Holder, Model])
def test_files_in_a_struct_are_stored_and_fetched(registry, data, tree, kind):
    codec = registry.codec(kind)
    value = kind(file=FlyteFile(tree / "a.txt", metadata={"k": "v"}), folder=FlyteDirectory(tree))
    back = codec.decode(sent(codec.encode(value, data)), data)
    assert text(back.file) == "a.txt"
    assert back.file.metadata == {"k": "v"}
    assert sorted(os.listdir(back.folder)) == ["a.txt", "b.txt", "sub"]
    assert value.file.uri == ""  # the author's own value is not changed
    with pytest.raises(NeedsStore):
        codec.encode(value, None)
    with pytest.raises(CodecError, match="There is no file at"):
        codec.encode(kind(file=FlyteFile(tree / "none")), data)


def test_a_table_in_a_model_is_stored_and_read(registry, data, tree):
    pd = pytest.importorskip("pandas")
    codec = registry.codec(Model)
    frame = pd.DataFrame({"a": [1]})
    value = Model(file=str(tree / "a.txt"), rows=StructuredDataset(frame), typed=tree / "b.txt")
    back = codec.decode(sent(codec.encode(value, data)), data)
    assert back.rows.open(pd.DataFrame).all().equals(frame)
    assert text(back.typed) == "b.txt"
    assert value.model_dump()["file"] == {"path": str(tree / "a.txt")}
    with pytest.raises(pydantic.ValidationError, match="Expected FlyteFile or a path"):
        Model(file=3)


def test_a_dict_is_pickled_only_where_its_annotation_allows_it(registry, data):
    allowed = registry.codec(Annotated[dict, kwtypes(allow_pickle=True)])
    assert allowed.literal_type == registry.codec(dict).literal_type
    literal = allowed.encode({"a": complex(1, 2)}, data)
    assert literal.metadata == {"format": "pickle"}
    assert registry.codec(dict).decode(sent(literal), data) == {"a": complex(1, 2)}
    assert allowed.encode({"a": 1}, data) == registry.codec(dict).encode({"a": 1}, data)
    with pytest.raises(CodecError, match="is not plain data"):
        registry.codec(dict).encode({"a": complex(1, 2)}, data)
    with pytest.raises(CodecError, match="Expected"):
        allowed.encode(3, data)


def test_an_array_of_objects_is_pickled_only_where_its_annotation_allows_it(registry, data):
    np = pytest.importorskip("numpy")
    array = np.array([{"a": 1}, None], dtype=object)
    allowed = registry.codec(Annotated[np.ndarray, kwtypes(allow_pickle=True)])
    assert allowed.decode(allowed.encode(array, data), data).tolist() == array.tolist()
    mapped = registry.codec(Annotated[np.ndarray, kwtypes(mmap_mode="r")])
    plain = mapped.encode(np.arange(3), data)
    assert isinstance(mapped.decode(plain, data), np.memmap)
    with pytest.raises(CodecError, match="have no option order"):
        registry.codec(Annotated[np.ndarray, kwtypes(order="C")])
