"""Names and labels of the objects of a model."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    # Cached plans are read without the settings classes, which take a fifth of a second to import.
    from framework.settings.model import Model

Track = Literal["stable", "canary"]

NAME_LABEL = "app.kubernetes.io/name"
TRACK_LABEL = "modelcatalog/track"
OWNER_LABEL = "modelcatalog/owner"
STACK_LABELS = {
    "app.kubernetes.io/part-of": "modelcatalog",
    "app.kubernetes.io/managed-by": "pulumi",
}
"""The labels of every object of every stack."""
# Selectors and ownership depend on these labels, so a user's labels may not override them.
RESERVED_LABELS = frozenset(
    {
        NAME_LABEL,
        TRACK_LABEL,
        OWNER_LABEL,
        *STACK_LABELS,
    }
)


def track_name(model: str, track: Track) -> str:
    """Returns the name of a track's Deployment: `sentiment`, or `sentiment-canary`."""
    return model if track == "stable" else f"{model}-canary"


def build_labels(model: str, settings: Model) -> dict[str, str]:
    """Builds the labels of every object of a model."""
    return {
        **settings.labels,
        NAME_LABEL: model,
        OWNER_LABEL: settings.owner,
        **STACK_LABELS,
    }


def build_selector(model: str, track: Track) -> dict[str, str]:
    """Builds the labels that select the Pods of one track.

    The selectors of the two tracks are disjoint, and they never change: `spec.selector` of a
    Deployment is immutable.
    """
    return {NAME_LABEL: model, TRACK_LABEL: track}


def content_hash(data: Mapping[str, Any]) -> str:
    """Returns eight hex digits of the content's SHA-256."""
    content = json.dumps(data, sort_keys=True, ensure_ascii=False).encode()
    return hashlib.sha256(content).hexdigest()[:8]
