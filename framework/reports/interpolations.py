"""The texts with interpolations in a written value.

Kept apart from resolving, which OmegaConf does: a report only follows what has been resolved.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_ESCAPED = re.compile(r"\\\$\{")


def find_texts(value: Any) -> Iterator[str]:
    """The texts with an interpolation in a written value, in its lists too."""
    if isinstance(value, str):
        if "${" in _ESCAPED.sub("", value):
            yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from find_texts(child)
