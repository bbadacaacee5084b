"""The Django example with `/endless/` and `/cut/`; `app` is the same without the middleware."""

from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

from examples.django_asgi.asgi import app, application
from examples.django_asgi.urls import urlpatterns
from tests.e2e.endless import cut, lines

__all__ = ["app", "application"]


async def endless(request: HttpRequest) -> StreamingHttpResponse:
    """A stream that the visitor leaves."""
    return StreamingHttpResponse(lines(), content_type="text/plain")


async def counted(request: HttpRequest) -> HttpResponse:
    """How many streams were cut."""
    return HttpResponse(str(cut()), content_type="text/plain")


urlpatterns.extend([path("endless/", endless), path("cut/", counted)])
