"""The part of the request's body that the application has read, and what it says.

Nothing is parsed before there is an event to put it into.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote

from asgi_rota_sentry.request import header
from asgi_rota_sentry.types import Message, Scope

# `filename*` (RFC 5987) is no parameter of a form's, but some clients send it, and frameworks read it.
_PARAMETER = re.compile(r';\s*(name|filename\*?)\s*=\s*(?:"([^"\r\n]*)"|([^;\r\n]*))', re.IGNORECASE)


class Body:
    """A bounded copy of the request body: what the application itself has read, never a byte more.

    Keeps at most `limit` bytes; of what lies beyond, only the size is counted.
    """

    __slots__ = ("_chunks", "_limit", "size")

    def __init__(self, limit: int) -> None:
        self._chunks: list[bytes] = []
        self._limit = limit
        self.size = 0

    def note(self, message: Message) -> None:
        """Take in one `http.request` message."""
        chunk = message.get("body") or b""
        room = self._limit - self.size
        if chunk and room > 0:
            self._chunks.append(bytes(chunk[:room]))
        self.size += len(chunk)

    @property
    def truncated(self) -> bool:
        """Whether the body was longer than what is kept."""
        return self.size > self._limit

    def data(self, scope: Scope) -> Any:
        """The body as Sentry's request interface wants it: parsed JSON or form fields, else text; None when empty.

        Files and binary data are told by name and size only; a body over the limit is marked so.
        """
        if not self.size:
            return None
        if self.truncated:
            return f"[body of {self.size} bytes; the limit is {self._limit}]"
        content = b"".join(self._chunks)
        media_type, _, parameters = (header(scope, b"content-type") or "").partition(";")
        return _parsed(content, media_type.strip().lower(), parameters)


def _parsed(content: bytes, media_type: str, parameters: str) -> Any:
    if media_type == "application/x-www-form-urlencoded":
        return _fields(parse_qsl(content.decode("utf-8", "replace"), keep_blank_values=True))
    if media_type == "multipart/form-data":
        return _fields(_parts(content, parameters)) or f"[multipart body of {len(content)} bytes]"
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError:
        return f"[binary body of {len(content)} bytes]"
    if media_type == "application/json" or media_type.endswith("+json"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text


def _fields(pairs: Iterator[tuple[str, str]] | list[tuple[str, str]]) -> Mapping[str, Any]:
    """Form fields by name; a repeated one as a list."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def _parts(content: bytes, parameters: str) -> Iterator[tuple[str, str]]:
    """The fields of a multipart body (RFC 7578); of a file only its name and size."""
    boundary = next((p.split("=", 1)[1].strip(' "') for p in parameters.split(";") if "boundary=" in p.lower()), "")
    if not boundary:
        return
    for part in content.split(b"--" + boundary.encode("latin-1"))[1:-1]:
        head, _, value = part.removesuffix(b"\r\n").partition(b"\r\n\r\n")
        told = _parameters(head.decode("utf-8", "replace"))
        if "name" in told:
            filename = told.get("filename") or unquote(told.get("filename*", "").rpartition("'")[2])
            yield told["name"], f"[file {filename}, {len(value)} bytes]" if filename else _text(value)


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"[binary value of {len(value)} bytes]"


def _parameters(head: str) -> dict[str, str]:
    """The parameters in a part's headers, of several of one name the first."""
    return {name.lower(): quoted or plain.strip() for name, quoted, plain in reversed(_PARAMETER.findall(head))}
