"""The staff rota's tables: the project's own user model and the shifts."""

from typing import ClassVar

from django.contrib.auth.models import AbstractBaseUser, BaseUserManager
from django.db import models


class Worker(AbstractBaseUser):
    """A user with what the error tracking tells about: the staff number as key, the role, the preferences."""

    id = models.CharField("staff number", max_length=20, primary_key=True)
    username = models.CharField(max_length=40, unique=True)
    email = models.EmailField(unique=True)
    role = models.CharField(max_length=40, default="Staff")
    preferences = models.JSONField(default=dict)

    objects: ClassVar = BaseUserManager()
    USERNAME_FIELD = "username"
    EMAIL_FIELD = "email"

    @property
    def is_staff(self) -> bool:
        """Whether the admin is open to this person."""
        return self.role == "Manager"

    def has_perm(self, perm: str, obj: models.Model | None = None) -> bool:
        """Managers may do everything in the admin."""
        return self.is_staff

    def has_module_perms(self, app_label: str) -> bool:
        """Managers see everything in the admin."""
        return self.is_staff


class Shift(models.Model):
    """One person's hours on one day of the week."""

    day = models.CharField(max_length=10)
    hours = models.PositiveSmallIntegerField()
    worker = models.ForeignKey(Worker, on_delete=models.CASCADE)

    class Meta:
        """In the order of creation."""

        ordering = ("pk",)

    def __str__(self) -> str:
        return f"{self.day} {self.hours} h {self.worker}"


class FeedbackMessage(models.Model):
    """What a visitor wrote about an error; `event_id` is the error's in Sentry, empty where none was named."""

    id = models.CharField("feedback ID", max_length=32, primary_key=True)
    written_at = models.DateTimeField(auto_now_add=True)
    event_id = models.CharField("event ID", max_length=32, blank=True)
    message = models.TextField()
    name = models.CharField(max_length=120, blank=True)
    email = models.EmailField(blank=True)
    url = models.CharField("page", max_length=2100, blank=True)
    user_id = models.CharField("user", max_length=200, blank=True)
    role = models.CharField(max_length=200, blank=True)

    class Meta:
        """The newest first."""

        ordering = ("-written_at",)
        verbose_name = "feedback"
        verbose_name_plural = "feedback"

    def __str__(self) -> str:
        return f"{self.written_at:%Y-%m-%d %H:%M} {self.message[:60]}"
