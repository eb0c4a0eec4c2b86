"""Rules of `drift.accept` cover what somebody accepted, and nothing that is worse."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any, get_args

import pytest

from framework.cli import remedies
from framework.core.diagnostics import Position
from framework.core.drift_rules import AcceptRule
from framework.drift.acceptance import apply_accept_rules, build_accept_rule
from framework.drift.grouping import Danger
from framework.drift.report import DriftReport, Finding, FindingKind
from framework.plan import PlanStore
from framework.settings.drift import Change, DangerLimit
from tests.drift.sample_run import DEPLOYMENT, PROD, build_finding
from tests.trees import write_tree

TODAY = date(2026, 11, 26)
IMAGE = "spec.template.spec.containers[model].image"
PROBE = "spec.template.spec.containers[model].readinessProbe"
ENV = "spec.template.spec.containers[model].env[DEBUG].value"
SERVICE = "kubernetes:core/v1:Service"


def changed(path: str, live: Any, kind: FindingKind = FindingKind.CHANGED) -> Finding:
    return build_finding(kind, DEPLOYMENT, "ml-prod/chat", path, desired="x", live=live)


def whole(kind: FindingKind, type: str = DEPLOYMENT, model: str = "") -> Finding:
    return build_finding(kind, type, "ml-prod/scorer", model=model)


def is_accepted(finding: Finding, *rules: AcceptRule) -> bool:
    _, accepted, _ = apply_accept_rules([finding], rules, TODAY)
    return bool(accepted)


def accept(finding: Finding) -> AcceptRule:
    return build_accept_rule(finding, "why", None)


# What was accepted, and a later difference that an earlier version accepted as well.
LATER = {
    "scaled-to-0": (changed("spec.replicas", 9), changed("spec.replicas", 0)),
    "scaled-to-1": (changed("spec.replicas", 9), changed("spec.replicas", 1)),
    "another-image": (changed(IMAGE, "ghcr.io/a/chat:1.1"), changed(IMAGE, "evil.example/x:1")),
    "another-probe": (changed(PROBE, None), changed(PROBE, {"tcpSocket": {"port": 1}})),
    "emptied": (changed(ENV, "1"), changed(ENV, "")),
    "imported": (whole(FindingKind.FOREIGN), build_finding(
        FindingKind.CHANGED, DEPLOYMENT, "ml-prod/scorer", IMAGE, live="evil.example/x:1"
    )),
    "gone-after-import": (whole(FindingKind.FOREIGN), whole(FindingKind.MISSING)),
    "changed-after-return": (
        build_finding(FindingKind.MISSING, DEPLOYMENT, "ml-prod/chat"), changed(IMAGE, "x:1")
    ),
    "gone-after-recreation": (whole(FindingKind.RECREATED), whole(FindingKind.MISSING)),
    "foreign-selects-pods": (
        whole(FindingKind.FOREIGN), whole(FindingKind.FOREIGN, model="chat")
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", LATER)
def test_rule_covers_the_accepted_difference_and_no_other(case: str) -> None:
    found, later = LATER[case]
    assert is_accepted(found, accept(found))
    assert not is_accepted(later, accept(found))


@pytest.mark.parametrize(
    ("live", "accepted"), [(9, True), (1, True), (0, False)], ids=["more", "less", "none"]
)
def test_rule_with_danger_covers_every_value_up_to_it(live: int, accepted: bool) -> None:
    rule = AcceptRule("why", path="spec.replicas", danger="budget")
    assert is_accepted(changed("spec.replicas", live), rule) is accepted


def test_rule_that_does_not_cover_a_worse_finding_gives_a_warning() -> None:
    rule = AcceptRule("why", path="spec.*", danger="budget", position=Position("e.yaml", 3, 7))
    drift, _, warnings = apply_accept_rules([changed("spec.replicas", 0)], [rule], TODAY)
    assert len(drift) == 1
    assert warnings == [
        "warning: e.yaml:3:7: this rule of drift.accept does not cover Deployment ml-prod/chat "
        "spec.replicas, which endangers more (danger serving) than the rule allows (budget): "
        "remove the difference with `up`, or accept it again"
    ]


REMEDIES = {
    "field": (changed("spec.replicas", 0), "remove the difference with `up`"),
    "foreign": (whole(FindingKind.FOREIGN, model="chat"), "delete the object"),
    "pod": (
        replace(whole(FindingKind.FOREIGN, model="chat"), is_changed_pod=True), "delete the Pod"
    ),
    "others": (
        replace(whole(FindingKind.RECREATED, model="chat"), belongs_to_others=True),
        "delete the object or take it over with `adopt`",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REMEDIES)
def test_warning_about_a_rule_advises_what_ends_the_difference(case: str) -> None:
    finding, remedy = REMEDIES[case]
    for rule in (AcceptRule("why", danger="setting"), AcceptRule("why")):
        (warning,) = apply_accept_rules([finding], [rule], TODAY)[2]
        assert f": {remedy}, or " in warning


def test_expired_rule_is_to_be_removed_or_extended() -> None:
    rule = AcceptRule("why", until=date(2026, 11, 25))
    (warning,) = apply_accept_rules([whole(FindingKind.FOREIGN)], [rule], TODAY)[2]
    assert warning.endswith("expired on 2026-11-25: remove it, or set a later `until`")


def test_rule_by_hand_without_limits_covers_every_danger_and_warns() -> None:
    rule = AcceptRule("why", path="spec.replicas")
    for live, warns in ((9, False), (0, True)):
        _, accepted, warnings = apply_accept_rules([changed("spec.replicas", live)], [rule], TODAY)
        assert len(accepted) == 1
        assert any("add `danger: serving`" in text for text in warnings) is warns


def test_rule_for_what_endangers_serving_gives_no_warning_where_it_says_so() -> None:
    rule = AcceptRule("why", path="spec.replicas", danger="serving")
    *_, warnings = apply_accept_rules([changed("spec.replicas", 0)], [rule], TODAY)
    assert warnings == []


def test_rule_for_a_value_with_a_secret_in_it_does_not_cover_another_value() -> None:
    rule = accept(changed(IMAGE, "https://a.example.com/[secret]"))
    assert rule.live == "https://a.example.com/[secret]"
    other = changed(IMAGE, "https://b.example.com/[secret]")
    assert apply_accept_rules([other], [rule], TODAY)[1] == ()


@pytest.mark.parametrize("live", ["[secret]", "x" * 5000], ids=["secret", "long"])
def test_secret_or_long_value_is_not_written_into_the_rule(live: str) -> None:
    rule = accept(changed(IMAGE, live))
    assert (rule.live, rule.danger) == (None, "serving")


def test_settings_name_every_kind_of_finding_and_every_danger() -> None:
    assert set(get_args(Change)) == {kind.value for kind in FindingKind}
    assert set(get_args(DangerLimit)) == {danger.value for danger in Danger}


WRITTEN = {
    "number": (changed("spec.replicas", 9), 'danger: budget, live: "9"'),
    "gone": (changed(PROBE, None), 'live: "null"'),
    "empty": (changed(ENV, ""), 'live: ""'),
    "text": (changed(ENV, "debug"), "live: debug"),
    "secret": (changed(ENV, "http://u:[secret]@h"), 'live: "http://u:[secret]@h"'),
    "interpolation": (changed(ENV, "${HOME}"), r"\\${HOME}"),
    "mapping": (changed("spec.strategy", {"type": "Recreate"}), r"{\"type\": \"Recreate\"}"),
    "foreign": (whole(FindingKind.FOREIGN, SERVICE), "change: foreign, danger: serving, reason"),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_accept_writes_a_rule_that_reads_back_and_covers_the_finding(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    case: str,
) -> None:
    finding, text = WRITTEN[case]
    files = {
        "catalog/_defaults.yaml": "{}\n",
        "environments/prod/environment.yaml": "namespace: ml-prod\n",
    }
    root = write_tree(tmp_path, files)
    report = DriftReport(PROD, (finding,))
    monkeypatch.setattr(remedies, "check_stack", lambda *_: report)
    options = Namespace(environment="prod", finding=finding.id, reason="why", until=None)
    assert remedies.run_accept(root, options) == 0
    limit = "with any secret in place of [secret]" if case == "secret" else "covers"
    assert limit in capsys.readouterr().out
    assert text in (root / "environments/prod/environment.yaml").read_text()
    assert is_accepted(finding, *PlanStore(root).load_one(PROD).require().accept)
