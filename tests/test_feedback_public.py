"""The feedback endpoint is open to everybody, hostile, broken and impatient clients included."""

import contextlib
import json
import logging
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import anyio
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_rota_sentry import RotaSentryMiddleware, Settings
from asgi_rota_sentry.feedback import Feedback
from asgi_rota_sentry.feedback.client import key
from tests.conftest import Get, MemoryTransport

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
PATH = "/api/error-feedback/"
EVENT = "0123456789abcdef0123456789abcdef"
FORM = {"content-type": "application/x-www-form-urlencoded"}
JSON = {"content-type": "application/json"}
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}


async def never(scope: Any, receive: Any, send: Any) -> None:
    """An application that nothing may reach."""
    raise AssertionError("the application was called")


def endpoint(kept: list[Feedback] | None = None, **fields: Any) -> RotaSentryMiddleware:
    chosen = Settings(**{"outbox_path": "", "feedback_rate": "", "feedback_event_rate": "", **fields})
    return RotaSentryMiddleware(never, chosen, on_feedback=[].append if kept is None else kept.append)


def part(name: str, value: str, more: str = "") -> bytes:
    return f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n{value}\r\n'.encode()


# ---- size, time, form of the body


@pytest.mark.parametrize(
    ("headers", "content", "status"),
    [
        (FORM, b"message=" + b"x" * 16_377, 413),
        (JSON, b'{"message": "' + b"x" * 100_000 + b'"}', 413),
        (MULTIPART, part("message", "x" * 17_000) + b"--b--", 413),
        (FORM, b"message=" + b"x" * 4001, 422),
        (FORM, b"&".join(b"a%d=1" % number for number in range(31)), 400),
        (MULTIPART, b"".join(part(f"a{number}", "1") for number in range(31)) + b"--b--", 400),
        (MULTIPART, part("message", "x", '; filename="x.exe"') + b"--b--", 400),
        ({"content-type": "multipart/form-data"}, part("message", "x") + b"--b--", 400),
        (MULTIPART, b"nonsense", 400),
        (MULTIPART, part("message", "x"), 422),
        (JSON, b"", 400),
        (JSON, b"{", 400),
        (JSON, b'{"message": "\xff"}', 400),
        (JSON, b'"message"', 422),
        (JSON, b"[" * 16_000, 400),
        (JSON, b'{"message": ' + b"[" * 10_000 + b"}", 400),
        (JSON, b'{"message": 1e999}', 422),
        (JSON, b'{"message": ' + b"9" * 10_000 + b"}", 400),
        (JSON, b'{"message": {"a": "b"}}', 422),
        (JSON, json.dumps({"message": "m"}).encode("utf-16"), 400),
        ({"content-type": "text/plain"}, b"message=m", 415),
        ({"content-type": "application/xml"}, b"<message/>", 415),
        ({"content-type": ""}, b"message=m", 415),
        ({}, b"message=m", 415),
    ],
)
async def test_a_bad_body_is_a_4xx_and_keeps_nothing(
    fetch: Get, headers: dict[str, str], content: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Too large, too many, too deep, of the wrong type, cut off, a file: told apart, never a fault of ours."""
    caplog.set_level(logging.WARNING, "asgi_rota_sentry")
    kept: list[Feedback] = []
    for accept in ("*/*", "text/html"):
        answer = await fetch(endpoint(kept), PATH, "POST", content=content, headers={**headers, "accept": accept})
        assert answer.status_code == status
        assert answer.headers["content-type"].startswith("text/html" if accept == "text/html" else "application/prob")
        assert answer.headers.get("accept-post", "").startswith("application/x-www") == (status == 415)
    assert kept == []
    assert [record for record in caplog.records if record.name == "asgi_rota_sentry"] == []


async def test_16_kib_are_taken(fetch: Get) -> None:
    """The bound is the bound: one byte more is too much."""
    filler = "&x=" + "x" * (16 * 1024 - len("message=m&x="))
    assert (await fetch(endpoint(), PATH, "POST", content="message=m" + filler, headers=FORM)).status_code == 202
    assert (await fetch(endpoint(), PATH, "POST", content="message=m" + filler + "x", headers=FORM)).status_code == 413


async def test_a_slow_body_is_given_up() -> None:
    """A client that sends byte by byte gets 408 when its time is up, and its connection is not used again."""
    app = endpoint(feedback_seconds=0.3)
    sent: list[Any] = []

    async def receive() -> Any:
        await anyio.sleep(0.05)
        return {"type": "http.request", "body": b"m", "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    began = time.monotonic()
    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    await app({"type": "http", "method": "POST", "path": PATH, "headers": headers}, receive, send)
    assert time.monotonic() - began < 2
    assert sent[0]["status"] == 408
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_message_without_a_body_is_an_empty_one() -> None:
    """ASGI lets a server leave it out."""
    kept: list[Feedback] = []
    messages = [{"type": "http.request", "more_body": True}, {"type": "http.request", "body": b"message=m"}]
    sent: list[Any] = []

    async def receive() -> Any:
        return messages.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/x-www-form-urlencoded")]
    await endpoint(kept)({"type": "http", "method": "POST", "path": PATH, "headers": headers}, receive, send)
    assert sent[0]["status"] == 202
    assert [feedback.message for feedback in kept] == ["m"]


async def test_an_endless_body_is_given_up_early() -> None:
    """Only so much of what is too large is read, though it comes fast."""
    chunks = 0

    async def receive() -> Any:
        nonlocal chunks
        chunks += 1
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    await endpoint()({"type": "http", "method": "POST", "path": PATH, "headers": []}, receive, send)
    assert sent[0]["status"] == 413
    assert chunks <= 4


_FIELDS = st.dictionaries(
    st.sampled_from(["message", "comments", "name", "email", "url", "event_id", "website", "x"]),
    st.one_of(st.text(max_size=200), st.none(), st.booleans(), st.integers(), st.lists(st.text(max_size=5))),
)
_TYPES = st.sampled_from(
    [
        "application/json",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "multipart/form-data; boundary=b; charset=hex",
        "multipart/form-data; boundary=",
        "multipart/form-data; boundary=\xff",
        "application/json; charset=utf-16",
        "application/x+json",
    ]
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    media_type=_TYPES,
    content=st.one_of(
        st.binary(max_size=300),
        _FIELDS.map(lambda found: json.dumps(found).encode()),
        st.text(max_size=200).map(lambda text: part("message", text.replace("\ud800", ""), "") + b"--b--\r\n"),
        st.binary(max_size=100).map(lambda some: b"--b\r\n" + some + b"\r\n\r\nx\r\n--b--"),
        st.text(max_size=100).map(lambda text: f"message={quote_plus(text, errors='replace')}".encode()),
    ),
)
def test_whatever_comes_is_taken_or_refused(media_type: str, content: bytes) -> None:
    """No body of any type makes a fault of ours: 202 or a 4xx; what is kept can be shown anywhere."""
    kept: list[Feedback] = []
    app = endpoint(kept)
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": content}

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    scope = {
        "type": "http",
        "method": "POST",
        "path": PATH,
        "headers": [(b"content-type", media_type.encode("latin-1"))],
    }
    anyio.run(app, scope, receive, send)
    assert statuses[0] == 202 or 400 <= statuses[0] < 500
    for feedback in kept:
        feedback.text.encode("utf-8")
        assert not any(ord(character) < 32 and character not in "\n\t" for character in feedback.text)


# ---- who posts


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 202),
        ({"sec-fetch-site": "same-origin", "origin": "null"}, 202),
        ({"sec-fetch-site": "none"}, 202),
        ({"sec-fetch-site": "same-site", "origin": "http://rota.example"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "nonsense"}, 403),
        ({"origin": "http://rota.example"}, 202),
        ({"origin": "HTTP://ROTA.example:80"}, 202),
        ({"origin": "http://rota.example:8000"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "http://rota.example.evil.example"}, 403),
        ({"origin": "http://evil.example:80@rota.example"}, 202),  # no browser writes this: it is our host all the same
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "http://[::1"}, 403),
        ({"origin": "http://rota.example:port"}, 403),
    ],
)
async def test_another_sites_page_cannot_post(fetch: Get, headers: dict[str, str], status: int) -> None:
    """What a browser says of where it comes from decides; programs say nothing and may."""
    kept: list[Feedback] = []
    answer = await fetch(endpoint(kept), PATH, "POST", data={"message": "m"}, headers=headers)
    assert (answer.status_code, len(kept)) == (status, int(status == 202))


async def test_an_origin_behind_a_proxy_that_ends_tls(fetch: Get) -> None:
    """The server sees plain HTTP; the host is what counts, and the port that goes with the page's scheme."""
    headers = {"origin": "https://rota.example", "host": "rota.example"}
    assert (await fetch(endpoint(), PATH, "POST", data={"message": "m"}, headers=headers)).status_code == 202


async def test_a_robot_is_thanked_and_nothing_is_kept(fetch: Get) -> None:
    """Whoever fills in the field that nobody sees gets the same answer as everybody."""
    kept: list[Feedback] = []
    for headers in ({}, {"accept": "text/html"}):
        trapped = await fetch(
            endpoint(kept), PATH, "POST", data={"message": "buy", "website": "http://spam"}, headers=headers
        )
        real = await fetch(endpoint(), PATH, "POST", data={"message": "buy"}, headers=headers)
        assert trapped.status_code == real.status_code
        assert trapped.headers == real.headers
        assert len(trapped.text) == len(real.text)
    assert kept == []


# ---- rates


async def test_one_client_may_not_post_all_the_time(fetch: Get, caplog: pytest.LogCaptureFixture) -> None:
    """429 with Retry-After, the form with what was typed for a browser; another client is not concerned."""
    kept: list[Feedback] = []
    app = endpoint(kept, feedback_rate="3/minute", trusted_proxies="198.51.100.0/24")
    mine, other = {"x-forwarded-for": "203.0.113.9"}, {"x-forwarded-for": "203.0.113.10"}
    for number in range(3):
        assert (await fetch(app, PATH, "POST", data={"message": f"m{number}"}, headers=mine)).status_code == 202
    answer = await fetch(app, PATH, "POST", json={"message": "again"}, headers=mine)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["retry-after"]) <= 60
    assert answer.json()["title"] == "Too Many Requests"
    page = await fetch(app, PATH, "POST", data={"message": "again"}, headers=mine | {"accept": "text/html"})
    assert "You have sent several messages" in page.text
    assert ">again</textarea>" in page.text
    assert (await fetch(app, PATH, "POST", content=b"{", headers=JSON | mine)).status_code == 429
    assert (await fetch(app, PATH, "POST", data={"message": "m"}, headers=other)).status_code == 202
    assert len(kept) == 4
    assert [record for record in caplog.records if record.name == "asgi_rota_sentry"] == []


async def test_one_event_does_not_take_any_number(fetch: Get) -> None:
    """Many clients together cannot flood one event, known or not; feedback on others is taken."""
    app = endpoint(feedback_event_rate="2/hour")
    statuses = []
    for number in range(3):
        given = {"message": f"m{number}", "event_id": EVENT}
        statuses.append((await fetch(app, PATH, "POST", json=given)).status_code)
    assert statuses == [202, 202, 429]
    assert (await fetch(app, PATH, "POST", json={"message": "m", "event_id": EVENT[::-1]})).status_code == 202
    assert (await fetch(app, PATH, "POST", json={"message": "m"})).status_code == 202


async def test_feedback_that_is_refused_does_not_count_for_its_event(fetch: Get) -> None:
    """What a visitor has to mend may be mended."""
    app = endpoint(feedback_event_rate="1/hour")
    bad = {"message": "m", "event_id": EVENT, "email": "x"}
    assert (await fetch(app, PATH, "POST", json=bad)).status_code == 422
    assert (await fetch(app, PATH, "POST", json=bad | {"email": "x@y"})).status_code == 202


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, 198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "6.6.6.6, nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4321", "198.51.100.1"),
        ("10.0.0.1", "[2001:db8::1]:4321", "2001:db8::/64"),
        ("2001:db8:0:1:ffff::1", None, "2001:db8:0:1::/64"),
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        ("fe80::1%eth0", None, "fe80::/64"),
        (None, "6.6.6.6, 198.51.100.1", "198.51.100.1"),
        (None, None, "unknown"),
        ("testclient", None, "unknown"),
    ],
)
def test_the_client_is_known_by_its_address_behind_trusted_proxies(
    peer: str | None, forwarded: str | None, expected: str
) -> None:
    """Only a trusted proxy's word counts, an IPv6 network is one client, and nobody chooses an address."""
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode())]
    scope = {"client": None if peer is None else (peer, 1), "headers": headers}
    trusted = Settings(trusted_proxies="10.0.0.0/8").trusted_proxies
    assert key(scope, trusted) == expected
    standard = [
        (b"forwarded", b", ".join(b'for="%s"' % hop.strip() for hop in value.split(b","))) for _, value in headers
    ]
    assert key({**scope, "headers": standard}, trusted) == expected
    if expected == "198.51.100.1":
        invented = {**scope, "headers": [*headers, (b"forwarded", b"for=6.6.6.6")]}
        assert key(invented, trusted) == (peer or "unknown")


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A Redis on a free port of this machine."""
    program = shutil.which("redis-server")
    assert program, "redis-server is needed, from the package of that name"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.terminate()
        process.wait(10)


@pytest.mark.e2e
async def test_with_redis_all_processes_count_together(fetch: Get, redis_url: str) -> None:
    """Two middlewares that know nothing of each other share the count."""
    one, other = (endpoint(feedback_rate="2/minute", feedback_redis_url=redis_url) for _ in range(2))
    statuses = []
    for number, app in enumerate((one, other, one, other)):
        statuses.append((await fetch(app, PATH, "POST", data={"message": f"m{number}"})).status_code)
    assert statuses == [202, 202, 429, 429]


async def test_without_its_redis_each_process_counts_alone(fetch: Get, caplog: pytest.LogCaptureFixture) -> None:
    """A Redis that is away delays nobody for long and lets nobody through; it is logged once."""
    app = endpoint(feedback_rate="2/minute", feedback_redis_url="redis://127.0.0.1:1/0")
    began = time.monotonic()
    statuses = [(await fetch(app, PATH, "POST", data={"message": f"m{n}"})).status_code for n in range(3)]
    assert statuses == [202, 202, 429]
    assert time.monotonic() - began < 5
    assert sum("counting feedback in Redis" in record.getMessage() for record in caplog.records) == 1


async def test_a_redis_that_fails_is_left_alone_for_a_while(fetch: Get) -> None:
    """Not every visitor waits for it anew."""
    calls: list[Any] = []

    def hang_up(server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connection.close()
                calls.append(connection)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=hang_up, args=(server,), daemon=True)
        thread.start()
        url = f"redis://127.0.0.1:{server.getsockname()[1]}/0"
        app = endpoint(feedback_rate="9/minute", feedback_redis_url=url)
        assert (await fetch(app, PATH, "POST", data={"message": "first"})).status_code == 202
        tried = len(calls)
        for number in range(3):
            assert (await fetch(app, PATH, "POST", data={"message": f"m{number}"})).status_code == 202
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)
    assert len(calls) == tried > 0


# ---- what is written


async def test_what_steers_where_it_is_shown_is_taken_out(fetch: Get) -> None:
    """Control characters, text direction, half characters and line breaks in one-line fields are gone at once."""
    kept: list[Feedback] = []
    given = {
        "message": "\x1b[2Ja\x00b\u202ec\r\nd\u2028e\tf\ud800g\x9b1m",
        "name": "Sam\r\nBcc: all@example.com\x07",
        "url": "/x",
    }
    await fetch(endpoint(kept), PATH, "POST", content=json.dumps(given), headers=JSON)
    assert kept[0].message == "[2Jabc\nd\ne\tf\ufffdg1m"
    assert kept[0].name == "Sam Bcc: all@example.com"
    await fetch(endpoint(kept), PATH, "POST", content=b"message=a%FFb%C3%28", headers=FORM)
    assert kept[1].message == "a\ufffdb\ufffd("


async def test_what_people_write_in_any_language_stays(fetch: Get) -> None:
    """Accents, right-to-left text, joined emoji and indents are no attack."""
    kept: list[Feedback] = []
    message = "naïve שלום 👩‍👩‍👧 می‌خواهم\n  indented"
    await fetch(endpoint(kept), PATH, "POST", data={"message": message})
    assert kept[0].message == message


async def test_secrets_never_leave(sentry: Sentry, fetch: Get) -> None:
    """What a visitor pastes is scrubbed before it is kept, mailed or sent."""
    server = sentry()
    kept: list[Feedback] = []
    given = {
        "message": "password=hunter22 and my card 4111 1111 1111 1111",
        "name": "token=ghp_0123456789abcdefghijABCDEFGHIJ012345",
        "url": "https://rota.example/x?api_key=s3cr3tk3y9&day=3",
    }
    agent = {"user-agent": "probe token=ghp_0123456789abcdefghijABCDEFGHIJ012345"}
    await fetch(endpoint(kept), PATH, "POST", json=given, headers=agent)
    for told in (repr(kept), json.dumps(server.items("feedback"))):
        for secret in ("hunter22", "4111", "ghp_0123", "s3cr3tk3y9"):
            assert secret not in told
        assert "day=3" in told
