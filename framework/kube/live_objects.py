"""The objects as the cluster has them, read in bulk for a preview and one by one before a write.

Kept apart because a list read ahead may be seconds old: `find` may use it, `ask` never does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from framework.kube.api_error import ApiError
from framework.kube.client import KubeClient, Object
from framework.kube.discovery import KindNotServedError

FRESH_S = 10.0
# Listing these would fetch the values of Secrets that are not this stack's.
NEVER_LISTED = frozenset({"Secret"})

Key = tuple[str, str, str]


@dataclass
class _Listing:
    """One list call; `lock` makes whoever comes while it runs wait for it instead of asking too."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    taken: float = float("-inf")
    objects: dict[str, Object] | None = None


class LiveObjects:
    """Reads of one provider. With `prefetch`, `find` lists a kind of a Namespace at once."""

    def __init__(self, client: KubeClient, *, prefetch: bool) -> None:
        self._client, self._prefetch = client, prefetch
        self._lock = threading.Lock()
        self._listings: dict[Key, _Listing] = {}

    def find(self, wanted: Mapping[str, Any]) -> Object | None:
        """The live object, at most ten seconds old; None when there is none.

        One that is being deleted is returned too; see `is_going` and `going_namespace`.
        """
        return self._listed(wanted) if self._prefetch else self.ask(wanted)

    def going_namespace(self, wanted: Mapping[str, Any]) -> str:
        """The name of the object's Namespace while that is being deleted, else ""."""
        name = wanted["metadata"].get("namespace", "")
        if not name:
            return ""
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
        try:
            found = self.find(namespace)
        except ApiError as exc:
            # Whoever may not read Namespaces learns it from the server's refusal of a write.
            if exc.status == 403:
                return ""
            raise
        return name if found and is_going(found) else ""

    def ask(self, wanted: Mapping[str, Any]) -> Object | None:
        """The live object as of now, going or not; None when there is none."""
        metadata = wanted["metadata"]
        try:
            return self._client.get(
                wanted["apiVersion"],
                wanted["kind"],
                metadata["name"],
                metadata.get("namespace", ""),
            )
        except KindNotServedError:
            return None

    def forget(self, wanted: Mapping[str, Any]) -> None:
        """The object was written: what was listed of its kind and Namespace is out of date."""
        with self._lock:
            self._listings.pop(_key(wanted), None)

    def _listed(self, wanted: Mapping[str, Any]) -> Object | None:
        if wanted["kind"] in NEVER_LISTED:
            return self.ask(wanted)
        with self._lock:
            listing = self._listings.setdefault(_key(wanted), _Listing())
        with listing.lock:
            if time.monotonic() - listing.taken > FRESH_S:
                listing.objects = self._list(*_key(wanted))
                listing.taken = time.monotonic()
        if listing.objects is None:
            return self.ask(wanted)
        return listing.objects.get(wanted["metadata"]["name"])

    def _list(self, api_version: str, kind: str, namespace: str) -> dict[str, Object] | None:
        try:
            items = self._client.list_objects(api_version, kind, namespace)
        except KindNotServedError:
            return {}
        except ApiError as exc:
            # May get but not list: ask for each.
            if exc.status == 403:
                return None
            raise
        return {item["metadata"]["name"]: item for item in items}


def is_going(live: Mapping[str, Any]) -> bool:
    """True for an object whose deletion was asked for and that is still there."""
    return bool(live["metadata"].get("deletionTimestamp"))


def _key(wanted: Mapping[str, Any]) -> Key:
    return (wanted["apiVersion"], wanted["kind"], wanted["metadata"].get("namespace", ""))
