"""Ports: those asked for, or the next free ones."""

from __future__ import annotations

import socket
from contextlib import closing

from deployments.addresses import choose_addresses
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
        chosen = choose_addresses(settings, notes.append)
    assert chosen.prefect_port > settings.prefect_port
    expected = (
        f"Port {settings.prefect_port} is taken; using {chosen.prefect_port} instead. FKS_PREFECT_PORT sets another."
    )
    assert notes == [expected]


def test_with_a_real_exchange_there_is_no_simulator() -> None:
    notes: list[str] = []
    chosen = choose_addresses(load_settings(exchange="binance", prefect_port=free_port()), notes.append)
    assert chosen.simulator_url is None
    assert notes == []


def test_a_port_that_was_asked_for_is_taken_as_it_is() -> None:
    wanted = free_port()
    chosen = choose_addresses(load_settings(prefect_port=wanted, simulator_port=free_port()), lambda _: None)
    assert chosen.api_url == f"http://127.0.0.1:{wanted}/api"
