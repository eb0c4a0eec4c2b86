"""References `$(NAME)` of Kubernetes: which names a text has, and in which order variables go."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framework.core.env_references import find_cycles, list_references, order_variables


def variables(*texts: str) -> list[dict[str, Any]]:
    """Returns variables from "A=text"; from a Secret without "="."""
    pairs = (text.partition("=") for text in texts)
    return [
        {"name": name, "value": value} if sign else {"name": name, "valueFrom": {}}
        for name, sign, value in pairs
    ]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("$(A)", ("A",)),
        ("http://$(HOST):$(PORT)/$(HOST)", ("HOST", "PORT")),
        ("$$(A)", ()),
        ("$$$(A)", ("A",)),
        ("$A ${A} $ (A) $(A", ()),
        ("$(a.b-c)", ("a.b-c",)),
        ("$(date +%s) $()", ()),
    ],
)
def test_references_are_those_that_kubernetes_expands(text: str, names: tuple[str, ...]) -> None:
    assert list_references(text) == names


ORDERS = {
    "in order already": (["A=1", "B=$(A)", "C"], "ABC"),
    "one too late": (["A=$(C)", "B=2", "C=3"], "CAB"),
    "from a Secret": (["A=$(C)", "B", "C"], "CAB"),
    "a chain": (["A=$(B)", "B=$(C)", "C=1"], "CBA"),
    "two needs": (["A=$(C)$(B)", "B=1", "C=$(D)", "D=2"], "DCBA"),
    "escaped": (["A=$$(B)", "B=1"], "AB"),
    "unknown": (["A=$(Z)", "B=1"], "AB"),
    "itself": (["B=1", "A=$(A)"], "BA"),
    "a cycle keeps its order": (["A=$(B)", "B=$(A)"], "BA"),
}


@pytest.mark.parametrize("case", ORDERS)
def test_variables_stand_after_those_they_refer_to(case: str) -> None:
    texts, expected = ORDERS[case]
    assert "".join(item["name"] for item in order_variables(variables(*texts))) == expected


@given(st.dictionaries(st.sampled_from("ABCDEF"), st.sets(st.sampled_from("ABCDEFX"))))
def test_order_is_complete_stable_and_expands_all_without_a_cycle(
    needs: dict[str, set[str]],
) -> None:
    texts = {name: "".join(f"$({other})" for other in sorted(o)) for name, o in needs.items()}
    items = variables(*(f"{name}={text}" for name, text in texts.items()))
    ordered = order_variables(items)
    assert sorted(map(str, ordered)) == sorted(map(str, items))
    assert order_variables(ordered) == ordered or [*find_cycles(texts)]
    if not [*find_cycles(texts)]:
        place = {item["name"]: index for index, item in enumerate(ordered)}
        for name, others in needs.items():
            assert all(place[o] < place[name] for o in others & needs.keys() - {name})


@pytest.mark.parametrize(
    ("texts", "cycles"),
    [
        ({"A": "$(B)", "B": "$(A)"}, [("A", "B")]),
        ({"X": "$(B)", "A": "$(B)", "B": "$(C)", "C": "$(A)"}, [("A", "B", "C")]),
        ({"A": "$(A)"}, []),
        ({"A": "$(B)", "B": "$$(A)"}, []),
        ({"A": "$(B)", "B": "$(A)", "C": "$(D)", "D": "$(C)"}, [("A", "B"), ("C", "D")]),
    ],
)
def test_cycles_are_found_once(texts: dict[str, str], cycles: list[tuple[str, ...]]) -> None:
    assert list(find_cycles(texts)) == cycles
