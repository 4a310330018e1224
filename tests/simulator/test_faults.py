import asyncio
import time
from typing import Any

import httpx
import orjson
import pytest

from lib.simulator.fault_replies import HTML_PAGE
from lib.simulator.faults import KINDS, Fault, Faults
from tests.simulators import ControlRefused, RunningSimulator

KLINES = "/api/v3/klines?symbol=BTCUSDT&interval=1m&limit=6"


def get(simulator: RunningSimulator, path: str = KLINES) -> httpx.Response:
    return httpx.get(f"{simulator.url}{path}", trust_env=False, timeout=10)


def test_a_fault_lets_skip_requests_pass_strikes_count_times_and_is_gone(simulator: RunningSimulator) -> None:
    simulator.control.arm("status", status=503, count=2, skip=1)
    assert [get(simulator).status_code for _ in range(5)] == [200, 503, 503, 200, 200]
    assert simulator.control.request("GET", "/faults")["faults"] == []


def test_a_fault_of_count_zero_strikes_until_it_is_cleared(simulator: RunningSimulator) -> None:
    simulator.control.arm("status", status=500, count=0)
    assert {get(simulator).status_code for _ in range(4)} == {500}
    assert simulator.control.request("GET", "/faults")["faults"][0]["struck"] == 4
    simulator.control.clear_faults()
    assert get(simulator).status_code == 200


def test_a_fault_strikes_only_its_path_method_and_symbol(simulator: RunningSimulator) -> None:
    simulator.control.arm("status", path="/api/v3/klines", method="GET", symbol="ETHUSDT")
    assert get(simulator, "/api/v3/ticker/price?symbol=ETHUSDT").status_code == 200
    assert get(simulator).status_code == 200
    assert get(simulator, "/api/v3/klines?symbol=ETHUSDT&interval=1m").status_code == 503


def test_faults_can_be_armed_for_the_feed(simulator: RunningSimulator) -> None:
    simulator.control.arm("body", path="/feed/*", variant="truncated")
    assert not get(simulator, "/feed/rss.xml").text.endswith("</rss>\n")


@pytest.mark.parametrize(
    ("params", "status", "code", "retry_after"),
    [
        ({"status": 429, "retry_after": 7}, 429, -1003, "7"),
        ({"status": 429}, 429, -1003, None),
        ({"status": 418, "retry_after": 120}, 418, -1003, "120"),
        ({"status": 418}, 418, -1003, None),
        ({"status": 500}, 500, -1000, None),
        ({"status": 503}, 503, -1001, None),
        ({"status": 503, "code": -1008, "message": "Server is busy."}, 503, -1008, None),
    ],
)
def test_a_status_fault_answers_as_binance_would(
    simulator: RunningSimulator, params: dict[str, Any], status: int, code: int, retry_after: str | None
) -> None:
    simulator.control.arm("status", **params)
    reply = get(simulator)
    assert reply.status_code == status
    assert reply.json()["code"] == code
    assert reply.headers.get("Retry-After") == retry_after


def test_the_clock_and_the_unknown_outcome_have_their_codes(simulator: RunningSimulator) -> None:
    for kind, status, code in (
        ("timestamp", 400, -1021),
        ("unknown_before", 504, -1007),
        ("unknown_after", 504, -1007),
    ):
        simulator.control.arm(kind)
        reply = get(simulator)
        assert (reply.status_code, reply.json()["code"]) == (status, code)


@pytest.mark.parametrize("kind", ["drop_before", "drop_after"])
def test_a_dropped_connection_gives_no_answer(simulator: RunningSimulator, kind: str) -> None:
    simulator.control.arm(kind)
    with pytest.raises(httpx.TransportError):
        get(simulator)
    assert get(simulator).status_code == 200


@pytest.mark.parametrize("kind", ["timeout_before", "timeout_after"])
def test_a_timeout_keeps_the_client_waiting(simulator: RunningSimulator, kind: str) -> None:
    simulator.control.arm(kind, seconds=30)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(simulator.url + KLINES, timeout=0.2, trust_env=False)


def test_a_delay_delays_only_its_own_request(simulator: RunningSimulator) -> None:
    simulator.control.arm("delay", symbol="BTCUSDT", seconds=0.6)

    async def ask_both() -> tuple[float, float]:
        async with httpx.AsyncClient(base_url=simulator.url, trust_env=False) as client:

            async def ask(symbol: str) -> float:
                began = time.monotonic()
                await client.get(f"/api/v3/klines?symbol={symbol}&interval=1m")
                return time.monotonic() - began

            return await asyncio.gather(ask("BTCUSDT"), ask("ETHUSDT"))

    slow, quick = asyncio.run(ask_both())
    assert slow >= 0.6
    assert quick < 0.5


def test_the_body_can_be_empty_truncated_a_page_or_text(simulator: RunningSimulator) -> None:
    whole = get(simulator).content
    bodies = []
    for variant in ("empty", "truncated", "html", "text"):
        simulator.control.arm("body", variant=variant)
        reply = get(simulator)
        assert reply.status_code == 200
        bodies.append(reply.content)
    assert bodies == [b"", whole[: len(whole) // 2], HTML_PAGE, b"OK"]


def test_the_types_can_be_wrong(simulator: RunningSimulator) -> None:
    right = get(simulator).json()[0]
    rows = {}
    for variant in ("numbers_as_text", "text_as_numbers", "nan", "infinity", "bare_nan"):
        simulator.control.arm("types", variant=variant)
        rows[variant] = get(simulator)
    assert rows["numbers_as_text"].json()[0][0] == str(right[0])
    assert rows["text_as_numbers"].json()[0][1] == float(right[1])
    assert rows["nan"].json()[0][1] == "NaN"
    assert rows["infinity"].json()[0][1] == "Infinity"
    assert rows["nan"].json()[0][0] == right[0]
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(rows["bare_nan"].content)


def test_candles_can_be_out_of_order_duplicated_misaligned_or_from_the_future(simulator: RunningSimulator) -> None:
    right = [row[0] for row in get(simulator).json()]
    opens = {}
    for variant in ("out_of_order", "duplicated", "misaligned", "future"):
        simulator.control.arm("candles", variant=variant)
        opens[variant] = [row[0] for row in get(simulator).json()]
    assert sorted(opens["out_of_order"]) == right != opens["out_of_order"]
    assert sorted(set(opens["duplicated"])) == right
    assert len(opens["duplicated"]) == 7
    assert all(opened % 60_000 for opened in opens["misaligned"])
    assert opens["future"][:-1] == right
    assert opens["future"][-1] == right[-1] + 600_000


def test_faults_on_candles_leave_other_answers_alone(simulator: RunningSimulator) -> None:
    plain = simulator.get("/ticker/price")
    simulator.control.arm("candles")
    assert simulator.get("/ticker/price") == plain


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"kind": "gremlin"}, "Unknown fault 'gremlin'"),
        ({"kind": "status", "params": {"stats": 3}}, "no parameter 'stats'"),
        ({"kind": "body", "params": {"variant": "pink"}}, "empty, truncated, html, text"),
        ({"kind": "status", "count": -1}, "0 or more"),
    ],
)
def test_a_fault_that_does_not_exist_is_refused_with_what_does(
    simulator: RunningSimulator, fault: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ControlRefused, match=reason):
        simulator.control.request("POST", "/faults", **fault)


def test_matching_takes_only_its_own_kind_and_symbol() -> None:
    faults = Faults()
    faults.arm(Fault("partial_fill", symbol="BTCUSDT", params={"fraction": "0.25"}))
    faults.arm(Fault("reject"))
    assert faults.take_for_request("POST", "/api/v3/order", "BTCUSDT") is None
    assert faults.take("partial_fill", "ETHUSDT") is None
    taken = faults.take("partial_fill", "BTCUSDT")
    assert taken is not None
    assert taken.params["fraction"] == "0.25"
    assert faults.take("partial_fill", "BTCUSDT") is None
    assert faults.take("reject", "ETHUSDT") is not None


def test_every_kind_can_be_armed_with_its_defaults() -> None:
    for kind, known in KINDS.items():
        assert set(Fault(kind).params) == set(known)
