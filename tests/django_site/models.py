"""A user model of the site's own, whose role takes a query unless it is loaded."""

from typing import Any

from django.contrib.auth.models import AbstractUser
from django.db import models

from tests.django_site import CUSTOM

if CUSTOM:

    class Worker(AbstractUser):
        """With a role and preferences as columns, and a profile that makes a query."""

        role = models.CharField(max_length=40, default="Staff")
        preferences = models.JSONField(default=dict)

        @property
        def profile(self) -> Any:
            return self.groups.first()
