"""Texts for phones: one segment of GSM letters, with the link."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lib.notifications.parts import mark_repeat, render_parts
from lib.notifications.sms import SEGMENT, count_places, shorten, spell, write_short
from tests.notifications.samples import make_message

LINK = "http://127.0.0.1:4200/runs/flow-run/0190f0aa-7c1e-7b8e-9d7f-3f3f3f3f3f3f"
LATIN = st.text(st.sampled_from("ab 7.\n€[é🛑…“"), max_size=600)


def test_what_the_alphabet_lacks_is_spelt_and_emoji_are_left_out() -> None:
    assert spell("🛑 Stop – “dés vú” ≤ 95 …\n\t⚠️ 5 ± 1 %") == 'Stop - "dés vu" <= 95 ...\n5 +- 1 %'


def test_letters_of_other_scripts_stay() -> None:
    assert spell("Стоп 停止") == "Стоп 停止"


def test_brackets_and_the_euro_take_two_places() -> None:
    assert count_places("[5 €]") == 8


def test_a_text_is_cut_between_words_and_says_so() -> None:
    assert shorten("one two three four", 15) == "one two..."
    assert shorten("one two three four", 18) == "one two three four"
    assert shorten("x" * 50, 20) == "x" * 17 + "..."


def test_an_alert_is_one_segment_with_the_numbers_and_the_link() -> None:
    message = make_message(
        "🛑 Stop loss triggered: SOL/USDT (demo)",
        body="SOL/USDT is at 95, at or below its stop loss of 100.\nQuantity 2 SOL\nWhat to do: sell by hand.",
        link=LINK,
    )

    (part,) = render_parts(message, SEGMENT)

    assert part.title == "Stop loss triggered: SOL/USDT (demo)"
    assert part.body == f"SOL/USDT is at 95, at or below its...\n{LINK}"
    assert count_places(f"{part.title}\r\n{part.body}") <= SEGMENT


def test_a_short_text_is_whole() -> None:
    assert write_short("Stop", "Sold.", "http://x/1", 160) == ("Stop", "Sold.\nhttp://x/1")
    assert write_short("📬", "🛑", None, 160) == ("", "")


@given(title=LATIN.filter(str.strip), body=LATIN.filter(str.strip), link=st.sampled_from([None, LINK, "http://x/1"]))
def test_any_text_fits_one_segment_even_as_a_repeat_and_keeps_its_link(title: str, body: str, link: str | None) -> None:
    (part,) = render_parts(make_message(f"t{title}", body=body, link=link, deduplication_key="key"), SEGMENT)
    for sent in (part, mark_repeat(part, SEGMENT)):
        assert count_places(f"{sent.title}\r\n{sent.body}") <= SEGMENT
        assert not link or sent.body.endswith(link)
        assert sent.body.strip()
        assert spell(sent.body.replace(link or "", "")) == sent.body.replace(link or "", "").strip()


def test_a_link_that_leaves_no_room_for_words_is_left_out() -> None:
    (part,) = render_parts(make_message("Stop", body="Sold.", link="http://x/" + "y" * 150), SEGMENT)
    assert (part.title, part.body) == ("Stop", "Sold.")
