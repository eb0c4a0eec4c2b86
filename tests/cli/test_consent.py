"""Consent is needed for deletions, replacements and take-overs that no edit of a file decided."""

from __future__ import annotations

import argparse
import sys
from types import SimpleNamespace

import pytest

from framework.cli.deploy import Confirmation, needs_consent
from framework.core.changes import Change, Op, Preview
from framework.core.errors import ConsentError, ProtectedError
from framework.core.stack import Stack
from framework.plan import PlanStore
from tests.shipped import SHIPPED

MODELS = {"churn", "x-canary-y"}


def make_change(kind: str, name: str, op: Op, model: str = "churn") -> Change:
    return Change(
        urn=f"urn:{kind}:{name}",
        type=f"kubernetes:core/v1:{kind}",
        name=name,
        op=op,
        object=f"ml/{name}",
        component=model,
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(make_change("Service", "churn", Op.UPDATE), False, id="update"),
        pytest.param(make_change("Service", "churn", Op.DELETE), True, id="deleted-object"),
        pytest.param(make_change("Deployment", "churn", Op.REPLACE), True, id="replaced-object"),
        pytest.param(make_change("Deployment", "old", Op.DELETE, "old"), True, id="gone-model"),
        pytest.param(make_change("Namespace", "ml", Op.DELETE, ""), True, id="namespace"),
        pytest.param(make_change("ConfigMap", "churn-config-1", Op.REPLACE), False, id="hashed"),
        pytest.param(make_change("ConfigMap", "churn-config-1", Op.DELETE), False, id="leftover"),
        pytest.param(make_change("ConfigMap", "churn-other", Op.DELETE), True, id="other-name"),
        pytest.param(
            make_change("ConfigMap", "old-config-1", Op.DELETE, "old"), True, id="gone-model-config"
        ),
        pytest.param(make_change("Deployment", "churn-canary", Op.DELETE), False, id="canary"),
        pytest.param(
            make_change("ConfigMap", "churn-canary-config-1", Op.DELETE), False, id="canary-config"
        ),
        pytest.param(
            make_change("ConfigMap", "x-canary-y-config-1", Op.DELETE, "x-canary-y"),
            False,
            id="config-of-a-model-called-canary",
        ),
    ],
)
def test_change_needs_consent(change: Change, expected: bool) -> None:
    assert needs_consent(change, MODELS) is expected


@pytest.mark.parametrize(
    ("verb", "op", "message"),
    [
        pytest.param("up", Op.DELETE, "1 of these changes delete or replace", id="up"),
        pytest.param("refresh", Op.UPDATE, "1 of these changes rewrite the recorded", id="refresh"),
    ],
)
def test_consent_is_refused_without_a_terminal(verb: str, op: Op, message: str) -> None:
    options = argparse.Namespace(yes=False, verb=verb)
    session = SimpleNamespace(
        plan=PlanStore(SHIPPED).load_one(Stack.of("staging")).require(),
        request=SimpleNamespace(components=None, forced=False),
    )
    preview = Preview((make_change("Service", "old", op, "old"),), messages=("warning: mind",))
    confirmation = Confirmation(session, options)  # type: ignore[arg-type]
    with pytest.raises(ConsentError, match=f"{message}.*make {verb} ENV=staging YES=1"):
        confirmation(preview)
    assert confirmation.messages == ("warning: mind",)


@pytest.mark.parametrize("leave", [EOFError, KeyboardInterrupt])
def test_whoever_leaves_at_the_question_has_changed_nothing(
    monkeypatch: pytest.MonkeyPatch, leave: type[BaseException]
) -> None:
    def refuse(question: str) -> str:
        raise leave

    monkeypatch.setattr("builtins.input", refuse)
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True, raising=False)
    options = argparse.Namespace(yes=False, verb="refresh")
    session = SimpleNamespace(
        plan=PlanStore(SHIPPED).load_one(Stack.of("staging")).require(),
        request=SimpleNamespace(components=None, forced=False),
    )
    confirmation = Confirmation(session, options)  # type: ignore[arg-type]
    assert confirmation(Preview((make_change("Service", "old", Op.UPDATE),))) is False


def test_next_step_repeats_the_options_as_given() -> None:
    text = str(ConsentError("adopt", "staging", 2, "churn", forced=True))
    assert text.endswith("next: `make adopt ENV=staging MODEL=churn FORCE=1 YES=1`")


def test_protected_environment_names_the_next_step() -> None:
    assert "set protect: false there, run `make up ENV=prod`" in str(ProtectedError("prod"))
