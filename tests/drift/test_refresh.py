"""The verdict of `pulumi refresh` beside that of the check, and the verb refresh."""

from __future__ import annotations

import argparse
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from framework.cli.refresh import run_refresh
from framework.core.changes import Change, Op, Preview
from framework.core.errors import ConsentError
from framework.core.exit_codes import ExitCode
from framework.core.stack import Stack
from framework.drift.refresh import build_refresh_verdict
from framework.drift.report import DriftReport, Finding, FindingKind, RefreshVerdict, Unread
from framework.engines.base import RecordedObject
from framework.output.drift import describe_refresh, render_recording
from tests.conftest import BOTH_ENGINES
from tests.drift.changes import BY_NAME
from tests.drift.deployed_project import DeployedProject, read_differences

_TYPE = "kubernetes:apps/v1:Deployment"


def find(urn: str, kind: FindingKind = FindingKind.CHANGED, **fields: object) -> Finding:
    found = {"path": "spec.x", "desired": 1, "recorded": 1, "live": 2, **fields}
    return Finding(kind, _TYPE, f"ml/{urn}", urn=urn, **found)  # type: ignore[arg-type]


def build(
    *findings: Finding,
    changed: tuple[str, ...] = (),
    accepted: tuple[Finding, ...] = (),
    unread: tuple[Unread, ...] = (),
    external: frozenset[str] = frozenset(),
) -> RefreshVerdict:
    urns = {finding.urn for finding in (*findings, *accepted)} | set(changed)
    recorded = [
        RecordedObject(urn, _TYPE, f"ml/{urn}", "m", "p", "f", (), {}, {}, external=urn in external)
        for urn in sorted(urns)
    ]
    report = DriftReport(Stack.of("prod"), findings, accepted=accepted, unread=unread)
    return build_refresh_verdict(report, frozenset(changed), recorded)


def test_equal_verdicts_need_no_reason() -> None:
    both_clean = build()
    assert (both_clean.clean, both_clean.reasons) == (True, ())
    both_drift = build(find("a"), changed=("a",))
    assert (both_drift.objects, both_drift.compared) == (("Deployment ml/a",), 1)
    assert both_drift.reasons == ()


def test_what_pulumi_does_not_see_is_explained() -> None:
    verdict = build(
        find("a", FindingKind.ADDED),
        find("b", FindingKind.ADDED),
        find("c", FindingKind.FOREIGN, path=""),
        find("d", recorded=2),
        find("e", path="spec.replicas"),
        find("f"),
    )
    assert verdict.clean
    reasons = dict(verdict.reasons)
    assert len(reasons) == 5
    words = {" ".join(names): reason for reason, names in reasons.items()}
    assert "others added fields" in words["Deployment ml/a Deployment ml/b"]
    assert "no stack owns it" in words["Deployment ml/c"]
    assert "the state has the live value already" in words["Deployment ml/d"]
    assert "autoscaler" in words["Deployment ml/e"]


def test_what_only_pulumi_counts_is_explained() -> None:
    unread = (Unread("Deployment", "ml/c"),)
    verdict = build(
        changed=("a", "b", "c", "d"),
        accepted=(find("b"),),
        unread=unread,
        external=frozenset({"d"}),
    )
    words = {" ".join(names): reason for reason, names in verdict.reasons}
    assert "a declared injector" in words["Deployment ml/a"]
    assert "drift.accept" in words["Deployment ml/b"]
    assert "the check did not read it" in words["Deployment ml/c"]
    assert "the program only reads it" in words["Deployment ml/d"]
    assert next(describe_refresh(verdict)) == (
        "refresh --preview-only: 4 objects differ; this check: none"
    )


def test_long_lists_are_cut() -> None:
    findings = [find(f"a{number}", FindingKind.ADDED) for number in range(9)]
    lines = list(describe_refresh(build(*findings)))
    assert lines[0] == "refresh --preview-only: no object differs; this check: 9"
    assert "and 6 more: others added fields" in lines[1]


@pytest.mark.parametrize(
    ("op", "effect"), [(Op.UPDATE, "takes the live values of"), (Op.DELETE, "forgets")]
)
def test_resource_that_is_not_of_kubernetes_is_named_before_the_question(
    op: Op, effect: str
) -> None:
    type_ = "random:index/randomPassword:RandomPassword"
    urn = f"urn:pulumi:prod::ml::{type_}::token"
    verdict = build_refresh_verdict(DriftReport(Stack.of("prod"), ()), frozenset({urn}), ())
    shown = render_recording(Preview((Change(urn, type_, "token", op),)), verdict)
    assert shown.startswith(
        f"The state {effect} 1 resource: RandomPassword token\n"
        "RandomPassword token: only a refresh counts it: the check did not read it\n"
    )


@pytest.mark.cluster
@pytest.mark.parametrize("engine", BOTH_ENGINES)
def test_refresh_shows_the_check_and_writes_only_after_a_yes(
    deployed: DeployedProject, engine: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("env-kubectl", "image", "deleted-Service", "foreign-ConfigMap-notes"):
        BY_NAME[name].make(deployed.worlds["a"])
    root, namespace = deployed.project.root, deployed.namespace
    (state,) = (root / ".state/.pulumi/stacks").glob("*/dev.json")
    before = state.read_bytes()
    found = read_differences(deployed.check().findings)
    options = argparse.Namespace(
        verb="refresh", environment="dev", engine=engine, yes=False, why=False, model=None
    )
    with pytest.raises(ConsentError):
        run_refresh(root, options)
    assert state.read_bytes() == before
    shown = " ".join(capsys.readouterr().out.split())
    for text in (
        f"DRIFT Deployment {namespace}/fraud-a",
        "env[DEBUG] added 1 by kubectl-set",
        f"DRIFT Deployment {namespace}/intent-a",
        " -> other:1 by k9s",
        f"DRIFT Service {namespace}/intent-a",
        f"FOREIGN ConfigMap {namespace}/notes-a no stack owns it by kubectl-create",
        f"forgets 1 object: Service {namespace}/intent-a",
        f"ConfigMap {namespace}/notes-a: no stack owns it",
        "the next check still reports",
    ):
        assert text in shown
    options.yes = options.why = True
    assert run_refresh(root, options) is ExitCode.DONE
    assert state.read_bytes() != before
    assert "spec.template.spec.containers[model].image" in capsys.readouterr().out
    # The record of the deleted Service is gone. Everything else is still reported.
    report = deployed.check()
    left = read_differences(report.findings)["a"].found
    assert found["a"].found - left == BY_NAME["deleted-Service"].finds
    assert report.pending == ("intent-a",)
    deployed.delete_foreign()
    deployed.up(engine)
    assert deployed.check().clean


class Terminal:
    """A command in a terminal of its own, as a person starts it."""

    def __init__(self, root: Path, *arguments: str) -> None:
        own, its = pty.openpty()
        command = [sys.executable, "-m", "framework", *arguments]
        self._process = subprocess.Popen(command, cwd=root, stdin=its, stdout=its, stderr=its)
        os.close(its)
        self._own, self.shown = own, ""

    def answer(self, keys: str) -> int:
        """Waits for the question, presses these keys, and returns the exit code."""
        self._read_until("[y/N] ")
        os.write(self._own, keys.encode())
        self._read_until(None)
        os.close(self._own)
        return self._process.wait()

    def _read_until(self, text: str | None) -> None:
        while text is None or text not in self.shown:
            try:
                self.shown += os.read(self._own, 4096).decode()
            except OSError:
                # Linux reports the end of a terminal as an error.
                return


@pytest.mark.grid
@pytest.mark.cluster
def test_refresh_in_a_terminal_writes_only_after_a_yes(deployed: DeployedProject) -> None:
    BY_NAME["label-added"].make(deployed.worlds["a"])
    root = deployed.project.root
    (state,) = (root / ".state/.pulumi/stacks").glob("*/dev.json")
    before = state.read_bytes()
    # An empty answer, another word, and Ctrl-D.
    for keys in ("\n", "yep\n", "\x04"):
        terminal = Terminal(root, "refresh", "dev")
        assert terminal.answer(keys) == 1
        assert "metadata.labels.tier  added gold" in terminal.shown
        assert terminal.shown.rstrip().endswith("Nothing was changed.")
        assert state.read_bytes() == before
    terminal = Terminal(root, "refresh", "dev")
    assert terminal.answer("Y\n") == 0
    assert state.read_bytes() != before
    (finding,) = deployed.check().findings
    assert finding.path == "metadata.labels.tier"
    deployed.up()
    assert deployed.check().clean
