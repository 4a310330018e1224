"""Whether a channel can be reached, without sending anything: a webhook is looked up, a mail server greeted."""

from __future__ import annotations

import smtplib
import socket
from typing import NamedTuple
from urllib.parse import urlsplit

import requests
from apprise.plugins.base import NotifyBase
from apprise.plugins.email import NotifyEmail
from apprise.plugins.email.common import SecureMailMode

from lib.adapters.channels import DiscordWebhook, make_plugin
from lib.adapters.discretion import discreet
from lib.ports import Clock

PATIENCE_SECONDS = 5.0
GONE = {401, 403, 404, 410}


class Reach(NamedTuple):
    """Whether the channel answered, and what, in words without any secret."""

    answers: bool
    words: str


def check_reach(name: str, url: str, clock: Clock) -> Reach:
    """Ask the channel whether it is there; nothing is sent to anybody.

    A Discord webhook is asked for itself (`GET /webhooks/{id}/{token}`), which needs no right; a mail server is
    connected to and greets; of another service the connection to its host is opened.

    Args:
        name: The channel's.
        url: Its Apprise URL; a secret.
        clock: For the channel.
    """
    with discreet():
        plugin = make_plugin(url.strip(), clock)
        if plugin is None:
            return Reach(False, "its URL is not one that Apprise can use")
        try:
            return _reach(plugin, name)
        except (OSError, smtplib.SMTPException) as error:  # of requests too; their texts may hold the URL
            return Reach(False, f"its server does not answer ({type(error).__name__})")


def _reach(plugin: NotifyBase, name: str) -> Reach:
    if isinstance(plugin, DiscordWebhook):
        return _look_up(plugin)
    if isinstance(plugin, NotifyEmail):
        return _greet(plugin)
    place = urlsplit(getattr(plugin, "notify_url", None) or "")
    host = place.hostname or getattr(plugin, "host", None)
    if not host:
        return Reach(True, f"cannot be tried without sending; `fks test-message {name}` sends")
    secure = place.scheme == "https" or bool(getattr(plugin, "secure", False))
    port = place.port or getattr(plugin, "port", None) or (443 if secure else 80)
    with socket.create_connection((host, port), timeout=PATIENCE_SECONDS):
        return Reach(True, "its server answers (`fks test-message` shows whether it takes messages)")


def _look_up(plugin: DiscordWebhook) -> Reach:
    answer = requests.get(
        f"{plugin.notify_url}/{plugin.webhook_id}/{plugin.webhook_token}",
        verify=plugin.verify_certificate,
        timeout=PATIENCE_SECONDS,
        allow_redirects=False,
    )
    if answer.status_code in GONE:
        return Reach(False, f"Discord answers {answer.status_code}: the webhook was deleted, or its token is another")
    return Reach(answer.ok, "the webhook is there" if answer.ok else f"its server answers {answer.status_code}")


def _greet(plugin: NotifyEmail) -> Reach:
    secure = plugin.secure_mode == SecureMailMode.SSL
    server = smtplib.SMTP_SSL if secure else smtplib.SMTP
    with server(plugin.smtp_host, plugin.port or 0, timeout=PATIENCE_SECONDS) as session:
        session.ehlo_or_helo_if_needed()
    return Reach(True, "the mail server answers (its login is tried by `fks test-message`)")
