"""Check bindings: each input gets one value, the value fits, and the nodes that make it run before.

A binding is a constant, a promise (the output of another node), or a list or dict of bindings. Its
check gives three things: the type that it has, the problems, and the ids of the nodes it refers to.

Source: flytepropeller/pkg/compiler/validators/bindings.go at v1.16.8.
"""

import re
from collections.abc import Collection

from flyteidl.core import literals_pb2, types_pb2

from flyte_nb.api.nodes import START_NODE
from flyte_nb.compiler import shape_problems, type_problems
from flyte_nb.compiler.builder import BOTH, Builder, CheckedNode
from flyte_nb.compiler.casting import Type
from flyte_nb.compiler.collector import Collector, Trial, TrialFailed
from flyte_nb.compiler.inference import type_of_scalar

# `name`, or `[3].name`. The pattern is Flyte's own, and as in Flyte it is searched for anywhere in the
# text rather than matched from its start: see `_parsed`.
_VARIABLE = re.compile(r"(\[(\d+)\]\.)?(\w+)", re.ASCII)
_MAX_INDEX = 2**63 - 1
"""The largest index that Go reads as an int."""


def bind(
    builder: Builder,
    node: CheckedNode,
    params: "dict[str, Type] | None",
    direction: int = BOTH,
) -> "dict[str, Type]":
    """Check the node's bindings, add their edges, and return the type of each bound input.

    Args:
        builder: the workflow.
        node: the node whose inputs are bound.
        params: the inputs by name. `None` for branches and approvals, whose bindings themselves
            define
            the inputs; then types are not checked.
        direction: which edges to add; see `Builder.add_edges`.
    """
    errors = builder.errors
    resolved: dict[str, Type] = {}
    provided: set[str] = set()
    # One checker serves all bindings of the node. Large workflows have many bindings, and most of
    # them are one promise, for which an object each would be the larger part of the work.
    checker = _BindingChecker(builder, node, params is not None)
    for binding in node.message.inputs:
        name = binding.var
        # Without parameters any type does; `none` only stands for "some type" and is never
        # compared.
        expected = builder.types.none if params is None else params.get(name)
        if expected is None:
            known = errors.names(params or ())
            errors.add(shape_problems.input_not_found(node.id, name, node.label, known))
        elif name in provided and binding.HasField("binding"):
            errors.add(shape_problems.bound_twice(node.id, name))
        else:
            data = binding.binding
            kind = data.WhichOneof("value")
            if kind is None and not binding.HasField("binding"):
                message = f"{name!r} has a binding without a value."
                errors.add(shape_problems.value_required(node.id, "Binding", message))
                continue
            provided.add(name)
            checker.name = name
            bound = checker.check(data, kind, expected, errors)
            if bound is not None:
                resolved[name] = bound
                if checker.makers:
                    builder.add_edges(checker.makers, node.id, direction)
            checker.makers.clear()
    if params is not None and node.interface is not None:
        required = node.interface.required
        # Asked as a set comparison first: nearly always nothing is missing, and sorting costs more.
        if not required <= provided:
            for name in sorted(required - provided):
                errors.add(shape_problems.not_bound(node.id, name, params[name], node.label))
    return resolved


class _BindingChecker:
    """Check the bindings of one node. `name` is the input being checked, whose binding may be nested."""

    __slots__ = ("builder", "check_types", "makers", "name", "node")

    def __init__(self, builder: Builder, node: CheckedNode, check_types: bool) -> None:
        self.builder = builder
        self.node = node
        self.name = ""
        self.check_types = check_types
        self.makers: list[str] = []
        """Ids of the nodes whose outputs the binding uses; the caller empties it between inputs."""

    def check(
        self, data: literals_pb2.BindingData, kind: "str | None", expected: Type, errors: Collector
    ) -> "Type | None":
        """Return the type of a binding, or `None` when it has a problem, which then is in `errors`.

        Args:
            data: the binding.
            kind: the field of `data` that is set (`WhichOneof`), which callers know already.
            expected: the type of the input, or of the element of a list or dict.
            errors: where problems go; a `Trial` when only success or failure matters.
        """
        if kind == "promise":
            return self._promise(data.promise, expected, errors)
        if kind == "scalar":
            return self._scalar(data.scalar, expected, errors)
        # From here on the binding is a list or a dict. Promises and constants against a union are
        # decided by their type alone, in `TypeTable`; a list or dict is tried against each variant.
        if expected.kind == "union_type":
            return self._union(data, kind, expected, errors)
        if kind == "collection":
            return self._items(data, data.collection.bindings, "collection_type", expected, errors)
        if kind == "map":
            bindings = data.map.bindings
            ordered = [bindings[name] for name in sorted(bindings)]
            return self._items(data, ordered, "map_value_type", expected, errors)
        # The name of Go's type, which Flyte's text quotes.
        received = "*core.BindingData_OffloadedMetadata" if kind else ""
        errors.report(
            type_problems.mismatching_bindings, self.node.id, self.name, expected, received
        )
        return None

    def _union(
        self, data: literals_pb2.BindingData, kind: "str | None", expected: Type, errors: Collector
    ) -> "Type | None":
        """Check a list or dict against each variant of a union; exactly one of them must accept it."""
        where = (self.node.id, self.name)
        found, match, used = None, expected, self.makers[:]
        # Each attempt collects the nodes it refers to. Only those of the variant that fits may become
        # edges, so the list is saved here, and the matching one is put back at the end.
        makers = used
        for variant in expected.variants:
            self.makers = used[:]
            try:
                bound = self.check(data, kind, variant, Trial())
            except TrialFailed:
                continue
            if found is not None:
                errors.report(
                    type_problems.ambiguous_union, *where, expected, data, (match, variant)
                )
                return None
            found, match, makers = bound, variant, self.makers
        self.makers = makers
        if found is None:
            errors.report(type_problems.incompatible_union, *where, expected, data)
        return found

    def _items(
        self,
        data: literals_pb2.BindingData,
        items: "Collection[literals_pb2.BindingData]",
        kind: str,
        expected: Type,
        errors: Collector,
    ) -> "Type | None":
        """Check every item of a list or dict against the element type, and return the list or dict type."""
        if expected.kind != kind or expected.inner is None:
            received = data.collection if kind == "collection_type" else data.map
            where = (self.node.id, self.name)
            errors.report(type_problems.mismatching_bindings, *where, expected, received)
            return None
        types = self.builder.types
        # Attempts multiply: a list in a union in a list in a union … is tried once for each combination
        # of variants. Outside of attempts each item is checked once, which needs no limit.
        if isinstance(errors, Trial):
            types.step(len(items))
        before = errors.count
        inner: Type | None = None
        for item in items:
            # The last item's type stands for all of them, as in Flyte; each was checked by itself.
            inner = self.check(item, item.WhichOneof("value"), expected.inner, errors) or inner
        if errors.count != before:
            return None
        return types.collection(inner) if kind == "collection_type" else types.map(inner)

    def _promise(
        self, promise: types_pb2.OutputReference, expected: Type, errors: Collector
    ) -> "Type | None":
        """Check a promise: the node exists, has this output, and the output's type fits.

        Returns the type of the output itself, without the index or the path behind it, as Flyte
        does.
        """
        node, name, builder = self.node, self.name, self.builder
        maker_id = promise.node_id or START_NODE
        maker = builder.nodes.get(maker_id)
        if maker is None:
            # A node that comes later in the template needs another hint than one that does not
            # exist.
            later = maker_id in builder.all_ids
            known = errors.names(builder.nodes)
            errors.report(shape_problems.node_not_found, node.id, name, maker_id, known, later)
            errors.report(shape_problems.still_not_bound, node.id, name)
            return None
        var = promise.var
        # Nearly every name is an ASCII identifier. Then the pattern would match the whole of it.
        plain = var.isascii() and var.isidentifier()
        output, index = (var, False) if plain else _parsed(var)
        if not output:
            errors.report(shape_problems.syntax_error, node.id, name, var)
            return None
        type = maker.outputs.get(output)
        # With a wrong alias nobody knows which names the node's outputs really have, so only the alias
        # is reported, and not every use of an output.
        if type is None or maker.alias_count:
            if not maker.alias_count:
                known = errors.names(maker.outputs)
                errors.report(shape_problems.output_not_found, maker.id, output, maker.label, known)
            errors.report(shape_problems.still_not_bound, node.id, name)
            return None
        source: Type | None = type
        if index:
            if type.kind == "collection_type":
                source = type.inner
            else:
                self._mismatch(maker, var, type, expected, errors)
        # `result.field[0]`: the path is followed through the types, and the type at its end is
        # compared.
        if len(promise.attr_path):
            source = self._walk(promise, source or type, errors)
            if source is None:
                return None
        source = source or type
        if self.check_types and source is not expected and not self._fits(source, expected):
            self._mismatch(maker, var, source, expected, errors)
            return None
        # The closure names the start node where the spec leaves the node id empty.
        if not promise.node_id:
            promise.node_id = START_NODE
        self.makers.append(maker_id)
        return type

    def _walk(
        self, promise: types_pb2.OutputReference, source: Type, errors: Collector
    ) -> "Type | None":
        """Return the type at the end of the attribute path, or `None` when a dataclass lacks the field."""
        for step in promise.attr_path:
            if source.inner is not None:
                source = source.inner
                continue
            # A step into a struct without known fields (a plain dict or an older SDK's dataclass)
            # cannot be checked; propeller resolves it when the workflow runs.
            structure = source.message.structure
            if not structure.dataclass_type:
                continue
            found = self.builder.types.field(source, step.string_value)
            if found is None:
                known = errors.names(structure.dataclass_type)
                where = (self.node.id, promise.var, source, step.string_value)
                errors.report(type_problems.field_not_found, *where, known)
                return None
            source = found
        return source

    def _fits(self, given: Type, expected: Type) -> bool:
        """Return whether a value of type `given` may be bound to an input of type `expected`."""
        return self.builder.types.castable(given, expected)

    def _mismatch(
        self, maker: CheckedNode, var: str, type: Type, expected: Type, errors: Collector
    ) -> None:
        """Report an output whose type does not fit, with the node's other outputs that would."""
        source, sink = maker.variable(var), self.node.variable(self.name)
        others = [
            name
            for name in errors.names(maker.outputs) or ()
            if name != var and self._fits(maker.outputs[name], expected)
        ]
        where = (self.node.id, self.name)
        errors.report(
            type_problems.promise_mismatch, *where, (source, type), (sink, expected), others
        )

    def _scalar(
        self, scalar: literals_pb2.Scalar, expected: Type, errors: Collector
    ) -> "Type | None":
        """Check a constant: its type fits, and an enum has this value."""
        before = errors.count
        where = (self.node.id, self.name)
        type = type_of_scalar(self.builder.types, scalar)
        if type is None:
            errors.report(
                shape_problems.unknown_scalar, *where, scalar.WhichOneof("value") or "nil"
            )
        elif self.check_types and type is not expected and not self._fits(type, expected):
            errors.report(type_problems.value_mismatch, *where, type, expected)
        if expected.kind == "enum_type":
            # Flyte compares enums with the string field whatever the scalar is, so an int is the
            # empty text here.
            value = scalar.primitive.string_value
            if value not in expected.values:
                known = errors.names(expected.values)
                errors.report(type_problems.illegal_enum_value, *where, value, expected, known)
        return type if errors.count == before else None


def _parsed(name: str) -> "tuple[str, bool]":
    """Return the output's name and whether an item of it is meant; an empty name when it cannot be read."""
    matches = _VARIABLE.findall(name)
    # Flyte requires exactly one match anywhere in the text: `o-0` has two, `-o` has one.
    if len(matches) != 1:
        return "", False
    _, index, output = matches[0]
    if index and (len(index) > 19 or int(index) > _MAX_INDEX):
        return "", False
    return output, bool(index)
