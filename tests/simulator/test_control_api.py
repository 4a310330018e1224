import random
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import httpx
import pytest

from tests.simulators import START_AT, ControlRefused, RunningSimulator, running_simulator

MINUTE = timedelta(minutes=1)


def price_of(simulator: RunningSimulator, symbol: str = "BTCUSDT") -> Decimal:
    return Decimal(simulator.get("/ticker/price", symbol=symbol)["price"])


def opens_of(simulator: RunningSimulator, interval: str, limit: int, symbol: str = "BTCUSDT") -> list[datetime]:
    rows = simulator.get("/klines", symbol=symbol, interval=interval, limit=limit)
    return [datetime.fromtimestamp(row[0] / 1000, UTC) for row in rows]


def test_the_driven_clock_stands_until_it_is_driven_forward(simulator: RunningSimulator) -> None:
    assert simulator.control.now() == START_AT
    simulator.control.advance(seconds=1.5)
    assert simulator.control.now() == START_AT + timedelta(seconds=1.5)
    simulator.control.set_time(START_AT + timedelta(days=40))
    assert simulator.get("/time")["serverTime"] == (START_AT + timedelta(days=40)).timestamp() * 1000
    with pytest.raises(ControlRefused, match="only moves forward"):
        simulator.control.set_time(START_AT)


def test_the_machines_clock_cannot_be_driven() -> None:
    with running_simulator() as running:
        assert abs((running.control.now() - datetime.now(UTC)).total_seconds()) < 5
        with pytest.raises(ControlRefused, match="Expected a driven clock"):
            running.control.advance(seconds=1)


def test_a_set_price_is_the_price_now_and_moves_on_from_there(simulator: RunningSimulator) -> None:
    before = simulator.get("/klines", symbol="BTCUSDT", interval="1m", limit=50)[:-1]
    simulator.control.set_price("BTCUSDT", "50000.01")
    assert price_of(simulator) == Decimal("50000.01")
    simulator.control.advance(seconds=3600)
    assert price_of(simulator) != Decimal("50000.01")
    assert abs(price_of(simulator) / 50_000 - 1) < Decimal("0.1")
    end = int(START_AT.timestamp()) * 1000 // 60_000 * 60_000 - 1
    assert simulator.get("/klines", symbol="BTCUSDT", interval="1m", limit=49, endTime=end) == before


def test_a_low_set_for_an_instant_is_in_every_candle_that_holds_it(simulator: RunningSimulator) -> None:
    simulator.control.set_price("BTCUSDT", "1000")
    simulator.control.set_price("BTCUSDT", "2000")
    simulator.control.advance(seconds=1)
    simulator.control.set_price("BTCUSDT", "90000")
    simulator.control.advance(seconds=86_400 * 40)
    for interval in ("1m", "5m", "1h", "4h", "1d", "1w", "1M"):
        row = simulator.get(
            "/klines", symbol="BTCUSDT", interval=interval, endTime=int(START_AT.timestamp() * 1000), limit=1
        )[0]
        assert Decimal("1990") < Decimal(row[3]) <= Decimal("2000"), interval


@pytest.mark.parametrize(
    ("price", "reason"), [("50000.001", "multiple"), ("0", "positive"), ("-1", "positive"), ("NaN", "price")]
)
def test_an_impossible_price_is_refused(simulator: RunningSimulator, price: str, reason: str) -> None:
    with pytest.raises(ControlRefused, match=reason):
        simulator.control.set_price("BTCUSDT", price)


def test_scenarios_move_prices_as_named(simulator: RunningSimulator) -> None:
    start = {symbol: price_of(simulator, symbol) for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT")}
    simulator.control.scenario("crash", "BTCUSDT", change=-0.5, minutes=30)
    simulator.control.scenario("rally", "ETHUSDT", change=1.0, minutes=30)
    simulator.control.scenario("flat", "SOLUSDT")
    simulator.control.advance(seconds=1800)
    assert Decimal("0.45") < price_of(simulator) / start["BTCUSDT"] < Decimal("0.55")
    assert Decimal("1.8") < price_of(simulator, "ETHUSDT") / start["ETHUSDT"] < Decimal("2.2")
    assert price_of(simulator, "SOLUSDT") == start["SOLUSDT"]
    simulator.control.set_price("SOLUSDT", "100")
    simulator.control.advance(seconds=600)
    assert price_of(simulator, "SOLUSDT") == 100  # still flat
    simulator.control.scenario("normal")
    simulator.control.advance(seconds=600)
    assert price_of(simulator, "SOLUSDT") != 100


def test_a_scenario_that_does_not_exist_or_makes_no_sense_is_refused(simulator: RunningSimulator) -> None:
    with pytest.raises(ControlRefused, match="normal, rally, crash, flat, halted"):
        simulator.control.scenario("moon")
    with pytest.raises(ControlRefused, match="above -1"):
        simulator.control.scenario("crash", change=-1.0)
    with pytest.raises(ControlRefused, match="neither change nor minutes"):
        simulator.control.scenario("flat", minutes=3)
    with pytest.raises(ControlRefused, match="404: Unknown symbol"):
        simulator.control.scenario("crash", "NOPEUSDT")


def test_a_halted_symbol_keeps_its_price_and_has_no_candles_until_it_resumes(simulator: RunningSimulator) -> None:
    simulator.control.halt("BTCUSDT")
    stopped = price_of(simulator)
    simulator.control.advance(seconds=600)
    status = {row["symbol"]: row["status"] for row in simulator.get("/exchangeInfo")["symbols"]}
    assert status["BTCUSDT"] == "HALT"
    assert status["ETHUSDT"] == "TRADING"
    assert price_of(simulator) == stopped
    halted_in = START_AT.replace(second=0)
    assert opens_of(simulator, "1m", 2) == [halted_in - MINUTE, halted_in]
    simulator.control.resume("BTCUSDT")
    assert price_of(simulator) == stopped
    simulator.control.advance(seconds=60)
    assert opens_of(simulator, "1m", 3) == [halted_in, halted_in + 10 * MINUTE, halted_in + 11 * MINUTE]
    assert simulator.get("/exchangeInfo", symbol="BTCUSDT")["symbols"][0]["status"] == "TRADING"
    times = [row["time"] / 1000 for row in simulator.get("/trades", symbol="BTCUSDT", limit=200)]
    assert not any(START_AT.timestamp() <= time < START_AT.timestamp() + 600 for time in times)


def test_a_delisted_symbol_is_unknown_everywhere_and_can_come_back(simulator: RunningSimulator) -> None:
    simulator.control.delist("ADAUSDT")
    assert len(simulator.get("/exchangeInfo")["symbols"]) == 9
    assert "ADAUSDT" not in [row["symbol"] for row in simulator.get("/ticker/price")]
    reply = httpx.get(f"{simulator.url}/api/v3/klines?symbol=ADAUSDT&interval=1m", trust_env=False)
    assert reply.json()["code"] == -1121
    simulator.control.relist("ADAUSDT")
    assert len(simulator.get("/exchangeInfo")["symbols"]) == 10


def test_missing_candles_never_existed_in_any_interval(simulator: RunningSimulator) -> None:
    end = START_AT.replace(second=0) - 10 * MINUTE  # 11:50
    simulator.control.add_missing(end - 15 * MINUTE, end, "BTCUSDT")
    assert opens_of(simulator, "5m", 4) == [end - 20 * MINUTE, end, end + 5 * MINUTE, end + 10 * MINUTE]
    assert opens_of(simulator, "15m", 3)[0] == end - 20 * MINUTE  # 11:30, built from 11:30 to 11:35
    minutes = simulator.get(
        "/klines", symbol="BTCUSDT", interval="1m", endTime=int((end - MINUTE).timestamp() * 1000), limit=5
    )
    quarter = simulator.get("/klines", symbol="BTCUSDT", interval="15m", limit=3)[0]
    assert Decimal(quarter[5]) == sum(Decimal(row[5]) for row in minutes)
    assert len(opens_of(simulator, "5m", 4, "ETHUSDT")) == 4
    simulator.control.clear_missing("BTCUSDT")
    assert opens_of(simulator, "5m", 4)[0] == end - 5 * MINUTE


def test_a_window_missing_for_all_is_missing_for_each(simulator: RunningSimulator) -> None:
    end = START_AT.replace(second=0) - 10 * MINUTE
    simulator.control.add_missing(end - 5 * MINUTE, end)
    for symbol in ("BTCUSDT", "ATOMUSDT"):
        assert end - 5 * MINUTE not in opens_of(simulator, "5m", 10, symbol)


def test_a_late_candle_appears_only_after_its_delay(simulator: RunningSimulator) -> None:
    simulator.control.set_late(seconds=40, symbol="BTCUSDT")
    noon = START_AT.replace(second=0)
    assert opens_of(simulator, "1m", 1) == [noon - 2 * MINUTE]  # 12:00:30; the candle of 11:59 appears at 12:00:40
    simulator.control.advance(seconds=10)
    assert opens_of(simulator, "1m", 1) == [noon - MINUTE]
    assert opens_of(simulator, "1m", 1, "ETHUSDT") == [noon]
    simulator.control.set_late(seconds=0, symbol="BTCUSDT")
    assert opens_of(simulator, "1m", 1) == [noon]


def test_a_restart_continues_the_same_world(tmp_path: Path) -> None:
    with running_simulator(state_path=tmp_path, start_at=START_AT) as running:
        running.control.set_price("BTCUSDT", "50000")
        running.control.scenario("crash", "ETHUSDT")
        running.control.add_missing(START_AT - timedelta(hours=2), START_AT - timedelta(hours=1))
        running.control.advance(seconds=77)
        running.control.halt("SOLUSDT")
        running.control.delist("ADAUSDT")
        running.control.set_late(30, "DOTUSDT")
        running.control.advance(seconds=999)
        before = _look_at(running)
    with running_simulator(state_path=tmp_path, start_at=START_AT) as running:
        assert _look_at(running) == before
        running.control.resume("SOLUSDT")
        running.control.advance(seconds=1)


def _look_at(simulator: RunningSimulator) -> list[object]:
    klines = [
        simulator.get("/klines", symbol=row["symbol"], interval=interval, limit=200)
        for row in simulator.get("/ticker/price")
        for interval in ("1m", "1h", "1d")
    ]
    statuses = [row["status"] for row in simulator.get("/exchangeInfo")["symbols"]]
    return [simulator.control.now(), simulator.get("/ticker/price"), statuses, klines]


def test_a_state_of_another_seed_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with running_simulator(state_path=tmp_path, start_at=START_AT, seed=3) as running:
        running.control.set_price("BTCUSDT", "50000")
    with pytest.raises(ValueError, match="seed 3, not 4"), running_simulator(state_path=tmp_path, seed=4):
        pass


def test_the_listing_names_every_control_route_fault_and_scenario(simulator: RunningSimulator) -> None:
    listing = simulator.control.request("GET", "")
    routes = {(row["method"], row["path"]) for row in listing["routes"]}
    assert {("POST", "/control/price"), ("POST", "/control/faults"), ("POST", "/control/deposit")} <= routes
    assert all(row["what"] for row in listing["routes"])
    assert "drop_after" in listing["faults"]
    assert "crash" in listing["scenarios"]


def test_a_field_that_does_not_exist_is_refused(simulator: RunningSimulator) -> None:
    with pytest.raises(ControlRefused, match="pric: Extra inputs"):
        simulator.control.request("POST", "/price", symbol="BTCUSDT", pric="1")


def test_statistics_count_what_was_served_and_a_reset_forgets_it(simulator: RunningSimulator) -> None:
    simulator.get("/klines", symbol="BTCUSDT", interval="1m")
    simulator.get("/ticker/price")
    stats = simulator.control.stats()
    assert stats["requests"] == 2
    assert stats["by_route"]["GET /api/v3/klines"] == 1
    assert stats["weight"] == 2 + 4
    assert stats["in_flight_peak"] == 1
    simulator.control.reset_usage()
    assert simulator.control.stats()["requests"] == 0


@pytest.fixture
def own_address() -> str:
    """An address of this machine that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; tells which address would be used
        except OSError:
            pytest.skip("this machine has no address but loopback")
        address = str(probe.getsockname()[0])
    if address.startswith("127."):
        pytest.skip("this machine has no address but loopback")
    return address


@pytest.fixture
def open_simulator() -> Iterator[RunningSimulator]:
    """A simulator that listens on every address."""
    with running_simulator(host="0.0.0.0", start_at=START_AT) as running:
        yield running


def test_control_answers_only_over_loopback(open_simulator: RunningSimulator, own_address: str) -> None:
    port = open_simulator.url.rpartition(":")[2]
    for headers in ({}, {"Host": "127.0.0.1"}, {"X-Forwarded-For": "127.0.0.1"}):
        url = f"http://{own_address}:{port}"
        assert httpx.get(f"{url}/control/clock", headers=headers, trust_env=False).status_code == 403
        assert httpx.get(f"{url}/api/v3/ping", headers=headers, trust_env=False).status_code == 200


def test_control_refuses_a_request_that_names_another_host(simulator: RunningSimulator) -> None:
    url = f"{simulator.url}/control/clock"
    assert httpx.get(url, headers={"Host": "news.example"}, trust_env=False).status_code == 403
    assert httpx.get(url, headers={"Host": "localhost:80"}, trust_env=False).status_code == 200


def test_a_closed_candle_never_changes_whatever_happens_later() -> None:
    luck = random.Random(1)
    seen: dict[tuple[str, int], list[object]] = {}
    with running_simulator(start_at=START_AT, weight_limit_per_minute=10**9) as simulator:
        for _ in range(25):
            simulator.control.advance(luck.choice([30, 400, 5_000, 90_000, 700_000]))
            simulator.control.scenario(luck.choice(["rally", "crash", "flat", "normal", "halted"]), "BTCUSDT")
            simulator.control.set_price("BTCUSDT", str(luck.randrange(20_000, 90_000)))
            now_ms = simulator.control.now().timestamp() * 1000
            for interval in ("1m", "5m", "4h", "1d", "1w", "1M"):
                for row in simulator.get("/klines", symbol="BTCUSDT", interval=interval):
                    if row[6] < now_ms:
                        assert seen.setdefault((interval, row[0]), row) == row
    assert len(seen) > 3000
