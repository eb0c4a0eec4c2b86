"""Fixtures of the conformance suite: one project for each engine, and those of the scenarios."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from framework.kube.client import KubeClient
from tests.conformance.both_engines import BothEngines
from tests.conftest import MakeProject
from tests.scenarios.conftest import kube, make_quick_project, record

__all__ = ["kube", "make_both", "make_quick_project", "record"]

MakeBoth = Callable[..., BothEngines]


@pytest.fixture
def make_both(make_quick_project: MakeProject, kube: KubeClient) -> Iterator[MakeBoth]:
    """Makes two equal projects with the given models, one for each engine."""
    made: list[BothEngines] = []

    def make(*models: str) -> BothEngines:
        both = BothEngines(make_quick_project(*models), kube)
        made.append(both)
        return both

    yield make
    for both in made:
        for project in (both.embedded, both.cli):
            namespace = f"{project.namespace}-dev"
            kube.delete("v1", "Namespace", namespace, propagation="Background")
