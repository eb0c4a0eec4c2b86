"""Rules of an environment about drift: what is accepted, and what injectors may add.

Plain data, so that the plan, the API client and the reports can use them without the settings.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Any

from framework.core.diagnostics import Position

# Printed paths leave out this prefix, so patterns may do so as well.
_POD_SPEC = "spec.template.spec."


@dataclass(frozen=True)
class AcceptRule:
    """One rule of `drift.accept`: findings that it covers are listed as accepted.

    `kind`, `model`, `object` and `path` are patterns; "" covers everything. `change` is the kind of
    finding and `danger` the worst danger, "" for any. `live` is the live value (`render_live`),
    None for any. `until` is the last day on which the rule holds, None for ever. `position` is
    where the rule is written.
    """

    reason: str
    kind: str = ""
    model: str = ""
    object: str = ""
    path: str = ""
    change: str = ""
    danger: str = ""
    live: str | None = None
    until: date | None = None
    position: Position | None = None

    def covers(self, *, kind: str, model: str, object: str, path: str) -> bool:
        """Returns whether every pattern matches; `path` is "" for a whole object.

        `drift/acceptance.py` also checks `change`, `danger` and `live`.
        """
        pairs = ((self.kind, kind), (self.model, model), (self.object, object))
        return all(map(_matches, *zip(*pairs, strict=True))) and covers_path(self.path, path)

    def covers_kind(self, kind: str) -> bool:
        """Returns whether the rule may cover objects of a kind."""
        return _matches(self.kind, kind)

    def has_expired(self, today: date) -> bool:
        """Returns whether the last day of the rule is over."""
        return self.until is not None and self.until < today


@dataclass(frozen=True)
class Injector:
    """One entry of `drift.injectors`: who may add to objects of the stack, and what.

    `manager`, `path` and `kind` are patterns; "" covers everything. What an injector adds is no
    drift, and `up` leaves it.
    """

    manager: str = ""
    path: str = ""
    kind: str = ""
    reason: str = ""

    def covers(self, *, kind: str, manager: str, path: str) -> bool:
        """Returns whether `manager` may add the field at `path`; "" for an unknown manager."""
        return (
            _matches(self.kind, kind)
            and _matches(self.manager, manager)
            and covers_path(self.path, path)
        )


def render_live(live: Any) -> str:
    """Returns a live value as `live` of a rule has it: a text as it is, all else as JSON."""
    return live if isinstance(live, str) else json.dumps(live, sort_keys=True, ensure_ascii=False)


def covers_path(pattern: str, path: str) -> bool:
    """Returns whether a pattern matches a field path, or a parent of it."""
    if not pattern:
        return True
    found = _compile_path(pattern)
    return bool(found.fullmatch(path) or found.fullmatch(path.removeprefix(_POD_SPEC)))


def _matches(pattern: str, text: str) -> bool:
    return not pattern or bool(re.fullmatch(_translate(pattern), text))


@lru_cache(maxsize=1024)
def _compile_path(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"{_translate(pattern)}(?:[.\[].*)?", re.DOTALL)


def _translate(pattern: str) -> str:
    # Not fnmatch: it reads the brackets of `containers[model]` as a set of characters.
    parts = {"*": ".*", "?": "."}
    return "".join(parts.get(char, re.escape(char)) for char in pattern)
