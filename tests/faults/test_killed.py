"""A command killed at any point can be run again, also with another catalog: nothing is lost."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from typing import Any

import pytest

from framework.cluster.local import LocalCluster
from framework.kube.client import KubeClient
from tests.conftest import MakeProject, Project
from tests.faults.catalogs import NAMES, list_live, observe, write_catalog
from tests.faults.killing import CLI, EMBEDDED, RunUntil, run_cli, run_embedded
from tests.faults.proxy import FaultProxy, lead_through

pytestmark = pytest.mark.cluster
SHARDS = 6
# The CLI takes several seconds for each of the runs that a kill needs.
CLI_SHARDS = 12


class Stack:
    """A stack that moves from catalog to catalog, killed on the way."""

    def __init__(
        self, project: Project, kube: KubeClient, run: RunUntil, engines: tuple[str, ...]
    ) -> None:
        """`engines` finish what was killed, in turn."""
        self.project, self._kube, self._run, self._engines = project, kube, run, engines
        self.references: dict[str, Any] = {}
        self.counts: dict[str, int] = {}
        self.current = NAMES[-1]
        self.points: list[str] = []

    def measure(self) -> None:
        """Goes once through all catalogs without a kill; keeps what each one leaves."""
        for name in (NAMES[-1], *NAMES):
            self.write(name)
            reached, _ = self._run(0, "up")
            self.counts[name] = len(reached)
            self.references[name] = self.observe()
            self.current = name

    def write(self, name: str) -> None:
        """Makes the models of the project those of one catalog."""
        write_catalog(self.project, name)

    def observe(self) -> Any:
        """Returns what the stack has in the cluster and in the state."""
        return observe(self._kube, self.project, inputs=self._engines == (EMBEDDED,))

    def kill(self, fraction: float, turn: int, *, again: bool = True) -> None:
        """Kills the step to the next catalog, then goes on with one of the catalogs.

        With `again` a further `up` must have nothing to do.
        """
        target = NAMES[(NAMES.index(self.current) + 1) % len(NAMES)]
        (third,) = set(NAMES) - {target, self.current}
        after = (target, self.current, third)[turn % 3]
        engine = self._engines[turn // 3 % len(self._engines)]
        point = 1 + int(fraction * self.counts[target])
        self.write(target)
        reached, killed = self._run(point, "up")
        where = f"{self.current} to {target}, killed at {point}, then {after} by {engine}"
        # Threads end their steps in any order, so that a run may have fewer points than another.
        if killed:
            self.points.append(reached[point - 1])
            where += f"; {reached[point - 1]}"
        self.write(after)
        up = ["up", "dev", "--yes", "--engine", engine]
        run = self.project.run(*up)
        assert run.returncode == 0, f"{where}\n{run.stdout}{run.stderr}"
        assert self.observe() == self.references[after], where
        self.current = after
        if again:
            assert "Nothing to do" in self.project.succeed(*up), where

    def destroy(self, fraction: float, points: int) -> int:
        """Destroys the stack, killed at a fraction of the points, and again without a kill.

        Returns the number of points of a whole run.
        """
        point = 1 + int(fraction * points) if points else 0
        reached, killed = self._run(point, "destroy")
        where = f"killed at {point}: {reached[-1]}" if killed else "not killed"
        run = self.project.run("destroy", "dev", "--yes", "--engine", self._engines[0])
        assert run.returncode == 0, f"{where}\n{run.stdout}{run.stderr}"
        assert list_live(self._kube, self.project) == {}, where
        assert not self.observe()["state"], where
        return len(reached)


@pytest.fixture
def embedded(make_quick_project: MakeProject, kube: KubeClient) -> Stack:
    project = make_quick_project("churn")
    return Stack(project, kube, run_embedded(project), (EMBEDDED,))


@pytest.fixture
def cli(
    make_quick_project: MakeProject, kube: KubeClient, local_cluster: LocalCluster
) -> Iterator[Stack]:
    project = make_quick_project("churn")
    proxy = FaultProxy(local_cluster.kubeconfig)
    lead_through(project, proxy)
    yield Stack(project, kube, run_cli(project, proxy), (EMBEDDED, CLI))
    proxy.stop()


def test_killed_up_is_finished_by_the_next_one(embedded: Stack) -> None:
    embedded.measure()
    chosen = random.Random(os.environ.get("SEED", "faults"))
    for turn in range(2):
        embedded.kill(chosen.random(), turn, again=False)


@pytest.mark.grid
@pytest.mark.parametrize("shard", range(SHARDS))
def test_up_killed_at_every_point(embedded: Stack, shard: int) -> None:
    embedded.measure()
    most = max(embedded.counts.values())
    for turn, point in enumerate(range(shard, most, SHARDS)):
        embedded.kill(point / most, turn)
    assert len(embedded.points) > most / SHARDS * 0.8


@pytest.mark.grid
def test_first_up_and_destroy_killed_in_between(embedded: Stack) -> None:
    embedded.measure()
    points = embedded.destroy(0, 0)
    for turn in range(12):
        embedded.kill(turn / 12, turn)
        embedded.destroy(turn / 12, points)


@pytest.mark.pulumi_cli
@pytest.mark.grid
@pytest.mark.parametrize("shard", range(CLI_SHARDS))
def test_killed_cli_is_finished_by_either_engine(cli: Stack, shard: int) -> None:
    cli.measure()
    most = max(cli.counts.values())
    # Each shard goes on where the one before stopped, so that both engines finish each step.
    for turn, point in enumerate(range(shard, most, CLI_SHARDS), shard):
        cli.kill(point / most, turn)
    # A shard has only a few turns, and in one of them the run may end before its point (`kill`).
    assert len(cli.points) > most / CLI_SHARDS * 0.6


@pytest.mark.pulumi_cli
@pytest.mark.grid
def test_first_up_and_destroy_of_the_cli_are_completed_after_a_kill(cli: Stack) -> None:
    cli.measure()
    points = cli.destroy(0, 0)
    for turn in range(4):
        cli.kill(turn / 4, turn)
        cli.destroy(turn / 4, points)
