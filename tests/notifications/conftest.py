from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.notifications.samples import PostOffice, open_post_office
from tests.webhooks import WebhookServer, run_webhooks


@pytest.fixture
def post_office(database_url: str) -> Iterator[PostOffice]:
    with open_post_office(database_url) as office:
        yield office


@pytest.fixture
def other_webhooks() -> Iterator[WebhookServer]:
    with run_webhooks() as server:
        yield server
