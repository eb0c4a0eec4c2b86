"""Updates that take every Pod of a model away: refused, unless the model allows it itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from framework.output.forecasts import Rollout, render_forecast
from tests.plan.small_catalog import PROD, check, first_model, write_files

A, PROFILE = "catalog/a.yaml", "catalog/_profiles/server.yaml"
DEFAULTS, OVERLAY = "catalog/_defaults.yaml", "environments/prod/models/a.yaml"
ONE = "rollout: {maxSurge: 0, maxUnavailable: 1}\n"
ALONE = {"catalog/b.yaml": "enabled: false\n"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({A: f"+replicas: 1\n{ONE}"}, id="in the model"),
        pytest.param({A: "+replicas: 1\n", OVERLAY: ONE}, id="in its overlay"),
        pytest.param({A: "+replicas: 1\nrollout: {maxUnavailable: 100%}\n"}, id="all"),
        pytest.param({A: "+replicas: 2\nrollout: {maxUnavailable: 2}\n"}, id="two of two"),
        pytest.param(
            {A: f"+replicas: 1\n{ONE}", PROD: "+overrides: {rollout: {maxUnavailable: 1}}\n"},
            id="repeated by the environment",
        ),
        pytest.param(
            {A: "+canary: {candidate: {image: {tag: v2}}}\nreplicas: 1\nrollout: {strategy: "
             "Recreate}\n"}, id="Recreate beside a canary",
        ),
        pytest.param(
            {A: "+autoscaling: {minReplicas: 1, maxReplicas: 3, cpu: 50}\nrollout: {strategy: "
             "Recreate, maxUnavailable: 1}\n"}, id="Recreate with an autoscaler",
        ),
        pytest.param(
            {A: "+rollout: {strategy: Recreate, maxSurge: 0, maxUnavailable: 0}\n"},
            id="Recreate needs no budget",
        ),
        pytest.param(
            {A: "+replicas: 1\nresources: {limits: {nvidia.com/gpu: 1}}\nrollout: {strategy: "
             "Recreate}\n", PROD: "+capacity: {nvidia.com/gpu: 1}\n"}, id="one GPU, Recreate",
        ),
        pytest.param(
            {A: f"+replicas: 1\nresources: {{limits: {{nvidia.com/gpu: 1}}}}\n{ONE}",
             PROD: "+capacity: {nvidia.com/gpu: 1}\n"}, id="one GPU, maxUnavailable",
        ),
    ],
)  # fmt: skip
def test_a_model_may_be_down_where_it_says_so(tmp_path: Path, changes: dict[str, str]) -> None:
    assert check(write_files(tmp_path, changes)).errors == ()


@pytest.mark.parametrize(
    ("changes", "position"),
    [
        pytest.param({PROFILE: f"+{ONE}", A: "+replicas: 1\n"}, f"{A}:4:11", id="in a profile"),
        pytest.param(
            {PROD: "+overrides: {rollout: {maxUnavailable: 1}}\n", A: "+replicas: 1\n"},
            f"{PROD}:2:39", id="in the environment",
        ),
        pytest.param({A: f"+{ONE}", OVERLAY: "replicas: 1\n"}, f"{OVERLAY}:1:11",
                     id="said for more replicas"),
        pytest.param({A: "+replicas: 1\nrollout: {maxSurge: 0%, maxUnavailable: 25%}\n"},
                     f"{A}:5:41", id="rounded"),
        pytest.param(
            {A: f"+autoscaling: {{minReplicas: 1, maxReplicas: 3, cpu: 50}}\n{ONE}"}, f"{A}:4:28",
            id="at the smallest size",
        ),
    ],
)  # fmt: skip
def test_a_model_that_would_be_down_unawares_is_an_error_with_both_ways_out(
    tmp_path: Path, changes: dict[str, str], position: str
) -> None:
    [diagnostic] = check(write_files(tmp_path, changes | ALONE)).errors
    assert (diagnostic.position, diagnostic.code.value) == (position, "MC301")
    assert "rollout.strategy: Recreate" in diagnostic.message


def test_a_surge_without_a_spare_gpu_names_both_ways_out(tmp_path: Path) -> None:
    changes = {A: "+replicas: 1\nresources: {limits: {nvidia.com/gpu: 1}}\n"}
    root = write_files(tmp_path, changes | {PROD: "+capacity: {nvidia.com/gpu: 1}\n"})
    [diagnostic] = check(root).errors
    assert (diagnostic.position, diagnostic.code.value) == (f"{A}:5:38", "MC302")
    words = "rollout.strategy: Recreate, or maxSurge: 0 with maxUnavailable: 1"
    assert words in diagnostic.message


@pytest.mark.parametrize(
    ("more", "forecast"),
    [
        pytest.param(
            "replicas: 3\nrollout: {strategy: Recreate}\n",
            "3 replicas, Recreate: down for about 1m30s, at most 12m30s", id="Recreate",
        ),
        pytest.param(
            f"replicas: 1\n{ONE}",
            "1 replica, surge 0, unavailable 1: 1 wave, peak 1 Pod, down for about 1m30s, at most "
            "12m30s", id="without a surge",
        ),
        pytest.param(
            "replicas: 1\nrollout: {maxSurge: 1, maxUnavailable: 1}\n",
            "1 replica, surge 1, unavailable 1: 1 wave, peak 2 Pods, down for about 1m, at most "
            "12m",
            id="with a surge",
        ),
        pytest.param(
            "replicas: 1\nrollout: {maxSurge: 1, maxUnavailable: 0}\n",
            "1 replica, surge 1, unavailable 0: 1 wave, peak 2 Pods, never below 1, at most 12m",
            id="never down",
        ),
    ],
)  # fmt: skip
def test_the_forecast_says_how_long_a_model_is_down(
    tmp_path: Path, more: str, forecast: str
) -> None:
    loaded = check(write_files(tmp_path, {A: f"+{more}"}))
    assert loaded.errors == ()
    [track] = first_model(loaded).tracks
    assert render_forecast(Rollout(track)) == forecast


@pytest.mark.parametrize(
    ("more", "words"),
    [
        pytest.param("scheduling: {hostNetwork: true}\n", "takes port 8080", id="network"),
        pytest.param(
            "patch: {Deployment: {spec: {template: {spec: {hostNetwork: true}}}}}\n",
            "takes port 8080", id="patched network",
        ),
        pytest.param(
            "patch: {Deployment: {spec: {template: {spec: {containers: [{name: model, ports: "
            "[{containerPort: 8080, hostPort: 90}]}]}}}}}\n", "takes port 90", id="port",
        ),
    ],
)  # fmt: skip
def test_a_port_of_the_node_is_refused_beside_a_surge(
    tmp_path: Path, more: str, words: str
) -> None:
    [diagnostic] = check(write_files(tmp_path, {A: f"+{more}"})).errors
    assert (diagnostic.code.value, diagnostic.path) == ("MC301", A)
    assert words in diagnostic.message
    root = write_files(tmp_path, {A: f"+{more}{ONE}"})
    assert check(root).errors == ()


BUDGET = "disruptionBudget: {%s}\n"


@pytest.mark.parametrize(
    ("more", "works"),
    [
        ("maxUnavailable: 0", False),
        ("maxUnavailable: 0%", False),
        ("maxUnavailable: 1", True),
        ("maxUnavailable: 1%", True),
        ("minAvailable: 4", False),
        ("minAvailable: 5", False),
        ("minAvailable: 100%", False),
        ("minAvailable: 76%", False),
        ("minAvailable: 75%", True),
        ("minAvailable: 0", True),
        ("minAvailable: 3", True),
    ],
)
def test_a_disruption_budget_that_blocks_every_drain_is_refused(
    tmp_path: Path, more: str, works: bool
) -> None:
    errors = check(write_files(tmp_path, {A: f"+{BUDGET % more}"})).errors
    assert [error.code.value for error in errors] == ([] if works else ["MC301"])
    assert all("no node could ever be drained" in error.message for error in errors)


def test_a_blocked_drain_of_a_model_that_scales_to_zero_names_the_limit(tmp_path: Path) -> None:
    own = "autoscaling: {external: true, minReplicas: 0, maxReplicas: 3}\n"
    files = {A: f"+{own}disruptionBudget: {{minAvailable: 3}}\n"}
    (error,) = check(write_files(tmp_path, files)).errors
    assert "autoscaling.maxReplicas at catalog/a.yaml:4" in error.message


@pytest.mark.parametrize(
    ("changes", "position"),
    [
        pytest.param(
            {A: f"+{BUDGET % 'minAvailable: 2'}autoscaling: {{minReplicas: 3, maxReplicas: 9, cpu: "
             "50}\n", OVERLAY: "autoscaling: {minReplicas: 1}\n"}, f"{OVERLAY}:1:28",
            id="an autoscaler's minimum",
        ),
        pytest.param(
            {A: f"+{BUDGET % 'minAvailable: 2'}", OVERLAY: "replicas: 2\n"}, f"{OVERLAY}:1:11",
            id="replicas",
        ),
        pytest.param(
            {PROFILE: "+replicas: 2\n", A: f"+{BUDGET % 'minAvailable: 2'}"}, f"{A}:4:34",
            id="the budget itself",
        ),
        pytest.param(
            {A: "+rollout: {maxSurge: 0}\n", PROD: "+overrides: {rollout: {maxUnavailable: 0}}\n"},
            f"{PROD}:2:39", id="zero and zero, from two layers",
        ),
        pytest.param(
            {PROFILE: "+rollout: {progressDeadlineSeconds: 50}\n", A: "+startupSeconds: 50\n"},
            f"{A}:4:17", id="a start",
        ),
    ],
)  # fmt: skip
def test_a_contradiction_of_layers_is_reported_at_the_latest(
    tmp_path: Path, changes: dict[str, str], position: str
) -> None:
    [diagnostic] = check(write_files(tmp_path, changes | ALONE)).errors
    assert (diagnostic.position, diagnostic.code.value) == (position, "MC301")
    # The message names the file and line of the other setting.
    assert diagnostic.message.endswith(")")
    assert " at " in diagnostic.message.rpartition("(")[2]
