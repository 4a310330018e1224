"""Binance's error answers: codes, texts and HTTP statuses as its error documentation and its servers give them."""

from __future__ import annotations


class ApiError(Exception):
    """An error the exchange answers with.

    Attributes:
        status: HTTP status.
        code: Binance's error code, negative.
        message: Binance's text.
        headers: Further headers of the answer, such as Retry-After.
    """

    def __init__(self, status: int, code: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


# The exchange itself failed: the client does not know what became of its request.


def unknown_error() -> ApiError:
    """-1000, HTTP 500."""
    return ApiError(500, -1000, "An unknown error occurred while processing the request.")


def disconnected() -> ApiError:
    """-1001, HTTP 503."""
    return ApiError(503, -1001, "Internal error; unable to process your request. Please try again.")


def backend_timeout() -> ApiError:
    """-1007, HTTP 504: the order may have been placed."""
    text = "Timeout waiting for response from backend server. Send status unknown; execution status unknown."
    return ApiError(504, -1007, text)


# The request is not a well formed one.


def illegal_characters(parameter: str, legal_range: str) -> ApiError:
    """-1100."""
    text = f"Illegal characters found in parameter '{parameter}'; legal range is '{legal_range}'."
    return ApiError(400, -1100, text)


def duplicate_parameter() -> ApiError:
    """-1101."""
    return ApiError(400, -1101, "Duplicate values for a parameter detected.")


def mandatory(parameter: str) -> ApiError:
    """-1102."""
    text = f"Mandatory parameter '{parameter}' was not sent, was empty/null, or malformed."
    return ApiError(400, -1102, text)


def one_of_two(first: str, second: str) -> ApiError:
    """-1102, where either of two parameters would do."""
    return ApiError(400, -1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def unread_parameters(read: int, sent: int) -> ApiError:
    """-1104."""
    text = f"Not all sent parameters were read; read '{read}' parameter(s) but was sent '{sent}'."
    return ApiError(400, -1104, text)


def empty_parameter(parameter: str) -> ApiError:
    """-1105."""
    return ApiError(400, -1105, f"Parameter '{parameter}' was empty.")


def not_required(parameter: str) -> ApiError:
    """-1106; also for timeInForce, for which servers do not use the documented -1114."""
    return ApiError(400, -1106, f"Parameter '{parameter}' sent when not required.")


def too_precise(parameter: str) -> ApiError:
    """-1111."""
    return ApiError(400, -1111, f"Parameter '{parameter}' has too much precision.")


def no_orders_on_book() -> ApiError:
    """-1112."""
    return ApiError(400, -1112, "No orders on book for symbol.")


def invalid_time_in_force() -> ApiError:
    """-1115."""
    return ApiError(400, -1115, "Invalid timeInForce.")


def invalid_order_type() -> ApiError:
    """-1116."""
    return ApiError(400, -1116, "Invalid orderType.")


def invalid_side() -> ApiError:
    """-1117."""
    return ApiError(400, -1117, "Invalid side.")


def invalid_interval() -> ApiError:
    """-1120."""
    return ApiError(400, -1120, "Invalid interval.")


def invalid_symbol() -> ApiError:
    """-1121."""
    return ApiError(400, -1121, "Invalid symbol.")


def more_than_hours(hours: int) -> ApiError:
    """-1127."""
    return ApiError(400, -1127, f"More than {hours} hours between startTime and endTime.")


def invalid_combination(missing: str | None = None) -> ApiError:
    """-1128, naming the parameter that is missing where one would make the request whole."""
    advice = f" Recommendation: '{missing}' should also be sent." if missing else ""
    return ApiError(400, -1128, f"Combination of optional parameters invalid.{advice}")


def invalid_parameter(parameter: str) -> ApiError:
    """-1130."""
    return ApiError(400, -1130, f"Data sent for parameter '{parameter}' is not valid.")


def too_wide_window() -> ApiError:
    """-1131."""
    return ApiError(400, -1131, "recvWindow must be less than 60000")


# Who asks, and when.


def outside_window() -> ApiError:
    """-1021: the request is older than recvWindow."""
    return ApiError(400, -1021, "Timestamp for this request is outside of the recvWindow.")


def ahead_of_time() -> ApiError:
    """-1021: the request comes from the future."""
    return ApiError(400, -1021, "Timestamp for this request was 1000ms ahead of the server's time.")


def invalid_signature() -> ApiError:
    """-1022."""
    return ApiError(400, -1022, "Signature for this request is not valid.")


def malformed_key() -> ApiError:
    """-2014, HTTP 401."""
    return ApiError(401, -2014, "API-key format invalid.")


def rejected_key() -> ApiError:
    """-2015, HTTP 401."""
    return ApiError(401, -2015, "Invalid API-key, IP, or permissions for action.")


# The order itself.


def filter_failure(filter_type: str) -> ApiError:
    """-1013 for the named filter, such as "LOT_SIZE"."""
    return ApiError(400, -1013, f"Filter failure: {filter_type}")


def market_closed() -> ApiError:
    """-1013 for a symbol that does not trade."""
    return ApiError(400, -1013, "Market is closed.")


def order_rejected(reason: str) -> ApiError:
    """-2010 with one of the texts the documentation lists for the matching engine."""
    return ApiError(400, -2010, reason)


def insufficient_balance() -> ApiError:
    """-2010 for an order the account cannot pay."""
    return order_rejected("Account has insufficient balance for requested action.")


def duplicate_order() -> ApiError:
    """-2010 for a client order id that an open order uses."""
    return order_rejected("Duplicate order sent.")


def cancel_rejected(reason: str = "Unknown order sent.") -> ApiError:
    """-2011."""
    return ApiError(400, -2011, reason)


def invalid_cancel_restrictions() -> ApiError:
    """-1145."""
    return ApiError(400, -1145, "Invalid cancelRestrictions.")


def no_such_order() -> ApiError:
    """-2013."""
    return ApiError(400, -2013, "Order does not exist.")


def no_such_order_list() -> ApiError:
    """-2013 for an order list."""
    return ApiError(400, -2013, "Order list does not exist.")
