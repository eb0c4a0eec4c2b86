"""Lists of names and near misses in messages."""

from __future__ import annotations

import pytest

from framework.core.suggestions import list_names, near_misses, suggest

NAMES = ["replicas", "rollout", "imagePullPolicy"]


def test_list_names_counts_the_names_after_the_eighth() -> None:
    assert list_names([]) == ""
    assert list_names(list("abcdefgh")) == "a, b, c, d, e, f, g, h"
    assert list_names(list("abcdefghij")) == "a, b, c, d, e, f, g, h and 2 more"


def test_near_misses_ignore_upper_and_lower_case() -> None:
    assert near_misses("imagepullpolicy", NAMES) == ["imagePullPolicy"]
    assert near_misses("Deploy", ["destroy"], cutoff=0.7) == []


@pytest.mark.parametrize(
    ("name", "known", "end"),
    [
        pytest.param("replcas", NAMES, '; did you mean "replicas"?', id="near miss"),
        pytest.param("x", NAMES, "; known: imagePullPolicy, replicas, rollout", id="list"),
        pytest.param("x", [], "", id="nothing known"),
    ],
)
def test_suggest_names_the_nearest_or_all(name: str, known: list[str], end: str) -> None:
    assert suggest(name, known) == end


def test_what_was_written_is_never_suggested() -> None:
    assert near_misses("replicas", ["replicas"]) == []
    assert near_misses("Replicas", ["replicas"]) == ["replicas"]
    assert suggest("replicas", ["replicas", "replica"]) == '; did you mean "replica"?'
