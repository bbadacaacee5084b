"""The answer that a visitor gets for a 404 or a 5xx: whether there is one, in which form and with which headers."""

import logging
import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from asgi_rota_sentry import faults
from asgi_rota_sentry.pages import accept, bare, languages, situation, templates
from asgi_rota_sentry.pages.bare import Headers
from asgi_rota_sentry.pages.headers import encoded, merge
from asgi_rota_sentry.pages.situation import Outcome, Situation
from asgi_rota_sentry.settings import Settings

logger = logging.getLogger("asgi_rota_sentry")

_NOTHING = ("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
_ALWAYS = encoded(
    [("cache-control", "no-store"), ("x-content-type-options", "nosniff"), ("referrer-policy", "same-origin")]
)
_MOST_PREPARED = 64  # of some 10 kB each
_HEADER_SAFE = re.compile(r"[\w-]+", re.ASCII)
_TEMPLATES = ("404.html", "500.html", "feedback.html", "thanks.html")

_Made = tuple[list[tuple[bytes, bytes]], bytes]


class Answer(NamedTuple):
    """A complete response; for HEAD the body is empty and the headers are those of GET."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes


class ErrorPages:
    """Decides which answers get a page, and makes the page.

    Templates and languages are read once, here; what is broken in `settings.pages_dir` is logged and the built-in one
    takes its place.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._languages = languages.load(settings.pages_dir)
        self._tags = frozenset(self._languages)
        self._search_fields = _hidden(situation.search_fields(settings))
        self._fields = self._names_of_fields()
        self._translated = lru_cache(maxsize=_MOST_PREPARED)(self._translate)
        self._prepared = lru_cache(maxsize=_MOST_PREPARED)(self._prepare)
        self._pages = {name: self._load(name) for name in _TEMPLATES}
        search = urlsplit(settings.search_url)
        self._forms = f"'self' {search.scheme}://{search.netloc}" if search.netloc else "'self'"

    def _names_of_fields(self) -> set[str]:
        """The names of all fields that a template may have."""
        texts, example = self._languages[languages.DEFAULT], Situation(status=404)
        return {
            *self._fixed_values(languages.DEFAULT),
            *situation.outcome_values(situation.outcome(example), texts),
            *situation.own_values(self._settings, example, texts, ()),
        }

    def _load(self, name: str) -> templates.Page:
        """The user's template of that name, or else the built-in one."""
        folder = None if self._settings.pages_dir is None else Path(self._settings.pages_dir)
        if folder is not None and not (folder / name).is_file():
            logger.info("There is no %s in %s; the built-in one serves.", name, folder)
        elif folder is not None:
            try:
                return templates.load(name, self._fields, folder)
            except templates.TemplateError as fault:
                logger.warning("%s cannot be used, the built-in one serves instead: %s.", folder / name, fault)
        return templates.load(name, self._fields)

    def may_answer(self, method: str) -> bool:
        """Whether a request that failed without an answer gets a page."""
        return self._settings.pages != "never" and method != "CONNECT"

    def may_replace(self, status: int, headers: Headers, method: str = "GET", beginning: bytes = b"") -> bool:
        """Whether an answer is worth holding back, as far as it is known: its start, and the beginning of its body.

        Ask at the start message, and again with each part of the body: the first False lets the answer go, so that a
        stream is not delayed.
        """
        if not bare.is_error(status) or not self.may_answer(method):
            return False
        if self._settings.pages == "always":
            return not bare.is_stream(headers)
        return bare.could_be_bare(status, headers, beginning)

    def is_bare(self, status: int, headers: Headers, body: bytes, method: str = "GET") -> bool:
        """Whether this complete answer is to be replaced: empty, or exactly a framework's own default."""
        if self._settings.pages == "always":
            return self.may_replace(status, headers, method)
        return self._settings.pages == "bare" and bare.is_bare(status, headers, body, method)

    def answer(self, known: Situation, headers: Headers = ()) -> Answer:
        """The page for a 404 or 5xx; `headers` are those of the answer that it replaces. Never raises."""
        return self._safely(known, headers, self._represent)

    def feedback(self, known: Situation, message: str = "", fault: str = "", url: str | None = None) -> Answer:
        """The feedback form alone, as HTML, with what was written before. Never raises.

        `fault` has the keys of the texts that say why the form comes again, such as `fault_empty`, with spaces between.
        `url` is the page that the feedback is about, when that is not the one in `known`.
        """

        def own_words(texts: languages.Texts) -> dict[str, str]:
            why = " ".join(texts[key] for key in fault.split())
            words = {"status": "", "title": texts["form"], "lead": "", "message": message, "fault": why}
            return words if url is None else words | {"url": url}

        return self._safely(known, (), lambda known: self._form(known, "feedback.html", own_words))

    def thanks(self, known: Situation) -> Answer:
        """The page that follows when feedback has been kept, as HTML. Never raises."""

        def own_words(texts: languages.Texts) -> dict[str, str]:
            return {"status": "", "title": texts["thanks_title"], "lead": texts["thanks_lead"]}

        return self._safely(known, (), lambda known: self._form(known, "thanks.html", own_words))

    def _safely(self, known: Situation, replaced: Headers, make: Callable[[Situation], _Made]) -> Answer:
        """The complete answer, or a minimal one when there is a fault of ours."""
        try:
            own, body = make(known)
            own += [*_ALWAYS, (b"content-length", b"%d" % len(body))]
            merged = merge(replaced, own)
        except Exception:
            faults.report("making an error page")
            body = situation.phrase(known.status).encode()
            merged = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
        return Answer(known.status, merged, b"" if known.method == "HEAD" else body)

    def _represent(self, known: Situation) -> _Made:
        """Our own headers and the body of an error's answer, in the form that the client likes best."""
        media_type = accept.media_type(known.accept)
        if media_type == accept.HTML:
            own, body = self._page(known)
        elif media_type == accept.PLAIN:
            language = self._language(known)
            own = encoded([("content-type", "text/plain; charset=utf-8"), ("content-language", language), _NOTHING])
            body = situation.plain(known, self._languages[language])
        else:
            own = encoded([("content-type", media_type), _NOTHING])
            body = situation.problem(known, self._languages[languages.DEFAULT])
        if known.status >= 500 and known.event_id and _HEADER_SAFE.fullmatch(known.event_id):
            own.append((b"x-sentry-event-id", known.event_id.encode()))
        return own, body

    def _language(self, known: Situation) -> str:
        return accept.language(self._tags, known.language, known.accept_language)

    def _page(self, known: Situation) -> _Made:
        """Our own headers and the page of an error, in the visitor's language."""
        language = self._language(known)
        page, own = self._prepared(language, situation.outcome(known))
        fields = situation.own_values(self._settings, known, self._languages[language], page.open)
        return list(own), page.render(fields)

    def _form(self, known: Situation, name: str, own_words: Callable[[languages.Texts], dict[str, str]]) -> _Made:
        """Our own headers and a page about feedback, in the visitor's language."""
        language = self._language(known)
        texts, page = self._languages[language], self._translated(name, language)
        told = situation.outcome_values(situation.outcome(known), texts)
        own = situation.own_values(self._settings, known, texts, page.open)
        return self._headers(page, language), page.render({**told, **own, **own_words(texts)})

    def _headers(self, page: templates.Page, language: str) -> list[tuple[bytes, bytes]]:
        return encoded(
            [
                ("content-type", "text/html; charset=utf-8"),
                ("content-language", language),
                ("content-security-policy", f"{page.policy}; form-action {self._forms}"),
            ]
        )

    def _translate(self, name: str, language: str) -> templates.Page:
        """The template with what is the same for all who speak the language; made once."""
        return self._pages[name].filled(self._fixed_values(language))

    def _fixed_values(self, language: str) -> dict[str, str]:
        fixed = situation.fixed_values(self._settings, language, self._languages[language])
        return fixed | {"search_fields": self._search_fields}

    def _prepare(self, language: str, common: Outcome) -> tuple[templates.Page, list[tuple[bytes, bytes]]]:
        """The page of an error but for what is one visitor's alone, and its headers; made once."""
        page = self._translated("404.html" if common.status == 404 else "500.html", language)
        told = situation.outcome_values(common, self._languages[language])
        return page.filled(told), self._headers(page, language)


def _hidden(fields: Iterable[tuple[str, str]]) -> templates.Html:
    """Fields of a form that nobody sees."""
    page = templates.load("hidden.html", ("name", "value"))
    return templates.Html("".join(page.render({"name": name, "value": value}).decode() for name, value in fields))
