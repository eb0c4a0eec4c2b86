"""ServiceAccount: the identity of a model's Pods."""

from __future__ import annotations

from collections.abc import Iterator

from framework.core.kind_rules import KindRules
from framework.kinds.kind import Kind, Manifest, TrackInput


def build(track: TrackInput) -> Iterator[Manifest]:
    """Builds the ServiceAccount, unless the settings name an existing one."""
    account = track.settings.service_account
    if account.name is None:
        yield Manifest(
            track.model,
            {
                "apiVersion": "v1",
                "kind": "ServiceAccount",
                "metadata": track.build_metadata(account.annotations),
                "automountServiceAccountToken": account.automount_token,
            },
            used_by_pods=True,
        )


KIND = Kind(
    rules=KindRules("", "ServiceAccount", propagation="Background"),
    build=build,
    enabled_by="remove serviceAccount.name",
)
