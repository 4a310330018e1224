"""Which assets a text speaks of."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

# Enough to read LINK as a ticker, and Avalanche as a coin.
CRYPTO_CONTEXT = re.compile(
    r"\b(?:crypto\w*|blockchains?|bitcoins?|ether(?:eum)?|altcoins?|(?:stable|meme)coins?|coins?|tokens?|tokeni\w+|defi|"
    r"nfts?|web3|staking|stakers?|stablecoins?|airdrops?|wallets?|on-?chain|mainnet|testnet|layer[- ][12]|dex|dao|btc|"
    r"eth|usdt|binance|coinbase|kraken)\b",
    re.IGNORECASE,
)
SHOUTING = 0.6  # of the letters; in a text in capitals LINK is a word
# "Cosmos ATOM", "Cosmos (ATOM)": what stands between a name and its ticker.
BESIDE = re.compile(r"[\s(,:/-]{1,3}")
# "Click the LINK to claim": what stands before and after a ticker that is a word there.
ARTICLE = re.compile(r"\b(?:an?|the|this|that|your|our|click|tap|follow)\s+$", re.IGNORECASE)
DIRECTION = re.compile(r"\s+(?:to|in|below|above|here|for)\b|\s*(?:[.!?]|$)", re.IGNORECASE)
# "DOT says": an authority speaks and fines, an asset does not.
SPEAKING = re.compile(
    r"\s+(?:says?|said|warns?|warned|fines|fined|sues|sued|orders|ordered|proposes|proposed|seeks|asks|urges)\b", re.I
)


class AssetTagger:
    """Finds assets by name and ticker, as `assets.csv` has them.

    * ``$LINK`` always counts.
    * A name that is no ordinary word ("Chainlink") counts in any case; one that is ("Avalanche") with a capital, where
      the text is about crypto at all.
    * A ticker counts in capitals; one that is also a word or a usual abbreviation (LINK, DOT, ADA, SOL, ATOM) only
      where the text is about crypto and is not all in capitals, and not where it is used as a word ("click the LINK
      to") or speaks as an authority does ("DOT says").
    * A name beside its ticker ("Cosmos ATOM") is about crypto.
    * The longest name wins: neither "Bitcoin Cash" nor "bitcoin-cash" speaks of Bitcoin.

    An asset that the file does not have is found by its ticker, as if that were a word.
    """

    def __init__(self, assets: Iterable[str]) -> None:
        self._wanted = {asset.upper() for asset in assets}
        known = _load_assets()
        self._by_name: dict[str, str] = {}
        self._by_word: dict[str, str] = {}
        self._tickers: dict[str, bool] = {}
        for ticker, (is_word, names, words) in known.items():
            self._tickers[ticker] = is_word
            self._by_name |= {name.lower(): ticker for name in names}
            self._by_word |= dict.fromkeys(words, ticker)
        self._tickers |= {asset: True for asset in self._wanted if asset not in known}
        self._pattern = _compile([*self._by_name, *self._by_word], self._tickers)

    def tag(self, text: str) -> tuple[str, ...]:
        """Return the wanted assets that the text speaks of, sorted."""
        matches = list(self._pattern.finditer(text))
        is_crypto = CRYPTO_CONTEXT.search(text) is not None or any(map(self._is_named_twice, matches, matches[1:]))
        is_calm = not _is_shouting(text)
        found = {self._read(match, is_crypto, is_calm) for match in matches}
        return tuple(sorted(asset for asset in found if asset in self._wanted))

    def _is_named_twice(self, match: re.Match[str], following: re.Match[str]) -> bool:
        """Whether these are a name and the ticker of one asset, side by side."""
        if not BESIDE.fullmatch(match.string, match.end(), following.start()):
            return False
        said = {match["said"], following["said"]}
        names = {self._by_word.get(_unify(one)) or self._by_name.get(_unify(one).lower()) for one in said}
        return any(one in self._tickers and one in names for one in said)

    def _read(self, match: re.Match[str], is_crypto: bool, is_calm: bool) -> str | None:
        said = match["said"]
        if match["dollar"]:
            return said if said in self._tickers else None
        if said in self._tickers:
            is_asset = not self._tickers[said] or (is_crypto and is_calm and not _is_word(match))
            return said if is_asset else None
        name = _unify(said)
        if name in self._by_word and is_crypto:
            return self._by_word[name]
        return self._by_name.get(name.lower())


def _compile(names: Iterable[str], tickers: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted({*names, *tickers}, key=len, reverse=True)
    said = "|".join(re.escape(one).replace(r"\ ", "[ -]") for one in longest_first)
    return re.compile(rf"(?<![\w$])(?P<dollar>\$?)(?P<said>{said})(?!\w)", re.I)


def _unify(said: str) -> str:
    """Return a name as the file has it: ``bitcoin-cash`` is ``bitcoin cash``."""
    return said.replace("-", " ")


def _is_word(match: re.Match[str]) -> bool:
    """Whether a ticker that is a word is used as one, or as an authority's abbreviation."""
    text, after = match.string, match.end()
    if SPEAKING.match(text, after):
        return True
    return ARTICLE.search(text[: match.start()]) is not None and DIRECTION.match(text, after) is not None


def _is_shouting(text: str) -> bool:
    letters = [sign for sign in text if sign.isalpha()]
    return sum(sign.isupper() for sign in letters) > SHOUTING * len(letters)


@cache
def _load_assets() -> dict[str, tuple[bool, tuple[str, ...], tuple[str, ...]]]:
    """Return by ticker: whether it is a word, its names, and those of its names that are ordinary words."""
    text = files("lib.news").joinpath("assets.csv").read_text("utf-8")
    return {
        row["ticker"]: (row["ticker_is_word"] == "yes", _split(row["names"]), _split(row["names_are_words"]))
        for row in csv.DictReader(text.splitlines())
    }


def _split(names: str) -> tuple[str, ...]:
    return tuple(name for name in names.split("|") if name)
