"""Checks that a stack is applied to the cluster that it is deployed on.

A cluster is identified by the UID of its kube-system Namespace. Contexts and kubeconfig paths are
only names: two kubeconfigs may give one name to two servers, or two names to one server. Both
engines check this way, so it stands beside them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from framework.cluster import FOLDER
from framework.core.errors import (
    ClusterError,
    ClusterMadeAgainError,
    OtherClusterError,
    RecordedClusterUnreachableError,
)
from framework.core.stack import Stack


@dataclass(frozen=True)
class ClusterIdentity:
    """One cluster: the UID of its kube-system Namespace, and how it was reached.

    `server` is the address of the API server; "" where it is not known.
    """

    uid: str
    context: str = ""
    kubeconfig: str = ""
    server: str = ""

    def __str__(self) -> str:
        parts = [f"context {self.context}"]
        parts += [f"kubeconfig {self.kubeconfig}"] if self.kubeconfig else []
        parts += [f"server {self.server}"] if self.server else []
        return ", ".join([*parts, f"kube-system UID {self.uid}"])

    @property
    def is_local(self) -> bool:
        """True for the control plane on this machine, whatever its port is."""
        return self.kubeconfig == f"{FOLDER}/kubeconfig"

    def is_at_same_place(self, other: ClusterIdentity) -> bool:
        """True when both were reached by the same names at the same address."""
        if (self.context, self.kubeconfig) != (other.context, other.kubeconfig):
            return False
        return self.is_local or not self.server or self.server == other.server


class ClusterRecord(Protocol):
    """Where the identities of a stack's clusters are kept; FileBackend is one."""

    @property
    def cluster_path(self) -> Path:
        """The file."""

    def read_cluster(self) -> dict[str, Any]:
        """The record; empty when there is none."""

    def write_cluster(self, record: Mapping[str, Any]) -> None:
        """Replace the record."""


# Connects as a provider's inputs say.
Identify = Callable[[Mapping[str, Any]], ClusterIdentity]


class IdentityCheck:
    """Compares each cluster that is reached with the one recorded for its provider.

    `providers` are the inputs of the recorded providers by URN. `record` is None where the backend
    keeps none, and without `has_objects` there is nothing to protect. `accepts_made_again` allows
    another UID at the recorded place, for a refresh.
    """

    def __init__(
        self,
        stack: Stack,
        providers: Mapping[str, Mapping[str, Any]],
        record: ClusterRecord | None,
        identify: Identify,
        *,
        has_objects: bool,
        accepts_made_again: bool,
    ) -> None:
        self._stack, self._record, self._identify = stack, record, identify
        self._providers = providers if has_objects else {}
        self._known = _parse(record.read_cluster()) if record else {}
        self._accepts_made_again = accepts_made_again

    def check(self, urn: str, found: ClusterIdentity) -> None:
        """Raises ClusterError when `found` is not the cluster recorded for this provider."""
        known = self._find_known(urn, found)
        if known is None or known.uid == found.uid:
            return
        if not known.is_at_same_place(found):
            path = str(self._record.cluster_path) if self._record else ""
            raise OtherClusterError(self._stack, str(known), str(found), path)
        if not self._accepts_made_again:
            raise ClusterMadeAgainError(self._stack, str(known), str(found))

    def _find_known(self, urn: str, found: ClusterIdentity) -> ClusterIdentity | None:
        inputs = self._providers.get(urn)
        if inputs is None:
            return None
        known = self._known.get(urn)
        if known is not None:
            return known
        recorded = _position(inputs)
        unnamed = self._known.get("")
        if unnamed is not None and (len(self._providers) == 1 or unnamed.context == found.context):
            return replace(unnamed, kubeconfig=recorded[0])
        if recorded == (found.kubeconfig, found.context) or self._accepts_made_again:
            # A refresh accepts another cluster once its record is gone, as its error advises.
            return None
        return self._ask(inputs, found)

    def _ask(self, inputs: Mapping[str, Any], found: ClusterIdentity) -> ClusterIdentity:
        """The cluster that the recorded inputs lead to, where no UID is recorded."""
        try:
            return self._identify(inputs)
        except ClusterError as exc:
            kubeconfig, context = _position(inputs)
            raise RecordedClusterUnreachableError(
                self._stack, f"context {context}, kubeconfig {kubeconfig}", str(found), str(exc)
            ) from exc

    def remember(self, urn: str, found: ClusterIdentity) -> None:
        """Record the cluster that a provider's objects are on."""
        if self._record is None:
            return
        known = _parse(self._record.read_cluster())
        kept = {key: identity for key, identity in known.items() if key != ""}
        record = {key: asdict(value) for key, value in sorted({**kept, urn: found}.items())}
        self._record.write_cluster({"clusters": record})


def _parse(record: Mapping[str, Any]) -> dict[str, ClusterIdentity]:
    """Identities by the URN of their provider; "" for the one of an older version's record."""
    if "clusters" not in record:
        uid, context = record.get("uid"), record.get("context", "")
        return {"": ClusterIdentity(str(uid), str(context))} if uid else {}
    return {
        urn: ClusterIdentity(
            **{name: str(fields.get(name, "")) for name in ClusterIdentity.__dataclass_fields__}
        )
        for urn, fields in record["clusters"].items()
    }


def _position(inputs: Mapping[str, Any]) -> tuple[str, str]:
    return str(inputs.get("kubeconfig", "")), str(inputs.get("context", ""))
