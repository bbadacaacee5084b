"""How the visitor got there: breadcrumbs of this request and of the same visitor's earlier ones."""

from asgi_rota_sentry.trail.breadcrumbs import Breadcrumb, Entry, answer, arrival, bounded, breadcrumb, exception
from asgi_rota_sentry.trail.visitors import Trail

__all__ = ["Breadcrumb", "Entry", "Trail", "answer", "arrival", "bounded", "breadcrumb", "exception"]
