"""The people and shifts that a new rota starts with."""

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

from examples.rota import FIRST_SHIFTS, PEOPLE


def fill(apps: Apps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Insert the two people, without passwords, and their first shifts."""
    worker, shift = apps.get_model("django_asgi", "Worker"), apps.get_model("django_asgi", "Shift")
    workers = {
        person.username: worker.objects.create(
            id=person.id,
            username=person.username,
            email=person.email,
            role=person.role,
            preferences=person.preferences,
            password="!",  # no password opens this account
        )
        for person in PEOPLE.values()
    }
    for first in FIRST_SHIFTS:
        shift.objects.create(day=first.day, hours=first.hours, worker=workers[first.worker])


class Migration(migrations.Migration):
    """Data only; the tables are made by `0001_initial`."""

    dependencies = (("django_asgi", "0001_initial"),)
    operations = (migrations.RunPython(fill, migrations.RunPython.noop),)
