"""Applies the rules of `drift.accept`: what they cover is listed, but does not count as drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date

from framework.core.drift_rules import AcceptRule
from framework.drift.report import Finding


def apply_accept_rules(
    findings: Sequence[Finding], rules: Sequence[AcceptRule], today: date, *, complete: bool
) -> tuple[tuple[Finding, ...], tuple[Finding, ...], list[str]]:
    """Returns the findings that are drift, those that a rule accepts, and warnings about rules.

    An expired rule accepts nothing. A rule that covers nothing is reported only if the check was
    `complete`: it may cover what could not be read.
    """
    valid = [rule for rule in rules if not rule.has_expired(today)]
    drift, accepted, used = [], [], set[int]()
    for finding in findings:
        covering = [index for index, rule in enumerate(valid) if _covers(rule, finding)]
        # All of them are in use, so none gets a warning. The report shows the first one.
        used |= {*covering}
        if covering:
            accepted.append(replace(finding, accepted_by=valid[covering[0]]))
        else:
            drift.append(finding)
    warnings = [
        f"warning: {_locate(rule)}this rule of drift.accept covers nothing: remove it"
        for index, rule in enumerate(valid)
        if complete and index not in used
    ]
    warnings += [
        f"warning: {_locate(rule)}this rule of drift.accept expired on {rule.until}: "
        "remove it, or put back what it covered"
        for rule in rules
        if rule.has_expired(today)
    ]
    return tuple(drift), tuple(accepted), warnings


def _covers(rule: AcceptRule, finding: Finding) -> bool:
    return rule.covers(
        kind=finding.object_kind, model=finding.model, object=finding.object, path=finding.path
    )


def _locate(rule: AcceptRule) -> str:
    return f"{rule.position}: " if rule.position else ""
