"""The plan of an environment whose files have errors, for verbs that deploy nothing."""

from __future__ import annotations

from typing import NoReturn

import pytest

from framework.cli.usable_plan import UsablePlan, load_usable_plan
from tests.conftest import MakeProject, Project

ENVIRONMENT = "environments/dev/environment.yaml"
RULES = """
drift:
  accept: [{kind: Deployment, reason: known, until: %s}]
  injectors: [{manager: mesh, reason: mesh}]
"""


def load(project: Project) -> UsablePlan:
    def refuse() -> NoReturn:
        raise AssertionError("the state is not needed")

    return load_usable_plan(project.root, "dev", refuse)


@pytest.mark.parametrize("until", ["2020-01-01", '"soon"'])
def test_rules_of_a_file_with_errors_accept_nothing(make_project: MakeProject, until: str) -> None:
    """Without its last day, which cannot be read, a rule would hold for ever."""
    project = make_project("churn")
    project.append(ENVIRONMENT, RULES % until)
    usable = load(project)
    assert usable.diagnostics
    assert (usable.plan.accept, usable.plan.injectors) == ((), ())


def test_rules_hold_although_another_file_has_errors(make_project: MakeProject) -> None:
    project = make_project("churn")
    project.append(ENVIRONMENT, RULES % '"2099-01-01"')
    project.append("catalog/_defaults.yaml", "frob: 1\n")
    usable = load(project)
    assert usable.diagnostics
    assert (len(usable.plan.accept), len(usable.plan.injectors)) == (1, 1)
