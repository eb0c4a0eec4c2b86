"""A problem is printed below the change of its object, in the change list of a preview."""

from __future__ import annotations

from framework.core.changes import Change, Op, Preview, Problem
from framework.output.changes import render_changes

DEPLOYMENT, SERVICE = "kubernetes:apps/v1:Deployment", "kubernetes:core/v1:Service"


def change(type_: str, name: str, op: Op, model: str = "a") -> Change:
    return Change(f"urn:{type_}:{name}", type_, name, op, object=f"ns/{name}", component=model)


def test_problem_is_shown_below_the_change_of_its_object() -> None:
    changes = (
        change(SERVICE, "a-canary", Op.CREATE),
        change(DEPLOYMENT, "a", Op.UPDATE),
        change(DEPLOYMENT, "a-canary", Op.UPDATE),
        change(SERVICE, "a", Op.UPDATE),
        change(DEPLOYMENT, "b", Op.UPDATE, "b"),
    )
    problems = (
        Problem("a", "Deployment ns/a", "stable is refused"),
        Problem("a", "Deployment ns/a-canary", "canary is refused"),
        Problem("a", "Service ns/a-canary", "service is refused"),
        Problem("a", "", "model lacks a permission"),
    )
    text = render_changes(Preview(changes, problems=problems), None)
    assert [" ".join(line.split()) for line in text.splitlines()] == [
        "+ a Service a-canary",
        "error: service is refused",
        "~ a Deployment",
        "error: stable is refused",
        "~ a Deployment a-canary",
        "error: canary is refused",
        "~ a Service",
        "error: model lacks a permission",
        "~ b Deployment",
        "0 unchanged",
    ]
