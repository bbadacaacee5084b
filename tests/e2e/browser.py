"""Checks of a page in a real Chromium, for any URL: looks, accessibility, keyboard, silence.

Each check takes an open `Visit` and asserts. `check_page` does them all, at three widths, light and dark.
"""

import base64
import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import html5lib
from playwright.sync_api import Browser, BrowserContext, Page, Response, sync_playwright

ROOT = Path(__file__).parent.parent.parent
WORK = ROOT / ".e2e"
AXE = "4.14.1"
LOOKS = tuple((width, scheme) for width in (320, 768, 1280) for scheme in ("light", "dark"))
# WCAG 2.2 level AA, and axe's own advice.
AXE_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass
class Visit:
    """An open page, and what happened while it loaded: every request, and all that the console said."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    response: Response | None = None


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium of the system, or the one that the environment's CHROMIUM names."""
    executable = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@contextmanager
def visit(browser: Browser, url: str, width: int = 1280, scheme: str = "light", **context: Any) -> Iterator[Visit]:
    """The page at a URL, loaded in a fresh context; `context` is for Playwright's `new_context`."""
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme, "locale": "en-GB"} | context
    opened = browser.new_context(**options)
    try:
        yield load(opened, url)
    finally:
        opened.close()


def load(context: BrowserContext, url: str) -> Visit:
    """The page at a URL, in a new tab of a context that is open already."""
    found = Visit(context.new_page(), url)
    found.page.on("request", lambda request: found.requests.append(f"{request.method} {request.url}"))
    found.page.on("console", lambda message: found.console.append(message.text))
    found.page.on("pageerror", lambda error: found.console.append(str(error)))
    found.response = found.page.goto(url)
    return found


def check_quiet(found: Visit) -> None:
    """Nothing but the page was requested, and the console has nothing but the browser's own word on the status."""
    found.page.wait_for_load_state("networkidle")
    assert found.requests == [f"GET {found.url}"]
    assert [
        line for line in found.console if not line.startswith("Failed to load resource: the server responded")
    ] == []


def check_html(found: Visit) -> None:
    """The document, as it was sent, parses without an error by the rules of HTML, and has at most 14 KiB."""
    assert found.response is not None
    sent = found.response.body()
    html5lib.HTMLParser(strict=True).parse(sent.decode())
    assert len(sent) <= 14 * 1024


def check_fits(found: Visit) -> None:
    """Nothing is wider than the window: no sideways scrolling (WCAG 1.4.10)."""
    assert found.page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@cache
def axe() -> str:
    """The source of axe-core, from npm, kept in `.e2e/`."""
    source = WORK / "node_modules" / "axe-core" / "axe.min.js"
    if not source.is_file():
        WORK.mkdir(exist_ok=True)
        npm = shutil.which("npm") or "npm"
        command = [npm, "install", "--prefix", str(WORK), "--no-audit", "--no-fund", "--silent", f"axe-core@{AXE}"]
        subprocess.run(command, check=True, timeout=300, capture_output=True)
    return source.read_text(encoding="utf-8")


def check_axe(found: Visit) -> None:
    """axe-core finds no violation of WCAG 2.2 AA or of its own best practices."""
    found.page.evaluate(axe())
    result = found.page.evaluate("tags => axe.run(document, {runOnly: tags})", AXE_TAGS)
    assert len(result["passes"]) > 10
    faults = [(fault["id"], [node["html"] for node in fault["nodes"]]) for fault in result["violations"]]
    assert faults == []


def check_contrast_on_gradient(found: Visit, selector: str = ".hero :is(h1, p, code, li, a, button)") -> None:
    """White text keeps 4.5:1 to the lightest pixel behind it, which axe cannot tell on a gradient (WCAG 1.4.3)."""
    found.page.evaluate("document.getAnimations().forEach(animation => animation.cancel())")
    boxes = found.page.evaluate(_BOXES_OF_WHITE_TEXT, selector)
    assert boxes
    shot = base64.b64encode(found.page.screenshot(full_page=True)).decode()
    worst = found.page.context.new_page().evaluate(_LIGHTEST, [f"data:image/png;base64,{shot}", boxes])
    assert 1.05 / (worst + 0.05) >= 4.5


# Hides the text, so that what is behind it can be measured; the boxes are those of its lines.
_BOXES_OF_WHITE_TEXT = """selector => {
  const boxes = [];
  for (const element of document.querySelectorAll(selector)) {
    if (getComputedStyle(element).color !== "rgb(255, 255, 255)") continue;
    const range = document.createRange();
    range.selectNodeContents(element);
    for (const box of range.getClientRects())
      if (box.width > 4) boxes.push([box.x + scrollX, box.y + scrollY, box.width, box.height].map(Math.floor));
  }
  for (const element of document.querySelectorAll(".hero, .hero *")) {
    element.style.transition = "none";
    element.style.color = "transparent";
    element.style.textDecoration = "none";
  }
  return boxes;
}"""

# The highest relative luminance (WCAG 2.2's definition) of the pixels in the boxes of a picture.
_LIGHTEST = """async ([source, boxes]) => {
  const image = new Image();
  image.src = source;
  await image.decode();
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const linear = value => (value /= 255) <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  let worst = 0;
  for (const [x, y, width, height] of boxes) {
    const {data} = context.getImageData(x, y, width, height);
    for (let i = 0; i < data.length; i += 4)
      worst = Math.max(worst, 0.2126 * linear(data[i]) + 0.7152 * linear(data[i + 1]) + 0.0722 * linear(data[i + 2]));
  }
  return worst;
}"""

_FOCUSED = """() => {
  const element = document.activeElement;
  if (element === document.body || element === document.documentElement) return null;
  const style = getComputedStyle(element), box = element.getBoundingClientRect();
  return {
    name: element.name || element.textContent.trim(),
    ring: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2,
    seen: box.bottom > 0 && box.top < innerHeight && box.width > 1,
    high: element.matches("p a, li a") || box.height >= 24,
  };
}"""


def tab_through(found: Visit) -> list[str]:
    """The names of what the Tab key reaches, in order; each is in view, has a focus ring and is no tiny target."""
    names: list[str] = []
    for _ in range(40):
        found.page.keyboard.press("Tab")
        focused = found.page.evaluate(_FOCUSED)
        if focused is None:
            break
        assert focused["ring"], f"{focused['name']} shows no focus"
        assert focused["seen"], f"{focused['name']} is out of view"
        assert focused["high"], f"{focused['name']} is too small (WCAG 2.5.8)"
        names.append(focused["name"])
    return names


def check_all(found: Visit) -> None:
    """All checks of an open page; the last of them leaves its text invisible."""
    check_quiet(found)
    check_html(found)
    check_fits(found)
    check_axe(found)
    assert "website" not in tab_through(found)
    check_contrast_on_gradient(found)


def check_page(browser: Browser, url: str, looks: Iterable[tuple[int, str]] = LOOKS, **context: Any) -> None:
    """All checks of one page, at three widths, light and dark unless told otherwise."""
    for width, scheme in looks:
        with visit(browser, url, width, scheme, **context) as found:
            check_all(found)
