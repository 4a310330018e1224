"""Markdown that goes over the border of two parts: closed at the end of one, opened again in the next."""

from __future__ import annotations

import re
from collections.abc import Sequence

FENCE = "```"
MARKS = ("**", "__", "~~", "||")  # bold, underlined, struck out, hidden, as Discord reads them
ROOM = 48  # characters that closing and opening may take of a part
_LANGUAGE = re.compile(r"[\w+-]{1,20}(?=\n)")
_INLINE_CODE = re.compile(r"`[^`\n]+`")


def has_markdown(text: str) -> bool:
    """Tell whether anything in the text may have to be closed."""
    return any(mark in text for mark in (FENCE, *MARKS))


def close_at_borders(pieces: Sequence[str]) -> list[str]:
    """Return the pieces of a text so that each can be read alone. What the whole text leaves open stays as it is."""
    whole = "\n".join(pieces)
    closed = whole.count(FENCE) % 2 == 0
    known = [mark for mark in MARKS if _find_prose(whole).count(mark) % 2 == 0]
    mended, opening = [], ""
    for piece in pieces:
        text = opening + piece
        if closed and text.count(FENCE) % 2:
            language = _LANGUAGE.match(text.rpartition(FENCE)[2])
            opening = f"{FENCE}{language[0] if language else ''}\n"
            mended.append(f"{text}\n{FENCE}")
            continue
        still_open = [mark for mark in known if _find_prose(text).count(mark) % 2]
        opening = "".join(still_open)
        mended.append(text + opening[::-1])
    return mended


def _find_prose(text: str) -> str:
    """Return what is in no code."""
    return _INLINE_CODE.sub("", "".join(text.split(FENCE)[::2]))
