"""Gather the names that other rooms need: what a graph is, and the two readers that make one."""

from flyte_nb.graph.compiled import graph_of
from flyte_nb.graph.elements import Graph, GraphEdge, GraphNode
from flyte_nb.graph.written import graph_of_template

__all__ = ["Graph", "GraphEdge", "GraphNode", "graph_of", "graph_of_template"]
