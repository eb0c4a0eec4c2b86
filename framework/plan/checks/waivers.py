"""Waivers: a model puts one rule of the policy off, with a reason, until a day.

Kept apart from the rules, which know no exceptions. `today` is only ever an argument: the same
files and the same day give the same faults.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from framework.catalog import CatalogModel
from framework.core.diagnostics import Code, Diagnostic, Position
from framework.core.suggestions import suggest
from framework.plan.checks.policy import RULES, BrokenRule
from framework.plan.checks.tracks import find_position


@dataclass(frozen=True)
class HeldWaiver:
    """A sound waiver of one model: where it and its last day stand, and the faults it silences."""

    rule: str
    until: date
    position: Position
    until_position: Position
    silenced: tuple[Diagnostic, ...]


def resolve_waivers(
    model: CatalogModel, broken: Iterable[BrokenRule]
) -> tuple[list[Diagnostic], tuple[HeldWaiver, ...]]:
    """The faults that no waiver silences, those of the waivers themselves, and the sound ones."""
    told = {one.rule: one.diagnostics for one in broken}
    diagnostics, held = [], []
    for rule, waiver in sorted(model.settings.waivers.items()):
        position = find_position(model, ("waivers", rule))
        until_position = find_position(model, ("waivers", rule, "until"))
        known = [one.name for one in RULES]
        if rule not in known:
            message = f'no rule is called "{rule}"{suggest(rule, known)}'
            diagnostics.append(position.diagnostic(Code.WAIVER, message, model.name))
        else:
            until = date.fromisoformat(waiver.until)
            held.append(HeldWaiver(rule, until, position, until_position, told.get(rule, ())))
    silent = {waiver.rule for waiver in held}
    diagnostics += [
        diagnostic for rule, of_rule in told.items() if rule not in silent for diagnostic in of_rule
    ]
    return diagnostics, tuple(held)


def find_expired(model: str, held: Iterable[HeldWaiver], today: date) -> Iterator[Diagnostic]:
    """Each waiver whose last day is over, and again every fault that it silenced."""
    for waiver in held:
        if waiver.silenced and waiver.until < today:
            message = (
                f"the waiver of the rule {waiver.rule} ended on {waiver.until}; keep the rule, or "
                "agree on a later day"
            )
            yield waiver.until_position.diagnostic(Code.WAIVER, message, model)
            yield from waiver.silenced


def find_useless(held: Iterable[HeldWaiver], folder: str) -> Iterator[Diagnostic]:
    """Each waiver written below `folder` that silences nothing in any model it reaches."""
    at_work: dict[tuple[Position, str], bool] = {}
    for waiver in held:
        if waiver.position.path.startswith(folder):
            key = (waiver.position, waiver.rule)
            at_work[key] = at_work.get(key, False) or bool(waiver.silenced)
    for (position, rule), needed in at_work.items():
        if not needed:
            message = f"the waiver of the rule {rule} waives nothing: it is not broken; remove it"
            yield position.diagnostic(Code.WAIVER, message)
