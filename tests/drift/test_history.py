"""The history of checks: since when a finding has stood, what was resolved, damaged files."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from filelock import FileLock

from framework.core.errors import FrameworkError
from framework.core.stack import Stack
from framework.drift.history import DAMAGED, HISTORY, History, load_history
from framework.drift.report import DriftReport, Finding, FindingKind, Unread, Verdict
from framework.drift.run import DriftRun, FailedStack
from framework.output import drift_files
from framework.output.drift_files import write_reports
from framework.output.drift_metrics import render_metrics
from tests.drift.sample_run import CHECKED, DEPLOYMENT, PROD, RULE, build_finding, build_report

FIRST, SECOND, THIRD = build_report().findings[:3]
EVERYTHING = (Unread("", f"{FIRST.object.partition('/')[0]}/"),)


def check(
    night: int,
    *findings: Finding,
    accepted: bool = False,
    problem: str = "",
    unread: tuple[Unread, ...] = EVERYTHING,
) -> DriftRun:
    """Returns the check of a night; `accepted` covers its findings by a rule.

    With a `problem`, the objects of `unread` could not be read.
    """
    checked = CHECKED + timedelta(days=night)
    covered = tuple(replace(finding, accepted_by=RULE) for finding in findings)
    report = DriftReport(
        PROD,
        () if accepted else findings,
        accepted=covered if accepted else (),
        checked=checked,
        problems=(problem,) if problem else (),
        unread=unread if problem else (),
    )
    return DriftRun("prod", checked, (report,))


def test_finding_stands_since_the_first_check_that_found_it() -> None:
    history = History().add(check(0, FIRST)).add(check(1, FIRST, SECOND))
    since = history.find_first_checks("prod")
    assert since == {FIRST.id: CHECKED, SECOND.id: CHECKED + timedelta(days=1)}


def test_finding_that_comes_back_stands_since_its_return() -> None:
    history = History().add(check(0, FIRST)).add(check(1)).add(check(2, FIRST))
    assert history.find_first_checks("prod") == {FIRST.id: CHECKED + timedelta(days=2)}


def find_new(history: History, run: DriftRun) -> set[str]:
    new_ids = history.add(run).find_new(run.reports[0])
    assert new_ids is not None
    return set(new_ids)


def test_finding_is_new_if_the_check_before_did_not_report_it_as_drift() -> None:
    history = History().add(check(0, FIRST))
    assert find_new(History(), check(0, FIRST)) == {FIRST.id}
    assert find_new(history, check(1, FIRST)) == set()
    assert find_new(history, check(1, FIRST, SECOND)) == {SECOND.id}
    # A check of a part is announced itself, and the complete one after it is not.
    part = check(1, FIRST, SECOND, problem="forbidden")
    assert find_new(history, part) == {SECOND.id}
    assert find_new(history.add(part), check(2, FIRST, SECOND)) == set()
    # What could not be read stays open, so it is not new later.
    assert find_new(history.add(check(1, problem="x")), check(2, FIRST)) == set()


def test_finding_whose_rule_expired_is_new() -> None:
    history = History().add(check(0, FIRST, accepted=True))
    assert find_new(history, check(1, FIRST, accepted=True)) == set()
    assert find_new(history, check(1, FIRST)) == {FIRST.id}


def test_finding_that_gets_worse_is_new() -> None:
    replicas = build_finding(
        FindingKind.CHANGED, DEPLOYMENT, "ml-prod/chat", "spec.replicas", desired=6, live=9
    )
    gone = replace(replicas, live=0)
    assert find_new(History().add(check(0, replicas)), check(1, gone)) == {gone.id}
    assert find_new(History().add(check(0, gone)), check(1, replicas)) == set()


def test_finding_in_a_line_of_an_older_version_is_not_new(tmp_path: Path) -> None:
    history = History().add(check(0, FIRST))
    lines = [json.loads(line) for line in history.render().splitlines()]
    for past in lines[0]["standing"]:
        del past["danger"], past["change"], past["accepted"]
    (tmp_path / HISTORY).write_text(json.dumps(lines[0]) + "\n")
    assert find_new(load_history(tmp_path), check(1, FIRST)) == set()


def test_accepted_finding_in_a_line_of_an_older_version_starts_no_alert(tmp_path: Path) -> None:
    failed = DriftRun("prod", CHECKED + timedelta(days=1), (), (FailedStack(PROD, "no answer"),))
    for accepted in (True, False):
        lines = History().add(check(0, FIRST, accepted=accepted)).render().splitlines()
        line = json.loads(lines[0])
        for past in line["standing"]:
            del past["danger"], past["change"], past["accepted"]
        (tmp_path / HISTORY).write_text(json.dumps(line) + "\n")
        history = load_history(tmp_path)
        assert sum(count_metric(failed, history)) == (0 if accepted else 1)
        oldest = count_metric(failed, history, "oldest_finding_timestamp_seconds")
        assert len(oldest) == (0 if accepted else 1)


def count_metric(run: DriftRun, history: History, name: str = "findings") -> list[int]:
    text = render_metrics(run, history.add(run))
    lines = [x for x in text.splitlines() if x.startswith(f"modelcatalog_drift_{name}{{")]
    return [int(line.rpartition(" ")[2]) for line in lines]


def test_metrics_keep_the_findings_that_a_failed_check_could_not_look_at() -> None:
    history = History().add(check(0, FIRST, SECOND)).add(check(1, FIRST, SECOND))
    checked = CHECKED + timedelta(days=2)
    failed = DriftRun("prod", checked, (), (FailedStack(PROD, "unreachable"),))
    again = replace(failed, checked=checked + timedelta(days=1))
    part = check(2, FIRST, problem="forbidden")
    for run, past in ((failed, history), (again, history.add(failed)), (part, history)):
        assert sum(count_metric(run, past)) == 2
        assert count_metric(run, past, "success") == [0]
        last = (CHECKED + timedelta(days=1)).timestamp()
        assert count_metric(run, past, "last_complete_check_timestamp_seconds") == [last]
    # A complete check resolves, and an accepted finding does not stand.
    assert sum(count_metric(check(2, FIRST), history)) == 1
    assert sum(count_metric(check(2), history)) == 0
    accepted = History().add(check(0, FIRST, accepted=True))
    assert sum(count_metric(check(1, problem="x"), accepted)) == 0
    assert count_metric(failed, accepted) == []


def test_check_with_a_wrong_clock_does_not_stay_the_newest() -> None:
    history = History().add(check(0, FIRST)).add(check(400, FIRST, SECOND))
    history = history.add(check(1, FIRST, SECOND)).add(check(2, FIRST, THIRD)).add(check(3, FIRST))
    assert history.find_first_checks("prod") == {FIRST.id: CHECKED}
    resolved = [[past.id for past in entry.resolved] for entry in history.entries]
    assert resolved == [[], [], [], [SECOND.id], [THIRD.id]]
    times = [entry.checked for entry in history.entries]
    assert times == sorted(times)
    assert times[-1] == CHECKED + timedelta(days=3)


def test_finding_first_found_with_a_wrong_clock_does_not_stand_since_the_future() -> None:
    history = History().add(check(400, FIRST)).add(check(1, FIRST))
    assert history.find_first_checks("prod") == {FIRST.id: CHECKED + timedelta(days=1)}


def test_check_with_a_slow_clock_changes_no_earlier_check() -> None:
    history = History().add(check(0, FIRST)).add(check(1, FIRST, SECOND))
    history = history.add(check(-400, FIRST, SECOND)).add(check(2, FIRST, SECOND))
    assert history.find_first_checks("prod") == {
        FIRST.id: CHECKED,
        SECOND.id: CHECKED + timedelta(days=1),
    }
    times = [entry.checked - CHECKED for entry in history.entries]
    assert [time.days for time in times] == [-400, 0, 1, 2]


def test_line_with_a_time_without_zone_is_damaged(tmp_path: Path) -> None:
    line = History().add(check(0, FIRST)).render()
    (tmp_path / HISTORY).write_text(line.replace("Z", ""))
    history = load_history(tmp_path)
    assert (history.entries, len(history.damaged)) == ((), 1)
    assert "timezone" in history.problems[0]


def test_finding_that_is_gone_is_resolved_once() -> None:
    history = History().add(check(0, FIRST, SECOND)).add(check(1, SECOND)).add(check(2, SECOND))
    assert [[past.id for past in entry.resolved] for entry in history.entries] == [
        [],
        [FIRST.id],
        [],
    ]
    assert "env[DEBUG]" in history.entries[1].resolved[0].title


def test_accepted_finding_is_not_resolved() -> None:
    history = History().add(check(0, FIRST)).add(check(1, FIRST, accepted=True))
    assert history.entries[-1].resolved == ()
    assert history.find_first_checks("prod") == {FIRST.id: CHECKED}


@pytest.mark.parametrize("whole", [True, False], ids=["failed", "incomplete"])
def test_check_that_is_not_complete_resolves_nothing(whole: bool) -> None:
    history = History().add(check(0, FIRST))
    failed = DriftRun("prod", CHECKED + timedelta(days=1), (), (FailedStack(PROD, "no answer"),))
    history = history.add(failed if whole else check(1, problem="forbidden"))
    assert history.entries[-1].verdict is Verdict.FAILED
    assert history.entries[-1].resolved == ()
    assert history.find_first_checks("prod") == {FIRST.id: CHECKED}


FOREIGN_POLICY = build_finding(
    FindingKind.FOREIGN, "kubernetes:cilium.io/v2:CiliumNetworkPolicy", "ml/deny"
)
SCALED = build_finding(FindingKind.CHANGED, DEPLOYMENT, "ml/chat", "spec.replicas", live=0)


@pytest.mark.parametrize(
    ("unread", "hidden"),
    [
        # A failed `pulumi refresh --preview-only` is a problem, too, and hides nothing.
        ((), set()),
        ((Unread("CiliumNetworkPolicy", "ml/", is_foreign=True),), {FOREIGN_POLICY.id}),
        ((Unread("CiliumNetworkPolicy", "other/", is_foreign=True),), set()),
        ((Unread("", "ml/", is_foreign=True),), {FOREIGN_POLICY.id}),
        ((Unread("Deployment", "ml/", is_foreign=True),), set()),
        ((Unread("Deployment", "ml/chat"),), {SCALED.id}),
        ((Unread("Deployment", "ml/chat-2"),), set()),
        ((Unread("Deployment", "ml/chat", path="spec.replicas"),), {SCALED.id}),
        ((Unread("Deployment", "ml/chat", path="spec.paused"),), set()),
        ((Unread("", "ml/"),), {FOREIGN_POLICY.id, SCALED.id}),
    ],
)
def test_incomplete_check_resolves_what_it_could_read(
    unread: tuple[Unread, ...], hidden: set[str]
) -> None:
    history = History().add(check(0, FOREIGN_POLICY, SCALED))
    run = check(1, problem="forbidden", unread=unread)
    after = history.add(run)
    assert {past.id for past in after.find_open("prod")} == hidden
    resolved = {past.id for past in after.find_resolved(run.reports[0])}
    assert resolved == {FOREIGN_POLICY.id, SCALED.id} - hidden
    assert sum(count_metric(run, history)) == len(hidden)


def test_history_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    history = History().add(check(0, FIRST)).add(check(1, SECOND, THIRD))
    (tmp_path / HISTORY).write_text(history.render())
    assert load_history(tmp_path) == history


def test_folder_without_history_has_an_empty_one(tmp_path: Path) -> None:
    assert load_history(tmp_path / "new") == History()


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"\xff\xfe\x00", id="no-text"),
        pytest.param(b'{"stack": "prod", "checked', id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b'{"stack": "prod", "checked": "yesterday"}', id="no-time"),
        pytest.param(b"<<<<<<< HEAD", id="merge-conflict"),
    ],
)
def test_damaged_line_is_explained_and_kept(tmp_path: Path, line: bytes) -> None:
    first, second = (
        History().add(check(0, FIRST)).add(check(1, FIRST)).render().encode().splitlines()
    )
    (tmp_path / HISTORY).write_bytes(b"\n".join([first, line, second, b""]))
    history = load_history(tmp_path)
    assert len(history.entries) == 2
    assert history.find_first_checks("prod") == {FIRST.id: CHECKED}
    (problem,) = history.problems
    assert problem.startswith(f"{tmp_path / HISTORY}:2: is not a check")
    assert DAMAGED in problem
    run = check(2, FIRST)
    for _ in range(2):
        write_reports(tmp_path, run, history.add(run))
    assert load_history(tmp_path).problems == ()
    assert (tmp_path / DAMAGED).read_bytes().splitlines()[0] == line


def test_only_the_newest_checks_name_their_findings_and_old_ones_are_dropped() -> None:
    history = History()
    for night in range(405):
        history = history.add(check(night, FIRST))
    assert len(history.entries) == 400
    assert [entry.open_findings is None for entry in history.entries[-3:]] == [True, False, False]
    assert history.find_first_checks("prod") == {FIRST.id: CHECKED}
    assert len(history.render().encode()) < 200_000


def test_reports_are_written_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = check(0, FIRST)
    write_reports(tmp_path, run, History().add(run))
    before = {file.name: file.read_bytes() for file in tmp_path.glob("[!.]*")}
    assert set(before) == {
        *(f"report.{kind}" for kind in ("html", "json", "md", "prom", "sarif")),
        HISTORY,
    }

    def fail(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    later = check(1, SECOND)
    with pytest.raises(FrameworkError, match=r"cannot be written: No space left"):
        write_reports(tmp_path, later, load_history(tmp_path).add(later))
    assert {file.name: file.read_bytes() for file in tmp_path.glob("[!.]*")} == before


def test_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    run = check(0, FIRST)
    with pytest.raises(FrameworkError, match=r"OUT=.*cannot be written"):
        write_reports(tmp_path / "out", run, History().add(run))


def test_page_links_the_environments_in_folders_beside_it(tmp_path: Path) -> None:
    run = check(0, FIRST)
    write_reports(tmp_path / "prod", run, History().add(run))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/report.json").write_text('{"of": "another tool"}')
    clean = replace(check(0), environment="staging")
    write_reports(tmp_path / "staging", clean, History().add(clean))
    page = (tmp_path / "staging/report.html").read_text()
    assert '<a href="../prod/report.html">prod</a>' in page
    assert "1 difference, checked 2026-11-23 03:00" in page
    assert "another tool" not in page
    assert json.loads((tmp_path / "staging/report.json").read_text())["verdict"] == "clean"


def test_two_environments_keep_their_checks_in_one_folder(tmp_path: Path) -> None:
    prod = check(0, FIRST)
    dev = DriftRun("dev", CHECKED, (replace(prod.reports[0], stack=Stack.of("dev")),))
    failed = DriftRun("test", CHECKED, (), (FailedStack(Stack.of("test"), "unreachable"),))
    # All have read the history before the first of them writes.
    histories = [load_history(tmp_path).add(run) for run in (prod, dev, failed)]
    for run, history in zip((prod, dev, failed), histories, strict=True):
        write_reports(tmp_path, run, history)
    written = load_history(tmp_path)
    assert sorted(entry.stack for entry in written.entries) == ["dev", "prod", "test"]
    later = check(1, FIRST)
    write_reports(tmp_path, later, written.add(later))
    again = load_history(tmp_path)
    assert sorted(entry.stack for entry in again.entries) == ["dev", "prod", "prod", "test"]
    assert again.find_first_checks("prod") == {FIRST.id: CHECKED}


def test_report_waits_for_another_one_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift_files, "_MAX_WAIT_S", 0.1)
    run = check(0, FIRST)
    message = r"OUT=.*another check has been writing .* for 0\.1 s; wait until it has ended"
    with FileLock(tmp_path / ".history.lock"), pytest.raises(FrameworkError, match=message):
        write_reports(tmp_path, run, History().add(run))
