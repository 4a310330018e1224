"""Text messages on phones: one segment, in the alphabet of GSM (3GPP TS 23.038), with the link.

A segment holds 160 characters of that alphabet; a single one outside it, as an emoji, and it holds 70.
"""

from __future__ import annotations

import re
import unicodedata

SEGMENT = 160
REPEAT_MARK = "Repeat? "
_ALPHABET = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_TWO_PLACES = frozenset("^{}\\[~]|€")
_SPELT = str.maketrans(
    {"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "‚": "'", "–": "-", "—": "-", "−": "-", "…": "...", "•": "-"}
    | {"≤": "<=", "≥": ">=", "×": "x", "→": "->", "±": "+-", "\u00a0": " ", "\u202f": " ", "\t": " ", "`": "'"}
)


def spell(text: str) -> str:
    """Return the text in the alphabet where it can be; without emoji, and letters of other scripts as they are.

    >>> spell("🛑 Stop loss – «dés vú» ≤ 95 …")
    'Stop loss - "dés vu" <= 95 ...'
    """
    letters = "".join(_spell_letter(letter) for letter in text.replace("«", '"').replace("»", '"').translate(_SPELT))
    return re.sub(r"[ ]*\n[ ]*", "\n", re.sub(r" {2,}", " ", letters)).strip()


def count_places(text: str) -> int:
    """Return how many of a segment's 160 places a text takes."""
    return sum(1 + (letter in _TWO_PLACES) for letter in text)


def shorten(text: str, places: int) -> str:
    """Return the text if it fits, else its beginning, cut between words, with three dots; nothing where none fit."""
    if count_places(text) <= places:
        return text
    if places < 12:
        return ""
    kept = text[: places - 3]
    while count_places(kept) > places - 3:
        kept = kept[:-1]
    border = max(kept.rfind(" "), kept.rfind("\n"))
    return (kept[:border] if border > len(kept) // 2 else kept).rstrip(" \n,;:") + "..."


def write_short(title: str, body: str, link: str | None, places: int) -> tuple[str, str]:
    """Return title and text of at most so many places together, with two for the break between them.

    The link is kept whole, then as much of the title, then of the text, as there is room for.
    """
    room = places - 2 - (count_places(link) + 1 if link else 0)
    if room < 20:  # no room for words beside the link
        link, room = None, places - 2
    short = shorten(spell(title), room)
    text = shorten(spell(body), room - count_places(short))
    lines = [line for line in (text, link) if line]
    return (short, "\n".join(lines)) if lines else ("", short)


def _spell_letter(letter: str) -> str:
    if letter in _ALPHABET or letter in _TWO_PLACES:
        return letter
    base = unicodedata.normalize("NFKD", letter)[0]
    if base in _ALPHABET:
        return base
    return letter if unicodedata.category(letter)[0] in "LN" else ""
