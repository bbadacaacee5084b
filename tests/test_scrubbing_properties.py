"""Properties: a secret planted anywhere goes, nothing given changes, nothing raises, and time grows with the text."""

import copy
import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asgi_rota_sentry.scrubbing import FILTERED, Scrubber

SCRUBBER = Scrubber()
NAMES = st.sampled_from(
    [
        "password",
        "userPassword",
        "X-Api-Key",
        "b'authorization'",
        "client_secret",
        "HTTP_X_CSRFTOKEN",
        "sessionid",
        "card_number",
    ]
)
PLAIN_KEYS = st.sampled_from(["day", "hours", "staff", "note", "items", "x", "author", "0", "deep"]) | st.text(
    max_size=8
)
# Lone surrogates are in what Python decodes of file names and the environment (PEP 383).
ANY = st.characters(exclude_categories=())
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(ANY, max_size=30)
    | st.sampled_from(["Ada", "2026-03-01", "a=b&c=d", "<Shift 7>", "'repr'", "b'bytes'", "https://rota.example/x?y=1"])
)
TREES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(PLAIN_KEYS, inner, max_size=4))
PLACES = st.sampled_from(
    [
        ("extra", "x"),
        ("request", "data"),
        ("contexts", "app"),
        ("tags", "x"),
        ("user", "data"),
        ("breadcrumbs", "values"),
        ("vars",),
    ]
)
# Not one that a shorter name, number or word of the trees could hold.
PLAIN_SECRETS = st.from_regex(r"fk-[A-Za-z]{3}[0-9]{2}[A-Za-z0-9]{6}-[0-9]{2}", fullmatch=True)
SECRETS = PLAIN_SECRETS | PLAIN_SECRETS.map(lambda secret: f"{secret[:9]}\udcff{secret[9:]}\ud800")
FORMS = st.sampled_from(
    [
        "password={}",
        '{{"client_secret": "{}"}}',
        "{{'token': '{}', 'a': 1}}",
        "postgres://rota:{}@db/rota",
        "Authorization: Bearer {}",
        "GET /x?api_key={}&page=2",
        "<Form password='{}'>",
        "x --password {} y",
        "[(b'authorization', b'{}')]",
        "Cookie: theme=dark; sessionid={}",
        '{{\\"password\\": \\"{}\\"}}',
        "<password>{}</password>",
    ]
)
RELAXED = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def event_with(place: tuple[str, ...], tree: Any) -> dict[str, Any]:
    event: dict[str, Any] = {"event_id": "9600511ca32e4f38b45bc139dc755f83", "level": "error"}
    if place == ("vars",):
        frame = {"filename": "app.py", "lineno": 1, "vars": {"local": tree}}
        event["exception"] = {"values": [{"type": "E", "value": "v", "stacktrace": {"frames": [frame]}}]}
    elif place == ("breadcrumbs", "values"):
        event["breadcrumbs"] = {"values": [{"category": "query", "data": {"x": tree}}]}
    else:
        event[place[0]] = {place[1]: tree}
    return event


def containers(tree: Any) -> list[Any]:
    """Every list and mapping in the tree, itself included."""
    inner = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    found = [tree] if isinstance(tree, dict | list) else []
    return found + [container for child in inner for container in containers(child)]


def planted(tree: Any, what: Any, key: str | None, data: st.DataObject) -> Any:
    """The tree with `what` put at a random place: under `key`, or as an item or value."""
    tree = copy.deepcopy(tree) if isinstance(tree, dict | list) else [tree]
    target = data.draw(st.sampled_from(containers(tree)))
    if isinstance(target, list):
        target.insert(data.draw(st.integers(0, len(target))), {key: what} if key else what)
    else:
        target[key or data.draw(PLAIN_KEYS)] = what
    return tree


@RELAXED
@given(tree=TREES, place=PLACES, secret=SECRETS, key=NAMES, data=st.data())
def test_a_secret_under_a_telling_name_goes(tree, place, secret, key, data):
    """Wherever in an event it stands, as a text, a number of texts or a mapping."""
    what = data.draw(st.sampled_from([secret, f"'{secret}'", [secret], {"a": {"b": secret}}, f"b'{secret}'"]))
    event = event_with(place, planted(tree, what, key, data))
    before = copy.deepcopy(event)
    left = SCRUBBER.payload(event)
    assert secret not in json.dumps(left, ensure_ascii=False)
    assert event == before
    assert left["event_id"] == event["event_id"]


@RELAXED
@given(tree=TREES, place=PLACES, secret=SECRETS, form=FORMS, data=st.data())
def test_a_secret_in_a_text_goes(tree, place, secret, form, data):
    """Wherever in an event the text stands, and whatever stands before it."""
    before = data.draw(st.sampled_from(["", "error: ", "a b c; ", "\n", "('", "x=1, ", "a\\n", "b\\r\\n", "\\t"]))
    event = event_with(place, planted(tree, before + form.format(secret), None, data))
    assert secret not in json.dumps(SCRUBBER.payload(event), ensure_ascii=False)


@RELAXED
@given(tree=TREES, place=PLACES, secret=SECRETS, around=st.text(ANY, max_size=10), data=st.data())
def test_a_secret_found_once_goes_everywhere(tree, place, secret, around, data):
    """The same value in another text of the event is replaced there too."""
    event = event_with(place, planted(tree, f"{around} {secret} {around}", None, data))
    event["logentry"] = {"message": "nothing else", "params": {"password": secret}}
    left = SCRUBBER.payload(event)
    assert secret not in json.dumps(left, ensure_ascii=False)
    assert left["logentry"]["message"] == "nothing else"


@RELAXED
@given(text=st.text(ANY, max_size=400) | st.text(alphabet="ab1 =:'\"\\{}[]()<>&;,@/%-.$token", max_size=400))
def test_no_text_raises_and_twice_is_once(text):
    """Any text is scrubbed without an error, to a text that holds nothing but what was there."""
    once = SCRUBBER.text(text)
    assert isinstance(once, str)
    pieces = once.split(FILTERED)
    position = 0
    for piece in pieces:
        assert piece in text[position:] or FILTERED in text
        position = text.find(piece, position) + len(piece) if piece in text[position:] else position


@RELAXED
@given(tree=TREES, place=PLACES)
def test_meta_speaks_only_of_what_is_there(tree, place):
    """Each path of `_meta` leads to a value of the event."""
    event = event_with(place, {"password": "fake-1", "tree": tree})
    event["_meta"] = mirrored(event)
    left = SCRUBBER.payload(event)
    assert_paths_exist(left.get("_meta", {}), left)


def mirrored(tree: Any) -> dict[str, Any]:
    """A `_meta` with an entry for everything."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return {"": {"len": 1}, **{str(key): mirrored(value) for key, value in items if str(key)}}


def assert_paths_exist(meta: dict[str, Any], tree: Any) -> None:
    for key, inner in meta.items():
        if key:
            child = (
                tree[int(key)] if isinstance(tree, list) else {str(name): value for name, value in tree.items()}[key]
            )
            assert_paths_exist(inner, child)
        else:
            assert tree != FILTERED


UNITS = [
    *(
        "key=",
        "key=(",
        "key: [",
        "authorization: basic a ",
        'name="key"\r\n\r\n',
        "<key>",
        "key=%22",
        "key='",
        "cookie=(",
    ),
    *(
        "eyJ",
        "eyJa.",
        "1",
        "1 ",
        "4111",
        "4111 ",
        "12-",
        '"',
        "'",
        '\\"',
        "=",
        "==",
        ":",
        "://",
        "a://b:c@",
        "a://b:c/",
        "@",
        "a:b@",
    ),
    *(
        "-----BEGIN",
        "-----BEGIN PRIVATE KEY-----",
        "password=",
        "password: ",
        "password ",
        "password=(",
        'token="',
        "<password>",
    ),
    *(
        "key ",
        "&key=a",
        "Bearer ",
        "basic QWxh",
        "AKIA",
        "ghp_",
        "sk-",
        "$",
        "[",
        "{",
        "({[",
        "/a",
        "reset/aaB2aaaaaaaaaaaaa",
        "AB12",
    ),
    *(
        "DE89 ",
        "AB 12 34 56 ",
        "insert into t (a",
        "insert into t (password) values (",
        "123-45-",
        "%20",
        "1%20",
        "token abcdEFGH12345",
    ),
    *(
        "--password ",
        "('password', ",
        "password is ",
        "cookie: a=b; ",
        'name="password"\r\n',
        "<a at 0x",
        "\u00a0",
        "\u0130",
        "&quot;",
        "\n",
    ),
    *("\\n", "\\npin", "\\npin=", "\\n4111 ", "\\\\"),
    *("[SQL: pin=?][parameters: (", "[SQL: pin=?][parameters: (1,", "[parameters: ", "[SQL: ", "key (pin)=(", "Key (a"),
    *("mysql -p", "curl -u a:", "curl', '-u', '", "sshpass', '-p', '", "kty 'd': '", "bot123456789:AA"),
    *("duplicate entry '", "Duplicate entry 'a' for key 'pin'"),
    *(
        "redis-cli -a ",
        "docker login ",
        "ldapadd x ",
        "zip -P ",
        "%C3%A9",
        "\\xc3\\xa9",
        "\\u5bc6\\u7801=",
        "contrase%C3%B1a=",
        "\uff1a",
    ),
    *("token IN ('a',", "password=deque(['", "ParameterKey=pin,", "name: key\n value=", "wrong password hunter2 "),
    *("\npin\n  x", "\npin\n  input_value='", "input_value=", "'loc': (", "'loc': ['pin'], 'input': [", "'input': \\"),
]
BENIGN = "The quick brown fox jumps over the lazy dog; shift 12 of SCW1001 starts at 09:30 on 2026-03-01. "


def seconds(text: str, tries: int = 3) -> float:
    """The processor time of this thread that the text takes, the best of a few."""
    best = float("inf")
    for _ in range(tries):
        start = time.thread_time()
        Scrubber().text(text)
        best = min(best, time.thread_time() - start)
    return best


@pytest.fixture(scope="module")
def ordinary():
    """What an ordinary text of 64 KiB takes."""
    return seconds((BENIGN * ((1 << 16) // len(BENIGN) + 1))[: 1 << 16], tries=6)


@pytest.mark.parametrize("unit", UNITS, ids=repr)
def test_time_grows_with_the_text_and_no_faster(unit, ordinary):
    """Four times the hostile text takes about four times as long, never sixteen, and little more than ordinary text."""
    size = 1 << 16
    text = unit * (size // len(unit))
    quarter, whole = seconds(text[: size // 4]), seconds(text, tries=1)
    limit = min(40 * ordinary, 9 * quarter + 0.4 * ordinary)
    if whole >= limit:  # the machine may have been busy
        whole = seconds(text, tries=5)
    assert whole < limit


@pytest.mark.parametrize("unit", ["eyJ", "4111 ", "'", "password=", "-----BEGIN", "://", "a b "], ids=repr)
def test_a_mebibyte(unit):
    """A text of 1 MiB in an event is scrubbed like any other."""
    text = unit * ((1 << 20) // len(unit))
    left = SCRUBBER.payload(
        {"event_id": "0" * 32, "extra": {"big": text, "token": "fake-tok-1", "after": "token=fake-tok-1"}}
    )
    assert left["extra"]["token"] == FILTERED
    assert "fake-tok-1" not in left["extra"]["after"]


@pytest.mark.parametrize(
    "unit", ["pin = ? ", "(", "'", '"', "pin in (?, ", "case ", "insert into t (a", "$1", "and "], ids=repr
)
def test_a_hostile_statement_is_read_once(unit):
    """The parameters beside a statement of any length and form take about as long as the statement alone."""

    def spent(params: list[str]) -> float:
        start = time.thread_time()
        Scrubber().payload({"vars": {"sql": unit * (65536 // len(unit)), "params": params}})
        return time.thread_time() - start

    assert min(spent(["1"] * 9) for _ in range(3)) < 3 * min(spent([]) for _ in range(3)) + 0.1


def test_time_grows_with_the_names_and_no_faster():
    """Four times the names with a secret in each take about four times as long, never sixteen."""

    def spent(count: int) -> float:
        start = time.thread_time()
        Scrubber().payload({"extra": {f"{number} token=fk": 1 for number in range(count)}})
        return time.thread_time() - start

    assert min(spent(16_000) for _ in range(2)) < 8 * min(spent(4_000) for _ in range(2)) + 0.05


def test_a_pattern_of_the_users_is_linear_too():
    """A pattern with open repeats is searched in windows: four times the text takes no more than about four times."""
    scrubber = Scrubber(patterns=[r"[a-z]+[0-9]+X"])

    def spent(size: int) -> float:
        start = time.process_time()
        scrubber.text("a1" * (size // 2))
        return time.process_time() - start

    spent(1 << 12)
    assert spent(1 << 16) < 8 * spent(1 << 14) + 0.05
