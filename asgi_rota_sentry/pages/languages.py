"""The words of the pages: one TOML file per language, named by its tag (RFC 5646), such as `de.toml`.

A user adds a language, or changes words of one, with a file in the folder `languages` of `pages_dir`; whatever the
file leaves out is taken from the built-in language of that name, and then from English.
"""

import logging
import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

BUILT_IN = files("asgi_rota_sentry.pages") / "languages"  # in a ZIP file, perhaps
DEFAULT = "en"

Texts = dict[str, str]

logger = logging.getLogger("asgi_rota_sentry")


def _texts(path: Traversable) -> Texts:
    """The words in a file, key by key. Raises ValueError for one that is not flat TOML of texts."""
    found = tomllib.loads(path.read_text(encoding="utf-8-sig"))  # as editors on Windows write it
    faulty = [key for key, text in found.items() if not isinstance(text, str)]
    if faulty:
        raise ValueError(f"{', '.join(faulty)}: expected a text")
    return found


def load(folder: str | None) -> dict[str, Texts]:
    """All languages by their tag in lower case; every one has every key. A broken file is logged and left out."""
    built_in = sorted((each for each in BUILT_IN.iterdir() if each.name.endswith(".toml")), key=lambda each: each.name)
    languages = {each.name.removesuffix(".toml"): _texts(each) for each in built_in}
    own = [] if folder is None else sorted((Path(folder) / "languages").glob("*.toml"))
    for path in own:
        try:
            texts = _texts(path)
        except (OSError, ValueError) as fault:
            logger.warning("The language file %s cannot be used: %s", path, fault)
            continue
        _warn_of_unknown(path, texts, languages[DEFAULT])
        tag = path.stem.lower().replace("_", "-")
        languages[tag] = languages.get(tag, {}) | texts
    english = languages[DEFAULT]
    return {tag: {key: texts.get(key, english[key]) for key in english} for tag, texts in languages.items()}


def _warn_of_unknown(path: Path, texts: Texts, known: Texts) -> None:
    unknown = sorted(texts.keys() - known.keys())
    if unknown:
        logger.warning("The language file %s has unknown keys: %s", path, ", ".join(unknown))
