"""A user's own templates and languages in `pages_dir`: used when they are sound, logged and passed over when not."""

import logging
import shutil
import subprocess
import sys
import zipapp
from pathlib import Path

import pytest

import asgi_rota_sentry
from asgi_rota_sentry.pages import Answer, ErrorPages, Situation
from asgi_rota_sentry.settings import Settings

LOGGER = "asgi_rota_sentry"
EVENT = "0123456789abcdef0123456789abcdef"


def pages_of(folder: Path) -> ErrorPages:
    return ErrorPages(Settings(pages_dir=str(folder), support_email="support@example.com"))


def ask(pages: ErrorPages, status: int = 404, language: str = "en", path: str = "/x") -> Answer:
    return pages.answer(
        Situation(
            status=status, accept="text/html", language=language, path=path, event_id=EVENT if status == 500 else None
        )
    )


def policy(answer: Answer) -> str:
    return dict(answer.headers)[b"content-security-policy"].decode()


def test_own_template(tmp_path: Path) -> None:
    """An own template replaces the built-in one of its name alone, with all fields, conditions and included files."""
    (tmp_path / "404.html").write_text(
        "<html lang=$lang><style><!--include own.css--></style><h1>$t_missing_title: $words</h1>"
        "<!--if event_id-->$event_id<!--end--><!--if not event_id-->costs $$5<!--end-->"
        "<!--if home_url--><!--if support_email-->$support_email<!--end--><!--end--><!--include form.html-->",
        encoding="utf-8",
    )
    (tmp_path / "own.css").write_text("h1 { color: teal }", encoding="utf-8")
    pages = pages_of(tmp_path)
    answer = ask(pages, path="/a/<b>")
    page = answer.body.decode()
    assert page.startswith("<html lang=en><style>h1 { color: teal }</style><h1>We can’t find that page: b</h1>costs $5")  # noqa: RUF001
    assert "support@example.com" in page
    assert 'action="/api/error-feedback/"' in page
    assert "Something went wrong" in ask(pages, status=500).body.decode()


def test_a_field_that_nothing_is_known_for_is_empty(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An own template need not ask for each whether there is something."""
    names = ("event_id", "trace_id", "user_name", "user_email", "support_email", "support_link", "theme", "words")
    (tmp_path / "500.html").write_text("".join(f"<i>${name}</i>" for name in names), encoding="utf-8")
    settings = Settings(pages_dir=str(tmp_path), support_email=None)
    answer = ErrorPages(settings).answer(Situation(status=500, accept="text/html"))
    assert answer.body.decode() == "<i></i>" * len(names)
    assert caplog.records == []


def test_own_template_may_use_files_of_its_host(tmp_path: Path) -> None:
    """An own page may load images, styles and scripts from its own host; inline code still needs its hash."""
    (tmp_path / "404.html").write_text("<script>a()</script><img src='/logo.svg'>", encoding="utf-8")
    pages = pages_of(tmp_path)
    assert "script-src 'self' 'sha256-" in policy(ask(pages))
    assert "img-src 'self' data:" in policy(ask(pages))
    assert "default-src 'none'" in policy(ask(pages, status=500))
    assert "unsafe" not in policy(ask(pages))


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        (b"<h1>$titel</h1>", "$titel is not a field; expected one of dashboard_url, "),
        (b"costs $ 5", "a $ stands without a field name"),
        (b"<!--if event_id-->x", "<!--if event_id--> has no <!--end-->"),
        (b"x<!--end-->", "there is an <!--end--> without its <!--if"),
        (b"<!--if nothing-->x<!--end-->", "$nothing is not a field"),
        (b"<script>var path = '$path';</script>", "a <script> has a field or a condition in it"),
        (b"<STYLE>/*<!--if theme-->*/<!--end--></STYLE>", "a <STYLE> has a field or a condition in it"),
        (b"<!--include absent.html-->", "absent.html cannot be read"),
        (b"\xff\xfe", "404.html cannot be read"),
    ],
)
def test_broken_template(tmp_path: Path, caplog: pytest.LogCaptureFixture, template: bytes, reason: str) -> None:
    """A broken template is passed over, with a warning at start that names the file and the reason."""
    (tmp_path / "404.html").write_bytes(template)
    with caplog.at_level(logging.WARNING, LOGGER):
        pages = pages_of(tmp_path)
    (record,) = caplog.records
    assert str(tmp_path / "404.html") in record.getMessage()
    assert reason in record.getMessage()
    assert ask(pages).body == ask(ErrorPages(Settings(support_email="support@example.com"))).body


def test_missing_template(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A template that is not there is built in; the log says so, at start and quietly."""
    with caplog.at_level(logging.INFO, LOGGER):
        pages = pages_of(tmp_path)
    assert {(record.levelname, record.getMessage().split(" in ")[0]) for record in caplog.records} == {
        ("INFO", f"There is no {name}") for name in ("404.html", "500.html", "feedback.html", "thanks.html")
    }
    assert "We can" in ask(pages).body.decode()


def test_include_stays_in_its_folder(tmp_path: Path) -> None:
    """An include names a file beside the template, so no path leads elsewhere."""
    (tmp_path / "404.html").write_text("<!--include ../secret.txt-->", encoding="utf-8")
    (tmp_path.parent / "secret.txt").write_text("secret", encoding="utf-8")
    assert b"secret<" not in ask(pages_of(tmp_path)).body.replace(b"secret.txt", b"")
    assert b"<!--include ../secret.txt-->" in ask(pages_of(tmp_path)).body


def test_own_language(tmp_path: Path) -> None:
    """A language file adds a language, from right to left too; what it leaves out is in English."""
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / "ar.toml").write_text('direction = "rtl"\nmissing_title = "<لا>"\n', encoding="utf-8")
    page = ask(pages_of(tmp_path), language="ar-EG").body.decode()
    assert '<html lang="ar" dir="rtl">' in page
    assert "<h1>&lt;لا&gt;</h1>" in page
    assert "Take me home" in page


def test_own_words(tmp_path: Path) -> None:
    """A file named as a built-in language changes the words that it has, and no others."""
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / "de.toml").write_text('take_me_home = "Heim"\n', encoding="utf-8")
    page = ask(pages_of(tmp_path), language="de").body.decode()
    assert ">Heim</a>" in page
    assert "Diese Seite finden wir nicht" in page


def test_files_as_editors_on_windows_write_them(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With a byte order mark and lines that end in CRLF: templates, what they include, and languages."""
    (tmp_path / "languages").mkdir()
    files = {"404.html": "<p>$title\n<!--include own.html-->", "own.html": "<i>$lang</i>\n"}
    for name, text in (files | {"languages/it.toml": 'missing_title = "Perso"\n'}).items():
        (tmp_path / name).write_bytes(text.replace("\n", "\r\n").encode("utf-8-sig"))
    with caplog.at_level(logging.WARNING, LOGGER):
        pages = pages_of(tmp_path)
    assert ask(pages, language="it").body == b"<p>Perso\n<i>it</i>"
    assert not caplog.records


@pytest.mark.parametrize("content", [b"title = ", b"missing_title = 3", b"\xff\xfe"])
def test_broken_language(tmp_path: Path, caplog: pytest.LogCaptureFixture, content: bytes) -> None:
    """A broken language file is logged at start and passed over."""
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / "it.toml").write_bytes(content)
    with caplog.at_level(logging.WARNING, LOGGER):
        pages = pages_of(tmp_path)
    assert "it.toml cannot be used" in caplog.text
    assert '<html lang="en"' in ask(pages, language="it").body.decode()


def test_misspelt_key(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A key that does not exist is most often misspelt, so it is logged."""
    (tmp_path / "languages").mkdir()
    (tmp_path / "languages" / "it.toml").write_text('titel = "x"\nsearch_button = "Cerca"\n', encoding="utf-8")
    with caplog.at_level(logging.WARNING, LOGGER):
        pages = pages_of(tmp_path)
    assert "it.toml has unknown keys: titel" in caplog.text
    assert "Cerca" in ask(pages, language="it").body.decode()


def test_the_package_serves_its_pages_out_of_a_zip_file(tmp_path: Path) -> None:
    """In a zipapp (PEP 441) the built-in templates and languages are no files; own ones still are."""
    source, own = tmp_path / "source", tmp_path / "own"
    shutil.copytree(Path(asgi_rota_sentry.__file__).parent, source / "asgi_rota_sentry")
    own.mkdir()
    (own / "404.html").write_text("own <!--include form.html-->", encoding="utf-8")
    (source / "__main__.py").write_text(
        "import sys\n"
        "from asgi_rota_sentry.pages import ErrorPages, Situation\n"
        "from asgi_rota_sentry.settings import Settings\n"
        "pages = ErrorPages(Settings(pages_dir=sys.argv[1]))\n"
        "for status in (404, 500):\n"
        "    known = Situation(status, accept='text/html', language='de')\n"
        "    print(pages.answer(known).body.decode())\n"
        "print(__file__)\n",
        encoding="utf-8",
    )
    zipapp.create_archive(source, tmp_path / "app.pyz")
    shutil.rmtree(source)
    command = [sys.executable, "-X", "utf8", str(tmp_path / "app.pyz"), str(own)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, encoding="utf-8")
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.startswith("own <form")
    assert "Etwas ist schiefgegangen" in done.stdout
    assert str(tmp_path / "app.pyz") in done.stdout
