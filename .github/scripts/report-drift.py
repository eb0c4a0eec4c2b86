"""Keeps one issue for each environment that says what its nightly drift check found.

    report-drift.py ENVIRONMENT FOLDER EXIT_CODE

FOLDER has the reports of `python -m framework drift ENVIRONMENT --out FOLDER`, which exited with
EXIT_CODE:

    0    no drift              closes the issue, if one is open
    16   drift                 creates the issue, or updates it, or opens it again
    any  could not be checked  the same, but says so; never closes, because nothing is known

It uses only the standard library, because it also reports that .venv could not be made. It exits
with 1 if the environment could not be checked, or if the issue could not be written.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from github_api import describe_error, is_ours, link_run, list_all, request, shorten, write_summary

CLEAN, FAILED, DRIFT = 0, 1, 16
VERDICTS = {CLEAN: "clean", FAILED: "failed", DRIFT: "drift"}
# An older report is that of another night.
LONGEST_RUN = timedelta(hours=2)
LABEL = "drift"


def build_marker(environment: str) -> str:
    """Returns the first line of the issue. GitHub does not show it."""
    return f"<!-- modelcatalog: drift of {environment} -->"


def find_issues(environment: str) -> list[dict[str, Any]]:
    """Returns the environment's issues, open or closed, the oldest first.

    Asks for all issues: somebody may have removed the label, or changed the title.
    """
    marker = build_marker(environment)
    issues = list_all("/issues", state="all", sort="created", direction="asc")
    return [issue for issue in issues if "pull_request" not in issue and is_ours(issue, marker)]


def load_report(folder: Path) -> dict[str, Any]:
    """Returns the report as JSON, empty if there is none."""
    try:
        report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return report if isinstance(report, dict) else {}


def is_of_this_run(report: dict[str, Any], code: int) -> bool:
    """Returns True unless the check stopped before it could write a report.

    A check exits with the code of its report. If it stops before, for example because its set-up
    failed, the report is that of another night.
    """
    if code not in VERDICTS or report.get("verdict") != VERDICTS[code]:
        return False
    try:
        age = datetime.now(UTC) - datetime.fromisoformat(str(report.get("checked")))
    except (ValueError, TypeError):
        return False
    return age < LONGEST_RUN


def count_new(folder: Path, code: int) -> int:
    """Returns the number of findings that are new, no longer accepted, or worse than before.

    They also count if the check was not complete: for the next check they are no longer new.
    """
    report = load_report(folder)
    if not is_of_this_run(report, code):
        return 0
    stacks = report.get("stacks", ())
    return sum(finding["new"] is True for stack in stacks for finding in stack["findings"])


def describe_failure(environment: str, folder: Path, code: int) -> str:
    """Returns whether a check that failed has checked nothing, or a part."""
    report = load_report(folder)
    findings = [finding for stack in report.get("stacks", ()) for finding in stack["findings"]]
    in_part = is_of_this_run(report, code) and bool(findings)
    return f"{environment} {'was not fully' if in_part else 'could not be'} checked"


def read_report(environment: str, folder: Path, code: int) -> str:
    """Returns the Markdown report, or the fact that there is none."""
    head = ""
    if code not in (CLEAN, DRIFT):
        what = describe_failure(environment, folder, code)
        head = f"**{what}**, so there may be drift that is not listed."
        last = load_report(folder)
        if last and not is_of_this_run(last, code):
            head += f" This is the report of an earlier check, of {last.get('checked')}."
    try:
        report = (folder / "report.md").read_text(encoding="utf-8")
    except OSError:
        report = "There is no report: the check stopped before it could write one."
    foot = f"[The run]({link_run()}) has all reports as files, and its log."
    return "\n\n".join(part for part in (head, report.strip(), foot) if part) + "\n"


def report_open(environment: str, folder: Path, code: int, report: str) -> None:
    """Creates the issue, updates it, or opens it again."""
    known = find_issues(environment)
    text = shorten(f"{build_marker(environment)}\n{report}")
    title = f"Drift in {environment}"
    if code != DRIFT:
        title = describe_failure(environment, folder, code)
    if not known:
        body = {"title": title, "body": text, "labels": [LABEL]}
        request("POST", "/issues", body)
        return
    number = int(known[0]["number"])
    was_closed = known[0]["state"] == "closed"
    request("PATCH", f"/issues/{number}", {"title": title, "body": text, "state": "open"})
    new = count_new(folder, code)
    # Nobody is told about a changed text. A comment is written only if there is news.
    if was_closed:
        comment(number, f"{title} again. [The run]({link_run()})")
    elif new:
        words = "difference is" if new == 1 else "differences are"
        comment(number, f"{new} {words} new or worse. [The run]({link_run()})")


def close(environment: str) -> None:
    """Closes the environment's open issues."""
    for issue in find_issues(environment):
        if issue["state"] == "open":
            number = int(issue["number"])
            comment(number, f"No drift any more. [The run]({link_run()})")
            request("PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "completed"})


def comment(number: int, text: str) -> None:
    """Adds a comment to an issue."""
    request("POST", f"/issues/{number}/comments", {"body": text})


def main(environment: str, folder: str, exit_code: str) -> int:
    """Updates the issue of an environment, and writes the report to the summary of the run."""
    code = int(exit_code) if exit_code.isdigit() else -1
    report = read_report(environment, Path(folder), code)
    write_summary(report)
    failed = code not in (CLEAN, DRIFT)
    if failed:
        what = describe_failure(environment, Path(folder), code)
        sys.stdout.write(f"::error::{what} (exit code {code})\n")
    try:
        if code == CLEAN:
            close(environment)
        else:
            report_open(environment, Path(folder), code, report)
    except Exception as error:
        reason = describe_error(error)
        sys.stdout.write(
            f"::error::the issue of {environment} could not be written ({reason}); the report is "
            "in the run's summary\n"
        )
        failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
