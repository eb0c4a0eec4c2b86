"""Compares the check with `pulumi refresh`, which finds less.

The CLI engine runs `pulumi refresh --preview-only --expect-no-changes` beside the check, and the
verb `refresh` of either engine shows the check first. A refresh compares the recorded state with
the cluster, and only the fields that the program has set. The check also compares with the files,
and finds what others added.
"""

from __future__ import annotations

from collections.abc import Iterable

from framework.core.redaction import REDACTED
from framework.drift.report import DriftReport, Finding, FindingKind, RefreshVerdict
from framework.engines.base import RecordedObject
from framework.engines.urns import parse_urn


def build_refresh_verdict(
    report: DriftReport, changed: frozenset[str], recorded: Iterable[RecordedObject]
) -> RefreshVerdict:
    """Builds the verdict of `pulumi refresh`.

    It has the reason for each object that only one of the two checks counts. `changed` are the URNs
    whose record a refresh would change.
    """
    objects = {obj.urn: obj for obj in recorded}
    names = {urn: f"{obj.kind} {obj.id}" for urn, obj in objects.items()}
    found = {finding.urn for finding in report.findings}
    reasons: dict[str, list[str]] = {}
    for finding in report.findings:
        if finding.urn not in changed:
            name = finding.label
            reasons.setdefault(_explain_unseen(finding), []).append(name)
    # The check lists these as accepted, or leaves them out: a refresh has no rules.
    accepted = {finding.urn for finding in report.accepted}
    unread = {f"{item.object_kind} {item.object}" for item in report.unread}
    for urn in sorted(changed - found):
        name = names.get(urn) or parse_urn(urn).label
        if urn not in objects or name in unread:
            reason = "the check did not read it"
        elif objects[urn].external:
            reason = "the program only reads it, so it is not part of the stack"
        elif urn in accepted:
            reason = "a rule of drift.accept covers the difference"
        else:
            reason = (
                "the difference is one that Kubernetes, an autoscaler or a declared injector makes"
            )
        reasons.setdefault(f"only a refresh counts it: {reason}", []).append(name)
    return RefreshVerdict(
        objects=tuple(sorted(names.get(urn) or parse_urn(urn).label for urn in changed)),
        compared=len({(finding.type, finding.object) for finding in report.findings}),
        reasons=tuple(
            (reason, tuple(sorted(set(names)))) for reason, names in sorted(reasons.items())
        ),
    )


def _explain_unseen(finding: Finding) -> str:
    """Returns why `pulumi refresh` does not see an object that the check has found."""
    if finding.is_changed_pod:
        return (
            "Pulumi looks only at objects of the stack, and a Pod that a controller creates is "
            "not one"
        )
    if finding.kind is FindingKind.FOREIGN:
        return "no stack owns it, and Pulumi looks only at objects of the stack"
    if finding.kind is FindingKind.ADDED:
        return "others added fields, and Pulumi compares only fields that the program set"
    if finding.path and finding.recorded == finding.live and REDACTED not in str(finding.live):
        return "the state has the live value already, and only the files have another one"
    if finding.path and finding.path.endswith("replicas"):
        return "Pulumi ignores changes of replicas while there is an autoscaler"
    return "Pulumi compares only fields that the program set, as it recorded them"
