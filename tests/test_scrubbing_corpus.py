"""What must go goes, and nothing else: the corpora, one case a line.

A case is `["name", key, value]` (the value under that key), `["text", text]` or `["data", data, texts that must go]`.
In `go.jsonl` a text marks between ⟦ and ⟧ exactly what is replaced; `{+}` is left out, so that no made-up key has the
form of a real one in the file.
"""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from asgi_rota_sentry.scrubbing import FILTERED, Scrubber

CORPORA = Path(__file__).parent / "data" / "scrubbing"
SCRUBBER = Scrubber()


def cases(name: str) -> list[Any]:
    return [json.loads(line.replace("{+}", "")) for line in (CORPORA / name).read_text(encoding="utf-8").splitlines()]


GO, STAY = cases("go.jsonl"), cases("stay.jsonl")


def marked(text: str) -> tuple[str, str, list[str]]:
    """The text itself, the text as it must read, and the secrets in it."""
    secrets = re.findall("⟦([^⟧]*)⟧", text)
    return re.sub("[⟦⟧]", "", text), re.sub("⟦[^⟧]*⟧", FILTERED, text), secrets


def test_the_corpora_are_large():
    """There are at least 400 cases of what must go and 400 of what must stay, none twice."""
    assert min(len(GO), len(STAY)) >= 400
    assert len({json.dumps(case) for case in GO + STAY}) == len(GO) + len(STAY)


@pytest.mark.parametrize("case", GO, ids=lambda case: f"{case[0]}: {case[1]!r:.60}")
def test_what_must_go_goes(case):
    """A secret is replaced by `[Filtered]`, exactly, and what stands around it stays readable."""
    if case[0] == "name":
        assert SCRUBBER.payload({"extra": {"before": 1, case[1]: case[2]}})["extra"] == {"before": 1, case[1]: FILTERED}
    elif case[0] == "text":
        text, expected, secrets = marked(case[1])
        assert secrets
        assert SCRUBBER.text(text) == expected
        assert SCRUBBER.payload({"event_id": "0" * 32, "message": text})["message"] == expected
    else:
        left = json.dumps(SCRUBBER.payload({"extra": case[1]}), ensure_ascii=False)
        assert [secret for secret in case[2] if secret in left] == []


@pytest.mark.parametrize("case", STAY, ids=lambda case: f"{case[0]}: {case[1]!r:.60}")
def test_what_must_stay_stays(case):
    """What is needed to find the fault is left as it is."""
    if case[0] == "name":
        assert SCRUBBER.payload({"extra": {case[1]: case[2]}})["extra"] == {case[1]: case[2]}
    elif case[0] == "text":
        assert SCRUBBER.text(case[1]) == case[1]
        assert SCRUBBER.payload({"event_id": "0" * 32, "message": case[1]})["message"] == case[1]
    else:
        assert SCRUBBER.payload({"extra": case[1]})["extra"] == case[1]


@pytest.mark.parametrize("case", [case for case in GO if case[0] == "text"], ids=lambda case: f"{case[1]!r:.60}")
def test_scrubbing_twice_changes_nothing(case):
    """What was scrubbed once is left alone the second time."""
    once = SCRUBBER.text(marked(case[1])[0])
    assert SCRUBBER.text(once) == once


@pytest.mark.parametrize("case", [case for case in GO if case[0] == "name"], ids=lambda case: case[1])
def test_a_name_tells_wherever_it_stands(case):
    """The same names work in a frame's locals, in headers as byte pairs, and beside their value in a list."""
    name, value = case[1], case[2]
    frame = {"filename": "app.py", "vars": {"form": {name: repr(value)}, "pairs": [[name, repr(value)]]}}
    event = {"exception": {"values": [{"type": "E", "stacktrace": {"frames": [frame]}}]}}
    left = SCRUBBER.payload(event)["exception"]["values"][0]["stacktrace"]["frames"][0]["vars"]
    assert left == {"form": {name: FILTERED}, "pairs": [[name, FILTERED]]}
