"""Channels by Apprise: any of its URLs.

Apprise answers True or False. That is enough for most services: False means "not now", and the outbox tries again. For
mail (`lib.adapters.mail`) and Discord it is not: a 429 says when to come back, a 404 that nobody will ever answer, and
a lost reply that the message may be there. `DiscordWebhook` therefore replaces the one method of Apprise's plugin that
posts; all its URL options stay. Files go out with their caption in one post, so that one answer tells what became of
them. It also sends `allowed_mentions`, without which a text with @everyone calls everybody (Apprise 1.13 spells the
field `allow_mentions`, which Discord does not know), and `wait=true` in the query, so that Discord confirms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

import requests
from apprise import Apprise, AppriseAsset, NotifyFormat, NotifyType, OverflowMode
from apprise.attachment.memory import AttachMemory
from apprise.plugins import url_to_dict
from apprise.plugins.base import NotifyBase
from apprise.plugins.discord import NotifyDiscord
from apprise.plugins.email import NotifyEmail

from lib.adapters.discord_answers import judge_failure, judge_response
from lib.adapters.discretion import discreet
from lib.adapters.mail import MailChannel, to_apprise
from lib.errors import SettingsError
from lib.notifications.channels import Answer, Channel, FilePlace, SendOutcome
from lib.notifications.messages import Severity
from lib.notifications.parts import Part
from lib.notifications.sms import SEGMENT
from lib.ports import Clock, SystemClock

LONGEST_TIMEOUT_SECONDS = 25.0  # connecting and reading together stay under the minute that a channel has
KINDS = {Severity.INFO: NotifyType.INFO, Severity.WARNING: NotifyType.WARNING, Severity.URGENT: NotifyType.FAILURE}
# What Discord shows for copying; at another host, a proxy or server that speaks the same contract. A token never
# travels unencrypted, but on this machine.
WEBHOOK = re.compile(
    r"(?P<base>(?:https://[^/?#\s]+|http://(?:127\.0\.0\.1|localhost)(?::\d+)?)/api(?:/v\d+)?/webhooks)"
    r"/(?P<rest>[^/?#\s]+/[^/?#\s]+/?(?:\?\S*)?)"
)
DISCORD = "discord"
# Apprise's gateways to phones that would send a long text in many segments, each of which is paid for.
LONG_SMS = frozenset({"clickatell", "exotel", "octopush", "smpp", "smseagle"})
NOTHING_SENT = SendOutcome(Answer.UNAVAILABLE, "Apprise sent nothing")


def make_channel(name: str, url: str, clock: Clock | None = None) -> Channel:
    """Return the channel that an Apprise URL describes; nothing is sent yet.

    Args:
        name: Ours, for people: "discord".
        url: An Apprise URL, or a Discord webhook's address as Discord shows it; a secret.
        clock: Against which a channel's "come back in ..." is counted.

    Raises:
        SettingsError: When it is no such URL; names the channel, never the URL.
    """
    with discreet():
        plugin = make_plugin(url.strip(), clock or SystemClock())
    if plugin is None:
        raise SettingsError(
            f"FKS_CHANNELS__{name.upper()}__URL is not a URL that Apprise can use. Expected one as "
            "discord://webhook_id/webhook_token or mailto://user:password@host; see Apprise's list of services."
        )
    return MailChannel(name, plugin) if isinstance(plugin, NotifyEmail) else _AppriseChannel(name, plugin, url)


class _AppriseChannel:
    def __init__(self, name: str, plugin: NotifyBase, url: str) -> None:
        self.name = name
        self.max_characters: int = min(plugin.body_maxlen, SEGMENT) if _is_sms(plugin) else plugin.body_maxlen
        self.file_place = _find_file_place(plugin)
        self._plugin = plugin
        self._secrets = _find_secrets(url)
        self._apprise = Apprise(asset=plugin.asset)
        self._apprise.add(plugin)

    def send(self, part: Part, severity: Severity) -> SendOutcome:
        if isinstance(self._plugin, DiscordWebhook):
            self._plugin.outcome = NOTHING_SENT
        with discreet() as lines:
            sent = self._apprise.notify(
                title=part.title,
                body=part.body,
                notify_type=KINDS[severity],
                body_format=NotifyFormat.TEXT,
                attach=to_apprise(part.attachments),
            )
        if isinstance(self._plugin, DiscordWebhook):
            return self._plugin.outcome
        if sent:
            return SendOutcome(Answer.DELIVERED)
        told = [line for line in lines if not any(secret in line for secret in self._secrets)]
        return SendOutcome(Answer.UNAVAILABLE, " ".join(told) or "Apprise could not deliver it and does not say why")


class DiscordWebhook(NotifyDiscord):  # type: ignore[no-untyped-call]  # Apprise's __init_subclass__ has no types
    """Apprise's Discord plugin, telling what Discord answered (`outcome`)."""

    def __init__(self, clock: Clock, **details: Any) -> None:
        super().__init__(**details)
        self.outcome = NOTHING_SENT
        self._clock = clock
        self._files: Sequence[AttachMemory] = ()

    def send(self, *args: Any, attach: Any = None, **kwargs: Any) -> bool:
        """Post once, with the files; Apprise's own way would take two posts."""
        self._files = tuple(attach or ())
        return bool(super().send(*args, **kwargs))

    def _send(self, payload: dict[str, Any], attach: Any = None, params: Any = None, *_: Any, **__: Any) -> bool:
        del attach  # Apprise has none to give: `send` keeps them
        kept = {key: value for key, value in payload.items() if key not in ("wait", "allow_mentions")}
        try:
            response = requests.post(
                f"{self.notify_url}/{self.webhook_id}/{self.webhook_token}",
                params={**(params or {}), "wait": "true"},
                **self._render_body({**kept, "allowed_mentions": self._allowed_mentions()}),
                headers={"User-Agent": self.app_id},
                verify=self.verify_certificate,
                timeout=self.request_timeout,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            self.outcome = judge_failure(error)
        else:
            self.outcome = judge_response(response, self._clock.now())
        return self.outcome.answer is Answer.DELIVERED

    def _render_body(self, payload: dict[str, Any]) -> dict[str, Any]:
        """Return JSON, or with files a form as Discord reads it; what further posts of one sending say has none."""
        files, self._files = self._files, ()
        if not files:
            return {"json": payload}
        parts = {
            f"files[{number}]": (file.name, file.open().read(), file.mimetype)  # type: ignore[no-untyped-call]  # Apprise
            for number, file in enumerate(files)
        }
        return {"data": {"payload_json": json.dumps(payload)}, "files": parts}

    def _allowed_mentions(self) -> dict[str, list[str]]:
        """Only whom the operator named in the URL (``ping=``) may be called, never whom a text names."""
        named = self.ping_payload(" ".join(self.ping)).get("allow_mentions", {})
        everyone = {"everyone", "here"} & set(named.get("parse", ()))
        return {
            "parse": ["everyone"] if everyone else [],
            "users": list(named.get("users", ())),
            "roles": list(named.get("roles", ())),
        }


def make_plugin(url: str, clock: Clock) -> NotifyBase | None:
    """Return Apprise's plugin of a URL, ours for Discord; None when it is none. Call it within `discreet`."""
    # No picture: the webhook's own one stays.
    asset = AppriseAsset(app_id="FKS", app_desc="FKS", image_url_mask="", async_mode=False)
    webhook = WEBHOOK.fullmatch(url)
    details = url_to_dict(f"{DISCORD}://{webhook['rest']}" if webhook else url)  # type: ignore[no-untyped-call]  # Apprise
    if details is None:
        return None
    if details["schema"] != DISCORD:
        plugin = Apprise.instantiate(details, asset=asset)
        nobody = isinstance(plugin, NotifyEmail) and not plugin.targets  # Apprise drops what is no address
        return None if nobody else _harden(plugin)
    try:
        plugin = DiscordWebhook(clock, **details, asset=asset)
    except TypeError:  # how Apprise's plugins refuse an id or token
        return None
    if webhook:
        plugin.notify_url = webhook["base"]
    return _harden(plugin)


def _harden(plugin: NotifyBase | None) -> NotifyBase | None:
    """Keep options of the URL from repeating, splitting, or calling a failure a success behind the outbox's back."""
    if plugin is not None:
        plugin.retry, plugin.optional, plugin.overflow_mode = 0, False, OverflowMode.UPSTREAM
        plugin.socket_connect_timeout = min(plugin.socket_connect_timeout, LONGEST_TIMEOUT_SECONDS)
        plugin.socket_read_timeout = min(plugin.socket_read_timeout, LONGEST_TIMEOUT_SECONDS)
    return plugin


def _is_sms(plugin: NotifyBase) -> bool:
    return type(plugin).__module__.rpartition(".")[2] in LONG_SMS or plugin.body_maxlen <= SEGMENT


def _find_file_place(plugin: NotifyBase) -> FilePlace:
    if not plugin.attachment_support or _is_sms(plugin):
        return FilePlace.NOWHERE
    return FilePlace.BEHIND_TEXT if isinstance(plugin, DiscordWebhook) else FilePlace.WITH_TEXT


def _find_secrets(url: str) -> frozenset[str]:
    """Return every piece of the URL that a log line of Apprise might repeat, raw and decoded."""
    _, _, rest = url.partition("://")
    pieces = {piece for piece in re.split(r"[/:@?&=,;#\s]+", rest) if len(piece) > 2}
    return frozenset({url.strip()} | pieces | {unquote(piece) for piece in pieces})
