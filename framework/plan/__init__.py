"""The plan of one stack: plain data between the settings and Pulumi.

Kept apart so that render, preview forecasts and most tests need neither Pulumi nor a cluster.
"""

from framework.kinds.kind import Manifest
from framework.plan.manifest import ClusterTarget, ModelPlan, StackPlan, TrackPlan
from framework.plan.survey import find_diagnostics, load_plan

__all__ = [
    "ClusterTarget",
    "Manifest",
    "ModelPlan",
    "StackPlan",
    "TrackPlan",
    "find_diagnostics",
    "load_plan",
]
