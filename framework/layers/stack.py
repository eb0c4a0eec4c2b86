"""Merges the layers of a model with OmegaConf, and keeps where each value was written.

For example, with three layers, each read from a file:

    catalog/_defaults.yaml    rollout: {maxSurge: 1, maxUnavailable: 0}
    catalog/churn.yaml        replicas: 2
                              env: {MODEL_URL: "http://store/${name}"}
    prod, `overrides`         replicas: 3
                              rollout: {maxSurge: null}

    merged = LayerStack().add(defaults, churn, overrides).resolve({"name": "churn"})

`merged.data` is `{rollout: {maxUnavailable: 0}, replicas: 3, env: {MODEL_URL: http://store/churn}}`,
and `merged.origins["replicas",]` has two positions: churn.yaml's, then the one that won.

`add` compares shapes and positions, in one `Node` for each path, because OmegaConf does not keep
where values came from, and lets a list replace a mapping without an error. `resolve` lets OmegaConf
merge the values, removes the keys that are null, and resolves the interpolations.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from framework.core.diagnostics import Diagnostic, KeyPath
from framework.core.field_paths import get_at
from framework.layers.addition import Addition, Node, add_nodes, get_node, merge_additions
from framework.layers.interpolation import Resolution
from framework.layers.layer import Layer, Shape
from framework.layers.merged import Merged


@dataclass(frozen=True, eq=False)
class LayerStack:
    """Layers in merge order. `LayerStack()` is empty.

    A stack is never changed: `add` returns a new one. So models share the merge of the layers that
    they have in common: `_below` is the stack without the layers that `add` put on it, `_added` are
    these layers.
    """

    layers: tuple[Layer, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    broken: frozenset[KeyPath] = frozenset()
    _below: LayerStack | None = None
    _added: tuple[Addition, ...] = ()
    _nodes: dict[KeyPath, Node] = field(default_factory=dict)

    def add(self, *layers: Layer) -> LayerStack:
        """Returns this stack with `layers` on top.

        A value whose shape does not fit is left out and becomes a diagnostic.
        """
        nodes, diagnostics = dict(self._nodes), list(self.diagnostics)
        broken, added = set(self.broken), []
        for layer in layers:
            addition, conflicts, refused = add_nodes(nodes, layer)
            diagnostics += [*layer.diagnostics, *conflicts]
            broken |= layer.broken | refused
            added.append(addition)
        return LayerStack(
            (*self.layers, *layers),
            tuple(diagnostics),
            frozenset(broken),
            self,
            tuple(added),
            nodes,
        )

    def with_broken(self, *paths: KeyPath) -> LayerStack:
        """Returns this stack, where `paths` have no value because of an error reported elsewhere.

        The empty path means that any key may be missing.
        """
        return replace(self, broken=self.broken | frozenset(paths))

    @cached_property
    def _pickled(self) -> bytes:
        # Copying OmegaConf's nodes with pickle takes a fifth of the time of the deepcopy inside
        # OmegaConf.merge, and gives the same result (a test compares them). The bytes never leave
        # this process.
        return pickle.dumps(self._merge(), protocol=pickle.HIGHEST_PROTOCOL)

    def _merge(self) -> DictConfig:
        """Returns a new merged configuration, with interpolations and nulls still in it."""
        if self._below is None:
            return DictConfig({})
        config = cast(DictConfig, pickle.loads(self._below._pickled))
        merge_additions(config, self._added)
        return config

    def resolve(
        self,
        context: Mapping[str, Any],
        *,
        verbatim: Sequence[KeyPath] = (),
        keep_nulls: Sequence[KeyPath] = (),
        self_name: str = "",
    ) -> Merged:
        """Removes the keys that are null, and resolves every interpolation once.

        `context` is data that interpolations can refer to; it is not part of the result. Values
        under a `verbatim` path stay as written. Inside the entries of a mapping in `keep_nulls`,
        null is a value and stays. `self_name` is a name under which interpolations can refer to the
        result itself.
        """
        config = self._merge()
        # OmegaConf resolves a reference to null as the text "None", so these keys go first.
        removed = {path for path, node in self._nodes.items() if _is_null(path, node, keep_nulls)}
        for path in removed:
            del get_node(config, path[:-1])[path[-1]]
        nodes = {path: node for path, node in self._nodes.items() if path not in removed}
        # Converting without resolving is fast. Only the texts with interpolations are then
        # resolved, one by one: a full resolution would stop at the first error.
        data = cast(dict[str, Any], OmegaConf.to_container(config))
        origins = {path: node.positions for path, node in nodes.items()}
        texts = {
            path: cast(str, get_at(data, path))
            for path, node in nodes.items()
            if node.shape is Shape.INTERPOLATION
            and not any(path[: len(kept)] == kept for kept in verbatim)
        }
        if not texts:
            return Merged(data, origins, self.layers, self.diagnostics, self.broken)
        for path in verbatim:
            # Other interpolations cannot refer to a value that is not resolved itself.
            parent = get_at(data, path[:-1])
            if isinstance(parent, dict) and path[-1] in parent:
                del get_node(config, path[:-1])[path[-1]]
        resolution = Resolution(
            config, data, origins, texts, self.broken, self.layers, context, self_name
        )
        resolution.run()
        return Merged(
            data,
            origins,
            self.layers,
            (*self.diagnostics, *resolution.diagnostics),
            self.broken | set(resolution.failed),
            resolution.find_secret_paths(),
            resolution.missing_references,
            resolution.numbers,
        )


def _is_null(path: KeyPath, node: Node, keep_nulls: Sequence[KeyPath]) -> bool:
    """Returns True for a key of a mapping that is null; a null item of a list stays."""
    if node.shape is not Shape.NULL or not isinstance(path[-1], str):
        return False
    # `patch: {Deployment: null}` removes the inherited patch, and `patch: {Deployment: {spec:
    # {replicas: null}}}` is a patch that removes a field.
    return not any(
        len(path) > len(mapping) + 1 and path[: len(mapping)] == mapping for mapping in keep_nulls
    )
