"""The time that a Pod may take to start: what counts, and a deadline that is shorter than it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from framework.plan.startup import count_seconds, list_startup_steps
from tests.plan.small_catalog import FILES, check, first_model, write_files

A, OVERLAY = "catalog/a.yaml", "environments/prod/models/a.yaml"
SIDECAR = "sidecars: {%s: {image: 'r/s:1', probes: {%s}}}\n"
STARTUP = "startup: {tcpSocket: {port: 1}, periodSeconds: 15, failureThreshold: §60}"


def mark(more: str) -> tuple[str, str]:
    """Returns the text of the model, and the position that § marks in it."""
    text = FILES[A] + more
    before = text.partition("§")[0].split("\n")
    return text.replace("§", ""), f"{A}:{len(before)}:{len(before[-1]) + 1}"


@pytest.mark.parametrize(
    ("more", "seconds"),
    [
        pytest.param("startupSeconds: §600\n", 600, id="startupSeconds"),
        # The startup probe is a copy of the readiness probe, with its delay.
        pytest.param("probes: {readiness: {initialDelaySeconds: §700}}\n", 760, id="delay"),
        pytest.param(
            "probes: {startup: {tcpSocket: {port: 1}}, readiness: {initialDelaySeconds: §700}}\n",
            700, id="the delay begins with the container",
        ),
        pytest.param(
            "probes: {startup: {tcpSocket: {port: 1}, failureThreshold: §90}}\n", 900,
            id="failureThreshold",
        ),
        pytest.param(
            "probes: {startup: {tcpSocket: {port: 1}, periodSeconds: 100, failureThreshold: §6}}\n",
            600, id="period",
        ),
        pytest.param(
            "probes: {readiness: {successThreshold: §60}}\n", 60 + 590, id="successes"
        ),
        pytest.param(
            "probes: {startup: false, readiness: {initialDelaySeconds: §700}}\n", 700,
            id="no startup probe",
        ),
        pytest.param(SIDECAR % ("s", STARTUP), 960, id="sidecar"),
        pytest.param(
            SIDECAR % ("s", "readiness: {tcpSocket: {port: 1}, initialDelaySeconds: §800}"), 800,
            id="a sidecar that is ready late",
        ),
        pytest.param(
            "lifecycle: {postStart: {sleepSeconds: §600}}\n", 660, id="a hook that sleeps"
        ),
        pytest.param(
            "patch: {Deployment: {spec: {template: {spec: {containers: [{name: model, "
            "startupProbe: {failureThreshold: §61}}]}}}}}\n", 610, id="patch",
        ),
    ],
)  # fmt: skip
def test_a_start_longer_than_the_deadline_is_reported_at_its_longest_part(
    tmp_path: Path, more: str, seconds: int
) -> None:
    text, position = mark(more)
    [diagnostic] = check(write_files(tmp_path, {A: text})).errors
    assert (diagnostic.position, diagnostic.code.value) == (position, "MC301")
    words = f"is 600, but a Pod may take {seconds} to start, and minReadySeconds is 0"
    assert words in diagnostic.message
    assert f"expected more than {seconds}" in diagnostic.message


def test_what_adds_nothing_to_a_start_is_not_its_cause(tmp_path: Path) -> None:
    quick = "startupSeconds: 3\nrollout: {progressDeadlineSeconds: %d}\n"
    zero = "rollout: {minReadySeconds: 0}\nprobes: {readiness: {initialDelaySeconds: 0}}\n"
    # The startup probe has two tries, which take up to 20 seconds; the start still counts as 3.
    root = write_files(tmp_path, {A: f"+{quick % 6}", OVERLAY: zero})
    assert check(root).errors == ()
    [diagnostic] = check(write_files(tmp_path, {A: f"+{quick % 3}", OVERLAY: zero})).errors
    assert diagnostic.path == A
    assert "a Pod may take 3 to start" in diagnostic.message


def test_the_later_of_deadline_and_start_is_reported_and_the_other_named(tmp_path: Path) -> None:
    changes = {A: "+startupSeconds: 300\n", OVERLAY: "rollout: {progressDeadlineSeconds: 200}\n"}
    [diagnostic] = check(write_files(tmp_path, changes)).errors
    assert diagnostic.position == f"{OVERLAY}:1:36"
    assert diagnostic.message.endswith(f"expected more than 300 (startupSeconds at {A}:4)")


def test_the_forecast_counts_the_same_start_as_the_check(tmp_path: Path) -> None:
    text, _ = mark(SIDECAR % ("s", STARTUP) + "rollout: {progressDeadlineSeconds: 961}\n")
    loaded = check(write_files(tmp_path, {A: text}))
    assert loaded.errors == ()
    [track] = first_model(loaded).tracks
    assert track.startup_seconds == 960
    # Four waves of one Pod.
    assert track.seconds == 4 * 960 + 961 + 60
    [deployment] = [m for m in first_model(loaded).manifests if m.kind == "Deployment"]
    assert deployment.timeout_seconds == track.seconds


PROBE = {"periodSeconds": 10, "failureThreshold": 6}
SIDE = {"name": "s", "restartPolicy": "Always", "startupProbe": PROBE}


@pytest.mark.parametrize(
    ("pod", "seconds"),
    [
        ({"containers": [{"name": "model"}]}, 45),
        ({"containers": [{"name": "model", "startupProbe": {**PROBE, "failureThreshold": 9}}]}, 90),
        # With 6 failures, the model's own probe is computed from the 45 seconds.
        ({"containers": [{"name": "model", "startupProbe": PROBE}]}, 45),
        ({"containers": [{"name": "model", "startupProbe": {"periodSeconds": 1}}]}, 3),
        ({"containers": [{"name": "model"}, {"name": "x", "startupProbe": PROBE}]}, 60),
        ({"containers": [{"name": "model"}], "initContainers": [{"name": "i"}]}, 45),
        ({"containers": [{"name": "model"}], "initContainers": [SIDE]}, 60 + 45),
        ({"containers": [{"name": "model"}], "initContainers": [SIDE, {**SIDE, "name": "t"}]}, 165),
        ({"containers": [{"name": "model", "startupProbe": "no mapping"}]}, 45),
        ({}, 0),
    ],
    ids=[
        "no probe", "own probe", "computed", "defaults of Kubernetes", "a second container",
        "init container", "sidecar", "sidecars start in turn", "a patch of another shape",
        "no containers",
    ],
)  # fmt: skip
def test_the_slowest_container_decides_when_a_pod_is_ready(
    pod: dict[str, Any], seconds: int
) -> None:
    assert count_seconds(list_startup_steps(pod, 45)) == seconds


@pytest.mark.parametrize(
    ("more", "threshold"),
    [
        ("", 7),
        ("startupSeconds: 90\n", 10),
        ("startupSeconds: 95\n", 11),
        ("startupSeconds: 1\n", 2),
        ("startupSeconds: 95\nprobes: {readiness: {failureThreshold: 7}}\n", 11),
        ("probes: {startup: {tcpSocket: {port: 1}, failureThreshold: 50}}\n", 50),
        ("startupSeconds: 95\nprobes: {startup: {httpGet: {}, failureThreshold: 11}}\n", 11),
        ("startupSeconds: 95\nprobes: {startup: {httpGet: {}, failureThreshold: null}}\n", 11),
        ("startupSeconds: null\nprobes: {startup: {httpGet: {}, failureThreshold: 7}}\n", 7),
        ("probes: {startup: false}\n", None),
        ("probes: {startup: {enabled: false}}\n", None),
        ("probes: {startup: {enabled: false, httpGet: {}}}\n", None),
        ("probes: {startup: false}\nstartupSeconds: 300\n", None),
        ("probes: {startup: null}\n", 7),
        ("probes: {readiness: null}\n", None),
    ],
)
def test_the_startup_probe_fails_as_often_as_is_written(
    tmp_path: Path, more: str, threshold: int | None
) -> None:
    loaded = check(write_files(tmp_path, {A: f"+{more}"}))
    assert loaded.errors == ()
    manifest = first_model(loaded).find("Deployment")
    assert manifest is not None
    probe = manifest.object["spec"]["template"]["spec"]["containers"][0].get("startupProbe")
    assert (probe and probe["failureThreshold"]) == threshold
    assert probe is None or "enabled" not in probe


@pytest.mark.parametrize(
    ("more", "message"),
    [
        pytest.param(
            "startupSeconds: 300\nprobes: {startup: {httpGet: {}, failureThreshold: §600}}\n",
            "probes.startup.failureThreshold is 600, and its last try comes after 5990 s, but "
            "startupSeconds is 300; expected 31, or only one of the two: null removes an inherited "
            f"one (startupSeconds at {A}:4)", id="two limits",
        ),
        pytest.param(
            "startupSeconds: 300\nprobes: {startup: {failureThreshold: §30}}\n",
            "probes.startup.failureThreshold is 30, and its last try comes after 290 s, but "
            "startupSeconds is 300; expected 31, or only one of the two: null removes an inherited "
            f"one (startupSeconds at {A}:4)", id="one try too few",
        ),
        pytest.param(
            "startupSeconds: 300\nprobes: {startup: false, liveness: §{httpGet: {}}}\n",
            "probes.liveness restarts the container after 20 s, but startupSeconds is 300, and no "
            "startup probe holds it back; expected a startup probe, or a larger "
            f"initialDelaySeconds (startupSeconds at {A}:4, probes.startup at {A}:5)",
            id="killed while it loads",
        ),
        pytest.param(
            "probes: {readiness: null, startup: §{failureThreshold: 60}}\n",
            "probes.startup has none of httpGet, tcpSocket, grpc and exec; expected exactly one",
            id="no probe to take the action from",
        ),
        pytest.param(
            "probes: {liveness: §{periodSeconds: 30}}\n",
            "probes.liveness has none of httpGet, tcpSocket, grpc and exec; expected exactly one",
            id="no action of liveness",
        ),
        pytest.param(
            "sidecars: {s: {image: 'r/s:1', probes: {readiness: §{periodSeconds: 3}}}}\n",
            "sidecars.s.probes.readiness has none of httpGet, tcpSocket, grpc and exec; expected "
            "exactly one", id="no action of readiness",
        ),
    ],
)  # fmt: skip
def test_contradicting_limits_of_a_start_are_errors(
    tmp_path: Path, more: str, message: str
) -> None:
    text, position = mark(more)
    [diagnostic] = check(write_files(tmp_path, {A: text})).errors
    assert (diagnostic.position, diagnostic.message) == (position, message)


READY = "readiness: {httpGet: {path: /ready}, periodSeconds: 5, initialDelaySeconds: 2}"


@pytest.mark.parametrize(
    ("startup", "expected"),
    [
        ("{failureThreshold: 60}", {"failureThreshold": 60, "periodSeconds": 5}),
        ("{periodSeconds: 20}", {"failureThreshold": 4, "periodSeconds": 20}),
        ("{initialDelaySeconds: 9}", {"failureThreshold": 13, "initialDelaySeconds": 9}),
        ("true", {"failureThreshold": 13, "initialDelaySeconds": 2}),
        ("{}", {"failureThreshold": 13, "initialDelaySeconds": 2}),
    ],
)
def test_a_startup_probe_without_an_action_is_laid_over_the_readiness_probe(
    tmp_path: Path, startup: str, expected: dict[str, Any]
) -> None:
    ready = READY.replace("}, p", "}, successThreshold: 2, p")
    root = write_files(tmp_path, {A: f"+probes: {{startup: {startup}, {ready}}}\n"})
    manifest = first_model(check(root)).find("Deployment")
    assert manifest is not None
    probe = manifest.object["spec"]["template"]["spec"]["containers"][0]["startupProbe"]
    assert probe["httpGet"]["path"] == "/ready"
    assert probe["successThreshold"] == 1
    assert probe.items() >= expected.items()


def test_a_partial_startup_probe_of_a_sidecar_takes_its_own_readiness_probe(tmp_path: Path) -> None:
    ready = READY.replace("/ready", "/ready, port: 1")
    text = SIDECAR % ("s", f"startup: {{failureThreshold: 60}}, {ready}")
    manifest = first_model(check(write_files(tmp_path, {A: f"+{text}"}))).find("Deployment")
    assert manifest is not None
    probe = manifest.object["spec"]["template"]["spec"]["initContainers"][0]["startupProbe"]
    assert (probe["httpGet"]["path"], probe["failureThreshold"]) == ("/ready", 60)


def test_a_long_start_points_at_the_readiness_probe_that_the_startup_probe_copies(
    tmp_path: Path,
) -> None:
    more = "probes: {startup: {failureThreshold: 9}, readiness: {initialDelaySeconds: §700}}\n"
    text, position = mark(more)
    [diagnostic] = check(write_files(tmp_path, {A: text})).errors
    assert (diagnostic.position, diagnostic.code.value) == (position, "MC301")
