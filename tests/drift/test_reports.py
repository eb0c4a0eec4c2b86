"""The reports of one drift check in every format."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from framework.drift.history import History
from framework.drift.report import DriftReport, FindingKind
from framework.drift.run import DriftRun
from framework.output import drift, text, values
from framework.output.drift import render_drift
from framework.output.drift_files import render_reports
from framework.output.drift_markdown import render_drift_markdown
from framework.output.drift_sarif import render_sarif
from framework.output.markdown import escape_markdown
from tests.cli.test_json import check as check_json
from tests.drift.golden_reports import FOLDER, WIDTHS, build_golden
from tests.drift.sample_run import (
    CHECKED,
    DEPLOYMENT,
    HOSTILE,
    PROD,
    RULE,
    build_clean_run,
    build_failed_run,
    build_finding,
    build_history,
    build_large_run,
    build_report,
    build_run,
)

RUNS: dict[str, Callable[[], DriftRun]] = {
    "drift": build_run,
    "failed": build_failed_run,
    "clean": build_clean_run,
    "large": build_large_run,
}
each_run = pytest.mark.parametrize("run", [pytest.param(make(), id=k) for k, make in RUNS.items()])


def render(run: DriftRun) -> dict[str, str]:
    return render_reports(run, build_history().add(run))


@pytest.mark.parametrize("name", sorted(build_golden()))
def test_report_equals_its_golden_file(name: str) -> None:
    assert build_golden()[name] == (FOLDER / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("width", WIDTHS)
@each_run
def test_terminal_report_fits_the_width(
    run: DriftRun, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (drift, text, values):
        monkeypatch.setattr(module, "screen_width", lambda: width)
    lines = render_drift(run, build_history(), why=True).splitlines()
    # A command, a path and an id stay whole, so that they can be copied.
    long = [line for line in lines if len(line) > width and " " in line.strip()]
    assert [line for line in long if "make " not in line and "kubectl " not in line] == []


@each_run
def test_terminal_report_ends_in_the_exit_code(run: DriftRun) -> None:
    report = render_drift(run)
    code = {"clean": None, "drift": "16", "failed": "1"}[run.verdict]
    assert (re.findall(r"exit (\d+)$", report, re.MULTILINE) or [None]) == [code]


@each_run
def test_json_report_matches_its_schema(run: DriftRun) -> None:
    document = check_json("drift", render(run)["report.json"])
    assert document["verdict"] == run.verdict
    stacks = document["stacks"]
    assert sum(len(stack["findings"]) for stack in stacks) == len(run.findings)
    for stack in stacks:
        grouped = [id for group in stack["groups"] for id in group["findings"]]
        assert sorted(grouped) == sorted(finding["id"] for finding in stack["findings"])


@each_run
def test_no_report_lets_a_control_character_through(run: DriftRun) -> None:
    for name, report in {**render(run), "terminal": render_drift(run)}.items():
        assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", report), (
            name
        )


def test_hostile_text_stays_text_in_markdown() -> None:
    report = render(build_run())["report.md"]
    assert "<script" not in report
    assert "@team" not in report
    assert "http://" not in report
    rows = [line for line in report.splitlines() if line.startswith("|")]
    # Every row has as many cells as its table.
    cells = {len(re.split(r"(?<!\\)\|", row)) for row in rows}
    assert cells == {7, 9}


@pytest.mark.parametrize(("models", "fields"), [(100, 5), (1000, 3), (1, 3000)])
def test_markdown_is_below_the_limit_of_an_issue_and_says_what_it_cut(
    models: int, fields: int
) -> None:
    report = render_drift_markdown(build_large_run(models, fields))
    assert len(report.encode()) < 65_536
    shown = len(re.findall(r"^\| [0-9a-f]{12} ", report, re.MULTILINE))
    assert f"_{models * fields - shown} findings left out here; report.html" in report
    assert report.count("<details>") == report.count("</details>")


def test_markdown_with_many_accepted_findings_and_problems_keeps_the_commands() -> None:
    run = build_large_run(1000, 3)
    report = replace(
        run.reports[0],
        accepted=tuple(replace(finding, accepted_by=RULE) for finding in run.findings),
        pending=tuple(f"model-{number}" for number in range(1000)),
        problems=tuple(f"kind-{number} cannot be listed" for number in range(1000)),
    )
    text = render_drift_markdown(replace(run, reports=(report,)))
    assert len(text.encode()) < 65_536
    assert len(re.findall(r"^_\d+ lines left out here", text, re.MULTILINE)) == 2
    assert text.endswith("   # accept\n```\n")


def test_changed_line_that_looks_like_a_header_of_a_diff_is_shown() -> None:
    finding = build_finding(
        FindingKind.CHANGED, DEPLOYMENT, "ml/a", "data.x", desired="a\n-- b\n", live="a\n"
    )
    report = DriftReport(PROD, (finding,), checked=CHECKED)
    page = render(DriftRun("prod", CHECKED, (report,)))["report.html"]
    assert '<span class="del">--- b</span>' in page


def read_sarif(run: DriftRun) -> dict[str, Any]:
    """Returns the run of a SARIF log; fails if it breaks a rule of version 2.1.0."""
    log = json.loads(render(run)["report.sarif"])
    assert set(log) == {"$schema", "version", "runs"}
    assert log["version"] == "2.1.0"
    (result,) = log["runs"]
    rules = result["tool"]["driver"]["rules"]
    ids = [rule["id"] for rule in rules]
    assert len(set(ids)) == len(ids)
    assert result["tool"]["driver"]["name"]
    (invocation,) = result["invocations"]
    assert isinstance(invocation["executionSuccessful"], bool)
    for item in result["results"]:
        assert ids[item["ruleIndex"]] == item["ruleId"]
        assert item["level"] in {"none", "note", "warning", "error"}
        assert item["message"]["text"]
        assert all(isinstance(value, str) for value in item["partialFingerprints"].values())
        for location in item["locations"]:
            physical = location["physicalLocation"]
            assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", physical["artifactLocation"]["uri"])
            assert not physical["artifactLocation"]["uri"].startswith(("/", "file:", ".."))
            region = physical.get("region", {"startLine": 1, "startColumn": 1})
            assert region["startLine"] >= 1
            assert region["startColumn"] >= 1
        for suppression in item.get("suppressions", ()):
            assert suppression["kind"] in {"inSource", "external"}
    return dict(result)


@each_run
def test_sarif_obeys_the_rules_of_its_version(run: DriftRun) -> None:
    result = read_sarif(run)
    complete = run.verdict != "failed"
    assert result["invocations"][0]["executionSuccessful"] is complete
    assert bool(result["invocations"][0]["toolExecutionNotifications"]) is not complete


def test_sarif_result_stands_at_the_line_of_the_catalog_and_keeps_its_fingerprint() -> None:
    results = read_sarif(build_run())["results"]
    by_id = {item["partialFingerprints"]["driftFinding/v1"]: item for item in results}
    report = build_report()
    for finding in (*report.findings, *report.accepted):
        place = by_id[finding.id]["locations"][0]["physicalLocation"]
        if finding.source:
            assert place["artifactLocation"]["uri"] == finding.source.path
            assert place["region"]["startLine"] == finding.source.line
        else:
            assert place["artifactLocation"]["uri"] == "environments/prod/environment.yaml"
            assert "region" not in place
    # Code scanning reads no other fingerprint, and merges results that have the same.
    hashes = [item["partialFingerprints"]["primaryLocationLineHash"] for item in results]
    assert hashes == [*by_id]
    (accepted,) = report.accepted
    assert "until 2026-12-31" in by_id[accepted.id]["suppressions"][0]["justification"]


def test_sarif_names_files_from_the_top_of_the_repository() -> None:
    (result, *_) = json.loads(render_sarif(build_run(), "teams/a b/"))["runs"][0]["results"]
    uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri.startswith("teams/a%20b/")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("acme/payments#7", r"acme/payments\#<!-- -->7"),
        ("fixes #12", r"fixes \#<!-- -->12"),
        ("GH-9, gh-10", "GH<!-- -->-9, gh<!-- -->-10"),
        ("# heading", r"\# heading"),
        ("high-9", "high-9"),
    ],
)
def test_value_of_the_cluster_refers_to_no_issue(text: str, shown: str) -> None:
    assert escape_markdown(text) == shown


@each_run
def test_metrics_are_in_the_text_format(run: DriftRun) -> None:
    names: list[str] = []
    label = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
    for line in render(run)["report.prom"].splitlines():
        if line.startswith("# HELP "):
            names.append(line.split()[2])
        elif not line.startswith("# TYPE "):
            assert re.fullmatch(rf"{names[-1]}\{{{label}(?:,{label})*\}} \d+(?:\.\d+)?", line)
    assert len(set(names)) == len(names)


def test_metrics_of_a_failed_stack_have_no_count_of_findings() -> None:
    metrics = render(build_failed_run())["report.prom"]
    assert 'modelcatalog_drift_success{environment="prod",stack="prod-us"} 0' in metrics
    assert 'modelcatalog_drift_findings{environment="prod",stack="prod-us"' not in metrics


class Page(HTMLParser):
    """Reads a page: its elements, and whether they are closed in order."""

    VOID = frozenset({"meta"})

    def __init__(self, source: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def all(self, *tags: str) -> list[tuple[str, dict[str, str | None]]]:
        """Returns the elements with one of these names, in order."""
        return [element for element in self.elements if element[0] in tags]


@each_run
def test_page_is_well_formed_self_contained_and_accessible(run: DriftRun) -> None:
    source = render(run)["report.html"]
    page = Page(source)
    assert page.open == []
    assert page.all("script", "link", "img", "iframe", "object", "embed", "form", "base") == []
    style = source.partition("<style>")[2].partition("</style>")[0]
    values = [str(value) for _, held in page.elements for value in held.values()]
    assert not [text for text in (style, *values) if re.search(r"@import|url\(|//", text)]
    assert not [name for _, held in page.elements for name in held if name.startswith("on")]
    levels = [int(tag[1]) for tag, _ in page.all("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(below <= above + 1 or below == 4 for above, below in itertools.pairwise(levels))
    assert all(held.get("scope") in {"row", "col"} for _, held in page.all("th"))
    ids = [held["id"] for _, held in page.elements if "id" in held]
    assert len(set(ids)) == len(ids)
    assert page.all("html")[0][1]["lang"] == "en"
    assert all(held.get("role") == "img" for _, held in page.all("svg"))
    shown = "".join(page.text)
    assert all(finding.id in shown for finding in run.findings)


def test_hostile_text_stays_text_in_the_page() -> None:
    page = Page(render(build_run())["report.html"])
    shown = "".join(page.text)
    assert '<script>alert("1")</script>|`x`' in shown
    assert "\\x1b[31mred" in shown
    assert HOSTILE not in shown


@pytest.mark.parametrize(("models", "fields"), [(100, 5), (100, 10), (1000, 3)])
def test_page_stays_below_a_megabyte(models: int, fields: int) -> None:
    run = build_large_run(models, fields)
    page = render_reports(run, History().add(run))["report.html"]
    assert len(page.encode()) < 1_000_000
    left_out = models * fields - 1_000
    if left_out > 0:
        assert f"{left_out} findings left out here; report.json has all" in page


def contrast(foreground: str, background: str) -> float:
    """Returns the contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    brighter, darker = sorted((luminance(foreground), luminance(background)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def test_colours_have_enough_contrast_in_both_themes() -> None:
    css = Path(drift.__file__).with_name("drift.css").read_text(encoding="utf-8")
    light, dark = (
        dict(re.findall(r"--(\w+): (#\w{6})", part)) for part in css.split("@media", 2)[:2]
    )
    assert light.keys() == dark.keys()
    for theme in (light, dark):
        for background in ("page", "card", "code"):
            for name in theme.keys() - {"page", "card", "code", "line"}:
                assert contrast(theme[name], theme[background]) >= 4.5, (name, background)
