"""A tiny Sentry: a real HTTP server on 127.0.0.1 that takes envelopes and answers as it is told to."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from sentry_sdk.envelope import Envelope

Answer = tuple[int, dict[str, str]]
HANG: Answer = (-1, {})
RESET: Answer = (-2, {})


@dataclass
class Ingest:
    """What arrived, and what to answer: `script` answers are used up one a request, then `always`.

    `choose` may pick the answer by the envelope instead. `seen` has every attempt (time, envelope, status), `taken`
    what was answered with 200.
    """

    port: int
    always: Answer = (200, {})
    script: list[Answer] = field(default_factory=list)
    choose: Callable[[Envelope], Answer | None] = lambda _: None
    seen: list[tuple[float, Envelope, int]] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def dsn(self) -> str:
        return f"http://key@127.0.0.1:{self.port}/1"

    @property
    def taken(self) -> list[Envelope]:
        return [envelope for _, envelope, status in list(self.seen) if status == 200]

    def items(self, kind: str) -> list[dict[str, Any]]:
        """The payloads of one item type, of what was taken."""
        return [json.loads(item.get_bytes()) for each in self.taken for item in each.items if item.type == kind]

    def event_ids(self) -> list[str]:
        return [event["event_id"] for event in self.items("event")]

    def wait_for(self, condition: Callable[["Ingest"], bool], timeout: float = 30.0) -> None:
        deadline = time.monotonic() + timeout
        while not condition(self):
            assert time.monotonic() < deadline, f"not within {timeout} s; seen: {[(s, e) for _, e, s in self.seen]}"
            time.sleep(0.01)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def ingest(port: int | None = None) -> Iterator[Ingest]:
    """A running one."""
    state = Ingest(port or unused_port())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = 65_536  # header and body in one packet, or each answer waits for a delayed acknowledgement

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            envelope = Envelope.deserialize(body)
            status, headers = state.choose(envelope) or (state.script.pop(0) if state.script else state.always)
            state.seen.append((time.monotonic(), envelope, status))
            if status < 0:
                if (status, headers) == HANG:
                    state.released.wait(20)
                self.connection.shutdown(socket.SHUT_RDWR)
                self.close_connection = True
                return
            answer = b'{"detail":"\x1b[31mno"}' if status >= 400 else b"{}"
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass

    server = Server(("127.0.0.1", state.port), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
