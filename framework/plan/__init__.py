"""The plan of one stack: plain data, and the store that it comes from."""

from framework.kinds.kind import Manifest
from framework.plan.manifest import ClusterTarget, ModelPlan, ObjectKey, StackPlan, TrackPlan
from framework.plan.store import LoadedPlan, LoadedPlans, PlanStore

__all__ = [
    "ClusterTarget",
    "LoadedPlan",
    "LoadedPlans",
    "Manifest",
    "ModelPlan",
    "ObjectKey",
    "PlanStore",
    "StackPlan",
    "TrackPlan",
]
