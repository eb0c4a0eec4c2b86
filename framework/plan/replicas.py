"""Resolves the replicas of a model, with and without an autoscaler: the only place that does."""

from __future__ import annotations

from typing import NamedTuple

from framework.catalog import CatalogModel
from framework.core.diagnostics import KeyPath
from framework.core.rolling_update import resolve_canary_size
from framework.kinds.naming import Track
from framework.settings.model import Model


class ReplicaRange(NamedTuple):
    """The fewest and the most replicas, and the settings that decide them."""

    fewest: int
    most: int
    fewest_setting: KeyPath
    most_setting: KeyPath


def replica_range(settings: Model) -> ReplicaRange:
    """Returns the autoscaler's limits; `replicas` is ignored while `autoscaling` is set."""
    if scaling := settings.autoscaling:
        return ReplicaRange(
            scaling.min_replicas,
            scaling.max_replicas,
            ("autoscaling", "minReplicas"),
            ("autoscaling", "maxReplicas"),
        )
    return ReplicaRange(settings.replicas, settings.replicas, ("replicas",), ("replicas",))


def resolve_replicas(model: CatalogModel, track: Track) -> int:
    """Returns the replicas of one track; with an autoscaler, the most that it may create.

    A canary size in percent is a percentage of the fewest replicas, which are certain to run: 10%
    of a model that an autoscaler keeps between 20 and 50 replicas is 2. With `mode: within`, these
    Pods are taken from the stable track.
    """
    settings = model.settings
    replicas = replica_range(settings)
    canary = resolve_canary_size(settings.canary.size, replicas.fewest)
    if track == "canary":
        return canary
    if model.candidate is None or settings.canary.mode != "within":
        return replicas.most
    # A canary that leaves no stable Pod is an error, which the checks report after this.
    return max(0, replicas.most - canary)
