"""Ports: those asked for, or the next free ones."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest

from deployments.addresses import claimed_addresses
from lib.errors import EnvironmentRefused
from lib.settings import load_settings
from tests.prefect_servers import free_port


def test_a_usual_port_that_is_taken_gives_way_to_the_next_free_one_and_says_so() -> None:
    settings = load_settings(exchange="binance")
    with closing(socket.socket()) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", settings.prefect_port))
            listener.listen()
        except OSError:
            pass  # somebody else has it, which is as good
        notes: list[str] = []
        with claimed_addresses(settings, notes.append) as chosen:
            pass
    assert chosen.prefect_port > settings.prefect_port
    expected = (
        f"Port {settings.prefect_port} is taken; using {chosen.prefect_port} instead. FKS_PREFECT_PORT sets another."
    )
    assert notes == [expected]


def test_with_a_real_exchange_there_is_no_simulator() -> None:
    notes: list[str] = []
    with claimed_addresses(load_settings(exchange="binance", prefect_port=free_port()), notes.append) as chosen:
        assert chosen.simulator_url is None
    assert notes == []


def test_a_port_that_was_asked_for_is_taken_as_it_is() -> None:
    wanted = free_port()
    settings = load_settings(prefect_port=wanted, simulator_port=free_port())
    with claimed_addresses(settings, lambda _: None) as chosen:
        assert chosen.api_url == f"http://127.0.0.1:{wanted}/api"


def test_two_starts_at_once_choose_different_ports_although_nobody_listens_yet() -> None:
    settings = load_settings()
    with (
        claimed_addresses(settings, lambda _: None) as one,
        claimed_addresses(settings, lambda _: None) as other,
    ):
        assert one.prefect_port != other.prefect_port
        assert one.simulator_port != other.simulator_port
        asked = load_settings(exchange="binance", prefect_port=one.prefect_port)
        with pytest.raises(EnvironmentRefused, match="is taken"), claimed_addresses(asked, lambda _: None):
            pass
    with claimed_addresses(asked, lambda _: None) as again:
        assert again.prefect_port == one.prefect_port
