"""Positions of every key and value, and the errors of a single file."""

from pathlib import Path

import pytest

from framework.core.diagnostics import Code, Diagnostic, Position
from framework.files.document import load_document, parse_document

MALFORMED = [
    ("duplicate", "a: 1\nb: 2\na: 3\n", 3, 1, '"a" is given twice; the first is at line 1'),
    ("nested duplicate", "a:\n  b: 1\n  b: 2\n", 3, 3, '"b" is given twice'),
    ("tab", "a:\n\tb: 1\n", 2, 1, "a tab is used for indentation"),
    ("colon", "a: b: c\n", 1, 5, 'no "key: value" may begin here'),
    ("key between", "a:\n    b: 1\n  c: 2\n", 3, 3, "expected a key; align it"),
    ("key after item", "a:\n  - 1\n  b: 2\n", 3, 3, 'expected the next "- "'),
    ("unclosed list", "a: [1, 2\nb: 3\n", 1, 4, "is not closed"),
    ("unclosed quote", 'a: "x\n', 1, 4, "is not closed"),
    ("undefined alias", "a: *b\n", 1, 4, "undefined alias"),
    ("two documents", "a: 1\n---\nb: 2\n", 2, 1, "a file has one document"),
    ("list at top", "- a\n- b\n", 1, 1, 'expected "key: value" lines at the top level'),
    ("text at top", "hello\n", 1, 1, 'expected "key: value" lines at the top level'),
    ("on", "a: 1\nb: on\n", 2, 4, 'on would be read as true; write true or false, or quote "on"'),
    ("off", "b: off\n", 1, 4, "off would be read as false"),
    ("yes", "b: [yes]\n", 1, 5, "yes would be read as true"),
    ("key on", "on: 1\n", 1, 1, 'a key must be text: on would be read as true'),
    ("key number", "a:\n  8080: x\n", 2, 3, 'and 8080 is not; quote it: "8080"'),
    ("key null", "~: x\n", 1, 1, "a key must be text, and ~ is not"),
    ("key list", "? [a]\n: x\n", 1, 3, "a key must be text, not a list or a mapping"),
    ("date", "a: 2026-11-23\n", 1, 4, 'would be read as a date; quote it: "2026-11-23"'),
    ("octal", "a: 012\n", 1, 4, "octal number 10"),
    ("mode", "a: 0644\n", 1, 4, "or write 420"),
    ("base 60", "a: 1:30\n", 1, 4, "in base 60; quote it"),
    ("rounded", "a: 9007199254740993\n", 1, 4, "would be rounded to 9007199254740992; quote it"),
    ("hexadecimal", "a: 0x1F\n", 1, 4, "not a plain decimal number"),
    ("underscore", "a: 1_000\n", 1, 4, "not a plain decimal number"),
    ("exponent", "a: 1e3\n", 1, 4, "a number to some YAML readers and text to others"),
    ("exponent with dot", "a: 1.5e+3\n", 1, 4, "1.5e+3"),
    ("new octal", "a: 0o17\n", 1, 4, "a number to some YAML readers"),
    ("infinity", "a: .inf\n", 1, 4, "not a plain decimal number"),
    ("missing", "a: ???\n", 1, 4, '"???" is not a value'),
    ("quoted missing", 'a: ["???"]\n', 1, 5, '"???" is not a value'),
    ("escaped missing", "a: \\???\n", 1, 4, '"???" is not a value'),
    ("own tag", "a: !env HOME\n", 1, 4, "the tag !env is not supported"),
    ("python tag", "a: !!python/object:os.system {}\n", 1, 4, "is not supported"),
    ("set", "a: !!set {x}\n", 1, 4, "is not supported"),
    ("recursive anchor", "a: &a {b: *a}\n", 1, 4, "an anchor contains itself"),
    ("recursive merge", "a: &a\n  <<: *a\n", 1, 4, "an anchor contains itself"),
    ("merge of text", "a:\n  <<: text\n", 2, 7, '"<<" takes a mapping'),
    ("control character", "a: 1\nb: x\x07y\n", 2, 5, "U+0007"),
    ("two merge keys", "a: &a {x: 1}\nb:\n  <<: *a\n  <<: *a\n", 4, 3, "<<: [*first, *second]"),
    ("line separator", "a: 1 # x\u2028replicas: 19\n", 1, 9, "U+2028 (LINE SEPARATOR) begins"),
    ("paragraph separator", "a: 1\nb: 'x\u2029y'\n", 2, 6, '"\\u2029"'),
    ("next line", "a: |\n  x\x85  y\n", 2, 4, "U+0085 (NEXT LINE)"),
    ("carriage return", "a: 1 # x\rb: 2\n", 1, 9, "Windows line ends"),
    ("no-break indentation", "a:\n\xa0\xa0b: 1\n", 2, 1, "U+00A0 (NO-BREAK SPACE)"),
    ("no-break after colon", "a:\xa01\nb: 2\n", 1, 3, "U+00A0 (NO-BREAK SPACE)"),
    ("no-break after dash", "a:\n- \xa0x\n", 2, 3, "use a space"),
    ("ideographic indentation", "a:\n\u3000b: 1\n", 2, 1, "U+3000 (IDEOGRAPHIC SPACE)"),
    ("zero width at the end", "image: v1\u200b\n", 1, 10, "U+200B (ZERO WIDTH SPACE)"),
    ("zero width in quotes", 'a: "v1\u200b"\n', 1, 7, "cannot be seen here; remove it"),
    ("zero width within", "a: v\u200b1\n", 1, 5, "U+200B"),
    ("zero width in a key", "re\u200bplicas: 1\n", 1, 3, "U+200B"),
    ("zero width in a flow", "a: {b: [x, y\u2060]}\n", 1, 13, "U+2060 (WORD JOINER)"),
    ("direction mark", "a: x\u202ey\n", 1, 5, "U+202E (RIGHT-TO-LEFT OVERRIDE)"),
    ("mark in the middle", "a: 1\n\ufeffb: 2\n", 2, 1, "U+FEFF (BYTE ORDER MARK)"),
    ("Cyrillic key", "r\u0435plicas: 1\n", 1, 2, 'looks like "e"'),
    ("key of full width", "\uff52eplicas: 1\n", 1, 1, 'looks like "r"'),
    ("tab before a key", "a: 1\n\tb: 2\n", 2, 1, "a tab"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [case[1:] for case in MALFORMED],
    ids=[case[0] for case in MALFORMED],
)
def test_malformed_file_is_reported_at_its_position(
    text: str, line: int, column: int, message: str
) -> None:
    document, diagnostics = parse_document("f.yaml", text)
    assert [(f.path, f.line, f.column) for f in diagnostics] == [("f.yaml", line, column)]
    assert message in diagnostics[0].message
    assert document.broken


def test_all_errors_of_a_file_are_reported_at_once() -> None:
    _, diagnostics = parse_document("f.yaml", "a: on\nb: 012\nc: {d: 1, d: 2}\n3: x\n")
    assert [(diagnostic.line, diagnostic.column) for diagnostic in diagnostics] == [
        (1, 4),
        (2, 4),
        (3, 11),
        (4, 1),
    ]


def test_keys_and_values_have_positions_that_count_from_one() -> None:
    document, diagnostics = parse_document("f.yaml", "a: 1\nb:\n  - x\n  - {c.d/e: ü, f: 1.10}\n")
    assert not diagnostics
    assert document.data == {"a": 1, "b": ["x", {"c.d/e": "ü", "f": 1.1}]}
    assert document.value_positions["a",] == Position("f.yaml", 1, 4)
    assert document.key_positions["b",] == Position("f.yaml", 2, 1)
    assert document.value_positions["b", 0] == Position("f.yaml", 3, 5)
    assert document.key_positions["b", 1, "f"] == Position("f.yaml", 4, 16)
    assert document.value_positions["b", 1, "f"] == Position("f.yaml", 4, 19)
    assert document.spellings == {("b", 1, "f"): "1.10"}


def test_values_of_anchors_and_merge_keys_have_the_position_of_the_anchor() -> None:
    text = "base: &b {x: 1, y: 2}\nother: *b\nmerged:\n  <<: *b\n  y: 3\n"
    document, diagnostics = parse_document("f.yaml", text)
    assert not diagnostics
    assert document.data["other"] == {"x": 1, "y": 2}
    assert document.data["merged"] == {"x": 1, "y": 3}
    assert document.value_positions["merged", "x"] == Position("f.yaml", 1, 14)
    assert document.value_positions["merged", "y"] == Position("f.yaml", 5, 6)


def test_first_mapping_of_a_merge_list_wins() -> None:
    text = "a: &a {x: 1}\nb: &b {x: 2, y: 3}\nc:\n  <<: [*a, *b]\n"
    assert parse_document("f.yaml", text)[0].data["c"] == {"x": 1, "y": 3}


def test_aliases_that_multiply_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    _, diagnostics = parse_document("f.yaml", "\n".join(lines))
    assert ["do anchors multiply" in diagnostic.message for diagnostic in diagnostics] == [True]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "\ufeff"], ids=repr)
def test_empty_file_is_an_empty_mapping(text: str, tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_text(text, encoding="utf-8")
    document, diagnostics = load_document(tmp_path, "f.yaml")
    assert (document.data, diagnostics) == ({}, [])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True), ("False", False), ("~", None), ("", None), ("12", 12), ("-3", -3),
        ("0.5", 0.5), ('"012"', "012"), ('"on"', "on"), ("25%", "25%"), ("500m", "500m"),
        ("v1e3x", "v1e3x"), ("1.6.1", "1.6.1"), ("$(POD_IP)", "$(POD_IP)"), ("=", "="),
    ],
)  # fmt: skip
def test_plain_scalar_has_one_meaning(text: str, value: object) -> None:
    document, diagnostics = parse_document("f.yaml", f"a: {text}\n")
    assert not diagnostics
    assert document.data["a"] == value
    assert type(document.data["a"]) is type(value)


def test_file_that_is_not_utf8_is_reported_at_the_byte(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"a: 1\nb: \xff\n")
    _, diagnostics = load_document(tmp_path, "f.yaml")
    assert diagnostics == [
        Diagnostic("f.yaml", 2, 4, Code.SYNTAX, "not UTF-8 text; save the file as UTF-8")
    ]


def test_deep_nesting_is_an_error_and_does_not_crash() -> None:
    _, diagnostics = parse_document("f.yaml", "a: " + "[" * 300 + "]" * 300)
    assert "nested deeper" in diagnostics[0].message


@pytest.mark.parametrize(
    "text",
    [
        "a: 10\xa0000 Aufrufe\n",
        'a: "x\\u200b\\u2028"\n',
        "a: \U0001f469\u200d\U0001f52c ok\n",
        "ключ: значение\n",
        "größe: 1\n",
        "a: 1\r\nb: 2\r\n",
        "a: |\n  x\xa0\n  \u200fy\n",
        "# no-break\xa0space and \u200b\na: 1\n",
        "a: x\ty\nb:\t1\n",
    ],
    ids=repr,
)
def test_typography_in_a_text_is_no_error(text: str) -> None:
    assert parse_document("f.yaml", text)[1] == []
