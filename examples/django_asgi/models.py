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
