"""Which component a resource belongs to, and which components a command is narrowed to.

Kept apart because the program's registrations and the recorded state must answer both in the same
way: a model that left the program is still that model.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from framework.core.errors import UnknownNameError
from framework.engines.embedded.checkpoint import Resource
from framework.engines.urns import STACK_TYPE, parse_urn


class Components:
    """Which components a stack has and what is in them, by URN. Safe for use from any
    number of threads."""

    def __init__(self, entries: Iterable[Resource], wanted: frozenset[str] | None) -> None:
        self._wanted = wanted
        self._lock = threading.Lock()
        self._parents: dict[str, str] = {}
        self._names: dict[str, str] = {}
        for entry in entries:
            self.add(entry.urn, entry.parent, is_component=not entry.custom)

    def add(self, urn: str, parent: str, *, is_component: bool) -> None:
        """Say what a resource stands below; the last word counts."""
        with self._lock:
            self._parents[urn] = parent
            parts = parse_urn(urn)
            if is_component and parts.type != STACK_TYPE:
                self._names[urn] = parts.name

    def containing(self, urn: str) -> tuple[str, ...]:
        """Names of the components a resource is in, nearest first; a component is in itself."""
        names = []
        with self._lock:
            while urn:
                if urn in self._names:
                    names.append(self._names[urn])
                urn = self._parents.get(urn, "")
        return tuple(names)

    def nearest(self, urn: str) -> str:
        """The nearest component, "" for none."""
        return next(iter(self.containing(urn)), "")

    def is_target(self, urn: str) -> bool:
        """Whether the command is to touch this resource."""
        return self._wanted is None or not self._wanted.isdisjoint(self.containing(urn))

    def check_wanted(self) -> None:
        """UnknownNameError for a component that neither the program nor the state has."""
        known = set(self._names.values())
        for name in sorted((self._wanted or frozenset()) - known):
            raise UnknownNameError("component", name, known)
