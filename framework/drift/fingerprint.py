"""The fingerprint of a finding: the same in every night and on every machine."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

from framework.core.stack import Stack
from framework.drift.report import Finding

LENGTH = 12
"""Hexadecimal digits. Of 100,000 findings two are equal with a probability of 2 in 100,000."""


def build_fingerprint(stack: Stack, finding: Finding) -> str:
    """Returns the fingerprint: stack, kind of difference, object and field, and nothing else.

    Values, times and UIDs are left out, because the next night would change them: a field that
    somebody sets again is the same finding, and so is an object that is recreated again.
    """
    # As JSON, because a separator could be a part of a path.
    parts = [stack.name, finding.kind.value, finding.type, finding.object, finding.path]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:LENGTH]


def with_fingerprint(stack: Stack, finding: Finding) -> Finding:
    """Returns the finding with its `id`."""
    return replace(finding, id=build_fingerprint(stack, finding))
