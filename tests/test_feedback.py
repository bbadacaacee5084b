"""The feedback endpoint around a real application: what is taken, what is answered, what Sentry gets."""

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import sentry_sdk
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from asgi_rota_sentry import RotaSentryMiddleware, Settings
from asgi_rota_sentry.feedback import Feedback, hooks
from tests.conftest import Get, MemoryTransport

pytestmark = pytest.mark.anyio

Sentry = Callable[..., MemoryTransport]
PATH = "/api/error-feedback/"
EVENT = "0123456789abcdef0123456789abcdef"
PAGE = {"accept": "text/html,*/*;q=0.8"}
TOLD = {
    "event_id": EVENT,
    "message": "I added a shift.\r\nThen it broke.",
    "name": "Sam Wood",
    "email": "sam@example.com",
    "url": "/shifts/create/",
}
CLEAN = TOLD | {"message": "I added a shift.\nThen it broke."}


async def never(scope: Any, receive: Any, send: Any) -> None:
    """An application that nothing may reach."""
    raise AssertionError("the application was called")


def rota(app: Any = never, *, given: list[Feedback] | None = None, **fields: Any) -> RotaSentryMiddleware:
    settings = Settings(**{"outbox_path": "", "feedback_rate": "", "feedback_event_rate": "", **fields})
    return RotaSentryMiddleware(app, settings, on_feedback=None if given is None else given.append)


def multipart(fields: dict[str, str]) -> dict[str, Any]:
    return {"files": {name: (None, text) for name, text in fields.items()}}


@pytest.mark.parametrize("given", [{"data": TOLD}, multipart(TOLD), {"json": TOLD}], ids=["form", "multipart", "JSON"])
async def test_every_form_of_body_is_taken_alike(sentry: Sentry, fetch: Get, given: dict[str, Any]) -> None:
    """Form fields, multipart and JSON make the same item, tied to its event."""
    server = sentry(environment="test", release="rota@1")
    response = await fetch(rota(), PATH, "POST", headers={"user-agent": "Firefox"}, **given)
    assert (response.status_code, response.headers["content-type"]) == (202, "application/json")
    (item,) = server.items("feedback")
    assert item["event_id"] == response.json()["id"]
    written = item["contexts"]["feedback"]
    assert written == {
        "message": CLEAN["message"],
        "contact_email": "sam@example.com",
        "name": "Sam Wood",
        "url": "/shifts/create/",
        "source": "asgi_rota_sentry",
        "associated_event_id": EVENT,
    }
    assert (item["environment"], item["release"]) == ("test", "rota@1")
    assert item["request"] == {"url": "/shifts/create/", "headers": {"User-Agent": "Firefox"}}
    assert item["tags"] == {"feedback.event": "unknown"}
    assert server.events == []
    assert server.spans == []  # the endpoint makes no transaction of its own


async def test_a_form_may_hold_letters_as_they_are(sentry: Sentry, fetch: Get) -> None:
    """What a program such as curl sends in UTF-8 without escapes is read as that; what is no UTF-8 costs a letter."""
    server = sentry()
    for content in ("message=Grüße+%C3%BC%20ok".encode(), b"message=Gr\xfc%DFe"):
        form = {"content-type": "application/x-www-form-urlencoded"}
        assert (await fetch(rota(), PATH, "POST", content=content, headers=form)).status_code == 202
    told = [item["contexts"]["feedback"]["message"] for item in server.items("feedback")]
    assert told == ["Grüße ü ok", "Gr\ufffd\ufffde"]


async def test_the_item_has_who_met_the_error_and_its_trace(sentry: Sentry, fetch: Get) -> None:
    """What was known of the event's visitor is told again: ID, role and trace, no name and no e-mail address."""
    server = sentry()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        scope["user"] = {"id": "SCW1001", "username": "scw1001", "email": "scw1001@example.com", "role": "Manager"}
        raise ValueError("broken")

    app = rota(broken)
    page = await fetch(app, "/shifts/")
    event_id = page.headers["x-sentry-event-id"]
    await fetch(app, PATH, "POST", json={"event_id": event_id, "message": "It broke."})
    (item,) = server.items("feedback")
    (event,) = server.events
    assert item["contexts"]["feedback"]["associated_event_id"] == event["event_id"]
    assert item["user"] == {"id": "SCW1001", "role": "Manager"}
    assert item["tags"] == {"user.role": "Manager", "feedback.event": "known"}
    assert item["contexts"]["trace"]["trace_id"] == event["contexts"]["trace"]["trace_id"]


async def test_feedback_on_an_event_that_sampling_dropped_is_known(sentry: Sentry, fetch: Get) -> None:
    """The event never left, the feedback does, with all that was known."""
    server = sentry(options={"sample_rate": 0.0})

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        event = {"message": "dropped", "event_id": EVENT}
        sentry_sdk.capture_event(event)  # type: ignore[arg-type]
        raise ValueError("broken")

    app = rota(broken)
    await fetch(app, "/")
    await fetch(app, PATH, "POST", json={"event_id": EVENT, "message": "It broke."})
    assert server.events == []
    (item,) = server.items("feedback")
    assert item["tags"]["feedback.event"] == "known"
    assert item["contexts"]["trace"]["trace_id"]


async def test_a_user_report_by_setting(sentry: Sentry, fetch: Get) -> None:
    """Servers that know no feedback get its predecessor, with the event's ID in the envelope's header; or its own."""
    server = sentry()
    await fetch(rota(feedback_user_report=True), PATH, "POST", json=TOLD)
    (report,) = server.items("user_report")
    assert report == {
        "event_id": EVENT,
        "name": "Sam Wood",
        "email": "sam@example.com",
        "comments": CLEAN["message"],
    }
    assert [envelope.headers["event_id"] for envelope in server.envelopes] == [EVENT]
    alone = (await fetch(rota(feedback_user_report=True), PATH, "POST", json={"message": "On nothing."})).json()["id"]
    assert server.items("user_report")[1]["event_id"] == server.envelopes[1].headers["event_id"] == alone
    assert server.items("feedback") == []


async def test_a_browser_gets_a_page_of_thanks_in_its_language(sentry: Sentry, fetch: Get) -> None:
    """Whoever accepts HTML gets the thank-you page, with the event ID, in the style of the error pages."""
    server = sentry()
    page = await fetch(rota(), PATH, "POST", data=TOLD, headers=PAGE | {"accept-language": "de"})
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-language"] == "de"
    assert "Vielen Dank" in page.text
    assert EVENT in page.text
    assert len(server.items("feedback")) == 1


async def test_a_browser_gets_the_form_again_with_what_was_wrong_and_what_was_typed(sentry: Sentry, fetch: Get) -> None:
    """Nothing that was written is lost, and each fault is told, in the visitor's language."""
    server = sentry()
    given = TOLD | {"message": "x" * 4001, "email": "sam at example", "name": 'Sam "<b>'}
    page = await fetch(rota(), PATH, "POST", headers=PAGE, **multipart(given))
    assert page.status_code == 422
    assert "This message is too long. Please shorten it. This e-mail address does not look right." in page.text
    assert 'value="Sam &quot;&lt;b&gt;"' in page.text
    assert 'value="sam at example"' in page.text
    empty = await fetch(rota(), PATH, "POST", data=TOLD | {"message": " \r\n\t "}, headers=PAGE)
    assert "Please write a sentence first." in empty.text
    for kept in (EVENT, 'value="/shifts/create/"', "Sam Wood", "sam@example.com"):
        assert kept in empty.text
    typed = await fetch(rota(), PATH, "POST", data=TOLD | {"email": "x"}, headers=PAGE)
    assert "I added a shift.\nThen it broke.</textarea>" in typed.text
    assert server.items("feedback") == []


async def test_a_program_gets_each_bad_field_by_name(sentry: Sentry, fetch: Get) -> None:
    """problem+json (RFC 9457) names every field that is wrong, the hidden ones too."""
    server = sentry()
    given = {"message": 7, "name": "x" * 101, "email": "a@b\nBcc: c@d", "url": "javascript:alert(1)", "event_id": "?"}
    response = await fetch(rota(), PATH, "POST", json=given)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    problem = response.json()
    assert (problem["type"], problem["status"]) == ("about:blank", 422)
    assert [fault["field"] for fault in problem["errors"]] == ["message", "name", "email", "url", "event_id"]
    assert problem["errors"][0] == {"field": "message", "pointer": "#/message", "detail": "Expected a text."}
    missing = await fetch(rota(), PATH, "POST", json={})
    assert [fault["field"] for fault in missing.json()["errors"]] == ["message"]
    comments = await fetch(rota(), PATH, "POST", json={"comments": "x" * 4001})
    assert [fault["field"] for fault in comments.json()["errors"]] == ["comments"]
    assert server.items("feedback") == []


@pytest.mark.parametrize(
    ("given", "event"),
    [
        ({"message": "m"}, ("missing", None)),
        ({"comments": "m", "event_id": ""}, ("missing", None)),
        ({"message": "m", "event_id": None, "name": None}, ("missing", None)),
        ({"message": "m", "event_id": "01234567-89AB-CDEF-0123-456789abcdef"}, ("unknown", EVENT)),
    ],
)
async def test_feedback_for_no_or_an_unknown_event_is_taken_and_marked(
    sentry: Sentry, fetch: Get, given: dict[str, Any], event: tuple[str, str | None]
) -> None:
    """Taken as any other, and marked for those who read it; the answer says nothing of it."""
    server = sentry()
    response = await fetch(rota(), PATH, "POST", json=given)
    assert (response.status_code, list(response.json())) == (202, ["id"])
    (item,) = server.items("feedback")
    assert item["tags"]["feedback.event"] == event[0]
    assert item["contexts"]["feedback"].get("associated_event_id") == event[1]


async def test_the_answer_does_not_tell_whether_an_event_exists(sentry: Sentry, fetch: Get) -> None:
    """For a known and an unknown event every byte of both forms of answer is the same, but for the IDs."""
    sentry()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    app = rota(broken)
    known = (await fetch(app, "/")).headers["x-sentry-event-id"]
    for headers in ({"accept": "application/json"}, PAGE):
        seen = set()
        for event_id in (known, EVENT):
            answer = await fetch(app, PATH, "POST", json={"event_id": event_id, "message": "m"}, headers=headers)
            text = answer.text.replace(event_id, "")
            text = "" if "json" in answer.headers["content-type"] else text
            seen.add((answer.status_code, tuple(answer.headers.items()), text))
        assert len(seen) == 1


async def test_get_answers_the_form_alone(fetch: Get) -> None:
    """A link in an e-mail leads to it; HEAD answers the same without a body."""
    page = await fetch(rota(), f"{PATH}?event_id={EVENT}&x=<script>")
    assert page.status_code == 200
    assert f'name="event_id" value="{EVENT}"' in page.text
    assert f'action="{PATH}"' in page.text
    head = await fetch(rota(), f"{PATH}?event_id={EVENT}&x=<script>", "HEAD")
    assert (head.text, head.headers["content-length"]) == ("", page.headers["content-length"])
    odd = await fetch(rota(), f'{PATH}?event_id="><script>alert(1)</script>')
    assert "<script>" not in odd.text
    assert 'name="event_id" value=""' in odd.text


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
async def test_other_methods_are_not_allowed(fetch: Get, method: str) -> None:
    """405 with what is allowed."""
    answer = await fetch(rota(), PATH, method)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, POST")


async def test_below_a_mount_prefix(sentry: Sentry, fetch: Get) -> None:
    """The endpoint is found below the server's `root_path`, and both forms post there."""
    server = sentry()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        scope["root_path"] += "/inner"  # as a router does
        raise ValueError("broken")

    middleware = rota(broken)

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        await middleware(scope | {"root_path": "/rota"}, receive, send)

    for path in ("/rota/shifts/", f"/rota{PATH}"):
        page = await fetch(mounted, path, headers=PAGE)
        assert f'action="/rota{PATH}"' in page.text
    assert (await fetch(mounted, f"/rota{PATH}", "POST", json=TOLD)).status_code == 202
    assert len(server.items("feedback")) == 1


async def test_the_same_again_is_not_kept_twice(sentry: Sentry, fetch: Get) -> None:
    """A reload of the thank-you page or a second click gets the same ID; other words are other feedback."""
    server = sentry()
    app = rota()
    first = await fetch(app, PATH, "POST", json=TOLD)
    second = await fetch(app, PATH, "POST", data=TOLD)
    third = await fetch(app, PATH, "POST", json=TOLD | {"message": "And again."})
    assert first.json() == second.json() != third.json()
    assert len(server.items("feedback")) == 2


async def test_a_second_click_while_the_first_is_being_kept_waits_for_it(sentry: Sentry, fetch: Get) -> None:
    """It gets the same ID; where the first could not be kept, the second is tried, and told of its own fate."""
    server = sentry()
    answers: list[Any] = []

    async def post(app: Any, **given: Any) -> None:
        answers.append(await fetch(app, PATH, "POST", json=TOLD, **given))

    app = rota()
    async with anyio.create_task_group() as clicks:
        for _ in range(3):
            clicks.start_soon(post, app)
    assert len({answer.json()["id"] for answer in answers}) == len(server.items("feedback")) == 1
    answers.clear()
    sentry_sdk.get_global_scope().set_client(None)
    tried: list[str] = []

    async def only_the_second(feedback: Feedback) -> None:
        tried.append(feedback.id)
        await anyio.sleep(0.1)
        if len(tried) == 1:
            raise OSError("no mail server")

    alone = RotaSentryMiddleware(never, Settings(outbox_path=""), on_feedback=only_the_second)
    async with anyio.create_task_group() as clicks:
        for _ in range(3):
            clicks.start_soon(post, alone)
    assert sorted(answer.status_code for answer in answers) == [202, 202, 503]
    assert {answer.json().get("id") for answer in answers} == {None, tried[1]}
    assert len(tried) == 2


# ---- hooks


async def test_hooks_get_the_feedback_once_it_is_kept(sentry: Sentry, fetch: Get) -> None:
    """Sync and async hooks get the same frozen object; a sync one runs in a thread, where it may block."""
    sentry(environment="test")
    seen: list[Any] = []

    def blocking(feedback: Feedback) -> None:
        anyio.from_thread.run(anyio.sleep, 0)  # only works in a worker thread
        seen.append(feedback)

    async def waiting(feedback: Feedback) -> None:
        await anyio.lowlevel.checkpoint()
        seen.append(feedback)

    class Calling:
        async def __call__(self, feedback: Feedback) -> None:
            seen.append(feedback)

    settings = Settings(outbox_path="")
    app = RotaSentryMiddleware(never, settings, on_feedback=[blocking, waiting, Calling()])
    answer = await fetch(app, PATH, "POST", json=TOLD)
    assert [feedback.id for feedback in seen] == [answer.json()["id"]] * 3
    feedback = seen[0]
    assert (feedback.message, feedback.event_id, feedback.event) == (CLEAN["message"], EVENT, "unknown")
    assert (feedback.name, feedback.email, feedback.url) == ("Sam Wood", "sam@example.com", "/shifts/create/")
    assert feedback.subject == "Feedback on error 01234567: I added a shift. Then it broke."
    assert "Page: /shifts/create/\n" in feedback.text


async def test_a_failing_hook_loses_nothing_and_is_logged(
    sentry: Sentry, fetch: Get, caplog: pytest.LogCaptureFixture
) -> None:
    """The visitor is thanked, the other hooks run, the item goes out, and the fault is a handled event."""
    server = sentry()
    seen: list[Feedback] = []

    def broken(feedback: Feedback) -> None:
        raise RuntimeError("the database is away")

    app = RotaSentryMiddleware(never, Settings(outbox_path=""), on_feedback=[broken, seen.append])
    answer = await fetch(app, PATH, "POST", json=TOLD, raises=True)
    assert answer.status_code == 202
    assert len(seen) == len(server.items("feedback")) == 1
    assert [record.levelno for record in caplog.records if "feedback hook failed" in record.getMessage()] == [
        logging.ERROR
    ]
    (event,) = server.events
    assert event["exception"]["values"][0]["mechanism"]["handled"] is True


async def test_a_hook_that_hangs_is_given_up(
    sentry: Sentry, fetch: Get, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a minute, in a thread too, with a line in the log; the others run, and feedback is taken as before."""
    sentry()
    monkeypatch.setattr(hooks, "_LONGEST_SECONDS", 0.5)
    is_over = threading.Event()
    seen: list[str] = []

    def hangs(_: Feedback) -> None:
        seen.append("over" if is_over.wait(20) else "waited for")

    settings = Settings(outbox_path="", feedback_rate="", feedback_event_rate="")
    app = RotaSentryMiddleware(never, settings, on_feedback=[hangs, lambda _: seen.append("next")])
    for number in range(2):
        await fetch(app, PATH, "POST", json=TOLD | {"message": f"it broke {number}"})
    assert seen == ["next"] * 2
    assert caplog.text.count("took longer than") == 2
    is_over.set()


@pytest.mark.parametrize("cancelled", ["while it answers", "in a hook"])
async def test_a_hook_runs_to_its_end_when_the_client_has_gone(sentry: Sentry, cancelled: str) -> None:
    """The server cancels the request then; what the visitor was thanked for is done all the same."""
    sentry()
    done: list[str] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(TOLD).encode()}

    async def send(message: Any) -> None:
        if cancelled == "while it answers":
            server.cancel()
            await anyio.lowlevel.checkpoint()

    with anyio.CancelScope() as server:

        async def hook(feedback: Feedback) -> None:
            server.cancel()
            await anyio.lowlevel.checkpoint()
            done.append(feedback.message)

        app = RotaSentryMiddleware(never, Settings(outbox_path=""), on_feedback=[hook, hook])
        headers = [(b"content-type", b"application/json")]
        await app({"type": "http", "method": "POST", "path": PATH, "headers": headers}, receive, send)
    assert done == [CLEAN["message"]] * 2


async def test_the_visitor_does_not_wait_for_hooks(sentry: Sentry) -> None:
    """The answer is out before the first hook begins."""
    sentry()
    order: list[str] = []

    async def hook(feedback: Feedback) -> None:
        order.append("hook")

    async def send(message: Any) -> None:
        order.append(message["type"])

    async def receive() -> Any:
        return {"type": "http.request", "body": json.dumps(TOLD).encode()}

    app = RotaSentryMiddleware(never, Settings(outbox_path=""), on_feedback=hook)
    headers = [(b"content-type", b"application/json")]
    await app({"type": "http", "method": "POST", "path": PATH, "headers": headers}, receive, send)
    assert order == ["http.response.start", "http.response.body", "hook"]


@pytest.mark.parametrize("wrong", [7, [print, "print"]])
def test_a_hook_that_cannot_be_called_is_refused_at_start(wrong: Any) -> None:
    """A mistake in the configuration is told when it is made."""
    with pytest.raises(TypeError, match=r"on_feedback is .* expected a callable"):
        RotaSentryMiddleware(never, Settings(), on_feedback=wrong)


# ---- when other things are broken


async def test_without_the_sdk_the_hooks_alone_keep_it(fetch: Get) -> None:
    """No SDK and no outbox: what the application's hook took is kept; when it fails, the visitor is told."""
    seen: list[Feedback] = []
    told = rota(given=seen, environment="test", release="rota@1")
    assert (await fetch(told, PATH, "POST", json=TOLD)).status_code == 202
    assert [(feedback.environment, feedback.release) for feedback in seen] == [("test", "rota@1")]

    def broken(feedback: Feedback) -> None:
        raise RuntimeError("away")

    one_of_two = RotaSentryMiddleware(never, Settings(outbox_path=""), on_feedback=[seen.append, broken])
    assert (await fetch(one_of_two, PATH, "POST", json=TOLD)).status_code == 202
    for on_feedback in (broken, None):
        app = RotaSentryMiddleware(never, Settings(outbox_path=""), on_feedback=on_feedback)
        page = await fetch(app, PATH, "POST", data=TOLD, headers=PAGE)
        assert page.status_code == 503
        assert "Your message could not be kept." in page.text
        assert "Then it broke.</textarea>" in page.text


async def test_a_fault_of_ours_is_logged_and_answered(
    sentry: Sentry, fetch: Get, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever breaks in here, nothing reaches the server, and the visitor gets the form back."""
    server = sentry()
    app = rota()

    def broken(*given: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(app.feedback.keeper, "complete", broken)
    page = await fetch(app, PATH, "POST", data=TOLD, headers=PAGE, raises=True)
    assert page.status_code == 503
    assert "Then it broke.</textarea>" in page.text
    assert any("A fault while taking feedback" in record.getMessage() for record in caplog.records)
    (event,) = server.events
    assert event["exception"]["values"][-1]["value"] == "a fault of ours"


async def test_the_endpoint_leaves_no_trace_in_other_requests(sentry: Sentry, fetch: Get) -> None:
    """It makes no span and no breadcrumb, and what a hook sets is gone with it."""
    server = sentry()

    def hook(feedback: Feedback) -> None:
        sentry_sdk.set_tag("leaked", "yes")
        sentry_sdk.set_user({"id": "leaked"})

    def broken(request: Request) -> Response:
        raise ValueError("broken")

    routes = [Route("/", broken), Route("/ok", lambda request: PlainTextResponse("ok"))]
    app = RotaSentryMiddleware(Starlette(routes=routes), Settings(outbox_path=""), on_feedback=hook)
    cookies = {"cookie": "session=abc"}
    await fetch(app, PATH, "POST", json=TOLD, headers=cookies)
    await fetch(app, "/", headers=cookies)
    (event,) = server.events
    assert "leaked" not in json.dumps(event["tags"]) + json.dumps(event.get("user", {}))
    assert PATH not in json.dumps(event["breadcrumbs"])
    assert [span["name"] for span in server.spans] == ["/"]


async def test_transactions_when_asked_for(sentry: Sentry, fetch: Get) -> None:
    """By setting the endpoint's requests are traced like any other."""
    server = sentry()
    answer = await fetch(rota(feedback_transactions=True), PATH, "POST", json=TOLD)
    assert answer.status_code == 202
    assert [(span["name"], span["tags"]["http.status_code"]) for span in server.spans] == [(PATH, "202")]


async def test_a_websocket_there_is_refused() -> None:
    """The application never sees it."""
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    await rota()({"type": "websocket", "path": PATH, "headers": []}, receive, send)
    assert [message["type"] for message in sent] == ["websocket.close"]


async def test_a_client_that_goes_away_is_no_fault(
    sentry: Sentry, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a body keeps nothing, answers nothing and logs nothing."""
    server = sentry()

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        raise AssertionError("there is nobody to answer")

    await rota()({"type": "http", "method": "POST", "path": PATH, "headers": []}, receive, send)
    assert server.envelopes == []
    assert [record for record in caplog.records if record.name == "asgi_rota_sentry"] == []


async def test_the_form_of_the_500_page_posts_what_the_endpoint_takes(sentry: Sentry, fetch: Get) -> None:
    """The page's own fields, sent back as a browser would, arrive as feedback on that page's event."""
    server = sentry()

    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("broken")

    app = rota(broken)
    page = await fetch(app, "/shifts/", headers=PAGE)
    assert 'enctype="multipart/form-data"' in page.text
    fields = {"event_id": page.headers["x-sentry-event-id"], "url": "/shifts/", "website": ""}
    longest = {"message": "語" * 4000, "name": "語" * 100, "email": "a" * 240 + "@example.com"}
    answer = await fetch(app, PATH, "POST", headers=PAGE, **multipart(fields | longest))
    assert answer.status_code == 200  # the longest that the form allows fits
    (item,) = server.items("feedback")
    assert item["contexts"]["feedback"]["message"] == longest["message"]
