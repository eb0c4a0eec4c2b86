"""Renders a drift check as metrics in the text format of Prometheus.

For the textfile collector of node_exporter, or a Pushgateway. An alert on an old timestamp finds a
job that no longer runs; an alert on success finds a check that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from framework.drift.grouping import Danger, find_danger
from framework.drift.history import History
from framework.drift.report import DriftReport, FindingKind, Verdict
from framework.drift.run import DriftRun

_PREFIX = "modelcatalog_drift"
# Name and help of each metric, in the order of the text. All are gauges.
_METRICS = (
    ("findings", "Differences between the stack and its cluster."),
    ("accepted_findings", "Differences that a rule of drift.accept covers."),
    ("pending_models", "Models whose files changed since the last up."),
    ("uncompared_resources", "Resources that only the pulumi CLI can read, and did not read."),
    ("success", "1 if everything could be checked, 0 if not."),
    ("last_check_timestamp_seconds", "Time of the last check."),
    (
        "last_complete_check_timestamp_seconds",
        "Time of the last check that could check everything.",
    ),
    (
        "oldest_finding_timestamp_seconds",
        "Time of the first check that found the oldest open finding.",
    ),
    ("duration_seconds", "Duration of the last check of the environment."),
)

Sample = tuple[Mapping[str, str], float]
Category = tuple[FindingKind, Danger]


def render_metrics(run: DriftRun, history: History | None = None) -> str:
    """Renders the metrics of each stack. `history` includes the check.

    A finding is open until a later check reads its object and does not find it. So the findings of
    the history whose objects could not be read count: an alert must not end because nothing could
    be read.
    """
    history = history or History()
    samples: dict[str, list[Sample]] = {name: [] for name, _ in _METRICS}
    checked: list[tuple[str, DriftReport | None]] = [(r.stack.name, r) for r in run.reports]
    for stack, report in (*checked, *((failed.stack.name, None) for failed in run.failed)):
        labels = {"environment": run.environment, "stack": stack}
        past = [finding for finding in history.find_open(stack) if not finding.accepted]
        found = (*report.findings, *report.accepted) if report else ()
        seen = {finding.id for finding in found}
        categories = [(f.kind, find_danger(f)) for f in (report.findings if report else ())]
        # Lines of an older version have neither; such a finding counts as a changed setting.
        categories += [
            (finding.change or FindingKind.CHANGED, finding.danger or Danger.SETTING)
            for finding in past
            if finding.id not in seen
        ]
        # No sample of a check that failed if no finding is open, because 0 would read as clean.
        if report or categories:
            samples["findings"] += _count_findings(categories, labels)
        if report:
            samples["accepted_findings"].append((labels, len(report.accepted)))
            samples["pending_models"].append((labels, len(report.pending)))
            samples["uncompared_resources"].append((labels, len(report.uncompared)))
            samples["last_check_timestamp_seconds"].append((labels, report.checked.timestamp()))
        last_complete = history.find_last_complete(stack)
        is_complete = report is not None and report.verdict is not Verdict.FAILED
        samples["success"].append((labels, int(is_complete)))
        if report and is_complete:
            last_complete = report.checked
        if last_complete:
            sample = labels, last_complete.timestamp()
            samples["last_complete_check_timestamp_seconds"].append(sample)
        if past:
            oldest = min(finding.since for finding in past).timestamp()
            samples["oldest_finding_timestamp_seconds"].append((labels, oldest))
    samples["duration_seconds"].append(({"environment": run.environment}, round(run.seconds, 3)))
    return "".join(_render_metric(name, text, samples[name]) for name, text in _METRICS)


def _count_findings(findings: Iterable[Category], labels: Mapping[str, str]) -> Iterable[Sample]:
    """Yields every combination of change and danger, so that a series goes back to 0."""
    counts = {(kind, danger): 0 for kind in FindingKind for danger in Danger}
    for finding in findings:
        counts[finding] += 1
    for (kind, danger), count in counts.items():
        yield {**labels, "change": kind.value, "danger": danger.value}, count


def _render_metric(name: str, text: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {_PREFIX}_{name} {text}", f"# TYPE {_PREFIX}_{name} gauge"]
    for labels, value in samples:
        shown = ",".join(f'{key}="{_escape(label)}"' for key, label in labels.items())
        number = int(value) if float(value).is_integer() else value
        lines.append(f"{_PREFIX}_{name}{{{shown}}} {number}")
    return "\n".join(lines) + "\n"


def _escape(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
