"""The Makefile and the command line have the same verbs and options."""

from __future__ import annotations

import re

from framework.cli.verbs import OPTIONS, VERBS
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


def test_makefile_describes_verbs_as_the_command_line_does() -> None:
    targets = dict(re.findall(r"(?m)^([a-z-]+):.*## (.+)$", (ROOT / "Makefile").read_text()))
    assert [verb.name for verb in VERBS if not targets[verb.name].startswith(verb.help)] == []
