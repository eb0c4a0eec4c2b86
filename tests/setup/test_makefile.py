"""The Makefile knows the options of the verbs."""

from __future__ import annotations

import re

from framework.cli.verbs import OPTIONS
from tests.shipped import ROOT


def test_makefile_passes_every_option_on() -> None:
    text = (ROOT / "Makefile").read_text()
    names = {
        list_name: set(re.search(rf"(?m)^{list_name} := (.*)", text)[1].split())  # type: ignore[index]
        for list_name in ("VALUES", "SWITCHES")
    }
    spelled = {name.upper().replace("-", "_"): option for name, option in OPTIONS.items()}
    assert names["SWITCHES"] == {name for name, option in spelled.items() if not option.metavar}
    assert names["VALUES"] == {name for name, option in spelled.items() if option.metavar}
