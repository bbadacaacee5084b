"""`asgi-rota-sentry scrub FILE` shows an event before and after, with what goes, where and why."""

import io
import json

import pytest

from asgi_rota_sentry.cli import main

EVENT = {
    "event_id": "9600511ca32e4f38b45bc139dc755f83",
    "extra": {"pin": "4929", "rows": [{"note": "token=fake-1 ok"}]},
}


@pytest.fixture
def event_file(tmp_path):
    path = tmp_path / "event.json"
    path.write_text(json.dumps(EVENT), encoding="utf-8")
    return str(path)


def test_each_removal_is_shown_with_its_place_and_reason(event_file, capsys):
    """The path, the reason, the value before and after; what stays is not listed."""
    assert main(["scrub", event_file]) == 0
    assert capsys.readouterr().out == (
        "2 values would be removed or changed.\n\n"
        'extra.pin\n  why     beside \'pin\'\n  before  "4929"\n  after   "[Filtered]"\n\n'
        'extra.rows.0.note\n  why     beside \'token\'\n  before  "token=fake-1 ok"\n  after   "token=[Filtered] ok"\n'
    )


def test_json_holds_both_events_and_the_list(event_file, capsys):
    """With `--json`: `before`, `after` and `removals`, each with path, reason and whether it went as a whole."""
    assert main(["scrub", "--json", event_file]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["before"] == EVENT
    assert shown["after"]["extra"] == {"pin": "[Filtered]", "rows": [{"note": "token=[Filtered] ok"}]}
    assert shown["removals"] == [
        {"path": "extra.pin", "reason": "beside 'pin'", "whole": True},
        {"path": "extra.rows.0.note", "reason": "beside 'token'", "whole": False},
    ]


def test_standard_input_and_the_users_settings(capsys, monkeypatch):
    """`-` reads standard input; the environment's exemptions and patterns count."""
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"extra": {"pin": "4929", "x": "EMP-1234"}})))
    monkeypatch.setenv("ROTA_SENTRY_SCRUB_EXEMPT", "extra.pin")
    monkeypatch.setenv("ROTA_SENTRY_SCRUB_PATTERNS", r"EMP-\d+")
    assert main(["scrub", "-"]) == 0
    out = capsys.readouterr().out
    assert "extra.pin" not in out
    assert "a pattern of yours" in out


def test_an_event_without_secrets(tmp_path, capsys):
    """It says that nothing would be removed."""
    path = tmp_path / "event.json"
    path.write_text('{"message": "fine"}', encoding="utf-8")
    assert main(["scrub", str(path)]) == 0
    assert capsys.readouterr().out == "Nothing would be removed.\n"


def test_a_file_that_windows_wrote(tmp_path, capsys):
    """It may begin with a byte order mark."""
    path = tmp_path / "event.json"
    path.write_bytes(json.dumps(EVENT).encode("utf-8-sig"))
    assert main(["scrub", str(path)]) == 0
    assert capsys.readouterr().out.startswith("2 values would be removed")


@pytest.mark.parametrize("content", ["{", "[1]", "", "\x00"])
def test_a_file_that_is_no_event(tmp_path, capsys, content):
    """Exit status 2 and one sentence on standard error."""
    path = tmp_path / "event.json"
    path.write_text(content, encoding="utf-8")
    assert main(["scrub", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "event.json" in captured.err


def test_a_file_that_is_not_there(capsys):
    """Exit status 2, not a traceback."""
    assert main(["scrub", "/nowhere/event.json"]) == 2
    assert "/nowhere/event.json cannot be read" in capsys.readouterr().err
