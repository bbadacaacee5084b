"""Visitors of the soak's application: each does one thing after the other, and knows how each must end."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

_PATIENCE = 30.0
_PAGE = {"Accept": "text/html"}
# uvicorn closes the connection of an application that raised; whoever says so first is not surprised.
_LAST = {"Connection": "close"}


@dataclass
class Traffic:
    """What visitors did (`done`, by kind), what ended otherwise than it must (`unexpected`), the event IDs shown."""

    url: str
    port: int
    done: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    event_ids: set[str] = field(default_factory=set)

    async def run(self, seconds: float, visitors: int = 8) -> None:
        """So many visitors at once for so long; then all their connections are closed."""
        until = asyncio.get_running_loop().time() + seconds
        async with asyncio.TaskGroup() as group:
            for number in range(visitors):
                group.create_task(Visitor(self, random.Random(f"{number} {sum(self.done.values())}")).stay(until))


class Visitor:
    """One browser: signs in now and then, goes about, and finds what it must find."""

    def __init__(self, traffic: Traffic, chance: random.Random) -> None:
        self._traffic = traffic
        self._chance = chance
        self._client = httpx.AsyncClient(base_url=traffic.url, timeout=_PATIENCE, trust_env=False, headers=_PAGE)
        self._what: dict[Callable[[], Awaitable[None]], int] = {
            self.good: 30,
            self.signs_in: 2,
            self.missing: 8,
            self.error: 8,
            self.form_error: 4,
            self.error_in_the_background: 2,
            self.stream: 4,
            self.stream_fails: 3,
            self.leaves_a_stream: 4,
            self.upload: 4,
            self.leaves_an_upload: 3,
            self.websocket: 4,
            self.websocket_fails: 2,
            self.leaves_a_websocket: 3,
            self.feedback: 3,
            self.slow: 3,
        }

    async def stay(self, until: float) -> None:
        """One thing after the other until that time of the event loop."""
        async with self._client:
            await self.signs_in()
            while asyncio.get_running_loop().time() < until:
                (what,) = self._chance.choices(list(self._what), list(self._what.values()))
                try:
                    await what()
                except Exception as exc:
                    self._wrong(what.__name__, repr(exc))
                self._traffic.done[what.__name__] += 1
                await asyncio.sleep(self._chance.uniform(0, 0.02))

    def _wrong(self, what: str, how: str) -> None:
        if len(self._traffic.unexpected) < 50:
            self._traffic.unexpected.append(f"{what}: {how[:300]}")

    def _expect(self, what: str, found: object, *wanted: object) -> None:
        if found not in wanted:
            self._wrong(what, f"{found!r}; expected {' or '.join(map(repr, wanted))}")

    async def _get(self, path: str, status: int, **given: dict[str, str]) -> httpx.Response:
        answer = await self._client.get(path, **given)
        self._expect(path, answer.status_code, status)
        return answer

    def _expect_event_id(self, what: str, answer: httpx.Response) -> None:
        event_id = answer.headers.get("x-sentry-event-id", "")
        self._expect(f"{what}'s event ID", event_id in answer.text and len(event_id), 32)
        self._traffic.event_ids.add(event_id)

    async def good(self) -> None:
        await self._get(self._chance.choice(["/", "/dashboard/", "/shifts/", "/shifts/1/", "/search/?q=tues"]), 200)

    async def signs_in(self) -> None:
        self._client.cookies.clear()
        await self._get(f"/login/?as={self._chance.choice(['manager', 'staff'])}", 302)

    async def missing(self) -> None:
        answer = await self._get(f"/no-such-page/{self._chance.random()}/", 404)
        self._expect("the 404 page", "<html" in answer.text, True)

    async def error(self) -> None:
        self._expect_event_id("/boom/", await self._get(f"/boom/?kind={self._chance.randrange(5)}", 500, headers=_LAST))

    async def form_error(self) -> None:
        fields = {"day": "Friday", "hours": "abc"}
        answer = await self._client.post("/shifts/create/", data=fields, headers=_LAST)
        self._expect("/shifts/create/", answer.status_code, 500, 403)
        if answer.status_code == 500:
            self._expect_event_id("/shifts/create/", answer)

    async def error_in_the_background(self) -> None:
        await self._get("/later/", 200, headers=_LAST)

    async def stream(self) -> None:
        answer = await self._get("/stream/", 200)
        self._expect("/stream/", answer.text.count("\n"), 4)

    async def stream_fails(self) -> None:
        received = []
        with contextlib.suppress(httpx.RemoteProtocolError):
            async with self._client.stream("GET", "/stream/?fail=1", headers=_LAST) as answer:
                received = [part async for part in answer.aiter_text()]
                self._wrong("/stream/?fail=1", f"a good end after {received}")

    async def leaves_a_stream(self) -> None:
        async with self._client.stream("GET", "/endless/") as answer:
            self._expect("/endless/", answer.status_code, 200)
            async for _ in answer.aiter_text():
                break

    async def upload(self) -> None:
        size = self._chance.randrange(1, 500_000)
        answer = await self._client.post("/upload/", content=bytes(size))
        self._expect("/upload/", (answer.status_code, answer.text), (200, str(size)))

    async def leaves_an_upload(self) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", self._traffic.port)
        writer.write(b"POST /upload/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n" + bytes(1000))
        await writer.drain()
        writer.transport.abort()

    async def websocket(self) -> None:
        async with self._connect() as socket:
            for number in ("1", "2", "99999"):
                await socket.send(number)
                answer = await asyncio.wait_for(socket.recv(), _PATIENCE)
                self._expect("/live/", "worker" in str(answer), number != "99999")

    async def websocket_fails(self) -> None:
        async with self._connect() as socket:
            await socket.send("abc")
            try:
                self._wrong("/live/", repr(await asyncio.wait_for(socket.recv(), _PATIENCE)))
            except ConnectionClosedError:
                return

    async def leaves_a_websocket(self) -> None:
        async with self._connect() as socket:
            await socket.send("1")
            socket.transport.abort()

    def _connect(self) -> connect:
        return connect(f"{self._traffic.url.replace('http', 'ws', 1)}/live/", proxy=None, open_timeout=_PATIENCE)

    async def feedback(self) -> None:
        message, wanted = {"message": "It broke."}, {"Accept": "application/json"}
        answer = await self._client.post("/api/error-feedback/", json=message, headers=wanted)
        self._expect("feedback", answer.status_code, 202, 429)

    async def slow(self) -> None:
        await self._get("/slow/?seconds=0.2", 200)
