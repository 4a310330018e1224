"""A local server that speaks Discord's webhook contract, for tests and the demo of alerts.

It keeps what it was sent, and can be told how to answer next. Apprise reaches it by `WebhookServer.url`, which has the
form of the address that Discord shows for copying.
"""

from __future__ import annotations

import contextlib
import email
import email.policy
import itertools
import json
import math
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from lib.ports import Clock

MAX_CONTENT = 2000
MAX_EMBEDS = MAX_FILES = 10
MAX_FILE_BYTES = 8 * 1024 * 1024  # of all files of a post, where nobody paid for more
TOKEN = "T0k3n-of-the-webhook"
CHANNEL_CALLS = {"@everyone": "everyone", "@here": "everyone"}


@dataclass(frozen=True)
class Posted:
    """One message that the server took.

    Attributes:
        content: The text.
        payload: The whole JSON.
        query: The address's parameters, as wait and thread_id.
        files: Name and bytes of each attachment.
        calls: Whom Discord would have notified: "@everyone", "@here".
    """

    content: str
    payload: dict[str, Any]
    query: dict[str, list[str]]
    files: tuple[tuple[str, bytes], ...]
    calls: tuple[str, ...]


@dataclass
class Reply:
    """How to answer one request, in place of Discord's own way.

    Attributes:
        status: HTTP status; 0 closes the connection without an answer.
        headers: As Retry-After.
        body: JSON, or text as it is.
        takes: Whether the message is nevertheless taken (an answer lost on the way).
        held: The answer waits until this is set.
        before: Called before the answer is given.
        arrived: Set when the request is there.
    """

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None
    takes: bool = False
    held: threading.Event | None = None
    before: Callable[[], None] | None = None
    arrived: threading.Event = field(default_factory=threading.Event)


class Allowance:
    """Discord's limit of one webhook: so many requests in so many seconds, told in headers before it is reached."""

    def __init__(self, clock: Clock, requests: int = 5, seconds: float = 2.0) -> None:
        self.exceeded = 0
        self._clock = clock
        self._most = requests
        self._seconds = timedelta(seconds=seconds)
        self._left = 0
        self._reset_at = clock.now()

    def spend(self) -> tuple[bool, dict[str, str]]:
        """Return whether the request may pass, and the headers of its answer."""
        now = self._clock.now()
        if now >= self._reset_at:
            self._left, self._reset_at = self._most, now + self._seconds
        passes = self._left > 0
        self._left -= passes
        self.exceeded += not passes
        wait = (self._reset_at - now).total_seconds()
        headers = {
            "X-RateLimit-Limit": str(self._most),
            "X-RateLimit-Remaining": str(self._left),
            "X-RateLimit-Reset": f"{self._reset_at.timestamp():.3f}",
            "X-RateLimit-Reset-After": f"{wait:.3f}",
            "X-RateLimit-Bucket": "webhook",
        }
        return passes, headers if passes else headers | {"Retry-After": f"{math.ceil(wait)}"}


class WebhookServer:
    """The server and what it saw. `requests` counts all of them, `messages` are those it took, `body` is the newest."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.base = f"http://{address[0]}:{address[1]}/api/webhooks"
        self.url = f"{self.base}/4711/{TOKEN}"
        self.messages: list[Posted] = []
        self.requests = 0
        self.body = b""
        self.down = False
        self.allowance: Allowance | None = None
        self.never = threading.Event()  # an answer held for this comes only when the server stops
        self._replies: deque[Reply] = deque()
        self._ids = itertools.count(1)
        self._lock = threading.Lock()

    @property
    def contents(self) -> list[str]:
        """The texts it took, in order."""
        return [message.content for message in self.messages]

    def answer_next(self, status: int, *, times: int = 1, **how: Any) -> Reply:
        """Answer the next requests like this (see `Reply`); gives the last of them."""
        replies = [Reply(status, **how) for _ in range(times)]
        self._replies.extend(replies)
        return replies[-1]

    def answer(self, path: str, headers: email.message.Message, body: bytes) -> tuple[int, dict[str, str], Any]:
        """Return status, headers and JSON for one POST."""
        with self._lock:
            self.requests += 1
            self.body = body
            reply = self._replies.popleft() if self._replies else None
        if self.down:
            return 503, {}, "upstream connect error"
        if reply is None and self.allowance is not None:
            return self._take_limited(self.allowance, path, headers, body)
        if reply is None:
            return self._take(path, headers, body)
        if reply.takes:
            self._take(path, headers, body)
        reply.arrived.set()
        if reply.before:
            reply.before()
        if reply.held:
            reply.held.wait(timeout=30)
        return reply.status, reply.headers, reply.body

    def _take_limited(
        self, allowance: Allowance, path: str, headers: email.message.Message, body: bytes
    ) -> tuple[int, dict[str, str], Any]:
        passes, told = allowance.spend()
        if not passes:
            wait = float(told["X-RateLimit-Reset-After"])
            return 429, told, {"message": "You are being rate limited.", "retry_after": wait, "global": False}
        status, more, answer = self._take(path, headers, body)
        return status, {**more, **told}, answer

    def _take(self, path: str, headers: email.message.Message, body: bytes) -> tuple[int, dict[str, str], Any]:
        parts = urlsplit(path)
        if parts.path.rstrip("/") != urlsplit(self.url).path:
            return 404, {}, {"message": "Unknown Webhook", "code": 10015}
        try:
            payload, files = _read(headers, body)
        except (ValueError, KeyError):
            return 400, {}, {"message": "The request body contains invalid JSON.", "code": 50109}
        if sum(len(content) for _, content in files) > MAX_FILE_BYTES:
            return 413, {}, {"message": "Request entity too large", "code": 40005}
        if (refusal := _find_refusal(payload, files)) is not None:
            return 400, {}, refusal
        content = payload.get("content") or ""
        query = parse_qs(parts.query)
        with self._lock:
            self.messages.append(Posted(content, payload, query, files, _find_calls(content, payload)))
            number = next(self._ids)
        if query.get("wait") != ["true"]:
            return 204, {}, None
        return 200, {}, {"id": str(number), "type": 0, "content": content, "channel_id": "42", "webhook_id": "4711"}


def _read(headers: email.message.Message, body: bytes) -> tuple[dict[str, Any], tuple[tuple[str, bytes], ...]]:
    if not headers.get_content_type().startswith("multipart/"):
        return _as_object(json.loads(body)), ()
    head = f"Content-Type: {headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + body, policy=email.policy.HTTP)
    fields = {str(part.get_param("name", header="content-disposition")): part for part in message.iter_parts()}
    payload = _as_object(json.loads(fields.pop("payload_json").get_content()))
    return payload, tuple((part.get_filename() or "", bytes(part.get_payload(decode=True))) for part in fields.values())


def _as_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("not an object")
    return value


def _find_refusal(payload: dict[str, Any], files: tuple[tuple[str, bytes], ...]) -> dict[str, Any] | None:
    content, embeds = payload.get("content") or "", payload.get("embeds") or []
    if not (content.strip() or embeds or files):
        return {"message": "Cannot send an empty message", "code": 50006}
    lengths = {
        "content": (len(content.encode("utf-16-le")) // 2, MAX_CONTENT),
        "embeds": (len(embeds), MAX_EMBEDS),
        "attachments": (len(files), MAX_FILES),
    }
    errors = {
        name: {"_errors": [{"code": "BASE_TYPE_MAX_LENGTH", "message": f"Must be {most} or fewer in length."}]}
        for name, (length, most) in lengths.items()
        if length > most
    }
    return {"message": "Invalid Form Body", "code": 50035, "errors": errors} if errors else None


def _find_calls(content: str, payload: dict[str, Any]) -> tuple[str, ...]:
    """Return whom Discord would notify: without `allowed_mentions`, everybody the text names."""
    allowed = payload.get("allowed_mentions", {"parse": ["everyone", "users", "roles"]}).get("parse", [])
    return tuple(call for call, kind in CHANNEL_CALLS.items() if call in content and kind in allowed)


class _Handler(BaseHTTPRequestHandler):
    webhooks: WebhookServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Tell of the webhook, as Discord does whoever knows its token; counted in nothing."""
        known = urlsplit(self.path).path == urlsplit(self.webhooks.url).path
        status = 503 if self.webhooks.down else 200 if known else 404
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, headers, answer = self.webhooks.answer(self.path, self.headers, body)
        if status == 0:
            self.close_connection = True
            return
        sent = b"" if answer is None else answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        with contextlib.suppress(ConnectionError):  # a client that was killed meanwhile
            self.send_response(status)
            lengths = {"Content-Length": str(len(sent)), "Content-Type": "application/json"}
            for name, value in {**lengths, **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(sent)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def run_webhooks() -> Iterator[WebhookServer]:
    """Run the server on a free port of this machine."""

    class Handler(_Handler):
        pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Handler.webhooks = WebhookServer(("127.0.0.1", server.server_port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield Handler.webhooks
    finally:
        Handler.webhooks.never.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def webhooks() -> Iterator[WebhookServer]:
    """A running server that speaks Discord's webhook contract."""
    with run_webhooks() as server:
        yield server
