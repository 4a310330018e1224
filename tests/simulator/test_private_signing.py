from __future__ import annotations

import pytest

from lib.simulator.api_errors import ApiError
from lib.simulator.parameters import Parameters, parse_parameters
from lib.simulator.signing import SignedText, check_signature, sign

# Source: Binance Spot REST API, "SIGNED Endpoint Examples for POST /api/v3/order", HMAC keys.
SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
NOW_MS = 1499827319559
TERMS = "side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
ASCII = f"symbol=LTCBTC&{TERMS}"
WIDE = f"symbol=%EF%BC%91%EF%BC%92%EF%BC%93%EF%BC%94%EF%BC%95%EF%BC%96&{TERMS}"
ASCII_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
WIDE_SIGNATURE = "e1353ec6b14d888f1164ae9af8228a3dbd508bc82eb867db8ab6046442f33ef3"


@pytest.mark.parametrize(("payload", "signature"), [(ASCII, ASCII_SIGNATURE), (WIDE, WIDE_SIGNATURE)])
def test_the_examples_of_the_documentation_have_the_documented_signatures(payload: str, signature: str) -> None:
    assert sign(SECRET, payload) == signature


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (f"{ASCII}&signature={ASCII_SIGNATURE}", ""),
        ("", f"{ASCII}&signature={ASCII_SIGNATURE}"),
        (f"signature={ASCII_SIGNATURE}&{ASCII}", ""),
        (f"{ASCII}&signature={ASCII_SIGNATURE.upper()}", ""),
        (f"signature={ASCII_SIGNATURE}", ASCII),
        (ASCII, f"signature={ASCII_SIGNATURE}"),
    ],
)
def test_a_signature_is_accepted_wherever_it_stands(query: str, body: str) -> None:
    assert check_signature(SignedText(query, body), SECRET, NOW_MS).text("symbol", ".*") == "LTCBTC"


def test_query_string_and_body_are_signed_without_a_separator_between_them() -> None:
    query, body = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC", "quantity=1&price=0.1&timestamp=1499827319559"
    signature = sign(SECRET, query + body)
    assert check_signature(SignedText(query, f"{body}&signature={signature}"), SECRET, NOW_MS).sent("price")


@pytest.mark.parametrize(
    ("query", "code"),
    [
        (f"{ASCII}&signature={WIDE_SIGNATURE}", -1022),
        (f"{ASCII}&x=1&signature={ASCII_SIGNATURE}", -1022),
        (ASCII, -1102),
        ("symbol=LTCBTC&signature=00", -1102),
        (f"{ASCII}&signature=", -1105),
        (f"{ASCII}&timestamp=1&signature={ASCII_SIGNATURE}", -1101),
    ],
)
def test_a_request_without_a_right_signature_is_refused(query: str, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        check_signature(SignedText(query, ""), SECRET, NOW_MS)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("sent_ms", "window", "code"),
    [
        (NOW_MS, "", None),
        (NOW_MS - 5000, "", None),
        (NOW_MS - 5001, "", -1021),
        (NOW_MS - 5001, "&recvWindow=5001.5", None),
        (NOW_MS - 60000, "&recvWindow=60000", None),
        (NOW_MS - 60001, "&recvWindow=60000", -1021),
        (NOW_MS, "&recvWindow=60001", -1131),
        (NOW_MS + 999, "", None),
        (NOW_MS + 1000, "", -1021),
        (NOW_MS * 1000 + 999_999, "", None),
        (NOW_MS * 1000 + 1_000_000, "", -1021),
    ],
)
def test_the_time_window_is_the_documented_one_in_milli_and_microseconds(
    sent_ms: int, window: str, code: int | None
) -> None:
    query = f"timestamp={sent_ms}{window}"
    text = SignedText(f"{query}&signature={sign(SECRET, query)}", "")
    if code is None:
        check_signature(text, SECRET, NOW_MS)
        return
    with pytest.raises(ApiError) as caught:
        check_signature(text, SECRET, NOW_MS)
    assert caught.value.code == code


def test_a_parameter_in_query_and_body_counts_once_with_the_value_of_the_query() -> None:
    assert parse_parameters("symbol=A&limit=1", "symbol=B&side=BUY") == {"symbol": "A", "side": "BUY", "limit": "1"}


def test_unread_parameters_are_counted_in_the_refusal() -> None:
    parameters = Parameters({"symbol": "BTCUSDT", "stopLoss": "1", "timestamp": "1"})
    with pytest.raises(ApiError) as caught:
        parameters.check_known(("symbol", "timestamp"))
    assert caught.value.message == "Not all sent parameters were read; read '2' parameter(s) but was sent '3'."


@pytest.mark.parametrize(
    ("value", "code"),
    [("1e-5", -1100), ("-1", -1100), ("1.", -1100), ("nan", -1100), ("１", -1100), ("0.000000001", -1111)],
)
def test_numbers_are_plain_decimals_of_at_most_eight_places(value: str, code: int) -> None:
    with pytest.raises(ApiError) as caught:
        Parameters({"quantity": value}).decimal("quantity")
    assert caught.value.code == code


def test_an_illegal_number_is_answered_with_the_legal_range() -> None:
    with pytest.raises(ApiError) as caught:
        Parameters({"quantity": "1e-5"}).decimal("quantity")
    assert caught.value.message == (
        r"Illegal characters found in parameter 'quantity'; legal range is '^([0-9]{1,20})(\.[0-9]{1,20})?$'."
    )
