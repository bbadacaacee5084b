"""The table of what visitors wrote."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """What `models.py` says of `FeedbackMessage`."""

    dependencies = (("django_asgi", "0002_demo_data"),)
    operations = (
        migrations.CreateModel(
            name="FeedbackMessage",
            fields=[
                (
                    "id",
                    models.CharField(max_length=32, primary_key=True, serialize=False, verbose_name="feedback ID"),
                ),
                ("written_at", models.DateTimeField(auto_now_add=True)),
                ("event_id", models.CharField(blank=True, max_length=32, verbose_name="event ID")),
                ("message", models.TextField()),
                ("name", models.CharField(blank=True, max_length=120)),
                ("email", models.EmailField(blank=True, max_length=254)),
                ("url", models.CharField(blank=True, max_length=2100, verbose_name="page")),
                ("user_id", models.CharField(blank=True, max_length=200, verbose_name="user")),
                ("role", models.CharField(blank=True, max_length=200)),
            ],
            options={"verbose_name": "feedback", "verbose_name_plural": "feedback", "ordering": ("-written_at",)},
        ),
    )
