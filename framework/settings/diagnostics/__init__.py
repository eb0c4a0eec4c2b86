"""What pydantic finds wrong in merged settings, as faults at the file:line:column that says it.

Kept apart from the settings classes, which know no files, and from merging, which knows no types.
"""

from framework.settings.diagnostics.validation import validate_layer, validate_settings
from framework.settings.diagnostics.wording import dotted

__all__ = ["dotted", "validate_layer", "validate_settings"]
