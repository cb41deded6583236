"""The catalog of runs in a kernel: its results outlive the kernel, with the files that they refer to."""

import os
import sqlite3

import pytest
from flyteidl.core.literals_pb2 import LiteralMap

from flyte_nb.admin.local_cache import clear_local_cache, local_cache_facts, local_catalog
from flyte_nb.api.errors import StorageError
from flyte_nb.client.data import SCRATCH, KernelData
from flyte_nb.propeller.local_catalog import LocalCatalog
from flyte_nb.storage import open_stores
from flyte_nb.testing.propeller_conformance import CatalogConformance


@pytest.fixture
def data():
    made = KernelData(open_stores(), folder_uri=SCRATCH)
    yield made
    made.close()


def stored(data, tmp_path, content="hello"):
    path = tmp_path / "a.txt"
    path.write_text(content)
    return data.upload(str(path))


class TestLocalCatalogConforms(CatalogConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path):
        self.path = tmp_path / "cache"

    def make(self):
        return LocalCatalog(self.path, str)


def test_results_are_there_in_the_next_process(tmp_path):
    first = LocalCatalog(tmp_path, str)
    first.put("k", b"1")
    first.close()
    assert LocalCatalog(tmp_path, str).get("k") == b"1"


def test_asking_an_empty_cache_makes_no_folder(tmp_path):
    catalog = LocalCatalog(tmp_path / "none", str)
    assert (catalog.get("k"), catalog.count(), catalog.clear()) == (None, 0, 0)
    assert not (tmp_path / "none").exists()


def test_files_of_the_kernel_are_copied_and_named_by_their_copies(data, tmp_path):
    uri = stored(data, tmp_path)
    outputs = LiteralMap()
    outputs.literals["one"].scalar.blob.uri = uri
    outputs.literals["many"].collection.literals.add().scalar.union.value.scalar.blob.uri = uri
    catalog = local_catalog(data, tmp_path / "home")
    catalog.put("k", outputs.SerializeToString())
    data.close()
    assert not os.path.exists(uri)
    kept = LiteralMap.FromString(catalog.get("k"))
    copies = {
        kept.literals["one"].scalar.blob.uri,
        kept.literals["many"].collection.literals[0].scalar.union.value.scalar.blob.uri,
    }
    (copy,) = copies
    with open(copy) as file:
        assert file.read() == "hello"
    assert clear_local_cache(tmp_path / "home").results == 1
    assert not os.path.exists(copy)


def test_a_struct_that_names_a_file_of_the_kernel_is_not_kept(data, tmp_path):
    outputs = LiteralMap()
    outputs.literals["o0"].scalar.binary.value = stored(data, tmp_path).encode()
    catalog = local_catalog(data, tmp_path / "home")
    with pytest.raises(StorageError, match="inside of a struct"):
        catalog.put("k", outputs.SerializeToString())
    assert catalog.get("k") is None


def test_files_elsewhere_are_left_where_they_are(data, tmp_path):
    stored(data, tmp_path)
    outputs = LiteralMap()
    outputs.literals["o0"].scalar.blob.uri = "s3://bucket/a"
    catalog = local_catalog(data, tmp_path / "home")
    catalog.put("k", outputs.SerializeToString())
    assert LiteralMap.FromString(catalog.get("k")) == outputs
    assert local_cache_facts(tmp_path / "home").results == 1


def test_a_damaged_database_is_an_error_that_says_what_to_do_and_that_helps(tmp_path):
    (tmp_path / "results.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StorageError, match="cannot be used") as caught:
        LocalCatalog(tmp_path, str).get("k")
    assert "local-cache clear" in caught.value.hint
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    catalog = LocalCatalog(tmp_path, str)
    assert catalog.clear() == 0
    catalog.put("k", b"1")
    assert catalog.get("k") == b"1"
