"""Applies the rules of `drift.accept`: what they cover is listed, but does not count as drift.

A rule that `accept` writes covers the difference that somebody saw, and nothing worse: 9 replicas
for a load test, but not the 0 replicas of next week.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import date

from framework.core.drift_rules import AcceptRule, render_live
from framework.core.redaction import REDACTED
from framework.drift.grouping import Danger, find_danger
from framework.drift.report import Finding, FindingKind, Unread

_MAX_LIVE = 2000
"""Characters of a live value that `accept` writes into environment.yaml."""


def build_accept_rule(finding: Finding, reason: str, until: date | None) -> AcceptRule:
    """Returns the rule for one finding, as narrow as the finding itself."""
    live = render_live(finding.live)
    # A value that is all redacted stands for every secret. A whole object has no value.
    has_value = finding.path and live != REDACTED and len(live) <= _MAX_LIVE
    return AcceptRule(
        reason,
        kind=finding.object_kind,
        object=finding.object,
        path=finding.path,
        change=finding.kind.value,
        danger=find_danger(finding).value,
        live=live if has_value else None,
        until=until,
    )


def apply_accept_rules(
    findings: Sequence[Finding],
    rules: Sequence[AcceptRule],
    today: date,
    *,
    unread: Sequence[Unread] = (),
) -> tuple[tuple[Finding, ...], tuple[Finding, ...], list[str]]:
    """Returns the findings that are drift, those that a rule accepts, and warnings about rules.

    An expired rule accepts nothing. A rule that covers nothing is reported unless it may cover
    what was `unread`.
    """
    valid = [rule for rule in rules if not rule.has_expired(today)]
    drift: list[Finding] = []
    accepted: list[Finding] = []
    used, warnings = set[int](), dict[int, str]()
    for finding in findings:
        matching = [index for index, rule in enumerate(valid) if _matches(rule, finding)]
        covering = [index for index in matching if not _find_limit(valid[index], finding)]
        # All of them are in use, so none gets a warning. The report shows the first one.
        used |= {*covering}
        if covering:
            rule = valid[covering[0]]
            accepted.append(replace(finding, accepted_by=rule))
            is_unlimited = not rule.danger and rule.live is None
            if is_unlimited and find_danger(finding) is Danger.SERVING:
                warnings.setdefault(covering[0], _describe_unlimited(rule, finding))
        else:
            drift.append(finding)
            # The first finding is enough to see why the rule is too narrow now.
            for index in matching:
                warnings.setdefault(index, _describe_exceeded(valid[index], finding))
    for index, rule in enumerate(valid):
        if index not in used | warnings.keys() and not _may_cover(rule, unread):
            warnings[index] = f"{_start(rule)} covers nothing: remove it"
    expired = [
        f"{_start(rule)} expired on {rule.until}: remove it, or set a later `until`"
        for rule in rules
        if rule.has_expired(today)
    ]
    return tuple(drift), tuple(accepted), [*(warnings[i] for i in sorted(warnings)), *expired]


def _may_cover(rule: AcceptRule, unread: Iterable[Unread]) -> bool:
    # The kind alone decides: a rule that names no object, or another one, is kept a while longer.
    return any(not part.object_kind or rule.covers_kind(part.object_kind) for part in unread)


def _matches(rule: AcceptRule, finding: Finding) -> bool:
    # `change` distinguishes a foreign object from the same object after it was imported.
    return rule.change in ("", finding.kind) and rule.covers(
        kind=finding.object_kind, model=finding.model, object=finding.object, path=finding.path
    )


def _find_limit(rule: AcceptRule, finding: Finding) -> str:
    """Returns why a rule does not cover a finding that it matches; "" if it covers it."""
    danger = find_danger(finding)
    if rule.danger and danger.is_worse_than(Danger(rule.danger)):
        return f"endangers more (danger {danger}) than the rule allows ({rule.danger})"
    if rule.live is not None and rule.live != render_live(finding.live):
        return "has another live value than `live`"
    return ""


def _describe_exceeded(rule: AcceptRule, finding: Finding) -> str:
    return (
        f"{_start(rule)} does not cover {_name(finding)}, which {_find_limit(rule, finding)}: "
        f"{_describe_remedy(finding)}, or accept it again"
    )


def _describe_unlimited(rule: AcceptRule, finding: Finding) -> str:
    return (
        f"{_start(rule)} has no `danger`, so it covers {_name(finding)}, which can make requests "
        f"fail: {_describe_remedy(finding)}, or add `danger: serving` to keep it accepted"
    )


def _describe_remedy(finding: Finding) -> str:
    """Returns what ends a difference: `up` changes only what the stack owns."""
    if finding.is_changed_pod:
        return "delete the Pod"
    if finding.kind is FindingKind.FOREIGN:
        return "delete the object"
    if finding.belongs_to_others:
        return "delete the object or take it over with `adopt`"
    return "remove the difference with `up`"


def _name(finding: Finding) -> str:
    return f"{finding.label} {finding.path or finding.kind}"


def _start(rule: AcceptRule) -> str:
    where = f"{rule.position}: " if rule.position else ""
    return f"warning: {where}this rule of drift.accept"
