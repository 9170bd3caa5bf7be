"""A server for one page on this computer, behind a secret address."""

import json
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from qctkit.errors import QctkitError

LOOPBACK = "127.0.0.1"
MOST_BYTES = 4096
"""Of a request's body."""

HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; connect-src 'self'; img-src data:; "
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'",
}


@dataclass(frozen=True)
class Reply:
    """What is sent back."""

    body: bytes
    kind: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: object) -> "Reply":
        """Return JSON."""
        return cls(json.dumps(value).encode())


Action = Callable[[Mapping[str, Any]], Reply]
"""What is done with the JSON of a request."""


class LocalServer(ThreadingHTTPServer):
    """Serves a page and its actions on the loopback address, to whoever knows the token.

    Args:
        page: the page, as HTML.
        actions: by name, what a POST to it does.
        port: 0 takes a free one.
    """

    daemon_threads = True

    def __init__(self, page: str, actions: Mapping[str, Action], port: int = 0) -> None:
        self.token = secrets.token_urlsafe(24)
        self.page = Reply(page.encode(), "text/html; charset=utf-8")
        self.actions = actions
        super().__init__((LOOPBACK, port), _Handler)

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{self.host}/{self.token}/"

    @property
    def host(self) -> str:
        """Host and port, as a browser names them."""
        return f"{LOOPBACK}:{self.server_address[1]}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing where a browser went away in the middle of an answer."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    server: LocalServer
    protocol_version = "HTTP/1.1"
    server_version = "qctkit"
    sys_version = ""
    timeout: ClassVar[float] = 30.0

    def do_GET(self) -> None:
        if self._asked() == "":
            self._send(self.server.page)
        else:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing is here")

    def do_POST(self) -> None:
        action = self.server.actions.get(self._asked() or "")
        if action is None:
            self._refuse(HTTPStatus.NOT_FOUND, "nothing is here")
            return
        try:
            reply = action(self._body())
        except (QctkitError, ValueError, KeyError, TypeError) as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._send(reply)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Log nothing: requests hold the token and readers' names."""

    def _asked(self) -> str | None:
        """Return what is asked for below the token; None where the token or the host is wrong.

        Another host's name on this address is a page elsewhere that reached here by a trick of
        names (DNS rebinding).
        """
        _, token, *rest = [*self.path.split("/"), ""]
        known = secrets.compare_digest(token.encode(), self.server.token.encode())
        port = self.server.server_address[1]
        hosts = (self.server.host, f"localhost:{port}")
        if not known or self.headers.get("Host") not in hosts or len(rest) < 2:
            return None
        return rest[0]

    def _body(self) -> Mapping[str, Any]:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= MOST_BYTES:
            self.close_connection = True
            raise ValueError("a request has 1 to 4096 bytes of JSON")
        body = json.loads(self.rfile.read(length))
        if not isinstance(body, dict):
            raise ValueError("a request is a JSON object")
        return body

    def _send(self, reply: Reply, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, **reply.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Type", reply.kind)
        self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        self.wfile.write(reply.body)

    def _refuse(self, status: HTTPStatus, words: str) -> None:
        self.close_connection = True
        self._send(Reply.json({"error": words}), status)
