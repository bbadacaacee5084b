"""Whole payloads: every part of an event, Sentry's own fields, `_meta`, the user's settings, faults."""

import copy
import logging
import tracemalloc
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pytest

from asgi_rota_sentry import Settings, SettingsError
from asgi_rota_sentry.scrubbing import FILTERED, Scrubber, quiet

SECRET = "fake-Secret-4711"
IDS = {"event_id": "9600511ca32e4f38b45bc139dc755f83", "timestamp": "2026-03-01T09:30:00.000000Z"}


def event_with(**parts: Any) -> dict[str, Any]:
    return {**IDS, "platform": "python", "release": "rota@1.2.3", "environment": "production", **parts}


def stack(**frame: Any) -> dict[str, Any]:
    """An event whose one frame is this."""
    whole = {"filename": "app.py", "function": "view", "lineno": 7, "in_app": True, **frame}
    return event_with(exception={"values": [{"type": "ValueError", "stacktrace": {"frames": [whole]}}]})


def texts(value: Any) -> str:
    return repr(value)


PARTS = {
    "the query string": {"request": {"query_string": f"password={SECRET}&page=2"}},
    "the query as pairs": {"request": {"query_string": [["password", SECRET], ["page", "2"]]}},
    "the URL": {"request": {"url": f"https://ada:{SECRET}@rota.example/?token={SECRET}"}},
    "a header": {"request": {"headers": {"X-Api-Key": SECRET}}},
    "headers as pairs": {"request": {"headers": [["authorization", f"Bearer {SECRET}"]]}},
    "the cookie header": {"request": {"headers": {"Cookie": f"theme=dark; sessionid={SECRET}"}}},
    "cookies": {"request": {"cookies": {"csrftoken": SECRET, "theme": "dark"}}},
    "a parsed body": {"request": {"data": {"user": {"password": SECRET}}}},
    "a JSON body": {"request": {"data": f'{{"a": [{{"client_secret": "{SECRET}"}}]}}'}},
    "a form body": {"request": {"data": f"day=mon&pin={SECRET}"}},
    "a multipart body": {
        "request": {"data": f'--b\r\nContent-Disposition: form-data; name="pin"\r\n\r\n{SECRET}\r\n--b--'}
    },
    "the environment": {"request": {"env": {"DB_PASSWORD": SECRET, "SERVER_PORT": "80"}}},
    "an exception's value": {"exception": {"values": [{"type": "E", "value": f"bad token={SECRET}"}]}},
    "a mechanism's data": {
        "exception": {"values": [{"type": "E", "mechanism": {"type": "x", "data": {"token": SECRET}}}]}
    },
    "a message": {"message": f"password: {SECRET}"},
    "a log entry": {"logentry": {"message": "token=%s", "params": [SECRET], "formatted": f"token={SECRET}"}},
    "a breadcrumb's message": {"breadcrumbs": {"values": [{"message": f"POST /?api_key={SECRET}"}]}},
    "a breadcrumb's data": {"breadcrumbs": [{"category": "http", "data": {"headers": {"x-auth-token": SECRET}}}]},
    "a span": {
        "spans": [{"span_id": "82e6b5092cd1acf4", "description": f"GET https://x.example/?key=a&token={SECRET}"}]
    },
    "a span's data": {"spans": [{"op": "http", "data": {"http.query": f"password={SECRET}"}}]},
    "a tag": {"tags": {"auth": SECRET}},
    "tags as pairs": {"tags": [["api_key", SECRET], ["role", "Manager"]]},
    "a context": {"contexts": {"billing": {"iban": SECRET}}},
    "extra": {"extra": {"deep": [{"er": {"secret_key": SECRET}}]}},
    "the command line": {"extra": {"sys.argv": ["manage.py", "--password", SECRET, f"--token={SECRET}"]}},
    "the user": {"user": {"id": "SCW1001", "session_id": SECRET}},
    "a module": {"modules": {"rota": f"git+https://x:{SECRET}@git.example/rota"}},
    "a thread": {"threads": {"values": [{"id": 1, "name": f"token={SECRET}"}]}},
    "the transaction's name": {"transaction": f"/?token={SECRET}"},
    "feedback": {"contexts": {"feedback": {"message": f"my password is {SECRET}", "contact_email": "a@b.example"}}},
    "an attribute": {"attributes": {"db.password": {"value": SECRET, "type": "string"}}},
    "a log's body": {"body": f"password={SECRET}", "attributes": {"auth.token": SECRET}},
    "a name": {"extra": {f"password={SECRET}": 1}},
}


@pytest.mark.parametrize("part", PARTS, ids=str)
def test_no_part_of_a_payload_keeps_a_secret(part):
    """Wherever a visitor or a developer can put a secret, it goes, and the rest of the part stays."""
    given = event_with(**PARTS[part])
    before = copy.deepcopy(given)
    left = Scrubber().payload(given)
    assert SECRET not in texts(left)
    assert FILTERED in texts(left)
    assert given == before
    assert {key: left[key] for key in IDS} == IDS


FRAMES = {
    "a local": {"vars": {"password": f"'{SECRET}'"}},
    "a nested local": {"vars": {"self": {"config": [{"api_key": f"'{SECRET}'"}]}}},
    "headers as byte pairs": {
        "vars": {"scope": {"headers": [["b'host'", "b'x'"], ["b'authorization'", f"b'{SECRET}'"]]}}
    },
    "a bytes query": {"vars": {"scope": {"query_string": f"b'password={SECRET}&x=1'"}}},
    "a repr": {"vars": {"form": f"<Form password='{SECRET}' user='ada'>"}},
    "a dict's repr": {"vars": {"data": f"\"{{'password': '{SECRET}', 'user': 'ada'}}\""}},
    "a hard-coded secret": {"context_line": f"    PASSWORD = '{SECRET}'"},
    "code before": {"pre_context": ["import os", f'API_KEY = "{SECRET}"'], "context_line": "x"},
    "a URL in code": {"post_context": [f'get("/x?token={SECRET}&a=1")']},
}


@pytest.mark.parametrize("part", FRAMES, ids=str)
def test_no_part_of_a_frame_keeps_a_secret(part):
    """Locals at any depth, reprs, byte strings and pairs, and source lines lose their secrets."""
    left = Scrubber().payload(stack(**FRAMES[part]))
    assert SECRET not in texts(left)
    assert FILTERED in texts(left)


def test_the_parameters_of_a_statement_are_judged_by_their_columns():
    """What a driver's frame shows beside its SQL loses the secret columns only, and the report says which they were."""
    sql = """'UPDATE "staff" SET "name" = %s, "pin" = %s WHERE "staff"."id" = %s'"""
    given = stack(
        vars={"sql": sql, "params": ["'Ada'", "'4821'", "7"], "self": {"sql": sql, "args": "('Ada', '4821')"}}
    )
    before = copy.deepcopy(given)
    report = Scrubber().report(given)
    frame = report.payload["exception"]["values"][0]["stacktrace"]["frames"][0]
    assert frame["vars"] == {
        "sql": sql,
        "params": ["'Ada'", FILTERED, "7"],
        "self": {"sql": sql, "args": f"('Ada', '{FILTERED}')"},
    }
    assert [(removal.path[-2:], removal.reason) for removal in report.removals] == [
        (("params", 1), "beside 'pin'"),
        (("self", "args"), "beside 'pin'"),
    ]
    assert given == before


def test_a_parameter_that_went_goes_wherever_else_it_stands():
    """As any value that was removed under a name."""
    sql = "UPDATE staff SET pin = %s WHERE id = %s"
    given = stack(vars={"sql": sql, "params": ["velvet-harbour-7", 7], "row": "7: velvet-harbour-7"})
    (frame,) = Scrubber().payload(given)["exception"]["values"][0]["stacktrace"]["frames"]
    assert frame["vars"] == {"sql": sql, "params": [FILTERED, 7], "row": f"7: {FILTERED}"}


def test_code_stays_readable():
    """In source lines only literals are secrets; a name followed by an expression is code."""
    lines = ["def login(user: str, password: str) -> Token:", "    token = request.headers.get('x-token')"]
    frame = {
        "pre_context": lines,
        "context_line": "    password = form['password']",
        "post_context": ["    key = keys[0]"],
    }
    given = stack(**frame)
    assert Scrubber().payload(given) == given


def test_sentrys_own_fields_stay():
    """IDs, times, places in the code and what the SDK says of itself are not judged, whatever they look like."""
    frame = {
        "filename": "token/secret.py",
        "abs_path": "/srv/token/q7Wz3LkP9vXt2RmB8nYc5/app.py",
        "module": "secret.key",
    }
    given = event_with(
        **{key: value for key, value in stack(**frame).items() if key == "exception"},
        contexts={"trace": {"trace_id": "4111111111111111" * 2, "span_id": "4111111111111111"}},
        sdk={"name": "sentry.python", "version": "2.75.0"},
        spans=[{"span_id": "4111111111111111", "trace_id": "4111111111111111" * 2, "op": "db"}],
    )
    assert Scrubber().payload(given) == given


def test_a_session_update_keeps_its_ids():
    """`sid` and `did` of a release-health session are Sentry's, not a session cookie."""
    given = {"sid": "9600511ca32e4f38b45bc139dc755f83", "did": "7", "init": True, "attrs": {"release": "rota@1"}}
    assert Scrubber().payload(given) == given


def test_the_same_secret_under_another_name_goes_too():
    """A value that was removed once goes wherever else it stands: in a URL, escaped, in a message, a name, a number."""
    value = "Zq8/w+tR2"
    given = event_with(
        request={"data": {"password": value, "card_number": 4242424242424242, "pin": 4929}},
        message=f"saw {value} here",
        extra={"url": "https://x.example/?q=Zq8%2Fw%2BtR2", value: 1, "n": 4242424242424242, "room": 4929},
    )
    left = Scrubber().payload(given)
    assert left["message"] == "saw [Filtered] here"
    assert left["extra"] == {"url": "https://x.example/?q=[Filtered]", FILTERED: 1, "n": FILTERED, "room": 4929}


def test_a_common_word_is_not_sought_elsewhere():
    """A password that is an ordinary word, or short, does not take that word out of the rest of the event."""
    given = event_with(extra={"password": "manager", "pin": "12", "role": "manager", "note": "manager 12 starlette"})
    left = Scrubber().payload(given)["extra"]
    assert left == {"password": FILTERED, "pin": FILTERED, "role": "manager", "note": "manager 12 starlette"}


def test_meta_stays_in_step():
    """`_meta` loses what it said of a changed value, and keeps the rest."""
    cut = {"": {"len": 2000, "rem": [["!limit", "x", 1021, 1024]]}}
    given = event_with(
        extra={"password": "x" * 1024, "note": "y" * 1024},
        message="z" * 20,
        _meta={"extra": {"password": cut, "note": cut}, "request": {"headers": {"cookie": {"": {"rem": []}}}}},
    )
    left = Scrubber().payload(given)["_meta"]
    assert left == {"extra": {"note": cut}, "request": {"headers": {"cookie": {"": {"rem": []}}}}}


def test_what_is_unchanged_is_shared_and_nothing_given_is_changed():
    """A payload without secrets is handed back equal; one with secrets leaves the given objects as they were."""
    clean = event_with(extra={"a": [1, {"b": "c"}]})
    assert Scrubber().payload(clean)["extra"] is clean["extra"]
    dirty = event_with(extra={"a": [1, {"token": SECRET}]})
    before = copy.deepcopy(dirty)
    Scrubber().payload(dirty)
    assert dirty == before


def test_odd_values_are_scrubbed_as_sentry_would_show_them():
    """Tuples, sets, bytes, proxies and objects that JSON does not know are no way out."""
    given = event_with(
        extra={
            "tuple": ("a", {"password": SECRET}),
            "bytes": f"token={SECRET}".encode(),
            "proxy": MappingProxyType({"api_key": SECRET}),
            "set": {f"pin={SECRET}"},
            "when": datetime(2026, 3, 1, tzinfo=UTC),
            b"password": SECRET,
        }
    )
    assert SECRET not in texts(Scrubber().payload(given))


def test_cycles_and_depth():
    """What contains itself or is a hundred levels deep ends, without its secrets."""
    cycle: dict[str, Any] = {"password": SECRET}
    cycle["self"] = cycle
    deep: dict[str, Any] = {"token": SECRET}
    for _ in range(50):
        deep = {"x": [deep]}
    shared: Any = {"token": SECRET}
    for _ in range(64):
        shared = [shared, shared]
    left = Scrubber().payload(event_with(extra={"cycle": cycle, "deep": deep}))
    assert left["extra"]["cycle"] == {"password": FILTERED, "self": FILTERED}
    assert SECRET not in texts(left)
    node = left["extra"]["deep"]
    for _ in range(50):
        node = node["x"][0]
    assert node == {"token": FILTERED}
    node = Scrubber().payload(event_with(extra={"shared": shared}))["extra"]["shared"]
    for _ in range(64):
        node = node[1]
    assert node == {"token": FILTERED}


class Hostile(dict):  # type: ignore[type-arg]
    """A mapping that cannot be read."""

    def items(self) -> Any:
        raise RuntimeError(SECRET)


def test_a_part_that_cannot_be_read_is_replaced(caplog):
    """A fault in the scrubbing never raises, never lets the part out, and is told once without the secret."""
    quiet._told.clear()
    given = event_with(extra={"odd": Hostile(a=SECRET), "odd2": Hostile(a=SECRET), "fine": 1})
    with caplog.at_level(logging.WARNING, "asgi_rota_sentry"):
        left = Scrubber().payload(given)
    assert left["extra"] == {"odd": FILTERED, "odd2": FILTERED, "fine": 1}
    assert len(caplog.records) == 1
    assert SECRET not in caplog.text
    assert Scrubber().payload(Hostile(event_id="1", a=SECRET)) in ({}, {"event_id": "1"})


def test_the_user_adds_names_and_patterns():
    """Added names count in any spelling and as a part of longer ones, in texts too; a pattern's matches go anywhere."""
    scrubber = Scrubber(keys=["badge", "door_code"], patterns=[r"\bEMP-\d{4}\b"])
    given = {
        "extra": {"Badge": "b1", "myBadgeNo": "b2", "doorCode": "77", "x": "EMP-1234 badge=b3", "badger": "mushroom"}
    }
    assert scrubber.payload(given)["extra"] == {
        "Badge": FILTERED,
        "myBadgeNo": FILTERED,
        "doorCode": FILTERED,
        "x": "[Filtered] badge=[Filtered]",
        "badger": "mushroom",
    }


def test_the_user_exempts_names_and_paths():
    """An exempt name stays everywhere, an exempt path only there, with or without the indices of lists."""
    scrubber = Scrubber(exempt=["session_id", "request.data.pin", "extra.rows.token"])
    given = event_with(
        request={"data": {"pin": "4929", "otp": "493021"}},
        extra={"Session-Id": "abc", "pin": "4929", "rows": [{"token": "t1"}], "note": "session_id=abc"},
    )
    left = scrubber.payload(given)
    assert left["request"]["data"] == {"pin": "4929", "otp": FILTERED}
    assert left["extra"] == {"Session-Id": "abc", "pin": FILTERED, "rows": [{"token": "t1"}], "note": "session_id=abc"}


def test_an_exempt_path_exempts_no_equal_value_elsewhere():
    """What repeats itself in an event is walked once, but not where a path matters."""
    form = {"form": {"pin": "4929"}}
    given = stack(vars=form)
    frames = given["exception"]["values"][0]["stacktrace"]["frames"]
    frames.append({"vars": copy.deepcopy(form)})
    left = Scrubber(exempt=["exception.values.0.stacktrace.frames.0.vars.form.pin"]).payload(given)
    first, second = left["exception"]["values"][0]["stacktrace"]["frames"]
    assert (first["vars"], second["vars"]) == (form, {"form": {"pin": FILTERED}})


@pytest.mark.parametrize("pattern", ["(a+)+", "(a|ab)*c", r"(a)\1+", "[", "a*", ".*x.*y.*z"])
def test_a_pattern_that_could_take_for_ever_is_refused(pattern):
    """At start, with a sentence that names the setting; so are patterns that are none or match nothing."""
    with pytest.raises(SettingsError, match="ROTA_SENTRY_SCRUB_PATTERNS is"):
        Settings.from_env({"ROTA_SENTRY_SCRUB_PATTERNS": pattern})


def test_settings_come_from_the_environment():
    """Names and paths are separated by commas, patterns by white space."""
    settings = Settings.from_env(
        {
            "ROTA_SENTRY_SCRUB_KEYS": "badge, door-code",
            "ROTA_SENTRY_SCRUB_PATTERNS": r"EMP-\d{2,4} ACME-\w+",
            "ROTA_SENTRY_SCRUB_EXEMPT": "request.data.pin,session_count",
        }
    )
    assert settings.scrub_keys == ("badge", "door-code")
    assert settings.scrub_patterns == (r"EMP-\d{2,4}", r"ACME-\w+")
    assert settings.scrub_exempt == ("request.data.pin", "session_count")


@pytest.mark.parametrize("part", PARTS)
def test_a_transaction_that_was_clean_so_far_is_looked_at_anew(part):
    """However often a transaction like it had nothing to hide, a secret that is new in one goes, as on a full walk."""
    scrubber = Scrubber()
    clean, given = (event_with(**parts) for parts in (without_secrets(PARTS[part]), PARTS[part]))
    for event in (clean, clean, clean, given, given, clean):
        walked = Scrubber().payload(event)
        assert SECRET not in texts(walked)
        assert scrubber.payload({**event, "type": "transaction"}) == {**walked, "type": "transaction"}


def without_secrets(value: Any) -> Any:
    """The same shape with `none` where something was."""
    if isinstance(value, dict):
        return {without_secrets(key): without_secrets(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_secrets(item) for item in value]
    return "none" if isinstance(value, str) and SECRET in value else value


@pytest.mark.parametrize(
    "part",
    [
        {"contexts": {"own": {"note": 4111111111111111}}},
        {"contexts": {"own": {"values": [1, [4111111111111111]]}}},
        {"contexts": {"own": {"name": "password", "value": SECRET}}},
        {"contexts": {"own": {"Name": "password", "Value": SECRET}}},
        {"contexts": {"own": {"ParameterKey": "Password", "ParameterValue": SECRET}}},
        {"contexts": {"own": {"loc": ["password"], "input": SECRET}}},
        {"contexts": {"own": {"sql": "UPDATE t SET pin = ? WHERE id = ?", "params": [SECRET, 7]}}},
        {"contexts": {"own": {7: {"password": SECRET}}}},
        {"contexts": {"own": {"args": ["--password", SECRET]}}},
        {"contexts": {"own": {"args": ["redis-cli", "-a", SECRET]}}},
        {"contexts": {"own": {"pair": ("password", SECRET)}}},
        {"contexts": {"own": {"deep": [[[{"a": {"b": [{"password": SECRET}]}}]]]}}},
    ],
)
def test_a_transaction_is_searched_to_the_last_leaf(part):
    """Numbers, pairs, neighbours, tuples and what is deep in lists of a transaction are scrubbed as in any event."""
    scrubber = Scrubber()
    for _ in range(3):
        left = texts(scrubber.payload(event_with(type="transaction", **copy.deepcopy(part))))
        assert SECRET not in left
        assert "4111111111111111" not in left


def test_a_transaction_within_itself_is_scrubbed():
    """A part of a transaction that contains itself ends, and what is beside it is scrubbed."""
    own: dict[str, Any] = {"list": []}
    own["list"] += [own, own, own]
    left = Scrubber().payload(event_with(type="transaction", contexts={"own": own}, tags={"auth": SECRET}))
    assert SECRET not in texts(left)


@pytest.mark.parametrize(
    ("name", "local"),
    [
        ("credentials", {"username": "'scw1001'", "password": f"'{SECRET}'"}),
        ("token", {"sub": "'scw1001'", "jti": f"'{SECRET}'", "user": {"password": f"'{SECRET}'"}}),
        ("auth", [{"email": "'scw1001'", "key": f"'{SECRET}'"}]),
    ],
)
def test_who_gave_a_secret_stays_known(name, local):
    """Credentials and claims go as a whole, and elsewhere their secret; the user who stands in them does not."""
    user = {"id": "scw1001", "username": "scw1001"}
    given = event_with(
        user=user, message=f"{SECRET} of scw1001 was refused", extra={"form": {"who": "scw1001", "what": SECRET}}
    )
    given["exception"] = stack(vars={name: local})["exception"]
    left = Scrubber().payload(given)
    assert left["exception"]["values"][0]["stacktrace"]["frames"][0]["vars"] == {name: FILTERED}
    assert left["user"] == user
    assert left["message"] == f"{FILTERED} of scw1001 was refused"
    assert left["extra"] == {"form": {"who": "scw1001", "what": FILTERED}}


def test_what_is_no_name_is_not_kept():
    """A text without blanks in which a telling word stands is no name: an upload in a form is not kept in memory."""
    scrubber = Scrubber()
    tracemalloc.start()
    try:
        for number in range(40):
            scrubber.text(f"{number}pin" + "a" * 60_000)
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()
