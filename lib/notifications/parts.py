"""Parts: one message cut to what a channel takes at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from lib.notifications.cleaning import neutralise_mentions
from lib.notifications.markdown import ROOM, close_at_borders, has_markdown
from lib.notifications.messages import LARGEST_ATTACHMENT_BYTES, Attachment, Message
from lib.notifications.sms import REPEAT_MARK, SEGMENT, write_short

REPEAT_NOTE = "🔁 May be a repeat: the first sending was not confirmed."
CUT_NOTE = "… cut here; the whole text is kept with the notification."
NUMBERING = len(" (99/99)")
LONGEST_TITLE = 150
SHORT_CHANNEL = 1000  # a place for a few lines
MAX_PARTS, MAX_PARTS_SHORT = 30, 3
FILES_A_PART = 10  # Discord's limit; its limit of bytes is counted for all files of a post
LONGEST_CAPTION = 500


@dataclass(frozen=True)
class Part:
    """What a channel gets by one sending."""

    title: str
    body: str
    attachments: tuple[Attachment, ...] = ()


def count_characters(text: str) -> int:
    """Return the length in UTF-16 units, the strictest way in which channels count (an emoji is two)."""
    return len(text.encode("utf-16-le")) // 2


def render_parts(message: Message, limit: int) -> tuple[Part, ...]:
    """Return the message's text as parts, each of which fits the channel together with `REPEAT_NOTE`.

    Cut at line ends where there are any, else between words; on a phone it is one short text. The same message and
    limit give the same parts, so that sending can go on after the last confirmed one.

    Args:
        message: What to say.
        limit: Characters that the channel takes at once, title and body together.
    """
    if limit <= SEGMENT:
        return (Part(*write_short(message.title, message.body, message.link, limit - len(REPEAT_MARK))),)
    title, body = _fit_title(neutralise_mentions(message.title), neutralise_mentions(message.body), limit)
    if message.link and limit >= SHORT_CHANNEL:
        body = f"{body}\n{message.link}"
    room = limit - count_characters(title) - NUMBERING - count_characters(REPEAT_NOTE) - len("\r\n\n")
    if has_markdown(body) and count_characters(body) > room > 2 * ROOM:
        room -= ROOM
    pieces = _split(body, max(room, 20))
    most = MAX_PARTS if limit >= SHORT_CHANNEL else MAX_PARTS_SHORT
    if len(pieces) > most:
        short = pieces[most - 1][: max(room, 20) - len(CUT_NOTE) - 1].rstrip()
        pieces = [*pieces[: most - 1], f"{short}\n{CUT_NOTE}"]
    if len(pieces) == 1:
        return (Part(title, pieces[0]),)
    if limit >= SHORT_CHANNEL:
        pieces = close_at_borders(pieces)
    return tuple(Part(f"{title} ({number}/{len(pieces)})", piece) for number, piece in enumerate(pieces, 1))


def mark_repeat(part: Part, limit: int) -> Part:
    """Return the part saying that it may have arrived before, in the room that `render_parts` left for it."""
    if limit <= SEGMENT:
        return replace(part, title=f"{REPEAT_MARK}{part.title}")
    return replace(part, body=f"{REPEAT_NOTE}\n{part.body}")


def render_file_parts(message: Message, limit: int) -> tuple[Part, ...]:
    """Return the message's files as parts that name their files, ten and as many bytes a part as Discord takes."""
    title, _ = _fit_title(neutralise_mentions(message.title), "", limit)
    parts = []
    for files in _batch(message.attachments):
        names = neutralise_mentions(", ".join(file.name for file in files))
        caption = names if len(names) <= LONGEST_CAPTION else names[: LONGEST_CAPTION - 1] + "…"
        parts.append(Part(title, f"📎 {caption}", files))
    return tuple(parts)


def _batch(files: Sequence[Attachment]) -> Iterator[tuple[Attachment, ...]]:
    batch: tuple[Attachment, ...] = ()
    for file in files:
        size = sum(len(each.content) for each in (*batch, file))
        if batch and (len(batch) == FILES_A_PART or size > LARGEST_ATTACHMENT_BYTES):
            yield batch
            batch = ()
        batch += (file,)
    if batch:
        yield batch


def _fit_title(title: str, body: str, limit: int) -> tuple[str, str]:
    """Shorten a title that would crowd out the text; the whole of it then opens the body."""
    longest = min(LONGEST_TITLE, limit // 3)
    if count_characters(title) <= longest:
        return title, body
    return title[: _count_fitting(title, longest - 1)] + "…", f"{title}\n\n{body}"


def _split(text: str, room: int) -> list[str]:
    pieces: list[str] = []
    while count_characters(text) > room:
        cut = _find_cut(text, _count_fitting(text, room))
        pieces.append(text[:cut].rstrip())
        text = text[cut:].lstrip("\n ")
    return [piece for piece in (*pieces, text.rstrip()) if piece]


def _find_cut(text: str, fitting: int) -> int:
    """Return where to cut: after the last line that fits, else after the last word, else anywhere.

    A border in the first quarter is passed over: it would make a part of a few characters.
    """
    for border in ("\n", " "):
        cut = text.rfind(border, fitting // 4, fitting + 1)
        if cut > 0:
            return cut
    return fitting


def _count_fitting(text: str, room: int) -> int:
    """Return how many characters of the text's beginning fit into `room` UTF-16 units; at least one."""
    head = text[:room]
    sizes = accumulate(1 + (ord(character) > 0xFFFF) for character in head)
    return max(1, sum(size <= room for size in sizes))
