"""Patches: partial manifests in the settings, for fields that no setting covers."""

from framework.plan.patch.entries import list_parts, list_patches
from framework.plan.patch.merge import find_touched
from framework.plan.patch.model_patches import patch_plan

__all__ = ["find_touched", "list_parts", "list_patches", "patch_plan"]
