"""The numbers of requests as metrics of Sentry's (https://docs.sentry.io/product/explore/metrics/)."""

from collections.abc import Iterable
from typing import Any

import sentry_sdk

from asgi_rota_sentry.metering import NAMES, Sum

_PREFIX = "asgi_rota_sentry."


def has_metrics(raw: Any) -> bool:
    """Whether this client takes metrics."""
    return getattr(raw, "metrics_batcher", None) is not None


def send_sums(sums: Iterable[Sum]) -> None:
    """Count what was counted: `asgi_rota_sentry.requests` and so on, by route and status class."""
    with sentry_sdk.isolation_scope() as scope:
        # Of whatever request this thread may have been started in.
        scope.clear()
        sentry_sdk.get_current_scope().clear()
        for route, status_class, counts in sums:
            attributes = {"http.response.status_class": status_class} | ({"http.route": route} if route else {})
            for name, count in zip(NAMES, counts, strict=True):
                if count:
                    sentry_sdk.metrics.count(f"{_PREFIX}{name}", count, attributes=attributes)
