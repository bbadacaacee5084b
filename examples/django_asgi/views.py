"""The staff rota's pages; nothing about Sentry but user actions."""

import asyncio
from collections.abc import AsyncIterator

from django.contrib.auth import login, logout
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Q
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render

from asgi_rota_sentry import record_action
from examples.django_asgi.models import Shift, Worker
from examples.rota import DAYS, PEOPLE, waiting_time


def home(request: HttpRequest) -> HttpResponse:
    """The front door."""
    return render(request, "home.html")


def sign_in(request: HttpRequest) -> HttpResponse:
    """Start a session as one of the two people; only a demonstration does that without a password."""
    person = PEOPLE.get(request.GET.get("as", ""))
    if person is None:
        return HttpResponseBadRequest("Say ?as=manager or ?as=staff.", content_type="text/plain")
    login(request, Worker.objects.get(pk=person.id), backend="django.contrib.auth.backends.ModelBackend")
    return redirect("/dashboard/")


def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("/")


@login_required(redirect_field_name=None)
def dashboard(request: HttpRequest) -> HttpResponse:
    """What the signed-in person sees first."""
    return render(request, "dashboard.html", {"count": Shift.objects.count()})


@login_required(redirect_field_name=None)
def shifts(request: HttpRequest) -> HttpResponse:
    """All shifts."""
    return render(request, "shifts.html", {"title": "Shifts", "shifts": Shift.objects.select_related("worker")})


@login_required(redirect_field_name=None)
def shift(request: HttpRequest, shift_id: int) -> HttpResponse:
    """One shift; a number that no shift has is a 404."""
    return render(request, "shift.html", {"shift": get_object_or_404(Shift, pk=shift_id)})


def create_shift(request: HttpRequest) -> HttpResponse:
    """The form for a new shift, and what it sends."""
    if getattr(request.user, "role", None) != "Manager":
        raise PermissionDenied
    if request.method != "POST":
        if request.GET.get("via") == "button":
            record_action("click", 'User clicked "Create Shift" button')
        return render(request, "shift_form.html", {"days": DAYS})
    record_action("form", "User filled shift creation form")
    day = request.POST.get("day", "")
    if day not in DAYS:
        return HttpResponseBadRequest("That is no day of the week.", content_type="text/plain")
    hours = int(request.POST.get("hours", ""))  # the fault of the story: hours=abc was never thought of
    created = Shift.objects.create(day=day, hours=hours, worker=request.user)
    return HttpResponse(status=303, headers={"Location": f"/shifts/{created.pk}/"})


def search(request: HttpRequest) -> HttpResponse:
    """The shifts that match `?q=`."""
    words = request.GET.get("q", "")
    wanted = words.strip()
    found = Shift.objects.select_related("worker").filter(
        Q(day__icontains=wanted) | Q(worker__username__icontains=wanted)
    )
    context = {"title": f"Search: {words}", "shifts": found if wanted else [], "q": words}
    return render(request, "shifts.html", context)


async def slow(request: HttpRequest) -> HttpResponse:
    """An answer that takes `?seconds=`."""
    seconds = waiting_time(request.GET.get("seconds", "1"))
    await asyncio.sleep(seconds)
    return HttpResponse(f"That took {seconds:g} s.", content_type="text/plain")


async def stream(request: HttpRequest) -> StreamingHttpResponse:
    """The rota line by line; `?fail=1` breaks off in the middle."""
    fail = request.GET.get("fail") == "1"

    async def lines() -> AsyncIterator[str]:
        number = 0
        async for each in Shift.objects.select_related("worker"):
            if fail and number == 2:
                raise RuntimeError("The rota could not be read to its end")
            number += 1
            yield f"{each}\n"

    return StreamingHttpResponse(lines(), content_type="text/plain")


def healthz(request: HttpRequest) -> HttpResponse:
    """Whether the process is alive."""
    return HttpResponse("ok", content_type="text/plain")
