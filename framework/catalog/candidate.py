"""The layers of a canary's candidate, which is a partial model inside the stable one.

Kept apart from loading because every layer may hold a part of it.
"""

from __future__ import annotations

from typing import Any

from framework.catalog.reading import NOT_MERGED
from framework.layers import Layer, LayerStack

CANDIDATE = ("canary", "candidate")


def candidate_layers(pile: LayerStack) -> tuple[Layer, ...]:
    """Each layer's part of `canary.candidate`, in order; a null over it drops the parts below."""
    parts: list[Layer] = []
    for layer in pile.layers:
        data: Any = layer.data
        for key in CANDIDATE:
            if not isinstance(data, dict) or key not in data:
                break
            data = data[key]
            if data is None:
                parts.clear()
        else:
            if isinstance(data, dict):
                prefix = (*layer.prefix, *CANDIDATE)
                parts.append(Layer(layer.document, prefix, frozenset({"canary", *NOT_MERGED})))
    return tuple(parts)
