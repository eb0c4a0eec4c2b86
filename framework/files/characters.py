"""Finds characters that a reader of the file cannot see, or mistakes for others.

They come from copying out of a web page or a chat: a no-break space that looks like indentation, a
zero-width space at the end of a tag, a Cyrillic letter in a key. All are ordinary text in YAML.
"""

from __future__ import annotations

import re
import unicodedata

# PyYAML ends a line at these characters and at a single carriage return; editors do not.
OTHER_LINE_BREAK = re.compile("[\x85\u2028\u2029]|\r(?!\n)")
# Two joiners are parts of words and emoji: allowed within a text.
_JOINERS = "\u200c\u200d"
_NAMES = {
    "\ufeff": "BYTE ORDER MARK",
    "\x85": "NEXT LINE",
    "\r": "CARRIAGE RETURN",
    "\xad": "SOFT HYPHEN",
}
# Letters that look like ASCII letters in most fonts: Cyrillic, then Greek.
_LOOKALIKES = dict(
    zip(
        "асԁеһіјӏорԛѕԝхуАВЕНІЈКМОРЅТХУοαγικνρυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
        "acdehijlopqswxyABEHIJKMOPSTXYoayiknpuABEZHIKMNOPTYX",
        strict=True,
    )
)  # fmt: skip


def name_character(character: str) -> str:
    """Returns `the character U+200B (ZERO WIDTH SPACE)`."""
    name = unicodedata.name(character, _NAMES.get(character, ""))
    shown = f" ({_NAMES.get(character, name)})" if name else ""
    return f"the character U+{ord(character):04X}{shown}"


def remedy_of_line_break(character: str) -> str:
    """Returns what to do about a line break that editors do not show."""
    if character == "\r":
        return "save the file with Unix or Windows line ends"
    escape = "\\N" if character == "\x85" else f"\\u{ord(character):04x}"
    return f'remove it, or write {escape} in a text in double quotes: "{escape}"'


def is_invisible(character: str) -> bool:
    """Returns True for a character that has no width, or that only looks like a space."""
    # Cf: zero-width and direction marks; Zs: spaces of other widths, among them the no-break space.
    return character not in " \t" and unicodedata.category(character) in ("Cf", "Zs")


def find_false_space(line: str) -> int | None:
    """Returns the index of an invisible character where YAML needs a space; None without one.

    That is in the indentation, and after the colon of a key or the dash of an item.
    """
    index = next((i for i, char in enumerate(line) if is_invisible(char)), None)
    before = line[:index].rstrip(" ") if index is not None else "x"
    return index if not before or before[-1] in ":-" else None


def find_misleading(text: str, *, is_key: bool) -> tuple[int, str] | None:
    """Returns the index of a character that misleads a reader, and the message about it.

    Within a value, spaces such as the no-break space and joiners are typography; at its ends, and
    anywhere in a key, they are mistakes. Letters that look like others are found in keys only.
    """
    if text.isascii():
        return None
    stripped = text.strip(" ")
    first = text.index(stripped) if stripped else 0
    for index, char in enumerate(text):
        if not is_invisible(char):
            continue
        at_an_end = not 0 < index - first < len(stripped) - 1
        is_typography = char in _JOINERS or unicodedata.category(char) == "Zs"
        if is_key or at_an_end or not is_typography:
            return index, f"{name_character(char)} cannot be seen here; {_remedy(char)}"
    return _find_lookalike(text) if is_key else None


def _remedy(char: str) -> str:
    return "use a space" if unicodedata.category(char) == "Zs" else "remove it"


def _find_lookalike(key: str) -> tuple[int, str] | None:
    """Returns the first letter of a key that only looks like ASCII, where all others are ASCII."""
    plain = "".join(_to_ascii(char) for char in key)
    if not plain.isascii():
        return None
    for index, char in enumerate(key):
        if not char.isascii():
            message = f'{name_character(char)} looks like "{_to_ascii(char)}"; type that letter'
            return index, f"{message} instead"
    return None


def _to_ascii(char: str) -> str:
    # NFKC also turns letters of full width into ordinary ones.
    return _LOOKALIKES.get(char, unicodedata.normalize("NFKC", char))
