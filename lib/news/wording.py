"""Foreign text of feeds made plain: no mark-up, no control characters, one line; and escaped again for Markdown."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from lib.notifications.cleaning import ZERO_WIDTH_SPACE, clean_text, neutralise_mentions

_SILENT = {"script", "style", "template"}  # what a browser does not show
_BREAKS = {"p", "br", "div", "li", "tr", "h1", "h2", "h3", "h4", "blockquote"}
_MARKDOWN = re.compile(r"([\\`*_\[\]|~])")
_BARE_ADDRESS = re.compile(r"\b(www|https?|ftp|mailto)(?=[.:])", re.IGNORECASE)  # a viewer would make links of them


class _TextOnly(HTMLParser):
    """Collects what a browser would show."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 the base's form
        self._silent += tag in _SILENT
        if tag in _BREAKS:
            self.parts.append(" ")

    def handle_endtag(self, tag: str) -> None:
        self._silent = max(0, self._silent - (tag in _SILENT))
        if tag in _BREAKS:
            self.parts.append(" ")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.parts.append(data)


def to_plain_text(markup: str, longest: int) -> str:
    """Return the text on one line without mark-up and control characters, cut at a word when longer than `longest`.

    >>> to_plain_text("<h1>Fees &amp; tips</h1><p>BTC < 50k", 40)
    'Fees & tips BTC < 50k'
    """
    reader = _TextOnly()
    reader.feed(markup)
    reader.close()
    words = " ".join(clean_text("".join(reader.parts)).split())
    if len(words) <= longest:
        return words
    return words[: longest - 1].rsplit(" ", 1)[0] + "…"


def escape_markdown(text: str) -> str:
    """Return the text so that Markdown shows it as it is: no table cell, link, image, HTML or mention of its own."""
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    marked = _MARKDOWN.sub(r"\\\1", plain)
    return neutralise_mentions(_BARE_ADDRESS.sub(rf"\1{ZERO_WIDTH_SPACE}", marked))
