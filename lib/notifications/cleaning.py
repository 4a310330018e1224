"""Text that others may have written, made safe to store and to send."""

from __future__ import annotations

import re

ZERO_WIDTH_SPACE = "\u200b"
# C0 and C1 controls but tab and newline, and the marks that reverse the reading direction (they can hide what is said).
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NEWLINES = re.compile(r"\r\n|[\r\v\f\x85\u2028\u2029]")
_LONE_SURROGATES = re.compile(r"[\ud800-\udfff]")
# Discord's and Slack's ways to address everybody, a person or a role.
_MENTIONS = re.compile(r"@(?=everyone|here|channel\b|all\b)|<(?=[@!])", re.IGNORECASE)


def clean_text(text: str) -> str:
    r"""Return the text without control characters, with plain newlines, and encodable as UTF-8.

    >>> clean_text("a\x00b\r\nc")
    'ab\nc'
    """
    return _LONE_SURROGATES.sub("\ufffd", _CONTROLS.sub("", _NEWLINES.sub("\n", text)))


def neutralise_mentions(text: str) -> str:
    """Return the text so that "@everyone" and "<@123>" are read but call nobody.

    An invisible space goes in between; an address such as bob@example.com stays as it is.
    """
    return _MENTIONS.sub(lambda found: found.group() + ZERO_WIDTH_SPACE, text)
