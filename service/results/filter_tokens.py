"""Splits the text of a filter into tokens."""

import re
from dataclasses import dataclass
from typing import Literal, NoReturn

from service.errors import InvalidError

Kind = Literal["name", "number", "text", "operator", "word", "end"]

MAX_CHARACTERS = 2_000
WORDS = ("and", "or", "not", "in", "is", "null", "contains", "true", "false", "nan", "inf")
"""Words with a meaning, in any case. A column of such a name stands in backquotes."""
TOKEN = re.compile(
    r"""\s*(?:
    (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?(?![\w.]) | -inf\b)
    | (?P<quoted>(?:[A-Za-z_]+\.)?`(?:[^`]|``)*`)
    | (?P<name>[^\W\d][\w.\-]*)
    | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
    | (?P<operator><=|>=|!=|<>|==|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True)
class Token:
    """A part of a filter: its kind, its value and the position of its first character, from 0.

    The value of a name has no backquotes, that of a text no quotes. `is_column` is true for a name that can only be
    that of a column: one with backquotes.
    """

    kind: Kind
    value: str
    position: int
    is_column: bool = False


def refuse(position: int, message: str) -> NoReturn:
    """Raise InvalidError for something at a position of the filter."""
    raise InvalidError([("where", f"where is wrong at character {position}: {message}")])


def tokens_of(text: str) -> list[Token]:
    """The tokens of a filter; the last one is of the kind `end`. Raises InvalidError."""
    if len(text) > MAX_CHARACTERS:
        raise InvalidError([("where", f"where must have at most {MAX_CHARACTERS} characters: it has {len(text)}")])
    tokens: list[Token] = []
    position = 0
    while text[position:].strip():
        match = TOKEN.match(text, position)
        if match is None:
            start = position + len(text[position:]) - len(text[position:].lstrip())
            refuse(start, f"{text[start : start + 20]!r} cannot be read")
        tokens.append(_token(match))
        position = match.end()
    return [*tokens, Token("end", "", len(text))]


def _token(match: re.Match[str]) -> Token:
    kind = match.lastgroup or ""
    value, position = match[kind], match.start(kind)
    if kind == "quoted":
        prefix, _, rest = value.partition("`")
        return Token("name", prefix + rest[:-1].replace("``", "`"), position, is_column=True)
    if kind == "name":
        return Token("word" if value.lower() in WORDS else "name", value, position)
    if kind == "text":
        return Token("text", value[1:-1].replace(value[0] * 2, value[0]), position)
    return Token("number" if kind == "number" else "operator", value, position)
