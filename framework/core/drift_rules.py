"""Rules of an environment about drift: what is accepted, and what injectors may add.

Plain data, so that the plan, the API client and the reports can use them without the settings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from framework.core.diagnostics import Position


@dataclass(frozen=True)
class AcceptRule:
    """One rule of `drift.accept`: findings that it covers are listed as accepted.

    `kind`, `model` and `path` are patterns such as `Deploy*`; "" covers everything. `until` is the
    last day on which the rule holds, None for ever. `position` is where the rule is written.
    """

    reason: str
    kind: str = ""
    model: str = ""
    path: str = ""
    until: date | None = None
    position: Position | None = None


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
