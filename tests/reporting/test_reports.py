"""Reports of all kinds of accounts: what is not there is said, and the report goes out."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lib.errors import DatabaseUnavailable, SettingsError
from lib.notifications.messages import Attachment
from lib.portfolio.accounts import Account, AccountKind
from lib.portfolio.state import AccountState
from lib.reporting.charts import draw_charts
from lib.reporting.generating import ReportResult
from lib.reporting.headline import list_concerns, write_headline
from lib.reporting.rendering import render_html, render_markdown
from lib.reporting.report import Curve, ReportType
from lib.reporting.runs import RunHistory, TroubledRun
from lib.results import Status
from tests.portfolio.samples import at, buy, sell
from tests.reporting.conftest import Newsroom


@dataclass
class BrokenStates:
    """A `StateStore` that fails."""

    error: Exception

    def load_state(self, account: str) -> AccountState | None:
        raise self.error


class Reader(HTMLParser):
    """Reads a page as a browser does: its elements, its words, and where it would ask the network."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def read(result: ReportResult) -> Reader:
    assert result.path is not None
    return Reader(Path(result.path).read_text())


def live(newsroom: Newsroom, *equities: str, until: float = 9.9) -> None:
    """Let the account have been worth this at the ends of the last days."""
    for place, equity in enumerate(reversed(equities)):
        newsroom.past.worth(until - place, equity)


def test_a_report_says_what_the_account_did_and_what_it_holds(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1050", "1155")
    newsroom.past.bitcoin(8.9, 50_000)
    newsroom.past.bitcoin(9.9, 51_000)
    newsroom.hold(buy("4", "100", "0.4 USDT", number=1), sell("1", "120", "0.12 USDT", number=2), cash="825")
    result = newsroom.write()
    assert result.status is Status.OK, result.items
    [told] = newsroom.messages()
    assert told.title == "📊 Daily report 2024-10-13 (demo): +10.00 % (+105.00 USDT), equity 1,155.00 USDT"
    assert "Return +10.00 % (the day before +5.00 %, holding BTC +2.00 %)." in told.body
    assert "Positions: 1; best SOL/USDT +9.89 %." in told.body  # 3 that cost 300.30, at 110
    assert "No stop loss: SOL/USDT" in told.body
    assert newsroom.attachments() == ["equity.png", "drawdown.png", "allocation.png", "daily-2024-10-13-demo.html"]
    page = read(result).text
    for words in ("SOL/USDT 3 100.10 110.00 330.00 28.6 % +29.70 +9.89 % none", "10-04 00:02 sell SOL/USDT 1 120.00"):
        assert words in page, words
    [row] = newsroom.past.query("SELECT * FROM reports")
    assert (row.report_type, row.account, str(row.last_day), row.flaws) == ("daily", "demo", "2024-10-13", "")
    assert row.markdown == result.markdown and row.path == result.path


def test_a_report_shows_thirty_days_as_they_were_measured_before(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1050", "1155")
    now = newsroom.past.clock.now()
    assert "Nothing to compare with yet" in newsroom.write().markdown
    newsroom.past.measure(now - timedelta(days=1))
    newsroom.past.measure(now)
    assert "2024-10-13 +155.00 +15.50 % – – – 0.00 % – 2024-10-12 +50.00 +5.00 %" in read(newsroom.write()).text


def test_an_account_without_trades_has_a_report(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1000", "1000")
    newsroom.hold(cash="1000")
    result = newsroom.write(ReportType.WEEKLY)
    assert result.status is Status.OK, result.items
    for words in ("No position is open.", "No order was ever filled.", "No symbol was traded or held."):
        assert words in result.markdown
    [told] = newsroom.messages()
    assert "Positions: none.\nTrades: none." in told.body
    assert told.title.endswith(": 0.00 % (0.00 USDT), equity 1,000.00 USDT")


def test_an_account_that_is_one_day_old_says_since_when_it_is_known(newsroom: Newsroom) -> None:
    newsroom.past.worth(9.4, "1000")
    newsroom.past.worth(9.9, "1010")
    result = newsroom.write(ReportType.MONTHLY)
    assert result.status is Status.OK, result.items
    assert "The first balance is of 2024-10-13 09:36 UTC" in result.markdown
    assert "not enough data (1 of 7 days)" in result.markdown
    [told] = newsroom.messages()
    assert "Return +1.00 %.\n" in told.body
    assert {chart.name for chart in result.charts} >= {"equity.png", "drawdown.png"}


def test_an_account_that_nothing_is_known_of_has_a_report_that_says_so(newsroom: Newsroom) -> None:
    result = newsroom.write()
    assert result.status is Status.PARTIAL
    assert result.charts == ()
    [told] = newsroom.messages()
    assert told.title == "📊 Daily report 2024-10-13 (demo): no balance is stored yet"
    assert "Missing in this report:\n• the equity chart. Expected two balances at least, was 0." in told.body
    assert newsroom.attachments() == ["daily-2024-10-13-demo.html"]
    page = read(result)
    assert "no balance stored yet" in page.text and "img" not in page.elements


def test_a_loss_has_its_sign_everywhere(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1000", "900")
    newsroom.hold(buy("8", "120", "0 USDT", number=1), cash="20")
    result = newsroom.write()
    [told] = newsroom.messages()
    assert "-10.00 % (-100.00 USDT), equity 900.00 USDT" in told.title
    assert "best SOL/USDT -8.33 %" in told.body
    assert "-10.00 % (1 day, not over)" in result.markdown
    page = Path(str(result.path)).read_text()
    assert re.search(r'class="right bad">-10\.00 %', page)


def test_an_account_that_was_closed_has_a_report_of_how_it_ended(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1100", until=8.9)
    newsroom.past.worth(9.2, "0", deposited="-1100")
    newsroom.past.worth(9.9, "0")
    newsroom.hold(buy("1", "100", number=1), sell("1", "110", number=2))
    result = newsroom.write()
    assert result.status is Status.OK, result.items
    assert "demo is empty: nothing is in it." in result.markdown
    assert "There is no equity to split" in result.markdown
    assert "0.00 % (0.00 USDT), equity 0.00 USDT" in newsroom.messages()[0].title
    newsroom.wait_until(30 + 23.5 / 24)
    later = newsroom.write()
    assert "equity 0.00 USDT, nothing is invested" in newsroom.messages()[1].title
    assert "The last balance of demo is of 2024-10-13" in later.markdown


def test_several_accounts_are_one_report_and_one_that_cannot_be_used_is_named(newsroom: Newsroom) -> None:
    newsroom.past.open_account("second")
    newsroom.past.accounts.append(Account("foreign", AccountKind.LIVE, "hand", "EUR"))
    newsroom.sources = replace(newsroom.sources, refused={"second": SettingsError("The live account has no keys.")})
    live(newsroom, "1000", "1100")
    newsroom.past.worth(8.9, "500", account="second")
    newsroom.past.worth(9.9, "500", account="second")
    result = newsroom.write()
    assert result.status is Status.PARTIAL
    assert "+6.67 % (+100.00 USDT), equity 1,600.00 USDT" in newsroom.messages()[0].title
    assert "demo (live) +100.00 +10.00 % 1,100.00" in read(result).text
    assert "second (live) 0.00 0.00 % 500.00" in read(result).text
    assert "Account second cannot be used: The live account has no keys." in result.markdown
    assert "account foreign: its amounts are in EUR" in result.markdown
    assert result.path is not None and result.path.endswith("daily-2024-10-13.html")


def test_what_is_generated_again_by_the_same_run_is_told_once_and_replaces_the_report(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1100")
    first, again = newsroom.write(key="run"), newsroom.write(key="run")
    assert (first.counts["messages"], again.counts["messages"]) == (1, 0)
    newsroom.write(key="another run")
    assert len(newsroom.messages()) == 2
    assert len(newsroom.past.query("SELECT 1 FROM reports")) == 1
    assert [path.name for path in newsroom.folder.iterdir()] == ["daily-2024-10-13-demo.html"]


def test_a_chart_that_cannot_be_drawn_is_named_and_the_others_are_there(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1100")
    newsroom.hold(cash="1100")
    report = newsroom.gather()
    broken = replace(report, curve=Curve((at(0), at(1)), (1.0,), (1.0, 1.1)))
    charts, told = draw_charts(broken)
    assert [chart.name for chart in charts] == ["drawdown.png", "allocation.png"]
    assert told.flaws == ("the equity chart could not be drawn (ValueError)",)
    assert "Missing in this report: the equity chart could not be drawn" in render_markdown(told)


def test_a_folder_that_cannot_be_written_costs_the_file_and_not_the_report(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1100")
    newsroom.folder.write_text("not a folder")
    result = newsroom.write()
    assert (result.status, result.path) == (Status.PARTIAL, None)
    assert "could not be written (File exists)" in result.markdown
    assert "daily-2024-10-13-demo.html" in newsroom.attachments()


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "a | b\n| c |", '"><img src=http://evil>', "{{ 7*7 }}"]
)
def test_what_errors_say_breaks_no_rendering(newsroom: Newsroom, hostile: str) -> None:
    live(newsroom, "1000", "1100")
    run = TroubledRun("critical-path", newsroom.past.clock.now(), "Failed", hostile)
    report = newsroom.gather(history=RunHistory(9, (run,)))
    page = Reader(render_html(report, [Attachment("equity.png", "image/png", b"png")]).decode())
    assert "script" not in page.elements
    assert page.addresses == ["data:image/png;base64,cG5n"]  # nothing is asked of the network
    assert " ".join(hostile.split()) in page.text
    markdown = render_markdown(report)
    assert "<" not in markdown
    [row] = [line for line in markdown.splitlines() if line.startswith("| critical-path")]
    assert len(re.findall(r"(?<!\\)\|", row)) == 6  # five columns


def test_the_history_of_runs_is_told_grouped_the_failed_ones_first(newsroom: Newsroom) -> None:
    runs = [TroubledRun("news", at(minute), "Partial", "1 failed") for minute in range(20)]
    runs += [TroubledRun("critical-path", at(minute), "Failed", f"reason {minute}") for minute in (1, 3, 2)]
    report = newsroom.gather(history=RunHistory(300, tuple(runs), untold=7))
    markdown = render_markdown(report)
    lines = [line for line in markdown.splitlines() if line.startswith(("| news", "| critical-path"))]
    assert [re.split(r" *\| *", line)[1:6] for line in lines] == [
        ["critical-path", "Failed", "3", "10-04 00:03", "reason 3"],
        ["news", "⚠️ Partial", "20", "10-04 00:19", "1 failed"],
    ]
    assert "Of 300 runs. 7 more are not listed." in markdown
    assert "Runs went wrong: critical-path 3× failed (What failed, at the end of the page, has why)." in list_concerns(
        report
    )
    silent = newsroom.gather(history=RunHistory(error="ConnectError: refused"))
    assert "The history of the runs could not be read: ConnectError: refused" in render_markdown(silent)


def test_a_source_that_fails_is_named_and_a_database_that_is_gone_ends_the_attempt(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1100")
    newsroom.sources = replace(newsroom.sources, states=BrokenStates(SettingsError("no targets")))
    report = newsroom.gather()
    assert report.flaws == ("allocation: no targets",)
    assert write_headline(report) == "+10.00 % (+100.00 USDT), equity 1,100.00 USDT"
    newsroom.sources = replace(newsroom.sources, states=BrokenStates(DatabaseUnavailable("gone")))
    with pytest.raises(DatabaseUnavailable):
        newsroom.gather()


def test_messages_that_reached_nobody_are_told_a_quarter_of_an_hour_later(newsroom: Newsroom) -> None:
    live(newsroom, "1000", "1100")
    newsroom.write()
    assert newsroom.gather().undelivered == ()
    newsroom.past.clock.pass_time(minutes=20)
    [(title, reason)] = newsroom.gather().undelivered
    assert title.startswith("📊 Daily report") and reason


def test_the_allocation_counts_what_all_accounts_hold(newsroom: Newsroom) -> None:
    newsroom.past.open_account("second")
    newsroom.hold(buy("3", "100", number=1), cash="670")
    newsroom.hold(cash="1000", account="second")
    allocation = newsroom.gather().allocation
    assert allocation is not None
    assert allocation.equity == Decimal(2000)
    assert {one.name: one.value for one in allocation.assets if one.value} == {"SOL": Decimal(330)}
