"""What Discord's answers to a webhook mean (https://discord.com/developers/docs/topics/rate-limits)."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import requests
import urllib3

from lib.notifications.channels import Answer, SendOutcome
from lib.units import EPOCH

REVOKED = "the webhook was deleted or its URL is wrong; make a new one and set the channel's URL"
FORBIDDEN = "the webhook's token is refused; make a new one and set the channel's URL"
LONGEST_WAIT_SECONDS = 86_400.0


def judge_response(response: requests.Response, now: datetime) -> SendOutcome:
    """Return what an HTTP answer means for the message and for the channel."""
    status = response.status_code
    if status in (200, 204):
        used_up = response.headers.get("X-RateLimit-Remaining") == "0"
        return SendOutcome(Answer.DELIVERED, retry_at=_read_retry_at(response, now) if used_up else None)
    if status == 429:
        return SendOutcome(Answer.POSTPONED, "Discord asks to wait (429)", retry_at=_read_retry_at(response, now))
    if status in (404, 410):
        return SendOutcome(Answer.REFUSED, f"Discord answered {status}: {REVOKED}")
    if status in (401, 403):
        return SendOutcome(Answer.REFUSED, f"Discord answered {status}: {FORBIDDEN}")
    if 400 <= status < 500 and status != 408:
        return SendOutcome(Answer.REJECTED, f"Discord answered {status}: it does not take this message")
    # A gateway's timeout says nothing about what happened behind it.
    return SendOutcome(Answer.UNAVAILABLE, f"Discord answered {status}", doubtful=status == 504)


def judge_failure(error: requests.RequestException) -> SendOutcome:
    """Tell a connection that was never made from one on which the message may have gone out.

    The error's own text holds the webhook's address and is not used.
    """
    cause = getattr(error.args[0], "reason", None) if error.args else None
    never = isinstance(cause, urllib3.exceptions.NewConnectionError) or isinstance(
        error, requests.ConnectTimeout | requests.exceptions.SSLError | requests.exceptions.ProxyError
    )
    if never:
        return SendOutcome(Answer.UNAVAILABLE, "no connection to Discord; check the network")
    return SendOutcome(Answer.UNAVAILABLE, "Discord's answer was lost on the way", doubtful=True)


def _read_retry_at(response: requests.Response, now: datetime) -> datetime | None:
    """Return from when on Discord wants requests: the body's seconds, else the headers, seconds before instants."""
    told = (
        _read_body(response).get("retry_after"),
        response.headers.get("Retry-After"),
        response.headers.get("X-RateLimit-Reset-After"),
    )
    waits = [wait for value in told if (wait := _to_seconds(value)) is not None]
    reset = _to_seconds(response.headers.get("X-RateLimit-Reset"))
    if reset is not None:
        waits.append(max(0.0, reset - (now - EPOCH).total_seconds()))
    return now + timedelta(seconds=min(waits[0], LONGEST_WAIT_SECONDS)) if waits else None


def _read_body(response: requests.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:  # Discord's front door (Cloudflare) answers in HTML
        return {}
    return body if isinstance(body, dict) else {}


def _to_seconds(value: Any) -> float | None:
    try:
        seconds = float(value)
    except (TypeError, ValueError):
        return None
    return seconds if math.isfinite(seconds) and seconds >= 0 else None
