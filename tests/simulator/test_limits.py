import httpx
import pytest

from lib.simulator.api_errors import ApiError
from lib.simulator.limits import FIRST_BAN_SECONDS, ORDERS_PER_10_SECONDS, REFUSALS_BEFORE_BAN, Limits
from tests.simulators import START_AT, RunningSimulator, running_simulator


class Seconds:
    """A clock of seconds that a test sets."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def refuse(limits: Limits, weight: int = 1) -> ApiError:
    with pytest.raises(ApiError) as caught:
        limits.spend("127.0.0.1", weight)
    return caught.value


def test_weight_adds_up_within_a_minute_and_starts_anew_with_the_next() -> None:
    clock = Seconds(6000.0)
    limits = Limits(100, clock)
    assert limits.spend("127.0.0.1", 40)["X-MBX-USED-WEIGHT-1M"] == "40"
    assert limits.spend("127.0.0.1", 60)["X-MBX-USED-WEIGHT-1M"] == "100"
    clock.now += 60
    assert limits.spend("127.0.0.1", 40)["X-MBX-USED-WEIGHT-1M"] == "40"


def test_over_the_budget_the_answer_is_429_until_the_minute_ends() -> None:
    clock = Seconds(6015.0)
    limits = Limits(100, clock)
    limits.spend("127.0.0.1", 99)
    error = refuse(limits, weight=2)
    assert (error.status, error.code) == (429, -1003)
    assert error.headers["Retry-After"] == "45"
    clock.now += int(error.headers["Retry-After"])
    limits.spend("127.0.0.1", 2)


def test_each_ip_has_its_own_budget() -> None:
    limits = Limits(100, Seconds(0.0))
    limits.spend("127.0.0.1", 100)
    assert limits.spend("127.0.0.2", 1)["X-MBX-USED-WEIGHT-1M"] == "1"


def test_a_client_that_goes_on_is_banned_and_the_next_ban_is_longer() -> None:
    clock = Seconds(6000.0)
    limits = Limits(10, clock)
    bans = []
    for _ in range(2):
        limits.spend("127.0.0.1", 10)
        answers = [refuse(limits) for _ in range(REFUSALS_BEFORE_BAN + 1)]
        assert [error.status for error in answers] == [429] * REFUSALS_BEFORE_BAN + [418]
        bans.append(int(answers[-1].headers["Retry-After"]))
        clock.now += 61
        assert refuse(limits).status == 418  # also in the next minute
        clock.now += bans[-1]
    assert bans == [FIRST_BAN_SECONDS + 1, 2 * FIRST_BAN_SECONDS + 1]
    limits.spend("127.0.0.1", 10)


def test_orders_are_counted_an_account_in_windows_of_ten_seconds_and_a_day() -> None:
    clock = Seconds(86_400.0)
    limits = Limits(10, clock)
    limits.check_orders("key", ORDERS_PER_10_SECONDS)
    assert limits.count_orders("key", ORDERS_PER_10_SECONDS)["X-MBX-ORDER-COUNT-10S"] == "100"
    with pytest.raises(ApiError) as caught:
        limits.check_orders("key", 1)
    assert (caught.value.status, caught.value.code, caught.value.headers["Retry-After"]) == (429, -1015, "10")
    limits.check_orders("other key", 1)
    clock.now += 10
    assert limits.count_orders("key", 1) == {"X-MBX-ORDER-COUNT-10S": "1", "X-MBX-ORDER-COUNT-1D": "101"}


@pytest.mark.parametrize(
    ("path", "weight"),
    [
        ("/ping", 1),
        ("/exchangeInfo", 20),
        ("/klines?symbol=BTCUSDT&interval=1m", 2),
        ("/ticker/price?symbol=BTCUSDT", 2),
        ("/ticker/price", 4),
        ("/ticker/bookTicker?symbol=BTCUSDT", 2),
        ("/ticker/bookTicker", 4),
        ("/ticker/24hr?symbol=BTCUSDT", 2),
        ('/ticker/24hr?symbols=["BTCUSDT","ETHUSDT"]', 2),
        ("/ticker/24hr", 80),
        ("/depth?symbol=BTCUSDT", 5),
        ("/depth?symbol=BTCUSDT&limit=500", 25),
        ("/depth?symbol=BTCUSDT&limit=1000", 50),
        ("/depth?symbol=BTCUSDT&limit=5000", 250),
        ("/trades?symbol=BTCUSDT", 25),
        ("/avgPrice?symbol=BTCUSDT", 2),
        ("/klines?symbol=NOPE&interval=1m", 2),  # a refused request costs as much
    ],
)
def test_every_endpoint_charges_binances_weight(simulator: RunningSimulator, path: str, weight: int) -> None:
    reply = httpx.get(f"{simulator.url}/api/v3{path}", trust_env=False)
    assert reply.headers["X-MBX-USED-WEIGHT-1M"] == str(weight)


def test_over_http_the_budget_ends_in_429_then_418_and_control_is_exempt() -> None:
    with running_simulator(start_at=START_AT, weight_limit_per_minute=3) as running:
        statuses = [
            httpx.get(f"{running.url}/api/v3/ping", trust_env=False).status_code
            for _ in range(2 * 3 + 2 * REFUSALS_BEFORE_BAN + 2)  # enough also when a minute begins in between
        ]
        assert statuses[:3] == [200, 200, 200]
        assert 429 in statuses
        assert statuses[-1] == 418
        running.control.reset_usage()
        assert httpx.get(f"{running.url}/api/v3/ping", trust_env=False).status_code == 200
