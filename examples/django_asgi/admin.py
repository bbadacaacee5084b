"""The admin, at `/admin/` for managers: what visitors wrote, to be read and deleted."""

from django.contrib import admin
from django.http import HttpRequest

from examples.django_asgi.models import FeedbackMessage


@admin.register(FeedbackMessage)
class FeedbackAdmin(admin.ModelAdmin):
    """Nobody changes a visitor's words."""

    list_display = ("written_at", "event_id", "name", "email", "message", "role")
    search_fields = ("event_id", "message", "name", "email")

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Only visitors write."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: FeedbackMessage | None = None) -> bool:
        """It stays as it was written."""
        return False
