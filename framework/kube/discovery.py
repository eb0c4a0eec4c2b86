"""Which kinds the API server serves, and under which path.

Kept apart from the client's verbs because it remembers: each group version is asked for once, and
again only when a kind is missing from it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from framework.core.errors import ClusterError


class KindNotServedError(ClusterError):
    """The server has no such kind: its CustomResourceDefinition is missing."""

    def __init__(self, api_version: str, kind: str, served: list[str]) -> None:
        self.api_version, self.kind, self.served = api_version, kind, served
        listed = ", ".join(served) or "nothing: the server does not serve it at all"
        super().__init__(
            f"{api_version} {kind}: the server has no such kind; {api_version} has: {listed}; "
            "install its CustomResourceDefinition or use another apiVersion"
        )


@dataclass(frozen=True)
class Resource:
    """How the server serves one kind."""

    prefix: str
    plural: str
    namespaced: bool


# The APIResourceList at a path such as /apis/apps/v1; None where the server has none.
ReadGroupVersion = Callable[[str], dict[str, Any] | None]


class Discovery:
    """The kinds of one server, as far as they were asked for. Thread-safe."""

    def __init__(self, read: ReadGroupVersion) -> None:
        self._read = read
        self._known: dict[str, dict[str, Resource]] = {}
        self._lock = threading.Lock()

    def resource(self, api_version: str, kind: str) -> Resource:
        """How the server serves a kind; KindNotServedError when it does not."""
        found = self._known.get(api_version, {}).get(kind)
        return found or self._ask(api_version, kind)

    def _ask(self, api_version: str, kind: str) -> Resource:
        with self._lock:
            if kind not in self._known.get(api_version, {}):
                # Asked again on a miss: a CustomResourceDefinition may have come since.
                self._known[api_version] = self._discover(api_version)
            known = self._known[api_version]
        if kind not in known:
            raise KindNotServedError(api_version, kind, sorted(known))
        return known[kind]

    def _discover(self, api_version: str) -> dict[str, Resource]:
        prefix = f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
        answer = self._read(prefix) or {"resources": []}
        return {
            item["kind"]: Resource(prefix, item["name"], item["namespaced"])
            for item in answer["resources"]
            if "/" not in item["name"]
        }
