"""The body of a feedback post: read within bounds, then parsed by its media type."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import anyio
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException
from starlette.requests import Request

from asgi_rota_sentry import request
from asgi_rota_sentry.feedback.fields import Fault
from asgi_rota_sentry.types import Message, Receive, Scope

MOST_BYTES = 16 * 1024
# So much more is read and thrown away: a client that is answered before it has sent all may never see the answer.
_DRAINED_BYTES = 8 * MOST_BYTES
_MOST_FIELDS = 30
FORM, MULTIPART, JSON = "application/x-www-form-urlencoded", "multipart/form-data", "application/json"


class BodyError(Exception):
    """A body that is not taken: the HTTP `status` of the answer and the `fault` to tell."""

    def __init__(self, status: int, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.status = status
        self.fault = fault


class ClientGoneError(Exception):
    """The client went away before it had sent everything."""


async def read(receive: Receive, seconds: float) -> bytes:
    """The whole body. Raises `BodyError` for one that is too large or takes longer than `seconds`."""
    chunks, size = [], 0
    with anyio.move_on_after(seconds) as timer:
        while True:
            message = await receive()
            if message.get("type") == "http.disconnect":
                raise ClientGoneError
            chunk = message.get("body") or b""
            size += len(chunk)
            if size <= MOST_BYTES:
                chunks.append(bytes(chunk))
            if size > _DRAINED_BYTES or not message.get("more_body", False):
                break
    if timer.cancelled_caught:
        raise BodyError(408, Fault("fault_again", f"The body did not arrive within {seconds:g} seconds."))
    if size > MOST_BYTES:
        raise BodyError(413, Fault("fault_long", f"Expected a body of at most {MOST_BYTES} bytes."))
    return b"".join(chunks)


async def parse(scope: Scope, body: bytes) -> tuple[Mapping[str, Any], bool]:
    """The fields in the body, and whether they came as JSON. Raises `BodyError`."""
    media_type = (request.header(scope, b"content-type") or "").partition(";")[0].strip().lower()
    if media_type == FORM:
        return _form(body), False
    if media_type == MULTIPART:
        return await _multipart(scope, body), False
    if media_type == JSON or (media_type.startswith("application/") and media_type.endswith("+json")):
        return _json(body), True
    raise BodyError(415, Fault("fault_again", f"Expected {FORM}, {MULTIPART} or {JSON}."))


def _form(body: bytes) -> dict[str, Any]:
    try:
        pairs = parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        raise BodyError(400, Fault("fault_again", f"Expected at most {_MOST_FIELDS} fields.")) from None
    return dict(reversed(pairs))  # of repeated fields the first counts


async def _multipart(scope: Scope, body: bytes) -> dict[str, Any]:
    """The fields of a multipart form (RFC 7578); files are refused."""

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    posted = Request({"type": "http", "headers": request.raw_headers(scope)}, receive)
    try:
        async with posted.form(max_files=0, max_fields=_MOST_FIELDS) as form:
            return {name: value for name, value in reversed(form.multi_items()) if isinstance(value, str)}
    except (MultiPartException, HTTPException, ValueError, LookupError, AssertionError) as fault:
        told = getattr(fault, "message", None) or getattr(fault, "detail", None) or "It is no multipart form."
        raise BodyError(400, Fault("fault_again", f"The body cannot be read: {told}")) from None


def _json(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BodyError(400, Fault("fault_again", "Expected JSON (RFC 8259) in UTF-8.")) from None
    if not isinstance(found, dict):
        raise BodyError(422, Fault("fault_again", "Expected a JSON object."))
    return found
