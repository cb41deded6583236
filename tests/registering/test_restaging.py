"""Staging again what is missing or cut short, in a bucket that this process has no credentials for."""

import json

import pytest

import flyte_nb
from flyte_nb.__main__ import main
from flyte_nb.admin import daemon
from flyte_nb.api.errors import RegistrationFailed, StorageError
from flyte_nb.client.data import KernelData
from flyte_nb.client.uploads import Uploads, UploadStaging
from flyte_nb.registering.register import register
from flyte_nb.registering.staged import StagedBundles, index_uri_in
from flyte_nb.storage.memory import MemoryStore
from flyte_nb.testing.cells import Cells
from flyte_nb.testing.faults import FaultyStore
from flyte_nb.testing.signed_store import signed_store

SOURCE = (
    "from flyte_nb import task, workflow\n"
    "@task\ndef first(n: int) -> int:\n    return n + 1\n"
    "@task\ndef second(n: int) -> int:\n    return n + 2\n"
    "@workflow\ndef both(n: int) -> int:\n    return second(n=first(n=n))\n"
)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home") / "flyte_nb"
    yield folder
    daemon.stop(folder)


class Cluster:
    """A FlyteAdmin whose objects are in a bucket. Registered entities and signed URLs are real."""

    def __init__(self, session, bucket, store):
        self.bucket, self.client = bucket, session.client
        uploads = Uploads(bucket, project="flytesnacks", domain="development")
        self.data = KernelData(store, uploads=uploads, sleep=lambda seconds: None)
        self.place = (
            session._with_admin()
            .place([])
            ._replace(
                staging=lambda client: UploadStaging(uploads),
                bundles="",
                staged_at="",
                objects=self.data,
            )
        )
        self.store, self.session = store, session

    def register(self, *entities, **options):
        return register(self.client, self.place, entities, **options)

    def states(self, registration):
        return {e.id.name: (e.state, "staged again" in e.why) for e in registration.entities}

    def check(self, *uris):
        return StagedBundles(self.client, self.store, objects=self.data).check(*uris)

    def index_uri(self, name):
        return index_uri_in(self.session.fetch_task(name).message)


@pytest.fixture
def make_cluster(home):
    sessions, data = [], []
    with signed_store() as bucket:

        def make(name, store=None):
            sessions.append(flyte_nb.connect(home=home, name=name))
            denied = StorageError("no credentials")
            default = FaultyStore(MemoryStore(), fails=lambda call: denied)
            made = Cluster(sessions[-1], bucket, store or default)
            data.append(made.data)
            return made

        yield make
        for each in (*data, *sessions):
            each.close()


@pytest.fixture
def cells():
    made = Cells()
    made.run(SOURCE)
    return made


def test_new_code_costs_one_question_an_object_and_unchanged_code_none(make_cluster, cells):
    cluster = make_cluster("counted")
    cluster.register(cells["both"])
    assert cluster.bucket.calls == {"CreateUploadLocation": len(cluster.bucket.objects)}
    cluster.bucket.calls.clear()
    again = cluster.register(cells["both"])
    assert {entity.state for entity in again.entities} == {"unchanged"}
    assert cluster.bucket.calls == {}


def test_restaging_what_is_whole_looks_once_an_object_and_sends_nothing(make_cluster, cells):
    cluster = make_cluster("whole")
    cluster.register(cells["both"])
    cluster.bucket.calls.clear()
    cluster.bucket.received.clear()
    again = cluster.register(cells["both"], restage=True)
    assert again.uploaded_bytes == 0
    assert not any(told for _, told in cluster.states(again).values())
    assert cluster.bucket.calls == {"CreateDownloadLocation": len(cluster.bucket.objects)}
    assert {verb for verb, _, _ in cluster.bucket.received} == {"GET"}


@pytest.mark.parametrize("what", ["index", "member", "all"])
def test_what_was_lost_is_noticed_and_staged_again_where_it_was(make_cluster, cells, what):
    cluster = make_cluster(f"lost-{what}")
    cluster.register(cells["both"])
    name = f"lost-{what}.first"
    index = cluster.index_uri(name)
    members = [entry["uri"] for entry in json.loads(cluster.bucket.objects[index])["entries"]]
    before = dict(cluster.bucket.objects)
    gone = {"index": [index], "member": members[1:2], "all": list(before)}[what]
    for uri in gone:
        del cluster.bucket.objects[uri]
    damages, _ = cluster.check(index)
    assert {item.uri for item in damages} == {index} if what != "member" else set(gone)
    would = cluster.register(cells["both"], restage=True, dry_run=True)
    assert cluster.states(would)[name] == ("unchanged", True)
    assert cluster.bucket.objects.keys() == before.keys() - set(gone)
    again = cluster.register(cells["both"], restage=True)
    assert cluster.states(again)[name] == ("unchanged", True)
    assert cluster.bucket.objects == before
    assert again.uploaded_bytes == sum(len(before[uri]) for uri in gone)
    assert cluster.check(index)[0] == []


def test_what_was_cut_short_is_noticed_and_needs_credentials_or_a_deletion(make_cluster, cells):
    cluster = make_cluster("short")
    cluster.register(cells["both"])
    index = cluster.index_uri("short.first")
    victim = json.loads(cluster.bucket.objects[index])["entries"][1]["uri"]
    whole = cluster.bucket.objects[victim]
    cluster.bucket.objects[victim] = whole[:-3]
    [damage], _ = cluster.check(index)
    assert (damage.uri, damage.tasks) == (victim, ("short.first",))
    assert f"{len(whole) - 3} bytes in place of {len(whole)}" in damage.what
    with pytest.raises(RegistrationFailed, match=r"Delete it in the bucket.*--restage") as caught:
        cluster.register(cells["both"], restage=True)
    assert victim in str(caught.value)
    assert cluster.bucket.objects[victim] == whole[:-3]
    del cluster.bucket.objects[victim]
    cluster.register(cells["both"], restage=True)
    assert cluster.bucket.objects[victim] == whole


def test_what_was_cut_short_is_written_over_with_credentials(make_cluster, cells):
    poor = make_cluster("rich")
    poor.register(cells["both"])
    objects = poor.bucket.objects
    index = poor.index_uri("rich.first")
    victim = json.loads(objects[index])["entries"][1]["uri"]
    whole = objects[victim]
    objects[victim] = whole[::-1]  # of the same length: the store's MD5 says it

    class Rich(FaultyStore):
        def write(self, uri, data):
            objects[uri] = bytes(data)

    denied = StorageError("no credentials")
    rich = make_cluster("rich", Rich(MemoryStore(), fails=lambda call: denied))
    again = rich.register(cells["both"], restage=True)
    assert rich.states(again)["rich.first"] == ("unchanged", True)
    assert objects[victim] == whole


def test_code_that_packs_to_other_bytes_is_not_put_in_the_place_of_what_is_damaged(
    make_cluster, cells
):
    cluster = make_cluster("moved")
    cluster.register(cells["both"])
    index = cluster.index_uri("moved.first")
    victim = json.loads(cluster.bucket.objects[index])["entries"][1]["uri"]
    moved = Cells()
    moved.run("\n\n# lines that move, and change nothing\n" + SOURCE)
    assert {e.state for e in cluster.register(moved["both"]).entities} == {"unchanged"}
    assert {e.state for e in cluster.register(moved["both"], restage=True).entities} == {
        "unchanged"
    }
    del cluster.bucket.objects[victim]
    with pytest.raises(RegistrationFailed, match="packs to other bytes"):
        cluster.register(moved["both"], restage=True)
    cluster.register(cells["both"], restage=True)
    assert victim in cluster.bucket.objects


def test_the_commands_check_and_restage_on_the_local_backend(home, tmp_path, monkeypatch, capsys):
    (tmp_path / "restaged_module.py").write_text(SOURCE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    command = ["register", "restaged_module.py", "--restage", "--home", str(home)]
    assert main(command) == 0
    session = flyte_nb.connect(home=home, name="")
    index = index_uri_in(session.fetch_task("restaged_module.first").message)
    session.close()
    assert main(["bundle", "check", index, "--home", str(home)]) == 0
    path = index.removeprefix("file://")
    with open(path, "rb+") as file:
        file.truncate(10)
    capsys.readouterr()
    assert main(["bundle", "check", index, "--home", str(home)]) == 1
    assert "--restage" in capsys.readouterr().out
    assert main(command) == 0
    assert "staged again" in capsys.readouterr().out
    assert main(["bundle", "check", index, "--home", str(home)]) == 0
