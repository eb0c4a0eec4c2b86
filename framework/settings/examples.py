"""An example of every setting, and the unit of every number whose name does not say it.

Kept apart from the classes, where each setting has its type and its meaning: one table, in the
language of the settings, is easier to keep complete. It is examples.yaml beside this module.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Keyed = dict[tuple[str, str], Any]


def _load_table(part: str) -> Keyed:
    text = Path(__file__).with_name("examples.yaml").read_text(encoding="utf-8")
    return {
        (name, key): value
        for name, of_class in yaml.safe_load(text)[part].items()
        for key, value in of_class.items()
    }


# By settings class and key.
EXAMPLES: Keyed = _load_table("examples")
UNITS: Keyed = _load_table("units")

# No setting: it is read from the model's own file before anything is merged.
PROFILES: dict[str, Any] = {
    "description": "The profiles the model takes, later wins; only the model's own file says it.",
    "type": "array",
    "items": {"type": "string", "minLength": 1},
    "uniqueItems": True,
    "examples": [["mlserver", "cpu-small"]],
}
