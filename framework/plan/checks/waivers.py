"""Waivers: a model puts one rule of the policy off, with a reason, until a day.

Kept apart from the rules, which know no exceptions. `today` is only ever an argument: the same
files and the same day give the same faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from framework.catalog import CatalogModel
from framework.codes import Code
from framework.errors import Fault
from framework.plan.checks.policy import RULES, BrokenRule
from framework.plan.checks.tracks import find_place
from framework.schema.faults.wording import suggest
from framework.sources import Place


@dataclass(frozen=True)
class HeldWaiver:
    """A sound waiver of one model: where it and its last day stand, and the faults it silences."""

    rule: str
    until: date
    place: Place
    until_place: Place
    silenced: tuple[Fault, ...]


def resolve_waivers(
    model: CatalogModel, broken: Iterable[BrokenRule]
) -> tuple[list[Fault], tuple[HeldWaiver, ...]]:
    """The faults that no waiver silences, those of the waivers themselves, and the sound ones."""
    told = {one.rule: one.faults for one in broken}
    faults, held = [], []
    for rule, waiver in sorted(model.settings.waivers.items()):
        place = find_place(model, ("waivers", rule))
        until_place = find_place(model, ("waivers", rule, "until"))
        known = [one.name for one in RULES]
        if rule not in known:
            message = f'no rule is called "{rule}"{suggest(rule, known)}'
            faults.append(place.fault(Code.WAIVER, message, model.name))
        else:
            until = date.fromisoformat(waiver.until)
            held.append(HeldWaiver(rule, until, place, until_place, told.get(rule, ())))
    silent = {waiver.rule for waiver in held}
    faults += [fault for rule, of_rule in told.items() if rule not in silent for fault in of_rule]
    return faults, tuple(held)


def find_expired(model: str, held: Iterable[HeldWaiver], today: date) -> Iterator[Fault]:
    """Each waiver whose last day is over, and again every fault that it silenced."""
    for waiver in held:
        if waiver.silenced and waiver.until < today:
            message = (
                f"the waiver of the rule {waiver.rule} ended on {waiver.until}; keep the rule, or "
                "agree on a later day"
            )
            yield waiver.until_place.fault(Code.WAIVER, message, model)
            yield from waiver.silenced


def find_useless(held: Iterable[HeldWaiver], folder: str) -> Iterator[Fault]:
    """Each waiver written below `folder` that silences nothing in any model it reaches."""
    at_work: dict[tuple[Place, str], bool] = {}
    for waiver in held:
        if waiver.place.path.startswith(folder):
            key = (waiver.place, waiver.rule)
            at_work[key] = at_work.get(key, False) or bool(waiver.silenced)
    for (place, rule), needed in at_work.items():
        if not needed:
            message = f"the waiver of the rule {rule} waives nothing: it is not broken; remove it"
            yield place.fault(Code.WAIVER, message)
