"""Why nobody is told: channels that are missing, do not answer or refuse, and messages that wait."""

from __future__ import annotations

from collections.abc import Iterator

from deployments.doctor.findings import Check, Finding, Question, Situation, fine, found
from lib.adapters.channel_reach import check_reach
from lib.adapters.database.engine import make_engine
from lib.adapters.database.notifications import NotificationStore
from lib.ports import SystemClock
from lib.results import render_count


def look_at_channels(situation: Situation) -> Iterator[Finding]:
    """Look whether each channel's server answers; nothing is sent."""
    channels = situation.settings.channels
    if not channels:
        yield found(
            "there is no channel, so nobody is told of anything",
            "set FKS_CHANNELS__TEAM__URL, as discord://webhook_id/webhook_token",
        )
    for name, channel in channels.items():
        answers, words = check_reach(name, channel.url.get_secret_value(), SystemClock())
        if answers:
            yield fine(f"{name}: {words}")
        else:
            yield found(f"{name}: {words}", f"mend FKS_CHANNELS__{name.upper()}__URL, or wait for its server")


def look_at_backlog(situation: Situation) -> Iterator[Finding]:
    """Look what waits for each channel, and why."""
    engine = make_engine(situation.find_database())
    try:
        backlog = NotificationStore(engine).load_backlog()
    finally:
        engine.dispose()
    for channel, waiting in backlog.items():
        minutes = int((situation.now - waiting.oldest_at).total_seconds() // 60)
        words = f"{render_count(waiting.waiting, 'messages')} wait for {channel}, the oldest for {minutes} min"
        reason = f": {waiting.reason}" if waiting.reason else ""
        if minutes > situation.settings.health_max_backlog_minutes or waiting.refused:
            yield found(f"{words}{reason}", "mend the channel; what waits is then delivered by the next run")
        else:
            yield fine(f"{words}{reason}")
    if not backlog:
        yield fine("no message waits")


CHECKS = (
    Check(Question.TOLD, "channels", look_at_channels, is_cause=True),
    Check(Question.TOLD, "messages that wait", look_at_backlog),
)
