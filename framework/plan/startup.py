"""Computes the longest time that a Pod may take to become ready from its probes and hooks.

It is read from the rendered Pod, so that sidecars, further containers and patches count too. The
forecast of a rollout and the check of its deadline both use it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from framework.core.field_paths import ItemKey, Step
from framework.plan.rendered import mapping_in, mappings_in
from framework.settings.probes import startup_failures
from framework.settings.reserved import MODEL_CONTAINER

# The API server's defaults of the fields that a patch may leave out.
_DEFAULTS = {
    "initialDelaySeconds": 0,
    "periodSeconds": 10,
    "failureThreshold": 3,
    "successThreshold": 1,
    "seconds": 0,
}


class StartupStep(NamedTuple):
    """One part of a start: the fields of one probe or hook of a container, and their seconds.

    `path` is the path in the Pod's `spec` of the probe or hook, () for the model's own
    `startupSeconds`. `fields` are its deciding fields, the one with the largest share first.
    """

    path: tuple[Step, ...]
    fields: tuple[str, ...]
    seconds: int


def list_startup_steps(pod: Mapping[str, Any], startup_seconds: int) -> list[StartupStep]:
    """Returns the steps that make the slowest start of a Pod; their seconds add up to it.

    `startup_seconds` limits the model's container if its startup probe is computed from it, or if
    the container has no startup probe.
    Sidecars start one after the other: each waits for the startup probe of the one before. Then
    the containers start at the same time, and the Pod is ready once the slowest of them is.
    https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers
    A sidecar with a startup probe of 60 x 15 s, and a model with one of 10 x 10 s, take 1000 s.
    Init containers that run to completion are not counted: nothing limits their time.
    """
    before: list[StartupStep] = []
    starts: list[list[StartupStep]] = []
    for container in mappings_in(pod, "initContainers"):
        if container.get("restartPolicy") == "Always":
            path = ("initContainers", ItemKey(str(container.get("name"))))
            started = [*_list_until_started(container, path, None)]
            starts.append([*before, *started, *_list_until_ready(container, path, started)])
            before += started
    for container in mappings_in(pod, "containers"):
        name = str(container.get("name"))
        path = ("containers", ItemKey(name))
        own_seconds = startup_seconds if name == MODEL_CONTAINER else None
        started = [*_list_until_started(container, path, own_seconds)]
        if own_seconds and not mapping_in(container, "startupProbe"):
            started.append(StartupStep((), ("startupSeconds",), startup_seconds))
        starts.append([*before, *started, *_list_until_ready(container, path, started)])
    return max(starts, key=count_seconds, default=[])


def count_seconds(steps: list[StartupStep]) -> int:
    """Returns the seconds that the steps take together."""
    return sum(step.seconds for step in steps)


def _list_until_started(
    container: Mapping[str, Any], path: tuple[Step, ...], startup_seconds: int | None
) -> Iterator[StartupStep]:
    """Yields what a container does until it is started: a sleeping postStart hook, then the probe.

    The kubelet probes no container before its postStart hook has ended. A probe that is computed
    from `startup_seconds` counts as `startup_seconds`: for 15 seconds with a period of 10, the
    probe has 3 tries, which take up to 30 seconds, and 15 are counted. Any other probe counts as
    the longest start that it allows, failures * period:
    https://kubernetes.io/docs/concepts/configuration/liveness-readiness-startup-probes
    """
    hook = mapping_in(mapping_in(container, "lifecycle"), "postStart")
    if slept := _number(mapping_in(hook, "sleep"), "seconds"):
        yield StartupStep((*path, "lifecycle", "postStart", "sleep"), ("seconds",), slept)
    if probe := mapping_in(container, "startupProbe"):
        delay, period = _number(probe, "initialDelaySeconds"), _number(probe, "periodSeconds")
        failures = _number(probe, "failureThreshold")
        tries = period * failures
        fields = ["failureThreshold", "periodSeconds"]
        if startup_seconds and failures == startup_failures(startup_seconds, period):
            tries, fields = startup_seconds, ["failureThreshold"]
        if delay:
            fields.insert(0 if delay > tries else 2, "initialDelaySeconds")
        yield StartupStep((*path, "startupProbe"), tuple(fields), delay + tries)


def _list_until_ready(
    container: Mapping[str, Any], path: tuple[Step, ...], started: list[StartupStep]
) -> Iterator[StartupStep]:
    """Yields what a readiness probe adds after the container is started.

    Its initial delay begins when the container runs, so that only what exceeds the start is added.
    The first success comes with the start; each further one takes a period.
    """
    probe = mapping_in(container, "readinessProbe")
    if not probe:
        return
    delay = _number(probe, "initialDelaySeconds") - count_seconds(started)
    if delay > 0:
        yield StartupStep((*path, "readinessProbe"), ("initialDelaySeconds",), delay)
    successes = _number(probe, "successThreshold") - 1
    if successes > 0:
        fields = ("successThreshold", "periodSeconds")
        seconds = successes * _number(probe, "periodSeconds")
        yield StartupStep((*path, "readinessProbe"), fields, seconds)


def _number(data: Mapping[str, Any], key: str) -> int:
    value = data.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else _DEFAULTS[key]
