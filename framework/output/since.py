"""What every report since a commit says beside the differences: what was compared with, and what
could not be compared.

Kept apart because text and Markdown, of one environment and of all, must say it in the same words.
"""

from __future__ import annotations

from collections.abc import Iterable

from framework.core.diagnostics import DiagnosticGroup, group_diagnostics
from framework.output.alike import render_head
from framework.output.text import render_count
from framework.reports.comparison import CommitComparison, Comparison

_MOST_FAULTS = 50
_MOST_NAMES = 50


def render_ref(since: CommitComparison) -> str:
    """`main (a1b2c3d)`, or `main, where this branch left it (a1b2c3d)`."""
    left = ", where this branch left it" if since.merge_base else ""
    return f"{since.since}{left} ({since.commit[:7]})"


def render_outcome(found: Comparison) -> str:
    """`1 of 3 models changes, 2 not compared`."""
    if not found.compared:
        return "not compared"
    head = render_head(found.affected, found.unaffected)
    if not found.affected and not found.unaffected and found.not_compared:
        return f"{render_count(len(found.not_compared), 'model')} not compared"
    return f"{head}, {len(found.not_compared)} not compared" if found.not_compared else head


def render_uncompared(found: Comparison) -> str:
    """`not compared: churn, fraud`; "" where everything was."""
    if not found.compared:
        return "not compared"
    more = len(found.not_compared) - _MOST_NAMES
    listed = ", ".join(found.not_compared[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
    return f"not compared: {listed}" if listed else ""


def list_diagnostics(found: Iterable[Comparison]) -> list[DiagnosticGroup]:
    """Every fault once, in however many environments it is."""
    return group_diagnostics(diagnostic for one in found for diagnostic in one.diagnostics)


def render_diagnostics(found: Iterable[Comparison]) -> list[str]:
    """`2 faults:`, then each in the words of validate, one a line; [] where there is nothing."""
    environments = [*found]
    groups = list_diagnostics(environments)
    lines = [str(group) for group in groups[:_MOST_FAULTS]]
    if len(groups) > _MOST_FAULTS:
        lines.append(f"and {len(groups) - _MOST_FAULTS} more (--json)")
    # A commit without a framework says the same of each environment.
    for failure in dict.fromkeys(one.failure for one in environments if one.failure):
        lines += failure.splitlines()
    if not lines:
        return []
    whole = all(one.compared and not one.not_compared for one in environments)
    head = render_count(len(groups), "fault") if groups else "a fault of the commit"
    return [f"{head}; every manifest is compared all the same:" if whole else f"{head}:", *lines]
