"""Addresses of articles and feeds: one form for one article, and a form of a feed's that holds no secret."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
SAFE = "/%:@!$&'*+,;=~-._"  # in a path
LONGEST = 2000  # browsers' practical limit; an index entry of PostgreSQL holds 2 700 bytes
# What campaigns, mail programs and advertisers add to a link. It says where a reader came from, never what is read.
TRACKING_PREFIXES = ("utm_", "mtm_", "pk_", "_hs")
# fmt: off
TRACKING = frozenset({
    "fbclid", "gclid", "dclid", "gbraid", "wbraid", "msclkid", "yclid", "twclid", "igshid", "mc_cid", "mc_eid",
    "mkt_tok", "ref", "ref_src", "cmpid", "ncid", "ocid", "guccounter", "guce_referrer", "guce_referrer_sig",
    "s_kwcid", "vero_id",
})
# fmt: on


def to_canonical_url(link: str) -> str | None:
    """Return the address in the form in which an article is linked and known; None when it is no web address.

    Scheme and host in lower case, the scheme's own port, user and password, fragment and tracking parameters left out,
    parameters sorted, unsafe characters encoded. A fragment stays where it is the path of a page that is built in the
    browser, beginning with "/" or "!"; elsewhere it is a place within the page.

    >>> to_canonical_url("HTTPS://www.CoinDesk.com:443/etf/?utm_source=rss&b=2&a=1#comments")
    'https://www.coindesk.com/etf/?a=1&b=2'
    """
    try:
        parts = urlsplit(link.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if parts.scheme not in DEFAULT_PORTS or not host:
        return None
    try:
        host = host.encode("ascii" if host.isascii() else "idna").decode()
    except UnicodeError:
        return None
    netloc = f"[{host}]" if ":" in host else host
    if port not in (None, DEFAULT_PORTS[parts.scheme]):
        netloc += f":{port}"
    path = quote(parts.path, safe=SAFE) or "/"
    fragment = quote(parts.fragment, safe=SAFE + "?") if parts.fragment.startswith(("/", "!")) else ""
    kept = sorted(pair for pair in parse_qsl(parts.query, keep_blank_values=True) if not _is_tracking(pair[0]))
    address = urlunsplit((parts.scheme, netloc, path, urlencode(kept), fragment))
    return address if len(address) <= LONGEST else None


def to_article_key(canonical_url: str) -> str:
    """Return what is the same for one article at http and https, with and without "www." and a slash at the end.

    >>> to_article_key("https://www.coindesk.com/etf/?a=1")
    'coindesk.com/etf?a=1'
    """
    parts = urlsplit(canonical_url)
    query = f"?{parts.query}" if parts.query else ""
    fragment = f"#{parts.fragment.rstrip('/')}" if parts.fragment else ""
    return parts.netloc.removeprefix("www.") + parts.path.rstrip("/") + query + fragment


def describe_feed_url(url: str) -> str:
    """Return host and path: all that may be shown of a feed's address, as the rest can hold a password or a token.

    >>> describe_feed_url("https://me:secret@news.example/rss?token=abc")
    'news.example/rss'
    """
    try:
        parts = urlsplit(url.strip())
    except ValueError:
        return "an address that cannot be read"
    return f"{parts.hostname or ''}{parts.path[:100]}" or "an empty address"


def _is_tracking(name: str) -> bool:
    lower = name.lower()
    return lower in TRACKING or lower.startswith(TRACKING_PREFIXES)
