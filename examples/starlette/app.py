"""The staff rota with Starlette, its session and its authentication middleware; nothing about Sentry but user actions.

`asgi.py` beside it is where the error tracking is put around it.
"""

from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import anyio
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, BaseUser, requires
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.templating import Jinja2Templates
from starlette.websockets import WebSocket

from asgi_rota_sentry import record_action
from examples.rota import DAYS, PEOPLE, Person, Rota, waiting_time

rota = Rota()
templates = Jinja2Templates(
    Path(__file__).parents[1] / "templates", context_processors=[lambda request: {"user": request.user}]
)


class Worker(BaseUser):
    """The signed-in person, as Starlette hands it on in `scope["user"]`."""

    def __init__(self, person: Person) -> None:
        self.id = person.id
        self.username = person.username
        self.email = person.email
        self.role = person.role
        self.preferences = person.preferences

    @property
    def is_authenticated(self) -> bool:
        """Always true: for anybody else there is Starlette's `UnauthenticatedUser`."""
        return True

    @property
    def display_name(self) -> str:
        """The name to greet with."""
        return self.username


class SessionBackend(AuthenticationBackend):
    """Who is signed in, by what `/login/` wrote into the session."""

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, BaseUser] | None:
        """The person of this session with the role as a scope, or None for nobody."""
        person = PEOPLE.get(conn.session.get("as", ""))
        if person is None:
            return None
        return AuthCredentials(["authenticated", person.role]), Worker(person)


def home(request: Request) -> Response:
    """The front door."""
    return templates.TemplateResponse(request, "home.html")


def login(request: Request) -> Response:
    """Start a session as one of the two people; only a demonstration does that without a password."""
    name = request.query_params.get("as", "")
    if name not in PEOPLE:
        return PlainTextResponse("Say ?as=manager or ?as=staff.", 400)
    request.session["as"] = name
    return RedirectResponse("/dashboard/", 302)


def logout(request: Request) -> Response:
    """End the session."""
    request.session.clear()
    return RedirectResponse("/", 302)


@requires("authenticated", redirect="home")
def dashboard(request: Request) -> Response:
    """What the signed-in person sees first."""
    return templates.TemplateResponse(request, "dashboard.html", {"count": len(rota.shifts)})


@requires("authenticated", redirect="home")
def shifts(request: Request) -> Response:
    """All shifts."""
    return templates.TemplateResponse(request, "shifts.html", {"title": "Shifts", "shifts": list(rota.shifts.values())})


@requires("authenticated", redirect="home")
def shift(request: Request) -> Response:
    """One shift; a number that no shift has is a 404."""
    found = rota.shifts.get(request.path_params["shift_id"])
    if found is None:
        raise HTTPException(404)
    return templates.TemplateResponse(request, "shift.html", {"shift": found})


@requires("Manager")
async def create_shift(request: Request) -> Response:
    """The form for a new shift, and what it sends."""
    if request.method != "POST":
        if request.query_params.get("via") == "button":
            record_action("click", 'User clicked "Create Shift" button')
        return templates.TemplateResponse(request, "shift_form.html", {"days": DAYS})
    form = await request.form()
    record_action("form", "User filled shift creation form")
    day = str(form.get("day", ""))
    if day not in DAYS:
        return PlainTextResponse("That is no day of the week.", 400)
    hours = int(str(form.get("hours", "")))  # the fault of the story: hours=abc was never thought of
    created = rota.add(day, hours, request.user.username)
    return RedirectResponse(f"/shifts/{created.id}/", 303)


def search(request: Request) -> Response:
    """The shifts that match `?q=`."""
    words = request.query_params.get("q", "")
    return templates.TemplateResponse(
        request, "shifts.html", {"title": f"Search: {words}", "shifts": rota.search(words), "q": words}
    )


async def slow(request: Request) -> Response:
    """An answer that takes `?seconds=`."""
    seconds = waiting_time(request.query_params.get("seconds", "1"))
    await anyio.sleep(seconds)
    return PlainTextResponse(f"That took {seconds:g} s.")


async def stream(request: Request) -> Response:
    """The rota line by line; `?fail=1` breaks off in the middle."""
    fail = request.query_params.get("fail") == "1"

    async def lines() -> AsyncIterator[str]:
        for number, each in enumerate(rota.shifts.values()):
            if fail and number == 2:
                raise RuntimeError("The rota could not be read to its end")
            yield f"{each.day} {each.hours} h {each.worker}\n"

    return StreamingResponse(lines(), media_type="text/plain")


def healthz(request: Request) -> Response:
    """Whether the process is alive."""
    return PlainTextResponse("ok")


async def live(websocket: WebSocket) -> None:
    """A websocket: a shift's number in, the shift as JSON out, null where there is none."""
    await websocket.accept()
    async for text in websocket.iter_text():
        found = rota.shifts.get(int(text))  # unguarded as well: what is no number ends the connection
        await websocket.send_json(found and asdict(found))


app = Starlette(
    routes=[
        Route("/", home),
        Route("/login/", login),
        Route("/logout/", logout),
        Route("/dashboard/", dashboard),
        Route("/shifts/", shifts),
        Route("/shifts/create/", create_shift, methods=["GET", "POST"]),
        Route("/shifts/{shift_id:int}/", shift),
        Route("/search/", search),
        Route("/slow/", slow),
        Route("/stream/", stream),
        Route("/healthz", healthz),
        WebSocketRoute("/live/", live),
    ],
    middleware=[
        Middleware(SessionMiddleware, secret_key="only for this example"),
        Middleware(AuthenticationMiddleware, backend=SessionBackend()),
    ],
)
