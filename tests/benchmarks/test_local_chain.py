"""A chain of 1000 integer tasks in place, with real literals, through the engine, against flytekit."""

import pytest

from flyte_nb import task
from flyte_nb.propeller.local_catalog import LocalCatalog
from flyte_nb.propeller.plan import plan_of
from flyte_nb.propeller.run import run_local
from flyte_nb.testing import closures
from flyte_nb.testing.closures import chain, integer, integers
from flyte_nb.types.registry import default_registry
from flyte_nb.wire.identifiers import identifier_from_idl

flytekit = pytest.importorskip("flytekit", reason="the peer is not installed here")

LENGTH = 1000


@task
def increment(x: int) -> int:
    return x + 1


TEMPLATE = closures.task("increment", ["x"])
TASKS = {identifier_from_idl(TEMPLATE.id): increment}
REGISTRY = default_registry()


@flytekit.task
def flytekit_increment(x: int) -> int:
    return x + 1


@flytekit.workflow
def flytekit_chain(x: int) -> int:
    for _ in range(LENGTH):
        x = flytekit_increment(x=x)
    return x


def test_a_chain_in_place(compare):
    plan = plan_of(chain(LENGTH, TEMPLATE))  # flytekit's workflow is compiled once, too

    def ours() -> None:
        assert integer(run_local(plan, integers(x=0), TASKS, REGISTRY)) == LENGTH

    def peer() -> None:
        assert flytekit_chain(x=0) == LENGTH

    # 11 us where flytekit takes 950 us; the ratio holds on a machine of any speed.
    compare(
        "local chain of 1000", ours=ours, peer=peer, bar=0.035, rounds=5, per=LENGTH, unit="task"
    )


def test_a_chain_whose_records_are_kept(compare):
    plan = plan_of(chain(LENGTH, TEMPLATE))
    kept = []

    def ours() -> None:
        kept.clear()
        outputs = run_local(plan, integers(x=0), TASKS, REGISTRY, on_records=kept.extend)
        assert integer(outputs) == LENGTH
        assert len(kept) > 5 * LENGTH

    def peer() -> None:
        assert flytekit_chain(x=0) == LENGTH

    # 75 us; 150 us are allowed.
    compare(
        "recorded chain of 1000", ours=ours, peer=peer, bar=0.15, rounds=5, per=LENGTH, unit="task"
    )


def test_a_chain_of_cached_results(compare, tmp_path):
    template = closures.task("increment", ["x"], cache_version="1")
    plan = plan_of(chain(LENGTH, template))
    tasks = {identifier_from_idl(template.id): increment}
    catalog = LocalCatalog(tmp_path, str)

    def ours() -> None:
        outputs = run_local(plan, integers(x=0), tasks, REGISTRY, catalog=catalog)
        assert integer(outputs) == LENGTH

    def peer() -> None:
        assert flytekit_chain(x=0) == LENGTH

    # 40 us where the peer computes in 950 us; its own hit takes 180 to 310 us.
    compare("cache hit", ours=ours, peer=peer, bar=0.055, rounds=5, per=LENGTH, unit="task")
    catalog.close()
