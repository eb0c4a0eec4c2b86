"""One run of the drift check: the reports of an environment's stacks, and those that failed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from framework.core.exit_codes import ExitCode
from framework.core.stack import Stack
from framework.drift.grouping import FindingGroup, group_findings
from framework.drift.report import DriftReport, Finding, Verdict

EXIT_CODES = {
    Verdict.CLEAN: ExitCode.DONE,
    Verdict.DRIFT: ExitCode.DIFFERENCES,
    Verdict.FAILED: ExitCode.FAILED,
}


@dataclass(frozen=True)
class FailedStack:
    """A stack that could not be checked at all, and the reason."""

    stack: Stack
    reason: str


@dataclass(frozen=True)
class DriftRun:
    """The check of one environment. `checked` is its start, `seconds` its duration."""

    environment: str
    checked: datetime
    reports: tuple[DriftReport, ...]
    failed: tuple[FailedStack, ...] = ()
    seconds: float = 0.0

    @property
    def verdict(self) -> Verdict:
        """FAILED if anything could not be checked, even where there is drift as well."""
        verdicts = {report.verdict for report in self.reports}
        if self.failed or Verdict.FAILED in verdicts:
            return Verdict.FAILED
        return Verdict.DRIFT if Verdict.DRIFT in verdicts else Verdict.CLEAN

    @property
    def findings(self) -> tuple[Finding, ...]:
        """The drift of all stacks."""
        return tuple(finding for report in self.reports for finding in report.findings)

    @cached_property
    def groups(self) -> tuple[tuple[DriftReport, tuple[FindingGroup, ...]], ...]:
        """Each report with the groups of its findings. No group spans two clusters."""
        return tuple((report, group_findings(report.findings)) for report in self.reports)
