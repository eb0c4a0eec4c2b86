"""The metadata of every object of a model.

Kept apart because all objects have the same.
"""

from __future__ import annotations

from typing import Any

from framework.plan.names import build_labels
from framework.settings.model import Model


def build_metadata(
    model: str, settings: Model, namespace: str, annotations: dict[str, str], name: str = ""
) -> dict[str, Any]:
    """An object's metadata; `name` is the model's own where it is not given."""
    metadata: dict[str, Any] = {
        "name": name or model,
        "namespace": namespace,
        "labels": build_labels(model, settings),
    }
    return {**metadata, "annotations": annotations} if annotations else metadata
