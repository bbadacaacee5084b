"""The site's views: sync and async, that load the user, that only hold it, and that do not care."""

import logging
from typing import Any

import sentry_sdk
from django import shortcuts
from django.conf.urls.i18n import i18n_patterns
from django.contrib.auth import alogin, get_user_model, login, logout
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.urls import include, path, re_path
from django.views import View
from rest_framework.authentication import TokenAuthentication
from rest_framework.decorators import api_view, authentication_classes
from rest_framework.response import Response

from tests.django_site import _user

WAYS = ("fine", "raise", "log", "message")


def _end(way: str, who: Any) -> HttpResponse:
    if way == "log":
        logging.getLogger("rota").error("Something is wrong for %s", who)
    elif way == "message":
        sentry_sdk.capture_message("in the middle")
    elif way == "own":
        sentry_sdk.set_user({"id": "own"})
        sentry_sdk.capture_message("of somebody else")
    elif way == "name":
        sentry_sdk.get_current_scope().set_transaction_name("my own")
    return HttpResponse(str(int("abc")) if way == "raise" else "fine")


def untouched(request: HttpRequest, way: str) -> HttpResponse:
    return _end(way, "somebody")


def held(request: HttpRequest, way: str) -> HttpResponse:
    user = request.user
    return _end(way, "somebody") or user


def loaded(request: HttpRequest, way: str) -> HttpResponse:
    user = request.user
    return _end(way, user.get_username())


async def async_untouched(request: HttpRequest, way: str) -> HttpResponse:
    return _end(way, "somebody")


async def async_held(request: HttpRequest, way: str) -> HttpResponse:
    user = request.user
    return _end(way, "somebody") or user


async def async_loaded(request: HttpRequest, way: str) -> HttpResponse:
    user = await request.auser()
    return _end(way, user.get_username())


@api_view(["GET"])
@authentication_classes([TokenAuthentication])
def api(request: Any, way: str) -> Any:
    request.user.get_username()
    if way == "raise":
        int("abc")
    return Response({"fine": True})


def sign_in(request: HttpRequest, name: str) -> HttpResponse:
    login(request, _user(name), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("in")


async def async_sign_in(request: HttpRequest, name: str) -> HttpResponse:
    from asgiref.sync import sync_to_async

    await alogin(request, await sync_to_async(_user)(name), backend="django.contrib.auth.backends.ModelBackend")
    return HttpResponse("in")


def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return HttpResponse("out")


def crowd(request: HttpRequest, visitor: str) -> HttpResponse:
    name = request.user.get_username()
    sentry_sdk.capture_message(f"view of {name}")
    return HttpResponse(visitor)


async def async_crowd(request: HttpRequest, visitor: str) -> HttpResponse:
    name = (await request.auser()).get_username()
    sentry_sdk.capture_message(f"view of {name}")
    return HttpResponse(visitor)


def many(request: HttpRequest, times: int) -> HttpResponse:
    """The same query again and again, a template, the cache."""
    names = [get_user_model().objects.get(id=1 + number % 2).get_username() for number in range(times)]
    cache.set("names", names)
    return shortcuts.render(request, "names.html", {"names": cache.get("names")})


class Week(View):
    def get(self, request: HttpRequest, week: str) -> HttpResponse:
        return HttpResponse(week)


class AsyncWeek(View):
    async def get(self, request: HttpRequest, week: int) -> HttpResponse:
        return HttpResponse(str(week))


inner = [
    re_path(r"^(?P<week>[0-9]+)/$", Week.as_view()),
    path("<int:week>/async/", AsyncWeek.as_view()),
    path("in/", include([path("<int:day>/", lambda request, day: HttpResponse(str(day)))])),
]
translated = [
    path("rota/<int:week>/<way>/", lambda request, week, way: _end(way, week)),
    path("async-rota/<slug:way>/", async_untouched),
    re_path(r"^old\.rota/(?P<week>[0-9]+)/(?:in/)?([a-z]+)?$", lambda request, **_: HttpResponse("old")),
]
urlpatterns = [
    *i18n_patterns(*translated),
    path("rota/", include(inner)),
    path("of/<slug:org>/", include(inner)),
    path("c++/<int:week>/", AsyncWeek.as_view()),
    path("many/<int:times>/", many),
    path("crowd/<visitor>/", crowd),
    path("async-crowd/<visitor>/", async_crowd),
    path("untouched/<way>/", untouched),
    path("held/<way>/", held),
    path("loaded/<way>/", loaded),
    path("async-untouched/<way>/", async_untouched),
    path("async-held/<way>/", async_held),
    path("async-loaded/<way>/", async_loaded),
    path("api/<way>/", api),
    path("in/<name>/", sign_in),
    path("async-in/<name>/", async_sign_in),
    path("out/", sign_out),
]
