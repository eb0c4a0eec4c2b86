"""Renders a drift check as metrics in the text format of Prometheus.

For the textfile collector of node_exporter, or a Pushgateway. An alert on an old timestamp finds a
job that no longer runs; an alert on success finds a check that failed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from framework.drift.grouping import Danger, find_danger
from framework.drift.history import History
from framework.drift.report import DriftReport, FindingKind
from framework.drift.run import DriftRun, Verdict, find_verdict

_PREFIX = "modelcatalog_drift"
# Name and help of each metric, in the order of the text. All are gauges.
_METRICS = (
    ("findings", "Differences between the stack and its cluster."),
    ("accepted_findings", "Differences that a rule of drift.accept covers."),
    ("pending_models", "Models whose files changed since the last up."),
    ("success", "1 if everything could be checked, 0 if not."),
    ("last_check_timestamp_seconds", "Time of the last check."),
    (
        "oldest_finding_timestamp_seconds",
        "Time of the first check that found the oldest open finding.",
    ),
    ("duration_seconds", "Duration of the last check of the environment."),
)

Sample = tuple[Mapping[str, str], float]


def render_metrics(run: DriftRun, history: History | None = None) -> str:
    """Renders the metrics of each stack; `history` adds the age of the oldest finding."""
    samples: dict[str, list[Sample]] = {name: [] for name, _ in _METRICS}
    for report in run.reports:
        labels = {"environment": run.environment, "stack": report.stack.name}
        samples["findings"] += _count_findings(report, labels)
        samples["accepted_findings"].append((labels, len(report.accepted)))
        samples["pending_models"].append((labels, len(report.pending)))
        complete = find_verdict(report) is not Verdict.FAILED
        samples["success"].append((labels, int(complete)))
        samples["last_check_timestamp_seconds"].append((labels, report.checked.timestamp()))
        since = history.find_first_checks(report.stack.name) if history else {}
        first_checks = [since[f.id].timestamp() for f in report.findings if f.id in since]
        if first_checks:
            samples["oldest_finding_timestamp_seconds"].append((labels, min(first_checks)))
    for failed in run.failed:
        # No sample of findings: 0 would read as clean.
        labels = {"environment": run.environment, "stack": failed.stack.name}
        samples["success"].append((labels, 0))
    samples["duration_seconds"].append(({"environment": run.environment}, round(run.seconds, 3)))
    return "".join(_render_metric(name, text, samples[name]) for name, text in _METRICS)


def _count_findings(report: DriftReport, labels: Mapping[str, str]) -> Iterable[Sample]:
    """Yields every combination of change and danger, so that a series goes back to 0."""
    counts = {(kind, danger): 0 for kind in FindingKind for danger in Danger}
    for finding in report.findings:
        counts[finding.kind, find_danger(finding)] += 1
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
