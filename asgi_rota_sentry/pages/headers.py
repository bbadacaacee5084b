"""The headers of a page: those of the replaced answer that still hold, and our own."""

from collections.abc import Iterable

from asgi_rota_sentry.pages.bare import Headers

# Besides every `content-…` header: what speaks of the replaced body, or has a browser fetch for it.
_OF_THE_BODY = frozenset(
    b"accept-ranges age cache-control digest etag expires last-modified link pragma referrer-policy refresh "
    b"repr-digest sourcemap trailer transfer-encoding vary x-content-type-options x-frame-options "
    b"x-accel-expires x-sentry-event-id".split()
)
# What caches at the server's side go by, whatever `Cache-Control` says (RFC 9213): `CDN-Cache-Control`, and a vendor's
# `Vercel-CDN-Cache-Control`. The page is one visitor's.
_OF_CACHES = (b"-cache-control", b"surrogate-control")
_VARIES_BY = ("Accept", "Accept-Language")
_VARY = (b"vary", ", ".join(_VARIES_BY).encode())


def encoded(headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
    """Headers as a server takes them (RFC 9110, section 5.5)."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]


def merge(replaced: Headers, own: Headers) -> list[tuple[bytes, bytes]]:
    """The replaced answer's headers, in order, without those of its body, then ours; `Vary` is the union of both."""
    if not replaced:
        return [*own, _VARY]
    kept = [
        (name, value)
        for name, value in replaced
        if (lower := name.lower()) not in _OF_THE_BODY
        and not lower.startswith(b"content-")
        and not lower.endswith(_OF_CACHES)
    ]
    varies = [value.decode("latin-1") for name, value in replaced if name.lower() == b"vary"]
    if not varies:
        return [*kept, *own, _VARY]
    fields = dict.fromkeys(part.strip() for value in varies for part in value.split(",") if part.strip())
    known = {field.lower() for field in fields}
    fields |= dict.fromkeys(field for field in _VARIES_BY if field.lower() not in known and "*" not in known)
    return [*kept, *own, (b"vary", ", ".join(fields).encode("latin-1"))]
