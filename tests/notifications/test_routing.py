from __future__ import annotations

from datetime import timedelta

import pytest

from lib.notifications.outbox import DeliveryState, Route
from lib.notifications.routing import Escalation, find_escalation
from tests.notifications.samples import NOON

ORDER = ["discord", "email", "phone"]
TWO_MINUTES = timedelta(minutes=2)
PENDING, DELIVERED, FAILED = DeliveryState.PENDING, DeliveryState.DELIVERED, DeliveryState.FAILED


def route(channel: str, state: DeliveryState, seconds_ago: int) -> Route:
    return Route(channel, state, NOON - timedelta(seconds=seconds_ago))


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        pytest.param([route("discord", PENDING, 119)], None, id="the first still has time"),
        pytest.param([route("discord", PENDING, 120)], "email", id="the first is silent"),
        pytest.param([route("discord", FAILED, 1)], "email", id="the first gave up"),
        pytest.param([route("discord", DELIVERED, 999)], None, id="the first has it"),
        pytest.param(
            [route("discord", PENDING, 240), route("email", PENDING, 119)], None, id="the second still has time"
        ),
        pytest.param([route("discord", PENDING, 240), route("email", PENDING, 120)], "phone", id="both are silent"),
        pytest.param([route("discord", PENDING, 240), route("email", DELIVERED, 120)], None, id="the second has it"),
        pytest.param([route(name, FAILED, 240) for name in ORDER], None, id="nobody is left"),
        pytest.param([route("email", PENDING, 120)], "phone", id="the first did not want it"),
        pytest.param([route("gone", PENDING, 120)], "discord", id="its channel is no longer configured"),
    ],
)
def test_an_urgent_message_goes_on_when(routes: list[Route], expected: str | None) -> None:
    found = find_escalation(routes, ORDER, TWO_MINUTES)
    assert (found.channel if found and found.due_at <= NOON else None) == expected


@pytest.mark.parametrize(
    ("routes", "channel", "seconds"),
    [
        ([route("discord", PENDING, 30)], "email", 90),
        ([route("discord", PENDING, 240), route("email", PENDING, 119)], "phone", 1),
        ([route("discord", FAILED, 1), route("email", PENDING, 20)], "phone", 100),
    ],
)
def test_when_it_will_go_on_is_known_before(routes: list[Route], channel: str, seconds: int) -> None:
    assert find_escalation(routes, ORDER, TWO_MINUTES) == Escalation(channel, NOON + timedelta(seconds=seconds))
