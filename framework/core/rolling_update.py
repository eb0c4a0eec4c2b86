"""The arithmetic of rolling updates, with the same rounding as the Deployment controller.

The rules are those of `ResolveFenceposts` in `pkg/controller/deployment/util/deployment_util.go` of
Kubernetes. All numbers are integers: as a float, 7 % of 100 is 7.000000000000001, rounded up 8.
"""

from __future__ import annotations

from dataclasses import dataclass

IntOrPercent = int | str

# Time for the API server, the scheduler and the watch.
SLACK_SECONDS = 60


def resolve_amount(value: IntOrPercent, replicas: int, *, round_up: bool) -> int:
    """Returns `value` of `replicas` Pods: 25 % of 3 is 1 rounded up, and 0 rounded down."""
    if isinstance(value, int):
        return value
    parts = int(value.removesuffix("%")) * replicas
    return -(-parts // 100) if round_up else parts // 100


@dataclass(frozen=True)
class Budget:
    """The Pods that a rolling update may add and remove, for one number of replicas."""

    replicas: int
    surge: int
    unavailable: int

    @property
    def waves(self) -> int:
        """Number of batches of the update: ceil(replicas / (surge + unavailable))."""
        return -(-self.replicas // (self.surge + self.unavailable)) if self.replicas else 0

    @property
    def peak(self) -> int:
        """Largest number of Pods at once."""
        return self.replicas + self.surge

    @property
    def minimum_available(self) -> int:
        """Smallest number of available Pods."""
        return max(0, self.replicas - self.unavailable)


def resolve_budget(replicas: int, max_surge: IntOrPercent, max_unavailable: IntOrPercent) -> Budget:
    """Resolves a budget as the Deployment controller does.

    Surge rounds up and unavailable rounds down. Zero and zero becomes one unavailable, because no
    Pod could be replaced otherwise: with 3 replicas, 0 and 25 % resolve to 0 and 0, so to 0 and 1.
    """
    surge = resolve_amount(max_surge, replicas, round_up=True)
    unavailable = resolve_amount(max_unavailable, replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    return Budget(replicas, surge, min(unavailable, replicas))


def resolve_canary_size(size: IntOrPercent, replicas: int) -> int:
    """Returns the number of Pods of the canary track: rounded up, at least one."""
    return max(1, resolve_amount(size, replicas, round_up=True))


def worst_case_seconds(
    budget: Budget, *, startup_seconds: int, min_ready_seconds: int, progress_deadline_seconds: int
) -> int:
    """Returns the seconds after which a rollout has certainly failed: the timeout of the wait."""
    seconds_per_wave = startup_seconds + min_ready_seconds
    return budget.waves * seconds_per_wave + progress_deadline_seconds + SLACK_SECONDS


@dataclass(frozen=True)
class Update:
    """The settings of one Deployment that the checks of its budget need, in Pods and seconds.

    `serves_alone` is False if another track keeps serving while this one is updated.
    """

    replicas: int
    max_surge: IntOrPercent
    max_unavailable: IntOrPercent
    startup_seconds: int
    min_ready_seconds: int
    progress_deadline_seconds: int
    disruption_min_available: IntOrPercent | None = None
    autoscaler_min_replicas: int | None = None
    serves_alone: bool = True


def find_budget_diagnostics(update: Update) -> list[tuple[str, str]]:
    """Returns the errors of a budget that cannot work, as (setting, message) pairs."""
    if update.max_surge in (0, "0%") and update.max_unavailable in (0, "0%"):
        message = (
            f"rollout.maxSurge is {update.max_surge} and rollout.maxUnavailable is "
            f"{update.max_unavailable}, so no Pod could ever be replaced; "
            "expected at least one of them above zero"
        )
        return [("rollout.maxUnavailable", message)]
    return [
        *_find_outage(update),
        *_find_short_deadline(update),
        *_find_autoscaler_conflict(update),
        *_find_disruption_conflict(update),
    ]


def _find_outage(update: Update) -> list[tuple[str, str]]:
    budget = resolve_budget(update.replicas, update.max_surge, update.max_unavailable)
    if update.replicas == 0 or budget.minimum_available > 0 or not update.serves_alone:
        return []
    return [
        (
            "rollout.maxUnavailable",
            f"with {_pods(update.replicas)}, rollout.maxUnavailable {update.max_unavailable} and "
            f"rollout.maxSurge {update.max_surge} come to {budget.unavailable} unavailable: an "
            "update would leave no Pod serving; expected maxUnavailable 0 with maxSurge 1 or "
            "more, or more replicas",
        )
    ]


def _find_short_deadline(update: Update) -> list[tuple[str, str]]:
    needed = update.startup_seconds + update.min_ready_seconds
    if update.progress_deadline_seconds > needed:
        return []
    return [
        (
            "rollout.progressDeadlineSeconds",
            f"rollout.progressDeadlineSeconds is {update.progress_deadline_seconds}, but a Pod may "
            f"take startupSeconds {update.startup_seconds} plus minReadySeconds "
            f"{update.min_ready_seconds}; expected more than {needed}",
        )
    ]


def _find_autoscaler_conflict(update: Update) -> list[tuple[str, str]]:
    smallest = update.autoscaler_min_replicas
    # At zero replicas no Pod serves, with or without an update.
    if not smallest:
        return []
    budget = resolve_budget(smallest, update.max_surge, update.max_unavailable)
    if budget.minimum_available > 0:
        return []
    return [
        (
            "autoscaling.minReplicas",
            f"autoscaling.minReplicas is {smallest}; at that size an update would leave no Pod "
            f"serving, with {budget.unavailable} unavailable; expected more, or "
            "rollout.maxUnavailable 0",
        )
    ]


def _find_disruption_conflict(update: Update) -> list[tuple[str, str]]:
    if update.disruption_min_available is None:
        return []
    smallest = update.autoscaler_min_replicas or update.replicas
    # A PodDisruptionBudget rounds percentages up, unlike maxUnavailable of a Deployment.
    wanted = resolve_amount(update.disruption_min_available, smallest, round_up=True)
    if wanted < smallest or smallest == 0:
        return []
    return [
        (
            "disruptionBudget.minAvailable",
            f"disruptionBudget.minAvailable {update.disruption_min_available} keeps {wanted} of "
            f"{_pods(smallest)}, so no node could ever be drained; expected at most {smallest - 1}",
        )
    ]


def _pods(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"
