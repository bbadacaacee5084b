"""What a scope and a bounded body say about the request."""

from typing import Any

import pytest

from asgi_rota_sentry import request
from asgi_rota_sentry.request_body import Body


def scope_of(**fields: Any) -> dict[str, Any]:
    return {"type": "http", "method": "GET", "path": "/", "headers": [], "scheme": "https", **fields}


@pytest.mark.parametrize(
    ("fields", "url"),
    [
        (
            {"headers": [(b"host", b"rota.example")], "server": ("::1", 8000), "path": "/a b"},
            "https://rota.example/a%20b",
        ),
        ({"headers": [(b"host", b"h")], "path": "/ü\udcff"}, "https://h/%C3%BC%3F"),
        ({"server": ("127.0.0.1", 8000), "path": "/x"}, "https://127.0.0.1:8000/x"),
        ({"server": ("127.0.0.1", 443), "path": "/x"}, "https://127.0.0.1/x"),
        ({"server": ("/run/app.sock", None), "scheme": "http"}, "/"),
        ({"server": ("::1", 8000), "path": "/x"}, "https://[::1]:8000/x"),
        ({"server": ("2001:db8::1", 443), "path": "/x"}, "https://[2001:db8::1]/x"),
        ({"headers": [(b"host", b"h")], "path": "@evil.example/x"}, "https://h/@evil.example/x"),
        ({"headers": [(b"host", b"h")], "path": "http://evil.example/x"}, "https://h/http://evil.example/x"),
        ({"headers": [(b"host", b"h")], "path": "*"}, "https://h/*"),
        ({"path": "/x"}, "/x"),
        ({"server": ("h", 80), "scheme": None}, "http://h/"),
        ({"server": ("h", 80), "scheme": None, "type": "websocket"}, "ws://h/"),
        ({"headers": [(b"host", b"h")], "root_path": "/api", "path": "/api/x"}, "https://h/api/x"),
        ({"headers": [(b"host", b"h")], "root_path": "/api", "path": "/x"}, "https://h/api/x"),
        ({"headers": [(b"host", b"h")], "root_path": "/api", "path": "/apix"}, "https://h/api/apix"),
        ({"headers": [(b"host", b"h")], "root_path": "/api", "path": "/api"}, "https://h/api"),
        ({"headers": [(b"host", b"h")], "root_path": "/api/", "path": "/api/x"}, "https://h/api/x"),
        ({"headers": [(b"host", b"h")], "root_path": "/api/", "path": "/x"}, "https://h/api/x"),
    ],
)
def test_url_without_query_with_the_mount_prefix_once(fields: dict[str, Any], url: str) -> None:
    """The URL resolves with and without a Host header; `root_path` is never doubled."""
    assert request.url(scope_of(**fields)) == url


def test_the_path_below_the_mount_prefix() -> None:
    """What the application itself routes on, whether or not the server's path has the prefix in it."""
    paths = [("/api", "/api/x"), ("/api", "/api"), ("/api/", "/api/x"), ("/api", "/x"), ("/api", "/apix"), ("", "/x")]
    found = [request.local_path(scope_of(root_path=prefix, path=path)) for prefix, path in paths]
    assert found == ["/x", "/", "/x", "/x", "/apix", "/x"]


def test_a_scope_with_nothing_in_it_is_no_crash() -> None:
    """Servers and tests leave out what they like."""
    bare: dict[str, Any] = {}
    assert (request.url(bare), request.path(bare), request.method(bare), request.query_string(bare)) == (
        "",
        "",
        "GET",
        "",
    )
    assert (request.headers(bare, personal=True), request.cookies(bare), request.header(bare, b"host")) == (
        {},
        {},
        None,
    )


def test_headers_keep_what_helps_and_filter_who_it_was() -> None:
    """No UTF-8 is read as Latin-1; repeated ones are joined, cookies as one list; personal ones need permission."""
    scope = scope_of(
        headers=[
            (b"accept", b"a"),
            (b"accept", b"b"),
            (b"x-odd", b"\xff"),
            (b"cookie", b"s=1"),
            (b"cookie", b"t=2"),
            (b"X-Forwarded-For", b"1.2.3.4"),
        ]
    )
    assert request.headers(scope, personal=False) == {
        "accept": "a, b",
        "x-odd": "ÿ",
        "cookie": "[Filtered]",
        "x-forwarded-for": "[Filtered]",
    }
    assert request.headers(scope, personal=True)["cookie"] == "s=1; t=2"


CLIENT_ADDRESS = """
    X-Forwarded-For X-Real-IP CF-Connecting-IP CF-Connecting-IPv6 True-Client-IP Fastly-Client-IP Fly-Client-IP
    Client-IP X-Azure-ClientIP X-Azure-SocketIP CloudFront-Viewer-Address X-Sucuri-ClientIP X-ProxyUser-Ip
    WL-Proxy-Client-IP Incap-Client-IP Ali-CDN-Real-IP CDN-Src-IP X-Remote-Addr X-Real-Client-Addr X-RealIP
    X-Coming-From Forwarded X-Forwarded X-Original-Forwarded-For X-Envoy-External-Address Via
"""
WHO_IT_IS = """
    Authorization Proxy-Authorization Cookie Set-Cookie From X-API-Key X-CSRFToken X-XSRF-Token Remote-User
    X-Remote-Groups X-Forwarded-User X-Auth-Request-Username X-Forwarded-Email X-Goog-Authenticated-User-Email
"""
NOBODYS = """
    X-Forwarded-Proto X-Forwarded-Host X-Forwarded-Port X-Client X-Client-Version X-Azure-Ref X-Azure-FDID X-Request-ID
    CloudFront-Viewer-Country CloudFront-Is-Mobile-Viewer Accept-Encoding
"""


def test_every_header_with_the_clients_address_or_identity_needs_permission() -> None:
    """Each proxy and each delivery network has a name of its own for them; what tells of no person stays."""
    personal = (CLIENT_ADDRESS + WHO_IT_IS).lower().split()
    scope = scope_of(headers=[(name.encode(), b"192.0.2.7") for name in personal + NOBODYS.lower().split()])
    found = request.headers(scope, personal=False)
    assert [name for name, value in found.items() if value == "[Filtered]"] == personal
    assert set(request.headers(scope, personal=True).values()) == {"192.0.2.7"}


def test_cookies_are_read_by_name() -> None:
    """Quoted values, odd pairs and blanks do no harm."""
    scope = scope_of(headers=[(b"cookie", b'a=1; b="two words"; =x; odd; c=')])
    assert request.cookies(scope) == {"a": "1", "b": "two words", "c": ""}


def body_of(content: bytes, content_type: str, limit: int = 1000) -> Any:
    body = Body(limit)
    for chunk in (content[:7], content[7:]):
        body.note({"type": "http.request", "body": chunk})
    return body.data(scope_of(headers=[(b"content-type", content_type.encode())]))


def test_a_body_is_shown_by_its_type() -> None:
    """JSON and forms parsed, text as text, binary and files by size only."""
    assert body_of(b'{"day": "Monday"}', "application/json") == {"day": "Monday"}
    assert body_of(b'{"day": ', "Application/Problem+JSON ; charset=utf-8") == '{"day": '
    assert body_of(b'{"status": 409}', "Application/Problem+JSON ; charset=utf-8") == {"status": 409}
    assert body_of(b"day=Monday&hours=abc&day=2&day=3", "application/x-www-form-urlencoded") == {
        "day": ["Monday", "2", "3"],
        "hours": "abc",
    }
    assert body_of("größe".encode(), "text/plain") == "größe"
    assert body_of(b"\xff\xfe\x00\x01\x02\x03\x04\x05", "image/png") == "[binary body of 8 bytes]"
    multipart = (
        b'--b\r\nContent-Disposition: form-data; name="day"\r\n\r\nMonday\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="rota.csv"\r\n\r\nsecret,data\n\r\n'
        b'--b\r\nContent-Type: text/plain\r\nContent-Disposition: form-data; Name="note"\r\n\r\n\r\n'
        b"--b\r\nContent-Type: text/plain\r\n\r\nnameless\r\n--b--\r\n"
    )
    assert body_of(multipart, 'multipart/form-data; charset=utf-8; Boundary="b"') == {
        "day": "Monday",
        "file": "[file rota.csv, 12 bytes]",
        "note": "",
    }
    assert body_of(multipart, "multipart/form-data") == f"[multipart body of {len(multipart)} bytes]"


@pytest.mark.parametrize(
    ("disposition", "told"),
    [
        ("form-data; name=\"f\"; filename*=UTF-8''ro%20ta.csv", "[file ro ta.csv, 6 bytes]"),
        ('form-data; name="f"; filename="a;b.csv"', "[file a;b.csv, 6 bytes]"),
        ("form-data;name=f;filename=a.csv", "[file a.csv, 6 bytes]"),
        ('form-data; filename="name=x"; name="f"', "[file name=x, 6 bytes]"),
        ('form-data; name="f"; filename=""', "secret"),
        ('form-data; name="f"', "secret"),
    ],
)
def test_a_file_is_told_by_its_name_however_that_is_written(disposition: str, told: str) -> None:
    """Some clients send it as RFC 5987 has it, or with a semicolon in it; what was in the file is not told."""
    content = f"--b\r\nContent-Disposition: {disposition}\r\n\r\nsecret\r\n--b--\r\n".encode()
    assert body_of(content, "multipart/form-data; boundary=b") == {"f": told}


def test_a_binary_value_of_a_form_is_told_by_its_size() -> None:
    """A `Blob` that a script adds to a form need not have a file's name."""
    content = b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n\x00\xff\xfe\r\n--b--\r\n'
    assert body_of(content, "multipart/form-data; boundary=b") == {"f": "[binary value of 3 bytes]"}


def test_an_empty_body_is_none_and_one_without_a_type_is_text() -> None:
    """Both the header and the body of a message may be left out."""
    body = Body(10)
    body.note({"type": "http.request"})
    assert body.data(scope_of()) is None
    body.note({"type": "http.request", "body": b"text"})
    assert body.data(scope_of()) == "text"


def test_a_body_over_the_limit_is_marked_and_not_kept() -> None:
    """Memory is bounded whatever a client sends; one that is just as long is shown."""
    assert body_of(b"just as long", "text/plain", limit=12) == "just as long"
    body = Body(10)
    for _ in range(1000):
        body.note({"type": "http.request", "body": b"x" * 100})
    assert body.truncated
    assert body.data(scope_of()) == "[body of 100000 bytes; the limit is 10]"
    assert sum(len(chunk) for chunk in body._chunks) == 10
