"""Renders values and their changes, so that two different values never look the same.

A report of a difference must show it. Values are therefore shortened together, to the parts around
the places where they differ, and quotes appear where types or spaces would look alike.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from difflib import SequenceMatcher
from itertools import accumulate, combinations, zip_longest
from typing import TYPE_CHECKING, Any

from framework.output.text import render_count, render_visible, screen_width

if TYPE_CHECKING:
    from framework.core.changes import FieldChange
    from framework.reports.comparison import Difference

    # A field with its value on two sides.
    FieldValues = FieldChange | Difference

_MAX_CHARACTERS = 60
_MAX_LINE = 200
_MAX_DIFF_LINES = 12
# Follows a last line without a line break in a diff, as in Git.
_NO_NEWLINE = "\\ No newline at end of file"
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
# The parts of the length that a cut text shows before and after the first difference.
_BEFORE, _AFTER = 1 / 3, 1 / 2
# Of several differences in a text, each of the first ones has a part of its own.
_MAX_PARTS, _MIN_PART = 3, 30
# Longer texts are not compared word by word.
_MAX_COMPARED = 20_000
_MAX_WORDS = 1000
# Below this ratio of equal words, a text is another one, and its differences are not counted.
_MIN_ALIKE = 0.5
_WORD = re.compile(r"\w+|\s+|[^\w\s]")
# Where two texts differ: the position in the first one, and in the second one.
_Place = tuple[int, int]
# Characters that take no room on a screen, or look like a space, but are no spaces to Python.
_BLANK = "\u034f\u115f\u1160\u2800\u3164"


def render_plain(value: Any) -> str:
    """Renders a text as it is, and any other value as JSON with sorted keys."""
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)


def render_value(value: Any) -> str:
    """Returns one value on one line, shortened to 60 characters; an empty text in quotes.

    For values that are compared, use `render_apart`.
    """
    return render_apart([value])[0]


def render_image(reference: str) -> str:
    """Returns an image without its registry and folders: `mlserver:1.7.0`.

    For images that are compared, use `render_apart`.
    """
    return reference.rpartition("/")[2]


def render_apart(
    values: Sequence[Any],
    *,
    max_length: int | None = _MAX_CHARACTERS,
    missing: str | None = None,
    is_image: bool = False,
    keep_lines: bool = False,
) -> list[str]:
    """Renders values so that different ones look different, also on a screen.

    Each text has about `max_length` characters, or more if more than two values are compared.
    `missing` stands for None. With `is_image`, the values are images, which need no registry if all
    have the same. With `keep_lines`, spaces and line breaks stay as they are.
    """
    exact = [_render_exact(value) for value in values]
    forms: list[Callable[[Any], str]] = [_render_exact]
    if not _mixes_types(values):
        forms.insert(0, render_plain if keep_lines else _render_line)
        if is_image and _has_one_registry(values):
            forms.insert(0, render_image)
    shown: list[str] = []
    for form in forms:
        missing_flags = [value is None and missing is not None for value in values]
        present = [v for v, left_out in zip(values, missing_flags, strict=True) if not left_out]
        texts = iter(_cut_apart([render_visible(form(value)) for value in present], max_length))
        shown = [missing or "" if left_out else next(texts) for left_out in missing_flags]
        looks = [_look_at(text, keep_lines=keep_lines) for text in shown]
        all_visible = all(look or not text for look, text in zip(looks, shown, strict=True))
        if all_visible and _look_different(exact, looks):
            break
    return shown


def _look_different(exact: Sequence[str], looks: Sequence[str]) -> bool:
    """Returns True if texts that differ exactly also differ for a reader."""
    pairs = zip(combinations(exact, 2), combinations(looks, 2), strict=True)
    return all(texts[0] == texts[1] or seen[0] != seen[1] for texts, seen in pairs)


def _render_line(value: Any) -> str:
    if isinstance(value, str) and not value.strip():
        return json.dumps(value)
    return " ".join(render_plain(value).split())


def _render_exact(value: Any) -> str:
    """Returns JSON in ASCII, where no two characters look alike; only the first of several spaces
    is a space, because Markdown, HTML and wrapping join them."""
    text = json.dumps(value, sort_keys=True, default=str)
    while "  " in text:
        text = text.replace("  ", " \\u0020")
    return text


def _mixes_types(values: Sequence[Any]) -> bool:
    """Returns True if the text of one value could be read as another type, such as 5 and "6"."""
    texts = [value for value in values if isinstance(value, str)]
    others = [value for value in values if not isinstance(value, str) and value is not None]
    return bool(others) and any(map(_is_json, texts))


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _has_one_registry(values: Sequence[Any]) -> bool:
    texts = [value for value in values if value is not None]
    if not all(isinstance(value, str) for value in texts):
        return False
    return len({text.rpartition("/")[0] for text in texts}) == 1 and len(set(texts)) > 1


def _look_at(text: str, *, keep_lines: bool) -> str:
    """Returns a text that is equal for two texts that a reader cannot tell apart."""
    if not text.isascii():
        normal = unicodedata.normalize("NFKC", text)
        text = "".join(
            char
            for char in normal
            if unicodedata.category(char) != "Cf" and char not in _BLANK and not _is_variation(char)
        )
    if keep_lines:
        return "\n".join(line.expandtabs().rstrip() for line in text.split("\n"))
    return " ".join(text.split())


def _is_variation(char: str) -> bool:
    return "\ufe00" <= char <= "\ufe0f" or "\U000e0100" <= char <= "\U000e01ef"


def _cut_apart(texts: Sequence[str], max_length: int | None) -> list[str]:
    """Shortens texts to about `max_length` characters, around the places where they differ."""
    if max_length is None or all(len(text) <= max_length for text in texts):
        return list(texts)
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 2:
        places, suffix = _find_places(distinct[0], distinct[1], max_length)
        if len(places) > 1:
            cut = _cut_at_places(distinct, places, suffix, max_length)
            return [cut[text] for text in texts]
    before, after = int(max_length * _BEFORE), int(max_length * _AFTER)
    firsts = {_find_difference(*pair) for pair in combinations(distinct, 2)}
    if len(texts) > len(distinct) == 1:
        # Only their secrets differ.
        firsts = {max(0, texts[0].find(_get_redacted()))}
    # A place near the beginning needs no cut before it.
    parts = {
        (max(0, at - before), at + after) if at > after else (0, max_length - 3) for at in firsts
    }
    return [_join_parts(text, sorted(parts) or [(0, max_length - 3)], max_length) for text in texts]


def _cut_at_places(
    texts: Sequence[str], places: Sequence[_Place], suffix: str, max_length: int
) -> dict[str, str]:
    """Returns the short form of each of two texts, with a part around each place."""
    before, after = _get_part_size(max_length)
    return {
        text: _join_parts(text, [(max(0, at - before), at + after) for at in side], 0) + suffix
        for text, side in zip(texts, zip(*places, strict=True), strict=True)
    }


def _get_part_size(max_length: int) -> tuple[int, int]:
    """Returns how many characters are shown before and after each of several differences."""
    length = max(max_length // _MAX_PARTS, _MIN_PART)
    return int(length * _BEFORE), int(length * _AFTER)


def _find_places(old: str, new: str, max_length: int) -> tuple[list[_Place], str]:
    """Returns the differences to show, and a text about those that are not shown.

    It is only one difference if all others are in the same part.
    """
    (first, *rest), is_partial = _list_differences(old, new)
    stop = first[0] + int(max_length * _AFTER) if first[0] > max_length * _AFTER else max_length - 3
    if all(at < stop and new_at < stop for at, new_at in rest) and not is_partial:
        return [first], ""
    after = _get_part_size(max_length)[1]
    places, hidden = [first], 0
    for at, new_at in rest:
        if at < places[-1][0] + after and new_at < places[-1][1] + after:
            continue
        if len(places) < _MAX_PARTS:
            places.append((at, new_at))
        else:
            hidden += 1
    if is_partial:
        return places, " and perhaps more differences"
    return places, f" and {render_count(hidden, 'more difference')}" if hidden else ""


def _list_differences(old: str, new: str) -> tuple[list[_Place], bool]:
    """Returns where two texts differ, and whether there may be more places than these."""
    start = _find_difference(old, new)
    end = _find_difference(old[start:][::-1], new[start:][::-1])
    length = len(old) + len(new)
    old, new = old[start : len(old) - end], new[start : len(new) - end]
    if not old or not new:
        return [(start, start)], False
    first_and_last = [(start, start), (start + len(old) - 1, start + len(new) - 1)]
    if max(len(old), len(new)) > _MAX_COMPARED:
        # A comparison would take seconds.
        return first_and_last, True
    words, new_words = _WORD.findall(old), _WORD.findall(new)
    ends, new_ends = [0, *accumulate(map(len, words))], [0, *accumulate(map(len, new_words))]
    # It ignores frequent words such as 0 and 1, which is wrong and much faster.
    autojunk = max(len(words), len(new_words)) > _MAX_WORDS
    places, same = [], start + end
    for tag, at, stop, new_at, new_stop in SequenceMatcher(
        None, words, new_words, autojunk
    ).get_opcodes():
        if tag == "equal":
            same += ends[stop] - ends[at]
            continue
        at, new_at = ends[at], new_ends[new_at]
        shared = _find_difference(old[at : ends[stop]], new[new_at : new_ends[new_stop]])
        places.append((start + at + shared, start + new_at + shared))
    if 2 * same >= _MIN_ALIKE * length:
        return places, False
    # A text that is another one from its beginning to its end shows this by itself.
    return (first_and_last, True) if start or end else (places[:1], False)


def _find_difference(left: str, right: str) -> int:
    pairs = enumerate(zip(left, right, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(left), len(right)))


def _join_parts(text: str, parts: Sequence[tuple[int, int]], max_length: int) -> str:
    if len(text) <= max_length and parts[0][0] == 0:
        return text
    shown, end = "", 0
    for start, stop in parts:
        if start >= len(text):
            break
        shown += ("..." if start > end else "") + text[max(start, end) : stop]
        end = max(end, stop)
    return shown + ("..." if len(text) > end else "")


def render_field(path: str, field: FieldValues, *, first: str = "", then: str = "") -> str:
    """Renders a field change: on one line if it fits, else with its values below its path.

    For a text with several lines, it shows only the lines that differ. `first` starts the first
    line, `then` every other line.
    """
    values = render_values(field)
    lines = [f"{path}  {values}"]
    if has_text(field) and (changed := list_changed_lines(field)):
        lines = [path, *changed]
    elif len(first + lines[0]) > screen_width():
        fits = len(then + values) <= screen_width() - 2 or None in (field.old, field.new)
        old, new = _render_sides([field])
        lines = [path, values] if fits else [path, old, f"-> {new}"]
    return "\n".join([first + lines[0], *(f"{then}  {line}" for line in lines[1:])])


def render_values(field: FieldValues) -> str:
    """Returns `1 -> 2`, `added 2` or `removed (was 1)`."""
    return render_field_changes([field])[0]


def render_field_changes(fields: Sequence[FieldValues]) -> list[str]:
    """Renders several changes of the same field, shortened together."""
    sides = iter(_render_sides(fields))
    return [_describe_change(field, next(sides), next(sides)) for field in fields]


def _describe_change(field: FieldValues, old: str, new: str) -> str:
    if field.old is None:
        return f"added {new}"
    return f"removed (was {old})" if field.new is None else f"{old} -> {new}"


def _render_sides(fields: Sequence[FieldValues]) -> list[str]:
    values = [value for field in fields for value in (field.old, field.new)]
    return render_apart(values, missing="", is_image=fields[0].path.endswith(".image"))


def has_text(field: FieldValues) -> bool:
    """Returns True if a value has several lines, such as a file in a ConfigMap."""
    return any(isinstance(value, str) and "\n" in value.strip() for value in (field.old, field.new))


def list_changed_lines(
    field: FieldValues,
    *,
    context: int = 0,
    max_lines: int | None = _MAX_DIFF_LINES,
    max_length: int | None = _MAX_LINE,
) -> list[str]:
    """Returns the lines of a diff between two texts, as Git shows them.

    Long lines are cut to the parts where they differ: one line of a ConfigMap may have a megabyte.
    """
    old, new = (_split_lines(value) for value in (field.old, field.new))
    if not (isinstance(field.old, str) and isinstance(field.new, str)) or (
        field.old.endswith("\n") == field.new.endswith("\n")
    ):
        # The end of the text did not change, so the diff does not mention it.
        old, new = ([line.removesuffix("\n") + "\n" for line in lines] for lines in (old, new))
    lines = list(_diff_lines(old, new, context, max_length)) or _list_secret_lines(old)
    more = len(lines) - max_lines if max_lines is not None else 0
    return lines[:max_lines] + ([f"and {more} more lines (--json)"] if more > 0 else [])


def _split_lines(value: Any) -> list[str]:
    """Returns the lines of a text with their line breaks; the last line may have none."""
    return [] if value is None else _LINE.findall(render_plain(value))


def _diff_lines(
    old: Sequence[str], new: Sequence[str], context: int, max_length: int | None
) -> Iterator[str]:
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(context):
        for tag, start, end, other_start, other_end in group:
            before, after = old[start:end], new[other_start:other_end]
            if tag == "equal":
                yield from (f" {_render_line_alone(line, _MAX_LINE)}" for line in before)
                continue
            # A changed line is cut together with the one that takes its place.
            pairs = [_render_line_pair(pair, max_length) for pair in zip_longest(before, after)]
            for mark, lines, side in (("-", before, 0), ("+", after, 1)):
                for line, pair in zip(lines, pairs, strict=False):
                    yield f"{mark}{pair[side]}"
                    if not line.endswith("\n"):
                        yield _NO_NEWLINE


def _render_line_pair(lines: tuple[str | None, str | None], max_length: int | None) -> list[str]:
    if None in lines:
        return [_render_line_alone(line or "", max_length) for line in lines]
    texts = [(line or "").removesuffix("\n") for line in lines]
    return render_apart(texts, max_length=max_length, keep_lines=True)


def _render_line_alone(line: str, max_length: int | None) -> str:
    text = line.removesuffix("\n")
    # Quotes around a blank line would look like a part of the text.
    if not text.strip(" \t"):
        return text
    return render_apart([text], max_length=max_length, keep_lines=True)[0]


def _list_secret_lines(lines: Sequence[str]) -> list[str]:
    """Returns the lines of a diff between two texts that differ only in their secrets."""
    secret = [line.removesuffix("\n") for line in lines if _get_redacted() in line]
    return [f"{mark}{line}" for mark in "-+" for line in secret]


def _get_redacted() -> str:
    # Imported only here: most commands print no such text, and this one is slow to load.
    from framework.core.redaction import REDACTED

    return REDACTED
