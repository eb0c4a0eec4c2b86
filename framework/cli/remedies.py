"""The verbs that keep what a drift check found: accept writes a rule, take edits the catalog."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from itertools import groupby
from pathlib import Path

from framework.cli.drift import check_stack
from framework.core.drift_rules import AcceptRule
from framework.core.errors import FrameworkError, UnknownNameError, UsageError
from framework.core.exit_codes import ExitCode
from framework.core.redaction import REDACTED
from framework.drift.acceptance import build_accept_rule
from framework.drift.history import describe_finding
from framework.drift.report import DriftReport, Finding, FindingKind
from framework.edits.accept import add_accept_rule
from framework.output.drift import list_messages
from framework.output.edits import render_file_changes
from framework.output.text import render_visible

_SHORTEST_ID = 4


def run_accept(root: Path, options: argparse.Namespace) -> ExitCode:
    """Writes a rule for one finding into `drift.accept` of the environment."""
    environment = options.environment
    if not options.finding or not (options.reason or "").strip():
        raise UsageError(
            "accept needs FINDING and REASON: "
            f"`make accept ENV={environment} FINDING={options.finding or 'id'} "
            "REASON='load test' UNTIL=2026-12-31`"
        )
    until = _parse_until(options.until)
    report = check_stack(root, options)
    _print_messages(report)
    finding = find_by_id(options.finding, report)
    if finding.accepted_by:
        where = finding.accepted_by.position
        print(f"{describe_finding(finding)} is accepted already, by the rule at {where}.")
        return ExitCode.DONE
    rule = build_accept_rule(finding, options.reason.strip(), until)
    change = add_accept_rule(root, environment, rule)
    print(render_file_changes([change]))
    print(render_visible(f"\naccepted  {describe_finding(finding)}"))
    print(_describe_limit(rule))
    if kept := _describe_next_up(finding):
        print(kept)
    print(f"next: make drift ENV={environment}")
    return ExitCode.DONE


def _print_messages(report: DriftReport) -> None:
    """Prints what could not be checked, and the warnings of a check."""
    for message in list_messages(report):
        print(render_visible(message))


def _describe_limit(rule: AcceptRule) -> str:
    if rule.live is not None:
        covered = "this live value only"
        if REDACTED in rule.live:
            covered = f"this live value, with any secret in place of {REDACTED}"
        return (
            f"The rule covers {covered}; without `live`, it covers every value with this danger "
            f"({rule.danger}) or a lower one."
        )
    if rule.path:
        return (
            f"The rule covers every value of the field with this danger ({rule.danger}) or a lower "
            "one."
        )
    if rule.change == FindingKind.CHANGED:
        # Of a resource that only the pulumi CLI can read, and whose provider names no fields.
        return "The rule covers every change of the resource, because its fields are unknown."
    return (
        f"The rule covers only that the object is {rule.change}: differences of its fields are "
        "drift."
    )


def _describe_next_up(finding: Finding) -> str:
    """Returns what the next `up` does to a difference that is accepted; "" if it leaves it."""
    if finding.kind is FindingKind.FOREIGN or finding.belongs_to_others:
        return ""
    keep = f"; `make take` with FINDING={finding.id} would keep it" if finding.path else ""
    return f"The next `up` still removes the difference{keep}."


def run_take(root: Path, options: argparse.Namespace) -> ExitCode:
    """Writes live values into the catalog: of one finding, of a model, or of all."""
    # Imported here: `accept` needs no plan.
    from framework.drift.take import take_findings
    from framework.drift.take_lists import find_companions

    environment = options.environment
    report = check_stack(root, options)
    _print_messages(report)
    findings = report.findings
    if options.finding:
        known = (*findings, *report.accepted)
        findings = find_companions(find_by_id(options.finding, report), known)
    if not findings:
        where = f" of {options.model}" if options.model else ""
        is_limited = report.problems or report.uncompared
        limit = " in what could be checked" if is_limited else ""
        print(f"No differences{where}{limit}.")
        return ExitCode.FAILED if report.problems else ExitCode.DONE
    result = take_findings(root, report.stack, findings, announce)
    if result.changes:
        print(render_file_changes(result.changes), end="\n\n")
    for taken in result.taken:
        print(f"took      {render_visible(describe_finding(taken.finding))}: {taken.setting}")
    # The differences of one list have one reason.
    for reason, refused in groupby(result.not_taken, key=lambda item: item.reason):
        for item in refused:
            finding = f"{describe_finding(item.finding)} [{item.finding.id}]"
            print(render_visible(f"not taken {finding}:"))
        print(render_visible(f"    {reason}"))
    if result.taken:
        print(f"next: make drift ENV={environment}")
    # Without FINDING= all differences are to be taken, also those of objects that were not read.
    is_partial = bool(report.problems) and not options.finding
    return ExitCode.FAILED if result.not_taken or is_partial else ExitCode.DONE


def announce(number: int, count: int, finding: Finding) -> None:
    """Prints the finding that `take` tries now, if it is one of several."""
    if count > 1:
        text = f"trying {number} of {count}: {describe_finding(finding)}"
        # On stderr, because the result is all that a pipe needs.
        print(render_visible(text), file=sys.stderr, flush=True)


def _parse_until(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        until = date.fromisoformat(text)
    except ValueError:
        raise UsageError(f'UNTIL={text}: expected a date such as "2026-12-31"') from None
    # In UTC, as in the check, so that a rule ends everywhere at the same time.
    today = datetime.now(UTC).date()
    if until < today:
        raise UsageError(f"UNTIL={text} is in the past; give {today} or a later day (in UTC)")
    return until


def find_by_id(id: str, report: DriftReport) -> Finding:
    """Returns the finding with an id, or with the only id that begins so.

    Errors: FrameworkError if nothing differs, UnknownNameError with the nearest ids.
    """
    known = {finding.id: finding for finding in (*report.findings, *report.accepted)}
    if not known and report.problems:
        raise FrameworkError(
            f"{report.stack}: finding {id} was not found, and not everything could be checked; "
            "remove the cause, then run the command again"
        )
    if not known:
        raise FrameworkError(f"{report.stack}: nothing differs, so there is no finding {id}")
    matches = [other for other in known if other == id]
    if not matches and len(id) >= _SHORTEST_ID:
        matches = [other for other in known if other.startswith(id.lower())]
    if not matches and any(other.startswith(id.lower()) for other in known):
        raise UsageError(
            f"FINDING={id}: the beginning of an id needs at least {_SHORTEST_ID} digits"
        )
    if len(matches) > 1:
        raise UsageError(
            f"FINDING={id}: {len(matches)} findings begin with it: {', '.join(sorted(matches))}; "
            "give more digits of the id"
        )
    if not matches:
        raise UnknownNameError("finding", id, known)
    return known[matches[0]]
