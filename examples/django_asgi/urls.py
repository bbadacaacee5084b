"""Where the staff rota's pages are."""

from django.contrib import admin
from django.contrib.staticfiles.views import serve
from django.urls import path

from examples.django_asgi import views

urlpatterns = [
    path("", views.home),
    path("login/", views.sign_in),
    path("logout/", views.sign_out),
    path("dashboard/", views.dashboard),
    path("shifts/", views.shifts),
    path("shifts/create/", views.create_shift),
    path("shifts/<int:shift_id>/", views.shift),
    path("search/", views.search),
    path("slow/", views.slow),
    path("stream/", views.stream),
    path("healthz", views.healthz),
    path("admin/", admin.site.urls),
    path("static/<path:path>", serve, {"insecure": True}),  # a real project has a web server for the admin's styles
]
