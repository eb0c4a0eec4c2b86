"""Names and labels of everything generated.

Kept apart because selectors must never change: how a track's Pods are told is decided here alone.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    # What was planned before is read back without the settings classes.
    from framework.settings.model import Model

Track = Literal["stable", "canary"]

NAME_LABEL = "app.kubernetes.io/name"
TRACK_LABEL = "modelcatalog/track"
OWNER_LABEL = "modelcatalog/owner"
# A user's labels may not say otherwise: selectors and ownership stand on these.
RESERVED_LABELS = frozenset(
    {
        NAME_LABEL,
        TRACK_LABEL,
        OWNER_LABEL,
        "app.kubernetes.io/part-of",
        "app.kubernetes.io/managed-by",
    }
)


def track_name(model: str, track: Track) -> str:
    """`sentiment` for the stable track, `sentiment-canary` for the candidate's."""
    return model if track == "stable" else f"{model}-canary"


def build_labels(model: str, settings: Model) -> dict[str, str]:
    """Labels of every object of a model."""
    return {
        **settings.labels,
        NAME_LABEL: model,
        OWNER_LABEL: settings.owner,
        "app.kubernetes.io/part-of": "modelcatalog",
        "app.kubernetes.io/managed-by": "pulumi",
    }


def build_selector(model: str, track: Track) -> dict[str, str]:
    """The labels that tell one track's Pods; disjoint between tracks, the same for ever."""
    return {NAME_LABEL: model, TRACK_LABEL: track}


def hashed_name(name: str, data: dict[str, str]) -> str:
    """`name` with eight hex digits of its content, so that new content is a new object."""
    content = json.dumps(data, sort_keys=True, ensure_ascii=False).encode()
    return f"{name}-{hashlib.sha256(content).hexdigest()[:8]}"
