"""Different values never look the same, in any report."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from html import unescape
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.core.changes import Difference as PlanDifference
from framework.core.changes import FieldChange, Op, ReviewedChange
from framework.core.stack import Stack
from framework.drift.report import DriftReport, Finding, FindingKind
from framework.drift.run import DriftRun
from framework.output.diff_environments import render_across
from framework.output.diff_markdown import render_across_markdown, render_since_markdown
from framework.output.drift import render_drift
from framework.output.drift_html import render_drift_html
from framework.output.drift_markdown import render_drift_markdown
from framework.output.drift_sarif import render_sarif
from framework.output.explain import render_explained
from framework.output.models import TrackStatus, _render_images, _render_track
from framework.output.plan_file import render_differences
from framework.output.values import list_changed_lines, render_apart, render_field, render_values
from framework.reports.comparison import (
    CommitComparison,
    Comparison,
    Difference,
    ModelDifference,
    ObjectDifference,
)
from framework.reports.explain import ExplainedSetting, OverriddenValue
from framework.reports.listing import ListedModel, ListedTracks

SPACES = [" ", "  ", "\u00a0", "\u200b", "\t", "\n", "\r\n", "\u3164", "\u2028", "\x1b"]
texts = st.text(st.sampled_from("ab1.:/-_ \n\"'|`<&*#@$\\\u00e9"), max_size=90)
scalars = texts | st.booleans() | st.integers(-3, 99) | st.floats(allow_nan=False)
documents = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[Any, Any]:
    """Draws two different values, mostly such as differ little."""
    first = draw(documents)
    kind = draw(st.sampled_from(["space", "character", "type", "other"]))
    second: Any = draw(documents)
    if kind == "type":
        second = first if not isinstance(first, str) else second
        second = json.dumps(second)
    elif kind != "other":
        first = draw(texts) * draw(st.integers(1, 4))
        at = draw(st.integers(0, len(first)))
        inserted = draw(st.sampled_from(SPACES)) if kind == "space" else draw(texts)
        second = first[:at] + inserted + first[at:]
    return first, second


def are_equal(old: Any, new: Any) -> bool:
    return json.dumps(old, sort_keys=True) == json.dumps(new, sort_keys=True)


def look(text: str) -> str:
    """Returns what a browser shows of a text: spaces are joined, comments left out.

    The lines of a diff are in a code block or in `<pre>`, where spaces stay.
    """
    text = re.sub("(?s)<pre>.*?</pre>", _keep_spaces, text)
    text = re.sub("<!-- -->|[\u200b\u2028\u3164]", "", unescape(text))
    return " ".join(re.sub(r"(?m)^ *[-+].*", _mark_spaces, text).split())


def _keep_spaces(block: re.Match[str]) -> str:
    return re.sub(" +(?=</|$)", "", block[0], flags=re.MULTILINE).replace(" ", "_")


def _mark_spaces(line: re.Match[str]) -> str:
    return line[0].rstrip().replace(" ", "_")


IMAGES = [
    ("registry-a.example.com/team/mlserver:1.7.0", "evil.example.com/x/mlserver:1.7.0"),
    ("registry-a.example.com/team/mlserver:1.7.0", "evil.example.com/x/mlserver:1.8.0"),
    ("docker.io/mlserver:1", "mlserver:1"),
]
PAIRS: list[tuple[Any, Any]] = [
    ("abc", "abc\n"),
    ("a b", "a  b"),
    ("a b", "a\u00a0b"),
    ("abc", "ab\u200bc"),
    (5, "5"),
    (True, "true"),
    ("null", "None"),
    ("", '""'),
    ("a\x1b", "a\\x1b"),
    ("x" * 80 + "a", "x" * 80 + "b"),
    ("x" * 57 + "...", "x" * 90),
    ("x" * 60, "x" * 61),
    ("\u200b" + "x" * 80 + "a", "x" * 80 + "b"),
    ({"a": [*range(30)], "z": 1}, {"a": [*range(30)], "z": 2}),
    ({"replicas": 3}, {"replicas": "3"}),
    ("-XX:+UseG1GC -XX:MaxRAMPercentage=75.0 -Xmx4g", "-XX:+UseG1GC -XX:MaxRAMPercentage=75.0"),
    ("a\nb", "a\nb\n"),
    ("a\nb\n", "a\r\nb\r\n"),
    ("a\n  b\nc", "a\nb\nc"),
    ("a\n-- b\n", "a\n"),
    (" x -> y ", "x -> y"),
]


def check_drift(old: Any, new: Any, path: str) -> DriftRun:
    finding = Finding(
        FindingKind.CHANGED,
        "kubernetes:apps/v1:Deployment",
        "ml-prod/chat",
        model="chat",
        path=path,
        desired=old,
        recorded=old,
        live=new,
        id="d29a2d4f2af7a5b1",
    )
    checked = datetime(2026, 11, 20, 3, tzinfo=UTC)
    report = DriftReport(Stack.of("prod"), (finding,), checked=checked)
    return DriftRun("prod", checked, (report,))


def compare_models(old: Any, new: Any, path: str, *, rendered: bool) -> Comparison:
    difference = (Difference(path, old, new),)
    objects = (ObjectDifference("Deployment", "chat", "changed", difference),)
    model = ModelDifference(
        "chat",
        "changed",
        settings=() if rendered else difference,
        objects=objects if rendered else (),
    )
    return Comparison("prod", "changed", models=(model,))


def render_plan(old: Any, new: Any, path: str) -> str:
    sides = [
        ReviewedChange(Op.UPDATE, (FieldChange(path, "before", value),), takes_over=False)
        for value in (old, new)
    ]
    return render_differences([PlanDifference("Deployment chat", ("catalog",), *sides)])


def explain(old: Any, new: Any, path: str) -> str:
    overridden = (OverriddenValue(old, "catalog/chat.yaml:3:1"),)
    return render_explained([ExplainedSetting(path, new, "a.yaml:1:1", overrode=overridden)])


SINCE = CommitComparison("HEAD~1", "a" * 40, None, ())
NAMES = ("dev", "prod")
RENDERERS: dict[str, Callable[[Any, Any, str], str]] = {
    "drift, terminal": lambda *change: render_drift(check_drift(*change)),
    "drift, Markdown, causes": lambda *change: next(
        line
        for line in render_drift_markdown(check_drift(*change)).splitlines()
        if line.startswith(("| serving", "| other", "| budgets", "| labels"))
    ),
    "drift, Markdown, details": lambda *change: next(
        line
        for line in render_drift_markdown(check_drift(*change)).splitlines()
        if "d29a2d4f2af7a5b1" in line
    ),
    "drift, SARIF": lambda *change: render_sarif(check_drift(*change)),
    "drift, HTML": lambda *change: render_drift_html(check_drift(*change)),
    "preview": lambda old, new, path: render_field(path, FieldChange(path, old, new)),
    "diff, terminal": lambda *change: render_across(compare_models(*change, rendered=True), NAMES),
    "diff of settings, terminal": lambda *change: render_across(
        compare_models(*change, rendered=False), NAMES
    ),
    "diff, Markdown, table": lambda *change: next(
        line
        for line in render_since_markdown(
            compare_models(*change, rendered=True), SINCE
        ).splitlines()
        if line.startswith("| chat")
    ),
    "diff, Markdown, details": lambda *change: render_since_markdown(
        compare_models(*change, rendered=True), SINCE
    ).partition("<details>")[2],
    "diff of settings, Markdown": lambda *change: render_across_markdown(
        compare_models(*change, rendered=False), NAMES
    ),
    "plan": render_plan,
    "explain": explain,
}


def check(render: Callable[[Any, Any, str], str], old: Any, new: Any, path: str) -> None:
    """A report whose two sides look the same is also the report of the change back."""
    assert look(render(old, new, path)) != look(render(new, old, path))


each_renderer = pytest.mark.parametrize(
    "render", [pytest.param(render, id=name) for name, render in RENDERERS.items()]
)


@each_renderer
@pytest.mark.parametrize(("old", "new"), PAIRS, ids=repr)
def test_report_shows_that_values_differ(
    render: Callable[[Any, Any, str], str], old: Any, new: Any
) -> None:
    check(render, old, new, "spec.value")


@each_renderer
@pytest.mark.parametrize(("old", "new"), IMAGES)
def test_report_shows_that_the_registry_of_an_image_differs(
    render: Callable[[Any, Any, str], str], old: str, new: str
) -> None:
    path = "spec.template.spec.containers[model].image"
    check(render, old, new, path)
    assert "evil.example.com" in render(old, new, path) or "docker.io" in render(old, new, path)


@each_renderer
@settings(max_examples=15, deadline=None)
@given(pair=pairs())
def test_report_shows_that_random_values_differ(
    render: Callable[[Any, Any, str], str], pair: tuple[Any, Any]
) -> None:
    # Python holds 1, 1.0 and True equal, so no comparison reports them.
    if not are_equal(*pair) and pair[0] != pair[1]:
        check(render, *pair, "spec.value")


@settings(max_examples=150, deadline=None)
@given(pair=pairs(), third=documents, most=st.sampled_from([40, 60, 200, None]))
def test_three_values_are_shown_apart(pair: tuple[Any, Any], third: Any, most: int | None) -> None:
    values = [*pair, third]
    shown = render_apart(values, max_length=most)
    for one, other in combinations(range(3), 2):
        if not are_equal(values[one], values[other]):
            assert look(shown[one]) != look(shown[other])


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        ("ghcr.io/a/mlserver:1.6", "ghcr.io/a/mlserver:1.7", "mlserver:1.6 -> mlserver:1.7"),
        ("ghcr.io/a/mlserver:1", "evil.io/a/mlserver:1", None),
        (None, "evil.io/a/mlserver:1", "added evil.io/a/mlserver:1"),
    ],
)
def test_image_is_shortened_only_if_its_registry_stays(
    old: str | None, new: str, shown: str | None
) -> None:
    assert render_values(FieldChange("a.image", old, new)) == (shown or f"{old} -> {new}")


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (1, 2, "1 -> 2"),
        (1, "25%", "1 -> 25%"),
        (5, "5", '5 -> "5"'),
        ("a b", "a  b", '"a b" -> "a \\u0020b"'),
        (f"{'x' * 100}4g y", f"{'x' * 100}512m", f"...{'x' * 20}4g y -> ...{'x' * 20}512m"),
        ("[secret]", "[secret]", "[secret] -> [secret]"),
    ],
)
def test_values_are_as_short_as_their_difference_allows(old: Any, new: Any, shown: str) -> None:
    assert render_values(FieldChange("a", old, new)) == shown


def test_changed_lines_are_cut_where_each_of_them_differs() -> None:
    old = [f"{'a' * 300}1{'a' * 300}", "same", f"{'b' * 900}1{'b' * 300}"]
    new = [line.replace("1", "2") for line in old]
    changed = list_changed_lines(FieldChange("data[a]", "\n".join(old), "\n".join(new)))
    assert [re.sub(r"[^12+-]", "", line) for line in changed] == ["-1", "+2", "-1", "+2"]


CONFIG = {"workers": 2, "a": "x" * 150, "timeout": 30, "b": "y" * 150, "host": "here"}
OTHER_CONFIG = {**CONFIG, "workers": 4, "timeout": 1, "host": "evil"}
CHANGED_WORDS = [("2", "4"), ("30", "1"), ("here", "evil")]


# A plan compares more than two values, and shows the first difference of each two.
@pytest.mark.parametrize("name", [name for name in RENDERERS if name != "plan"])
@pytest.mark.parametrize("opening", ["", "# config\n"], ids=["one line", "several lines"])
def test_report_shows_each_difference_of_a_long_text(name: str, opening: str) -> None:
    old, new = (f"{opening}{json.dumps(data)}\n" for data in (CONFIG, OTHER_CONFIG))
    text = unescape(RENDERERS[name](old, new, "data.config")).replace('\\"', '"')
    for words in CHANGED_WORDS:
        for word in words:
            assert re.search(rf'{word}[",}}]', text), word


def test_comment_shows_a_changed_line_whole() -> None:
    old, new = (f"# config\n{json.dumps(data)}\n" for data in (CONFIG, OTHER_CONFIG))
    comment = render_since_markdown(compare_models(old, new, "data.config", rendered=True), SINCE)
    lines = comment.splitlines()
    assert f"-{old.splitlines()[1]}" in lines
    assert f"+{new.splitlines()[1]}" in lines


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        pytest.param(
            f"a=1 {'p' * 80} b=2",
            f"a=2 {'p' * 80} b=3",
            "a=1 ppppppppppppp...ppppppp b=2 -> a=2 ppppppppppppp...ppppppp b=3",
            id="both ends",
        ),
        pytest.param(
            f"{'p' * 80} a=1 b=2 {'q' * 80}",
            f"{'p' * 80} a=2 b=3 {'q' * 80}",
            f"...{'p' * 17} a=1 b=2 {'q' * 24}... -> ...{'p' * 17} a=2 b=3 {'q' * 24}...",
            id="near",
        ),
        pytest.param(
            "".join(f"{'p' * 30} {number} " for number in range(10, 15)),
            "".join(f"{'p' * 30} {number} " for number in range(20, 25)),
            "...ppppppppp 10 pppppppppppp...ppppppppp 11 pppppppppppp"
            "...ppppppppp 12 pppppppppppp... and 2 more differences -> "
            "...ppppppppp 20 pppppppppppp...ppppppppp 21 pppppppppppp"
            "...ppppppppp 22 pppppppppppp... and 2 more differences",
            id="many",
        ),
        pytest.param(
            "the quick brown fox jumps over a lazy dog and goes home to sleep",
            "all other words are here, which nobody compares with those above",
            "the quick brown fox jumps over a lazy dog and goes home t... -> "
            "all other words are here, which nobody compares with thos...",
            id="another text",
        ),
        pytest.param(
            f"0,{'1,0,' * 120}1",
            f"1,{'1,0,' * 120}0",
            "0,1,0,1,0,1,0,1...0,1,0,1,0,1 -> 1,1,0,1,0,1,0,1...0,1,0,1,0,0",
            id="few words, both ends",
        ),
        pytest.param(
            f"to http://{'old' * 30}/a, 3 times, else to http://{'older' * 20}/b",
            "to http://evil/x, 3 times, else to http://worse/y",
            "to http://oldoldoldoldold...lderolder/b and perhaps more differences -> "
            "to http://evil/x, 3 times...p://worse/y and perhaps more differences",
            id="two long differences",
        ),
        pytest.param(
            f"1 {'word ' * 9000}1",
            f"2 {'word ' * 9000}2",
            "1 word word wor...word word 1 and perhaps more differences -> "
            "2 word word wor...word word 2 and perhaps more differences",
            id="too long to compare",
        ),
        pytest.param(
            f"https://{'a' * 70}/[secret]/{'b' * 70}",
            f"https://{'a' * 70}/[secret]/{'b' * 70}",
            f"...{'a' * 19}/[secret]/{'b' * 21}... -> ...{'a' * 19}/[secret]/{'b' * 21}...",
            id="only a secret differs",
        ),
    ],
)
def test_each_difference_of_a_shortened_value_is_shown_or_counted(
    old: str, new: str, shown: str
) -> None:
    assert render_values(FieldChange("data.config", old, new)) == shown


SCRIPT = "#!/bin/sh\nset -e\n\nexec server\n"


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (None, SCRIPT, ["+#!/bin/sh", "+set -e", "+", "+exec server"]),
        (SCRIPT, None, ["-#!/bin/sh", "-set -e", "-", "-exec server"]),
        (None, "a\nb", ["+a", "+b"]),
        (None, "a\n    \nb\n", ["+a", "+    ", "+b"]),
        ("a\nb\n", "a\n\nb\n", ["+"]),
        ("a\nb\n\n", "a\nb\n", ["-"]),
        ("a\n\nb\n", "a\n  \nb\n", ['-""', '+"  "']),
        ("a\nb", "a\nb\n", ["-b", "\\ No newline at end of file", "+b"]),
        ("a\nb\n", "a\nc", ["-b", "+c", "\\ No newline at end of file"]),
        ("a\nb", "a\nb\nc", ["+c"]),
        ({"x": 1}, "a\nb\n", ['-{"x": 1}', "+a", "+b"]),
        ("a\n[secret]\n", "a\n[secret]\n", ["-[secret]", "+[secret]"]),
    ],
)
def test_changed_lines_are_those_of_the_texts(old: Any, new: Any, shown: list[str]) -> None:
    change = FieldChange("data[run.sh]", old, new)
    assert [line.replace("\\u0020", " ") for line in list_changed_lines(change)] == shown


def test_page_does_not_color_the_note_about_a_line_break_as_a_removed_line() -> None:
    page = render_drift_html(check_drift("a\nb", "a\nb\n", "data[run.sh]"))
    assert '<span class="soft">\\ No newline at end of file</span>' in page


def test_listing_names_the_registry_only_where_environments_differ_in_it() -> None:
    def render(*images: str) -> str:
        tracks = {str(n): ListedTracks("team", image, 1, None, 0) for n, image in enumerate(images)}
        return _render_images(ListedModel("chat", (), (), dict(tracks)))

    assert render("ghcr.io/a:1", "ghcr.io/a:1") == "a:1"
    assert render("ghcr.io/a:1", "ghcr.io/a:2") == "a:1 (0), a:2 (1)"
    assert render("ghcr.io/a:1", "evil.io/a:1") == "ghcr.io/a:1 (0), evil.io/a:1 (1)"


def test_status_names_the_registry_that_is_behind() -> None:
    track = TrackStatus("chat", "stable", "chat", "ghcr.io/a:1", "evil.io/a:1", 1, 1, 1, 1)
    row = _render_track(track)
    assert row[1] == "evil.io/a:1"
    assert row[-1] == "catalog: ghcr.io/a:1"
