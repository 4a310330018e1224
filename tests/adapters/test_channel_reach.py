"""Whether a channel is there: asked without sending anything, and said without a secret."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from lib.adapters.channel_reach import Reach, check_reach
from lib.ports import SystemClock
from tests.mail_servers import PASSWORD, MailServer, run_mail_server
from tests.prefect_servers import free_port
from tests.webhooks import TOKEN, WebhookServer

CLOCK = SystemClock()


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with run_mail_server() as server:
        yield server


def test_a_webhook_that_is_there_answers_and_nothing_is_posted(webhooks: WebhookServer) -> None:
    assert check_reach("team", webhooks.url, CLOCK) == Reach(True, "the webhook is there")
    assert (webhooks.requests, webhooks.messages) == (0, [])


def test_a_webhook_with_another_token_is_refused_without_naming_it(webhooks: WebhookServer) -> None:
    reach = check_reach("team", webhooks.url.replace(TOKEN, "0ther-token"), CLOCK)
    assert reach == Reach(False, "Discord answers 404: the webhook was deleted, or its token is another")


def test_a_server_that_fails_or_is_gone_does_not_answer(webhooks: WebhookServer) -> None:
    webhooks.down = True
    assert check_reach("team", webhooks.url, CLOCK) == Reach(False, "its server answers 503")
    gone = f"http://127.0.0.1:{free_port()}/api/webhooks/4711/{TOKEN}"
    reach = check_reach("team", gone, CLOCK)
    assert reach == Reach(False, "its server does not answer (ConnectionError)")


def test_a_mail_server_is_greeted_and_gets_no_mail_and_no_password(mail_server: MailServer) -> None:
    reach = check_reach("mail", mail_server.url, CLOCK)
    assert reach.answers
    assert "login is tried by `fks test-message`" in reach.words
    assert (mail_server.mails, mail_server.logins) == ([], 0)


def test_a_mail_server_that_is_gone_does_not_answer() -> None:
    reach = check_reach(
        "mail", f"mailto://fks:{PASSWORD}@127.0.0.1:{free_port()}/a@example.com?from=fks@example.com", CLOCK
    )
    assert reach == Reach(False, "its server does not answer (ConnectionRefusedError)")


def test_of_another_service_the_host_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert check_reach("other", f"json://127.0.0.1:{server.getsockname()[1]}/path", CLOCK).answers
    assert not check_reach("other", f"json://127.0.0.1:{free_port()}/path", CLOCK).answers


@pytest.mark.parametrize("url", ["nonsense", "discord://only-an-id"])
def test_what_is_no_channel_is_said_to_be_none(url: str) -> None:
    assert check_reach("team", url, CLOCK) == Reach(False, "its URL is not one that Apprise can use")
