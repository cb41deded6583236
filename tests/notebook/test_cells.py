"""The registry of cells: which cell defines a name, what was deleted, and which cell a file name means."""

from hypothesis import given
from hypothesis import strategies as st

from flyte_nb.api.specs import Location
from flyte_nb.notebook.kernel.cells import CellRegistry, names_bound, stale_entities


def _registry(*cells: "tuple[str, str]") -> CellRegistry:
    registry = CellRegistry()
    for number, (cell_id, source) in enumerate(cells, start=1):
        registry.begin(
            cell_id=cell_id, number=number, filename=f"/tmp/k_1/{number}.py", source=source
        )
    return registry


def test_a_file_name_of_a_cell_is_replaced_by_its_prompt():
    registry = _registry(("a", "x = 1"), ("b", "y = 2"))
    assert registry.place(Location("/tmp/k_1/2.py", 3)) == "cell [2], line 3"
    assert registry.place(Location("/home/me/mod.py", 3)) == "/home/me/mod.py, line 3"
    assert registry.place(None) == ""


def test_a_traceback_names_cells():
    registry = _registry(("a", "x = 1"))
    text = '  File "/tmp/k_1/1.py", line 3, in f\n/tmp/k_1/1.py:7: in g\n/tmp/k_1/1.py'
    assert registry.humanize(text) == "  cell [1], line 3, in f\ncell [1], line 7: in g\ncell [1]"


def test_a_definition_that_its_cell_does_not_have_any_more_is_pointed_out():
    registry = _registry(("a", "def f(): ...\ndef g(): ..."), ("a", "def f(): ..."))
    assert [(gone.name, gone.cell.label) for gone in registry.removed(["f", "g"])] == [
        ("g", "cell [2]")
    ]


def test_a_definition_that_moved_to_another_cell_is_not_removed():
    registry = _registry(("a", "def f(): ..."), ("b", "def f(): ..."), ("a", "x = 1"))
    assert registry.removed(["f"]) == ()


def test_a_definition_that_came_back_is_not_removed():
    registry = _registry(("a", "def f(): ..."), ("a", "x = 1"), ("a", "def f(): ..."))
    assert registry.removed(["f"]) == ()


def test_the_definitions_of_a_deleted_cell_are_removed():
    registry = _registry(("a", "def f(): ..."), ("b", "x = 1"))
    registry.forget(["a", "never heard of"])
    assert [gone.name for gone in registry.removed(["f", "x"])] == ["f"]


def test_cells_without_an_id_never_remove_anything():
    registry = CellRegistry()
    for source in ("def f(): ...", "x = 1"):
        registry.begin(cell_id=None, number=1, filename="<ipython>", source=source)
    assert registry.removed(["f"]) == ()


def test_a_cell_magic_can_note_what_it_defines():
    registry = _registry(("a", "get_ipython().run_cell_magic('task', 'f()', '')"))
    registry.also_defines(["f"])
    owner = registry.owner("f")
    assert owner is not None
    assert owner.cell_id == "a"
    registry.begin(cell_id="a", number=2, filename="/tmp/k_1/2.py", source="x = 1")
    assert [gone.name for gone in registry.removed(["f"])] == ["f"]


def test_the_number_of_a_prompt_can_be_corrected():
    registry = _registry(("a", "x = 1"))
    registry.renumber(9)
    assert registry.label("/tmp/k_1/1.py") == "cell [9]"


_SOURCES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sets(st.sampled_from("fgh")).map(sorted)), max_size=12
)


@given(_SOURCES)
def test_a_name_is_removed_exactly_when_it_was_defined_and_no_cell_defines_it_now(runs):
    registry = _registry(
        *((cell, "\n".join(f"def {name}(): ..." for name in names)) for cell, names in runs)
    )
    latest = dict(runs)
    now = {name for names in latest.values() for name in names}
    ever = {name for _, names in runs for name in names}
    assert {gone.name for gone in registry.removed("fgh")} == ever - now


def test_names_bound_sees_functions_classes_assignments_and_imports():
    source = "import a.b, c as d\nx, (y, *z) = 1, (2, 3)\nclass K: q = 1\ndef f():\n  inner = 1"
    assert names_bound(source) == {"a", "d", "x", "y", "z", "K", "f"}
    assert names_bound("def broken(") == frozenset()


def test_an_entity_whose_class_was_defined_again_is_stale():
    def make() -> type:
        return type("P", (), {"__module__": "__main__"})

    old, new = make(), make()

    def f(p: "object") -> None: ...

    f.__annotations__ = {"p": list[old], "return": None}
    assert [(s.entity, s.class_name) for s in stale_entities({"f": f}, {"P": new})] == [("f", "P")]
    assert stale_entities({"f": f}, {"P": old}) == ()
    assert stale_entities({"f": f}, {}) == ()
    assert stale_entities({"g": None}, {"P": new}) == ()
