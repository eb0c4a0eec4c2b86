"""PersistentVolumeClaim: storage that survives the Pods of a model, such as for its weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from framework.core.kind_rules import KindRules
from framework.kinds.kind import NOT_AWAITED, Kind, Manifest, TrackInput, computed, without_empty

if TYPE_CHECKING:
    from framework.settings.volumes import Claim, Ephemeral, Volume


def claim_name(model: str, volume: str) -> str:
    """Returns the name of the claim that a model creates for a volume."""
    return f"{model}-{volume}"


def build_claim_spec(claim: Claim | Ephemeral) -> dict[str, Any]:
    """Builds the spec of a new claim, which an ephemeral volume contains as well."""
    return without_empty(
        {
            "accessModes": list(claim.access_modes),
            "resources": {"requests": {"storage": claim.size}},
            "storageClassName": claim.storage_class,
        }
    )


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds one claim for each volume that needs a new one; both tracks mount the same claim.

    The claims of the candidate are built as well. `promote` then leaves its claim, and the data in
    it, as it is: the name contains the model and not the track.
    """
    volumes: dict[str, Volume] = dict(track.candidate.volumes) if track.candidate else {}
    volumes |= track.settings.volumes
    for volume, settings in sorted(volumes.items()):
        claim = settings.claim
        if claim is None or claim.size is None:
            continue
        name = claim_name(track.model, volume)
        yield Manifest(
            name,
            {
                "apiVersion": "v1",
                "kind": "PersistentVolumeClaim",
                # Most StorageClasses bind a claim only once a Pod uses it, which the Deployment
                # does after the claim: waiting for the claim would never end.
                "metadata": track.build_metadata(NOT_AWAITED, name),
                "spec": build_claim_spec(claim),
            },
            used_by_pods=True,
            retain=claim.keep,
            part=volume,
        )


KIND = Kind(
    rules=KindRules(
        "",
        "PersistentVolumeClaim",
        replaced_by=(
            "spec.accessModes", "spec.selector", "spec.storageClassName", "spec.volumeName",
        ),
        propagation="Background",
    ),
    build=build,
    enabled_by="give a volume a claim with a size",
    protected={
        "spec.resources": computed("volumes.<name>.claim.size"),
        "spec.accessModes": computed("volumes.<name>.claim.accessModes"),
    },
)  # fmt: skip
