"""The stable code of every kind of fault, for people who search and machines that filter.

Kept apart, and free of any import of ours, so that every layer can name one. A code is never given
to another kind of fault; one that is no longer used is left out for good.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """MC0 files and YAML, MC1 settings, MC2 merging, MC3 what cannot work, MC4 the whole
    environment and its policy, MC9 warnings."""

    def __new__(cls, value: str, meaning: str) -> Code:
        member = str.__new__(cls, value)
        member._value_ = value
        member.meaning = meaning
        return member

    meaning: str

    UNREADABLE = "MC001", "a file or folder is missing or cannot be read"
    SYNTAX = "MC002", "the file is no valid YAML"
    DUPLICATE_KEY = "MC003", "a key stands twice in one mapping"
    AMBIGUOUS = "MC004", "a value that YAML readers understand differently, or none should"
    KEY_NOT_TEXT = "MC005", "a key that is no text"
    UNSUPPORTED_YAML = "MC006", "a tag, an anchor or a nesting that is not read"
    FILE_NAME = "MC007", "a file or folder has a name or an ending that is not read"
    UNKNOWN_MODEL = "MC031", "an overlay or a setting names a model that does not exist"
    UNKNOWN_PROFILE = "MC032", "a model lists a profile that does not exist, or lists it wrongly"
    MISPLACED_KEY = "MC033", "a key may not be set in this place"

    UNKNOWN_KEY = "MC101", "no setting of that name"
    MISSING_KEY = "MC102", "a setting that is needed is missing"
    BAD_NAME = "MC103", "a name of something, such as a port or a volume, that cannot be one"
    BAD_VALUE = "MC104", "a value of the wrong type, form or range"
    INCONSISTENT = "MC105", "settings contradict each other"
    BAD_PATCH = "MC106", "a patch that cannot be applied, or touches what it may not"

    SHAPE_CONFLICT = "MC201", "layers give one key different shapes"
    BAD_INTERPOLATION = "MC202", "an interpolation that is not complete or not allowed"
    MISSING_REFERENCE = "MC203", "an interpolation refers to what has no value"
    CIRCULAR_REFERENCE = "MC204", "interpolations refer to each other in a circle"

    BUDGET = "MC301", "a rolling-update budget that cannot work"
    SURGE_CAPACITY = "MC302", "an update needs more of a resource than the environment has"
    CANARY = "MC303", "a canary that leaves no room for the stable track, or cannot be sized"
    SERVER_VERSION = "MC304", "a feature newer than the environment's oldest server"
    RESERVED_LABEL = "MC305", "a label that the framework sets itself"

    NAME_CLASH = "MC401", "two models, or two environments, claim one name"
    ROUTE_CLASH = "MC402", "two models claim one host and path"
    CAPACITY = "MC403", "all models together need more than the environment has"
    POLICY = "MC404", "a rule of the environment's policy is broken"
    WAIVER = "MC405", "a waiver that is wrong, has expired or waives nothing"

    UNUSED_PROFILE = "MC901", "a profile that no model lists"
    DISABLED_OVERLAY = "MC902", "an overlay for a model that does not run there"
    SAME_VALUE = "MC903", "an override that equals what it overrides"

    @property
    def is_warning(self) -> bool:
        """Warnings are told and stop nothing."""
        return self.value.startswith("MC9")
