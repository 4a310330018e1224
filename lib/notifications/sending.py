"""The task send_notifications: say something if asked to, then deliver what is due."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from tabulate import tabulate

from lib.notifications.channels import Subscriber
from lib.notifications.delivery import ChannelReport, Pace, deliver_due
from lib.notifications.messages import Message
from lib.notifications.outbox import ChannelRecord, MessageRecord, NotificationStore, Undelivered
from lib.ports import Clock
from lib.results import Item, Status, TaskResult, calc_status

TASK = "send_notifications"
NOBODY = "no channel configured: nobody is told. Set FKS_CHANNELS__DISCORD__URL"
SHOWN_FOR = timedelta(days=3)
MAX_SHOWN = 20
MAX_LOGGED = 5
RECORD_OF = timedelta(days=1)
MAX_LISTED = 10
logger = logging.getLogger(__name__)


class NotificationsResult(TaskResult):
    """What was delivered, and what nobody has been told.

    Attributes:
        undelivered: Messages of the last three days that no channel has confirmed: urgent first, then newest first;
            the first twenty.
        channels: What became of the messages of the last day, by channel.
        messages: What became of the ten newest messages on each channel.
    """

    undelivered: tuple[Undelivered, ...] = ()
    channels: tuple[ChannelRecord, ...] = ()
    messages: tuple[MessageRecord, ...] = ()

    def render_tables(self) -> list[str]:
        """The messages that nobody has been told, and the record of what was delivered where."""
        unsent = [(each.severity.value, each.title, _format_age(self, each), each.reason) for each in self.undelivered]
        channels = [
            (
                each.channel,
                each.delivered,
                f"{each.delivered_at:%Y-%m-%d %H:%M:%S}" if each.delivered_at else "",
                each.waiting,
                each.given_up,
            )
            for each in self.channels
        ]
        messages = [
            (
                f"{each.created_at:%m-%d %H:%M}",
                each.title,
                ", ".join(f"{channel} {what}" for channel, what in each.places.items()) or "nobody",
            )
            for each in self.messages
        ]
        tables = (
            _render_table("Not delivered", ("severity", "message", "age", "why not delivered"), unsent),
            _render_table("Channels, last 24 hours", ("channel", "delivered", "last", "waits", "given up"), channels),
            _render_table("Latest messages (UTC)", ("recorded", "message", "delivered"), messages),
        )
        return [table for table in tables if table]


def send_notifications(
    store: NotificationStore,
    subscribers: Sequence[Subscriber],
    clock: Clock,
    *,
    note: Message | None = None,
    pace: Pace | None = None,
) -> NotificationsResult:
    """Record the note if there is one, deliver what is due, and report each channel.

    With no channel configured the messages are kept, logged and returned as undelivered.

    Args:
        store: The outbox.
        subscribers: Every channel; none means that nobody is told.
        clock: The time.
        note: Something a person wants to say (`texts.write_note`).
        pace: How long it may take.

    Raises:
        AllItemsFailed: When every channel fails. The messages wait in the outbox for the next run.
        DatabaseUnavailable: Nothing is lost; see `deliver_due`.
    """
    started_at = clock.now()
    recorded = store.record(note) if note else False
    reports = deliver_due(store, subscribers, clock, pace)
    undelivered = store.load_undelivered(clock.now() - SHOWN_FOR, MAX_SHOWN)
    if undelivered:
        titles = "; ".join(f"{each.title} ({each.reason})" for each in undelivered[:MAX_LOGGED])
        logger.warning("%d messages not delivered: %s", len(undelivered), titles)
    items = tuple(_to_item(report, clock.now()) for report in reports) or (
        Item(name="channels", status=Status.SKIPPED, detail=NOBODY),
    )
    return NotificationsResult(
        task=TASK,
        status=calc_status(TASK, items),
        counts={
            "recorded": int(recorded),
            "delivered": sum(report.delivered for report in reports),
            "given up": sum(len(report.given_up) for report in reports),
            "waiting": sum(report.backlog.waiting for report in reports if report.backlog),
            "held": sum(report.held.count for report in reports if report.held),
            "untold": 0 if subscribers else len(undelivered),
        },
        items=items,
        started_at=started_at,
        finished_at=clock.now(),
        undelivered=tuple(undelivered),
        channels=tuple(store.load_channel_records(clock.now() - RECORD_OF)),
        messages=tuple(store.load_message_records(MAX_LISTED)),
    )


def _render_table(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    if not rows:
        return ""
    cells = [[str(cell).replace("|", "\\|") for cell in row] for row in rows]
    return f"### {title}\n\n" + tabulate(cells, headers=headers, tablefmt="pipe", disable_numparse=True)


def _to_item(report: ChannelReport, now: datetime) -> Item:
    """A channel fails when its settings make none, or it delivered nothing, and messages were given up or wait for it.

    Where others go through it is partial: a message that only it cannot take does not make every run a failed one.
    """
    waiting = report.backlog
    words = [f"{report.delivered} delivered"] if report.delivered else []
    if waiting:
        later = f", next attempt {waiting.resume_at:%H:%M:%S} UTC" if waiting.resume_at > now else ""
        words.append(f"{waiting.waiting} waiting{later}")
        if waiting.reason and waiting.reason != report.fault:
            words.append(waiting.reason)
    if report.held and report.held_until:
        words.append(f"{report.held.count} held until {report.held_until:%H:%M} UTC")
    if report.fault:
        words.append(report.fault)
    if report.given_up:
        titles = "; ".join(f"{title}: {reason}" for title, reason in report.given_up[:3])
        words.append(f"{len(report.given_up)} given up ({titles})")
    return Item(name=report.name, status=_find_status(report), detail=", ".join(words) or "nothing to send")


def _find_status(report: ChannelReport) -> Status:
    waiting = report.backlog
    if report.fault:
        return Status.FAILED
    if not report.given_up and not (waiting and waiting.reason):
        return Status.OK if report.delivered else Status.SKIPPED
    fails = bool(report.given_up) or (waiting is not None and waiting.is_blocked)
    return Status.FAILED if fails and not report.delivered else Status.PARTIAL


def _format_age(result: TaskResult, message: Undelivered) -> str:
    minutes = max(timedelta(), result.finished_at - message.created_at) // timedelta(minutes=1)
    hours, days = minutes // 60, minutes // 1440
    return f"{days} d {hours % 24} h" if days else f"{hours} h {minutes % 60} min" if hours else f"{minutes} min"
