"""Forecasts the rollout of one Deployment, in Pods and in time, from the plan and its change."""

from __future__ import annotations

from dataclasses import dataclass, replace

from framework.core.changes import Change, Op
from framework.core.durations import render_duration
from framework.core.rolling_update import Budget, resolve_replacement
from framework.output.text import render_count
from framework.plan import TrackPlan


@dataclass(frozen=True)
class Rollout:
    """One rollout as it will be. `track` has its budget and times.

    A replacement by an object of another name or Namespace runs beside the old Deployment, `beside`
    (its name, with its Namespace where that differs), which is deleted afterwards. Any other
    replacement is `deleted_first`.
    """

    track: TrackPlan
    first: bool = False
    beside: str = ""
    deleted_first: bool = False


def build_rollout(track: TrackPlan, change: Change | None) -> Rollout:
    """Returns the rollout of a track's Deployment; `change` is that of the Deployment."""
    if change is None or change.op is not Op.REPLACE:
        return Rollout(track, first=change is not None and change.op is Op.CREATE)
    old = {field.path: field.old for field in change.fields}
    replicas = track.budget.replicas
    moved = old.get("metadata.namespace")
    if not moved and "metadata.name" not in old:
        down = (track.down_seconds or track.startup_seconds) if track.track == "stable" else 0
        budget = Budget(replicas, 0, replicas)
        return Rollout(replace(track, budget=budget, down_seconds=down), deleted_first=True)
    # The number of an autoscaled Deployment is not known here: as many as the new one may have.
    before = old.get("spec.replicas")
    before = before if isinstance(before, int) else replicas
    fewest = track.fewest_replicas if track.autoscaled else replicas
    budget = resolve_replacement(replicas, before, fewest)
    name = str(old.get("metadata.name") or track.deployment)
    beside = f"{moved}/{name}" if moved else name
    return Rollout(replace(track, budget=budget, down_seconds=0), beside=beside)


def render_forecast(rollout: Rollout) -> str:
    """Renders the forecast of one rollout.

    A first rollout replaces nothing: all its Pods start at once, so it has no waves.
    """
    track = rollout.track
    budget = track.budget
    replicas = render_count(budget.replicas, "replica")
    if track.autoscaled:
        # How many run is not known here; the forecast is for the largest number.
        replicas = f"autoscaled, with all {replicas}"
    longest = f"at most {render_duration(track.seconds)}"
    if rollout.first:
        return f"{replicas}, {longest}"
    serving = f"never below {budget.minimum_available}"
    if track.down_seconds:
        serving = f"down for about {render_duration(track.down_seconds)}"
    peak = f"peak {render_count(budget.peak, 'Pod')}"
    if rollout.beside:
        # The surge is the old Deployment.
        old = f"beside the {budget.surge} of {rollout.beside}, deleted afterwards"
        return f"{replicas} {old}: {peak}, {serving}, {longest}"
    if rollout.deleted_first:
        return f"{replicas}, the old ones are deleted first: {serving}, {longest}"
    if track.recreate:
        return f"{replicas}, Recreate: {serving}, {longest}"
    return (
        f"{replicas}, surge {budget.surge}, unavailable {budget.unavailable}: "
        f"{render_count(budget.waves, 'wave')}, {peak}, {serving}, {longest}"
    )
