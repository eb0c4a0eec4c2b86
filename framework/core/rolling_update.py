"""The arithmetic of rolling updates, with the same rounding as the Deployment controller.

The rules are those of `ResolveFenceposts` in `pkg/controller/deployment/util/deployment_util.go` of
Kubernetes. All numbers are integers: as a float, 7 % of 100 is 7.000000000000001, rounded up 8.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from framework.core.diagnostics import Code, KeyPath, SettingDiagnostic

IntOrPercent = int | str

# Time for the API server, the scheduler and the watch.
SLACK_SECONDS = 60


def resolve_amount(value: IntOrPercent, replicas: int, *, round_up: bool) -> int:
    """Returns `value` of `replicas` Pods: 25 % of 3 is 1 rounded up, and 0 rounded down."""
    if isinstance(value, int):
        return value
    # Floor division of the negative rounds up: -(-75 // 100) is 1.
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


def resolve_budget(
    replicas: int,
    max_surge: IntOrPercent,
    max_unavailable: IntOrPercent,
    *,
    recreate: bool = False,
) -> Budget:
    """Resolves a budget as the Deployment controller does.

    The strategy Recreate (`recreate`) ignores the two amounts: every Pod stops before a new one
    starts.

    Surge rounds up and unavailable rounds down. Zero and zero becomes one unavailable, because no
    Pod could be replaced otherwise: with 3 replicas, 0 and 25 % resolve to 0 and 0, so to 0 and 1.
    """
    if recreate:
        return Budget(replicas, 0, replicas)
    surge = resolve_amount(max_surge, replicas, round_up=True)
    unavailable = resolve_amount(max_unavailable, replicas, round_up=False)
    if surge == 0 and unavailable == 0:
        unavailable = 1
    # With 2 replicas, `maxUnavailable: 5` lets 2 Pods go, not 5: the sums below count Pods that
    # exist.
    return Budget(replicas, surge, min(unavailable, replicas))


def resolve_replacement(replicas: int, before: int, fewest: int) -> Budget:
    """Returns the budget where a new Deployment starts beside the old one of `before` Pods.

    Its own strategy has no effect: all its Pods start at once, and the old ones serve until then.
    `fewest` is the number that it starts with: less than `replicas` under an autoscaler. For
    example, 3 Pods in place of 2 have a peak of 5, and 2 serve at least.
    """
    return Budget(replicas, before, max(0, replicas - min(before, fewest)))


def resolve_canary_size(size: IntOrPercent, replicas: int) -> int:
    """Returns the number of Pods of the canary track: rounded up, at least one."""
    return max(1, resolve_amount(size, replicas, round_up=True))


def worst_case_seconds(
    budget: Budget, *, startup_seconds: int, min_ready_seconds: int, progress_deadline_seconds: int
) -> int:
    """Returns the seconds after which a rollout has certainly failed: the timeout of the wait."""
    # Each wave may take its full time before the last one makes no more progress. The controller
    # reports that after the deadline, which begins again with every Pod that becomes ready.
    seconds_per_wave = startup_seconds + min_ready_seconds
    return budget.waves * seconds_per_wave + progress_deadline_seconds + SLACK_SECONDS


@dataclass(frozen=True)
class Update:
    """The settings of one Deployment that the checks of its budget need, in Pods and seconds.

    `startup_seconds` is the longest that a Pod may take to become ready, and `startup_causes` are
    the settings that decide it, the one with the largest share first. `serves_alone` is False if
    another track keeps serving while this one is updated, `may_be_down` is True where the model
    declares explicitly that it may be down during an update.
    """

    replicas: int
    max_surge: IntOrPercent
    max_unavailable: IntOrPercent
    startup_seconds: int
    min_ready_seconds: int
    progress_deadline_seconds: int
    disruption_min_available: IntOrPercent | None = None
    disruption_max_unavailable: IntOrPercent | None = None
    autoscaler_min_replicas: int | None = None
    serves_alone: bool = True
    may_be_down: bool = False
    recreate: bool = False
    startup_causes: tuple[KeyPath, ...] = (("startupSeconds",),)

    @property
    def replicas_setting(self) -> KeyPath:
        """The setting that decides `replicas`: the autoscaler's limit where there is one."""
        return _REPLICAS if self.autoscaler_min_replicas is None else _MAX_REPLICAS

    def resolve(self, replicas: int) -> Budget:
        """Returns the budget of this update at another number of replicas."""
        return resolve_budget(
            replicas, self.max_surge, self.max_unavailable, recreate=self.recreate
        )


_MAX_UNAVAILABLE: KeyPath = ("rollout", "maxUnavailable")
_MAX_SURGE: KeyPath = ("rollout", "maxSurge")
_DEADLINE: KeyPath = ("rollout", "progressDeadlineSeconds")
_MIN_READY: KeyPath = ("rollout", "minReadySeconds")
_REPLICAS: KeyPath = ("replicas",)
_MIN_REPLICAS: KeyPath = ("autoscaling", "minReplicas")
_MAX_REPLICAS: KeyPath = ("autoscaling", "maxReplicas")

MAY_BE_DOWN = (
    "where the model may be down during an update, rollout.strategy: Recreate, or maxSurge: 0 with "
    "maxUnavailable: 1"
)
"""The ways to say that an update may take the only Pod of a model away."""


def find_budget_diagnostics(update: Update) -> list[SettingDiagnostic]:
    """Returns the errors of a budget that cannot work, each with all settings that cause it."""
    if (
        not update.recreate
        and update.max_surge in (0, "0%")
        and update.max_unavailable in (0, "0%")
    ):
        message = (
            f"is {update.max_unavailable} and rollout.maxSurge is {update.max_surge}, so no Pod "
            "could ever be replaced; expected at least one of them above zero, or "
            "rollout.strategy: Recreate, which stops every Pod first"
        )
        return [SettingDiagnostic(_MAX_UNAVAILABLE, message, Code.BUDGET, (_MAX_SURGE,))]
    return [
        *_find_outage(update),
        *_find_short_deadline(update),
        *_find_autoscaler_conflict(update),
        *_find_disruption_conflict(update),
    ]


def _find_outage(update: Update) -> Iterator[SettingDiagnostic]:
    budget = update.resolve(update.replicas)
    allowed = update.recreate or update.may_be_down or not update.serves_alone
    if update.replicas == 0 or budget.minimum_available > 0 or allowed:
        return
    yield SettingDiagnostic(
        _MAX_UNAVAILABLE,
        f"{update.max_unavailable} and rollout.maxSurge {update.max_surge} come to "
        f"{budget.unavailable} unavailable with {_pods(update.replicas)}: an update would leave "
        "no Pod serving; expected maxUnavailable 0 with maxSurge 1 or more, or more replicas, or, "
        f"{MAY_BE_DOWN}, set for this model where its replicas are set",
        Code.BUDGET,
        (_MAX_SURGE, update.replicas_setting),
    )


def _find_short_deadline(update: Update) -> Iterator[SettingDiagnostic]:
    """Yields an error where the deadline passes while a healthy Pod still starts.

    The controller counts a ready Pod as progress, and the Pod must then stay ready for
    minReadySeconds (`DeploymentProgressing` in deployment_util.go). The sum of the two leaves room
    for the Pod to be scheduled and for its image to be pulled, which nothing limits.
    """
    deadline = update.progress_deadline_seconds
    needed = update.startup_seconds + update.min_ready_seconds
    if deadline <= needed:
        yield SettingDiagnostic(
            _DEADLINE,
            f"is {deadline}, but a Pod may take {update.startup_seconds} to start, and "
            f"minReadySeconds is {update.min_ready_seconds}; expected more than {needed}",
            Code.BUDGET,
            (*update.startup_causes, *([_MIN_READY] if update.min_ready_seconds else [])),
        )


def _find_autoscaler_conflict(update: Update) -> Iterator[SettingDiagnostic]:
    smallest = update.autoscaler_min_replicas
    # At zero replicas no Pod serves, with or without an update.
    if not smallest or update.recreate:
        return
    budget = update.resolve(smallest)
    if budget.minimum_available <= 0:
        yield SettingDiagnostic(
            _MIN_REPLICAS,
            f"is {smallest}; at that size an update would leave no Pod serving, with "
            f"{budget.unavailable} unavailable; expected more, or rollout.maxUnavailable 0, or, "
            "where the model may be down during an update, rollout.strategy: Recreate",
            Code.BUDGET,
            (_MAX_UNAVAILABLE, _MAX_SURGE),
        )


def _find_disruption_conflict(update: Update) -> Iterator[SettingDiagnostic]:
    """Yields an error where a PodDisruptionBudget refuses every eviction: no node can be drained.

    Percentages of both settings round up (`getExpectedPodCount` in disruption.go), unlike
    maxUnavailable of a Deployment: 1% of 3 Pods lets one go, and 67% keeps all 3.
    """
    smallest = update.autoscaler_min_replicas or update.replicas
    if smallest == 0:
        return
    if update.disruption_max_unavailable in (0, "0%"):
        yield SettingDiagnostic(
            ("disruptionBudget", "maxUnavailable"),
            f"is {update.disruption_max_unavailable}, so no node could ever be drained; expected 1 "
            "or more, or disruptionBudget: null for no budget",
            Code.BUDGET,
        )
    if update.disruption_min_available is None:
        return
    wanted = resolve_amount(update.disruption_min_available, smallest, round_up=True)
    if wanted >= smallest:
        most = f"at most {smallest - 1}" if smallest > 1 else "maxUnavailable: 1 in its place"
        yield SettingDiagnostic(
            ("disruptionBudget", "minAvailable"),
            f"{update.disruption_min_available} keeps {wanted} of {_pods(smallest)}, so no node "
            f"could ever be drained; expected {most}, or more replicas",
            Code.BUDGET,
            (_MIN_REPLICAS if update.autoscaler_min_replicas else update.replicas_setting,),
        )


def _pods(count: int) -> str:
    return f"{count} replica" if count == 1 else f"{count} replicas"
