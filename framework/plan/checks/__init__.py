"""What merged models say that cannot work, breaks a rule, or is said in vain.

Owns every check that needs more than one value: of one model, over all models, over environments.
Kept apart from the schema, which knows one model's settings at a time, and from the plan, which
these guard. Each fault stands at the line that says it.
"""

from framework.plan.checks.all_models import find_shared_diagnostics
from framework.plan.checks.clashes import find_environment_clashes
from framework.plan.checks.one_model import ModelFacts, check_model
from framework.plan.checks.tracks import find_position
from framework.plan.checks.warnings import (
    Usage,
    add_usages,
    build_usage,
    find_shared_warnings,
    find_warnings,
)

__all__ = [
    "ModelFacts",
    "Usage",
    "add_usages",
    "build_usage",
    "check_model",
    "find_environment_clashes",
    "find_position",
    "find_shared_diagnostics",
    "find_shared_warnings",
    "find_warnings",
]
