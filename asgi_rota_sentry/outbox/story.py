"""One kept event told to a person: what went wrong, for whom, and how they got there."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from asgi_rota_sentry.outbox.plain import moment, printable
from asgi_rota_sentry.outbox.store import Kept
from asgi_rota_sentry.outbox.summary import main_item
from asgi_rota_sentry.sdk.envelopes import item_json

Json = Any


def content_of(kept: Kept) -> Json:
    """The JSON of the item that the envelope is about; ValueError when the kept bytes are damaged."""
    item = main_item(kept.envelope())
    return None if item is None else item_json(item)


def tell(kept: Kept) -> str:
    """The whole event as text of many lines, harmless to a terminal."""
    event = content_of(kept)
    event = event if isinstance(event, dict) else {"content": event}
    lines = [
        kept.title or kept.kind,
        "",
        *_pairs(_overview(kept, event)),
        *_section("What went wrong", _exceptions(event)),
        *_section("What they wrote", _feedback(event)),
        *_section("Who", _pairs(_mapping(event.get("user")))),
        *_section("How they got there", _breadcrumbs(event)),
        *_section("Request", _request(_mapping(event.get("request")))),
        *_section("Tags", _pairs(_mapping(event.get("tags")))),
        *_section("Spans", _spans(event)),
        *_section("Contexts", _contexts(event)),
    ]
    return "\n".join(printable(line) for line in lines)


def _mapping(given: Json) -> dict[str, Json]:
    if isinstance(given, list):  # the protocol allows pairs, too
        given = {str(pair[0]): pair[1] for pair in given if isinstance(pair, list) and len(pair) == 2}
    return given if isinstance(given, dict) else {}


def _values(given: Json) -> list[dict[str, Json]]:
    """The list that Sentry's protocol writes as it is or as `{"values": …}`."""
    given = given.get("values") if isinstance(given, dict) else given
    return [value for value in given if isinstance(value, dict)] if isinstance(given, list) else []


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield from ("", title)
        yield from (f"  {line}" for line in lines)


def _pairs(mapping: dict[str, Json]) -> list[str]:
    shown = {str(name): _text(value) for name, value in mapping.items() if value not in (None, "", {}, [])}
    width = max(map(len, shown), default=0)
    return [f"{name.ljust(width)}  {value}" for name, value in shown.items()]


def _text(value: Json) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={_text(each)}" for name, each in value.items())
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _overview(kept: Kept, event: dict[str, Json]) -> dict[str, Json]:
    return {
        "Event ID": kept.event_id or f"none (#{kept.number})",
        "Kind": kept.kind,
        "When": moment(kept.captured_at),
        "State": f"{kept.state}: {kept.reason}" if kept.reason else kept.state,
        "Where": event.get("transaction"),
        "Level": event.get("level"),
        "Environment": event.get("environment"),
        "Release": event.get("release"),
        "Server": event.get("server_name"),
        "Message": _mapping(event.get("logentry")).get("message") or event.get("message"),
    }


def _exceptions(event: dict[str, Json]) -> Iterator[str]:
    for number, exception in enumerate(_values(event.get("exception"))):
        if number:
            yield from ("", "and then:", "")
        yield from _frames(_values(_mapping(exception.get("stacktrace")).get("frames")))
        yield f"{exception.get('type')}: {exception.get('value')}"


def _frames(frames: list[dict[str, Json]]) -> Iterator[str]:
    """The application's frames with their source line; libraries' frames in a row are only counted."""
    skipped: list[str] = []
    some_are_ours = any(map(_is_ours, frames))
    for frame in frames:
        if some_are_ours and not _is_ours(frame):
            skipped.append(str(frame.get("module") or frame.get("filename")).partition(".")[0])
            continue
        yield from _skipped(skipped)
        skipped = []
        place = frame.get("abs_path") or frame.get("filename")
        yield f'File "{place}", line {frame.get("lineno")}, in {frame.get("function")}'
        if frame.get("context_line"):
            yield "    " + str(frame["context_line"]).strip()
    yield from _skipped(skipped)


def _is_ours(frame: dict[str, Json]) -> bool:
    """Whether the frame is the application's, by its place: the SDK's own mark knows the current folder only."""
    path = str(frame.get("abs_path") or frame.get("filename")).replace("\\", "/")
    return "-packages/" not in path and "/lib/python3" not in path and not path.startswith("<")


def _skipped(modules: list[str]) -> Iterator[str]:
    if modules:
        yield f"… {len(modules)} in {', '.join(dict.fromkeys(modules))}"


def _feedback(event: dict[str, Json]) -> list[str]:
    told = _mapping(_mapping(event.get("contexts")).get("feedback"))
    message = str(told.pop("message", ""))
    return [*message.splitlines(), *_pairs(told)] if told or message else []


def _breadcrumbs(event: dict[str, Json]) -> list[str]:
    crumbs = _values(event.get("breadcrumbs"))
    names = [f"[{crumb.get('category') or crumb.get('type') or 'note'}]" for crumb in crumbs]
    width = max(map(len, names), default=0)
    return [
        f"{_clock(crumb.get('timestamp'))} {name.ljust(width)} {_crumb(crumb)}"
        for name, crumb in zip(names, crumbs, strict=True)
    ]


def _crumb(crumb: dict[str, Json]) -> str:
    data = _mapping(crumb.get("data"))
    if crumb.get("message"):
        return str(crumb["message"])
    if data.get("url"):
        method = data.get("method") or data.get("http.method") or ""
        return f"{method} {data['url']} ({data.get('status_code', '?')})".strip()
    return _text(data)


def _clock(given: Json) -> str:
    try:
        return moment(_seconds(given)).partition(" ")[2]
    except (TypeError, ValueError, OverflowError, OSError):
        return " " * 8


def _seconds(given: Json) -> float:
    """Seconds since 1970 from either of the protocol's forms, a number or text in ISO 8601 (RFC 3339)."""
    return datetime.fromisoformat(given).timestamp() if isinstance(given, str) else float(given)


def _request(request: dict[str, Json]) -> list[str]:
    if not request:
        return []
    query = _text(request.get("query_string") or "")
    lines = [f"{request.get('method') or ''} {request.get('url') or ''}{'?' * bool(query)}{query}".strip()]
    lines += _pairs(_mapping(request.get("headers")))
    return lines + _pairs({name: request.get(name) for name in ("data", "cookies", "env")})


def _spans(event: dict[str, Json]) -> list[str]:
    """A transaction's spans, or the spans of a streamed batch, each with its duration."""
    spans = _values(event.get("items")) or _values(event.get("spans"))
    return [
        f"{_milliseconds(span)} {span.get('op') or ''} {span.get('name') or span.get('description') or ''}"
        for span in spans
    ]


def _milliseconds(span: dict[str, Json]) -> str:
    start, end = (
        span.get(name) for name in ("start_timestamp", "end_timestamp" if "end_timestamp" in span else "timestamp")
    )
    try:
        return f"{(_seconds(end) - _seconds(start)) * 1000:8.1f} ms"
    except (TypeError, ValueError):
        return "       ? ms"


def _contexts(event: dict[str, Json]) -> list[str]:
    contexts = _mapping(event.get("contexts"))
    shown = {name: value for name, value in contexts.items() if name != "feedback"}
    return _pairs(shown | _mapping(event.get("extra")))
