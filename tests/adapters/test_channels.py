"""Channels through the real Apprise, against a local server that speaks Discord's webhook contract."""

from __future__ import annotations

import base64
import json
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests

from lib.adapters.channels import make_channel
from lib.errors import SettingsError
from lib.notifications.channels import Answer, FilePlace, SendOutcome
from lib.notifications.messages import Attachment, Message, MessageType, Severity
from lib.notifications.parts import Part, render_parts
from tests.webhooks import TOKEN, WebhookServer

NOON = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
PART = Part("🛑 STOP LOSS", "Price 95.00\nStop 100.00")


class StoppedClock:
    def now(self) -> datetime:
        return NOON


def post(url: str, part: Part = PART, severity: Severity = Severity.URGENT) -> SendOutcome:
    return make_channel("alerts", url, StoppedClock()).send(part, severity)


def test_discord_gets_title_and_text_and_confirms(webhooks: WebhookServer) -> None:
    assert post(webhooks.url) == SendOutcome(Answer.DELIVERED)
    (message,) = webhooks.messages
    assert message.content == "🛑 STOP LOSS\r\nPrice 95.00\nStop 100.00"
    assert message.payload.keys() == {"content", "tts", "allowed_mentions"}


def test_apprises_own_form_of_a_discord_url_is_understood() -> None:
    assert make_channel("alerts", f"discord://4711/{TOKEN}").max_characters == 2000
    assert make_channel("alerts", f"https://discord.com/api/webhooks/4711/{TOKEN}").max_characters == 2000


@pytest.mark.parametrize(
    ("status", "answer", "doubtful"),
    [
        (204, Answer.DELIVERED, False),
        (400, Answer.REJECTED, False),
        (413, Answer.REJECTED, False),
        (401, Answer.REFUSED, False),
        (403, Answer.REFUSED, False),
        (404, Answer.REFUSED, False),
        (429, Answer.POSTPONED, False),
        (301, Answer.UNAVAILABLE, False),
        (408, Answer.UNAVAILABLE, False),
        (500, Answer.UNAVAILABLE, False),
        (503, Answer.UNAVAILABLE, False),
        (504, Answer.UNAVAILABLE, True),
        (0, Answer.UNAVAILABLE, True),
    ],
)
def test_each_answer_of_discord_has_its_reaction(
    webhooks: WebhookServer, status: int, answer: Answer, doubtful: bool
) -> None:
    webhooks.answer_next(status, headers={"Location": "http://127.0.0.1:1/elsewhere"} if status == 301 else {})
    outcome = post(webhooks.url)

    assert (outcome.answer, outcome.doubtful) == (answer, doubtful)
    assert bool(outcome.reason) == (answer is not Answer.DELIVERED)
    assert webhooks.requests == 1


@pytest.mark.parametrize(
    ("how", "seconds"),
    [
        ({"body": {"retry_after": 1.337}, "headers": {"Retry-After": "2"}}, 1.337),
        ({"body": "<html>Cloudflare</html>", "headers": {"Retry-After": "30"}}, 30),
        ({"headers": {"X-RateLimit-Reset-After": "0.25"}}, 0.25),
        ({"headers": {"X-RateLimit-Reset": str(int(NOON.timestamp()) + 12)}}, 12),
        ({"headers": {"X-RateLimit-Reset": f"{NOON.timestamp() + 0.5}"}}, 0.5),
        ({"headers": {"X-RateLimit-Reset": f"{NOON.timestamp() - 60}"}}, 0),
        ({"headers": {"Retry-After": "soon"}}, None),
        ({"headers": {"Retry-After": "-5"}}, None),
        ({"headers": {"Retry-After": "nan"}}, None),
        ({"body": ["no", "object"]}, None),
    ],
)
def test_a_429_says_when_to_come_back(webhooks: WebhookServer, how: dict[str, Any], seconds: float | None) -> None:
    webhooks.answer_next(429, **how)
    expected = None if seconds is None else NOON + timedelta(seconds=seconds)
    assert post(webhooks.url).retry_at == expected


def test_a_server_that_is_not_there_has_certainly_not_taken_the_message() -> None:
    outcome = post(f"http://127.0.0.1:1/api/webhooks/4711/{TOKEN}")
    assert (outcome.answer, outcome.doubtful) == (Answer.UNAVAILABLE, False)


def test_a_server_that_does_not_answer_may_have_taken_the_message(webhooks: WebhookServer) -> None:
    webhooks.answer_next(200, held=webhooks.never)
    outcome = post(f"{webhooks.url}?rto=0.2")
    assert (outcome.answer, outcome.doubtful) == (Answer.UNAVAILABLE, True)


def test_the_servers_limit_is_two_thousand_characters(webhooks: WebhookServer) -> None:
    assert post(webhooks.url, Part("t", "x" * 1997)).answer is Answer.DELIVERED
    assert post(webhooks.url, Part("t", "x" * 1998)).answer is Answer.REJECTED


def test_a_text_calls_nobody_but_the_operators_ping_does(webhooks: WebhookServer) -> None:
    post(webhooks.url, Part("t", "@everyone"))
    post(f"{webhooks.url}?ping=@here,<@99>", Part("t", "look"))

    assert [message.calls for message in webhooks.messages] == [(), ("@here",)]
    assert webhooks.messages[1].payload["allowed_mentions"] == {"parse": ["everyone"], "users": ["99"], "roles": []}


def test_a_thread_named_in_the_url_is_passed_on(webhooks: WebhookServer) -> None:
    assert post(f"{webhooks.url}?thread=7&format=text").answer is Answer.DELIVERED
    assert webhooks.messages[0].query == {"thread_id": ["7"], "wait": ["true"]}


def test_markdown_asked_for_in_the_url_becomes_an_embed_that_calls_nobody(webhooks: WebhookServer) -> None:
    message = Message(
        MessageType.RISK, Severity.WARNING, "⚠️ HIGH risk", "# Rules\n@everyone **82 %** <@1>", "key", created_at=NOON
    )
    (part,) = render_parts(message, 2000)

    assert post(f"{webhooks.url}?format=markdown", part).answer is Answer.DELIVERED
    (posted,) = webhooks.messages
    assert posted.payload["embeds"][0]["title"] == "⚠️ HIGH risk"
    assert posted.payload["allowed_mentions"]["parse"] == []
    assert posted.calls == ()


def test_options_that_repeat_or_hide_failures_are_overruled(webhooks: WebhookServer) -> None:
    webhooks.answer_next(503, times=3)
    assert post(f"{webhooks.url}?retry=2&optional=yes").answer is Answer.UNAVAILABLE
    assert webhooks.requests == 1


def test_any_other_apprise_service_delivers_or_says_what_apprise_said(webhooks: WebhookServer) -> None:
    url = f"json://{webhooks.base.removeprefix('http://').removesuffix('/api/webhooks')}/hook"
    webhooks.answer_next(200)
    webhooks.answer_next(401)

    assert post(url) == SendOutcome(Answer.DELIVERED)
    refused = post(f"{url}?optional=yes&retry=3")
    assert refused.answer is Answer.UNAVAILABLE
    assert "error=401" in refused.reason
    assert webhooks.requests == 2


def test_files_go_through_any_service_of_apprise_that_takes_them(webhooks: WebhookServer) -> None:
    url = f"json://{webhooks.base.removeprefix('http://').removesuffix('/api/webhooks')}/hook"
    webhooks.answer_next(200)
    part = replace(PART, attachments=(Attachment("equity.png", "image/png", b"\x89PNG\x00"),))

    assert post(url, part) == SendOutcome(Answer.DELIVERED)
    (file,) = json.loads(webhooks.body)["attachments"]
    assert (file["filename"], file["mimetype"]) == ("equity.png", "image/png")
    assert base64.b64decode(file["base64"]) == b"\x89PNG\x00"


@pytest.mark.parametrize(
    ("url", "place"),
    [
        (f"discord://4711/{TOKEN}", FilePlace.BEHIND_TEXT),
        ("mailto://user:password@example.com", FilePlace.WITH_TEXT),
        ("ntfys://ntfy.example.com/topic", FilePlace.WITH_TEXT),
        ("clickatell://api-key/15112345678", FilePlace.NOWHERE),
    ],
)
def test_where_a_channel_shows_files(url: str, place: FilePlace) -> None:
    assert make_channel("alerts", url).file_place is place


@pytest.mark.parametrize(
    "url",
    [
        "",
        "no url at all",
        "unknown://sEcReT",
        "discord://sEcReT",
        "discord://",
        "mailto://",
        "https://example.com/sEcReT",
        "http://example.com/api/webhooks/4711/sEcReT",
        "discord://4711/sEcReT?flags=nonsense",
    ],
)
def test_a_wrong_url_is_refused_by_the_channels_name_and_without_the_url(
    url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(1), pytest.raises(SettingsError, match="FKS_CHANNELS__PHONE__URL") as refused:
        make_channel("phone", url)

    assert "sEcReT" not in str(refused.value) + caplog.text
    assert refused.value.__cause__ is None


def test_no_log_line_of_any_library_tells_the_url(webhooks: WebhookServer, caplog: pytest.LogCaptureFixture) -> None:
    host = webhooks.base.removeprefix("http://").removesuffix("/api/webhooks")
    with caplog.at_level(1):
        for status in (200, 401, 404, 429, 500, 0):
            webhooks.answer_next(status, times=2)
            told = repr(post(webhooks.url)) + repr(post(f"json://user:passw0rd-{TOKEN}@{host}/{TOKEN}?retry=1"))
            assert TOKEN not in told
            assert "passw0rd" not in told

    assert TOKEN not in caplog.text
    assert "passw0rd" not in caplog.text


def test_other_threads_go_on_logging_while_one_is_sending(
    webhooks: WebhookServer, caplog: pytest.LogCaptureFixture
) -> None:
    release = threading.Event()
    reply = webhooks.answer_next(200, held=release)
    sending = threading.Thread(target=post, args=(webhooks.url,))
    with caplog.at_level(logging.WARNING):
        sending.start()
        assert reply.arrived.wait(10)
        logging.getLogger("urllib3.connectionpool").warning("from another thread")
        release.set()
        sending.join()

    assert "from another thread" in caplog.text


def test_the_local_discord_takes_attachments_and_refuses_the_eleventh(webhooks: WebhookServer) -> None:
    def upload(count: int) -> int:
        files = {
            f"files[{number}]": (f"chart{number}.png", b"\x89PNG\r\n\x1a\n", "image/png") for number in range(count)
        }
        return requests.post(webhooks.url, data={"payload_json": "{}"}, files=files, timeout=5).status_code

    assert (upload(10), upload(11)) == (204, 400)
    assert webhooks.messages[0].files[9] == ("chart9.png", b"\x89PNG\r\n\x1a\n")
