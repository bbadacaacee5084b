"""Secrets that are known by their form alone: vendors' keys, JWTs, private keys in PEM, authorisation schemes."""

import binascii
import re
from base64 import b64decode
from collections.abc import Iterator

from asgi_rota_sentry.scrubbing.randomness import looks_random
from asgi_rota_sentry.scrubbing.spans import Span
from asgi_rota_sentry.scrubbing.vocabulary import word_set

# Prefix and alphabet of each vendor's keys. Every pattern ends in one greedy class, so none of them backtracks.
_VENDORS = {
    "AWS key": r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}(?![A-Za-z0-9])",
    "AWS secret": r"aws[_-]?s3cr3t-never",
    "GCP key": r"AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}|1//0[\w-]{30,}",
    "Azure key": r"[\w~.-]{3}[78]Q~[\w~.-]{31,}|(?<!sha512-)[A-Za-z0-9+/]{76}[A-Za-z0-9+/]{10}==",
    "GitHub token": r"gh[pousr]_\w{16,}|github_pat_\w{16,}",
    "GitLab token": r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent|oas|ffct|wt)-[\w.-]{16,}|GR1348941[\w-]{16,}",
    "Slack token": r"xox[a-z](?:\.xox[a-z])?-[\w-]{10,}|xapp-[\w-]{10,}|xwfp-[\w-]{10,}",
    "Slack webhook": r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]{16,}",
    "Discord webhook": r"(?<=/api/webhooks/)[0-9]{10,}/[\w-]{16,}",
    "Stripe key": r"[srp]k_(?:live|test|prod)_\w{10,}|whsec_[\w+/=-]{16,}",
    "Twilio key": r"(?:SK|AC)[0-9a-f]{32}(?![0-9A-Za-z])",
    "SendGrid key": r"SG\.[\w-]{16,}\.[\w-]{16,}",
    "OpenAI key": r"sk-(?:proj-|svcacct-|admin-|None-|live-|test-)?[\w-]{20,}|sess-\w{32,}",
    "Anthropic key": r"sk-ant-[\w-]{10,}",
    "Hugging Face token": r"(?:hf|api_org)_[A-Za-z0-9]{20,}",
    "npm token": r"npm_[A-Za-z0-9]{30,}",
    "PyPI token": r"pypi-[\w-]{30,}",
    "DigitalOcean token": r"do[opr]_v1_[0-9a-f]{40,}",
    "Shopify token": r"shp(?:at|ca|pa|ss)_[0-9a-fA-F]{24,}",
    "Square token": r"sq0(?:atp|csp|idp)-[\w-]{20,}|EAAA[\w-]{56,}",
    "Mailgun key": r"key-[0-9a-f]{32}",
    "Mailchimp key": r"[0-9a-f]{32}-us[0-9]{1,2}(?![0-9A-Za-z])",
    "Atlassian token": r"AT(?:ATT|CTT|BB)[A-Za-z0-9][\w=-]{20,}",
    "Docker token": r"dckr_(?:pat|oat)_[\w-]{20,}",
    "Linear key": r"lin_(?:api|oauth)_\w{20,}",
    "Telegram token": r"(?:bot)?[0-9]{8,10}:AA[\w-]{30,}",
    "Sentry token": r"sntry[sua]_[\w+/=-]{20,}",
    "Postman key": r"PMAK-[\w-]{20,}",
    "RubyGems key": r"rubygems_[0-9a-f]{32,}",
    "Grafana token": r"gl(?:c|sa)_[\w+/=-]{20,}",
    "Vault token": r"hv[sbr]\.[\w-]{20,}",
    "age key": r"AGE-SECRET-KEY-1[A-Z0-9]{20,}",
    "Databricks token": r"dapi[0-9a-f]{32}",
    "New Relic key": r"NRAK-[A-Z0-9]{20,}",
    "Figma token": r"figd_[\w-]{20,}",
    "Brevo key": r"xkeysib-[\w-]{20,}",
    "PlanetScale token": r"pscale_(?:tkn|pw|oauth)_[\w.-]{20,}",
    "Supabase key": r"sb[pbs]?_(?:secret_)?[A-Za-z0-9]{30,}",
    "Facebook token": r"EAACEdEose0cBA\w+|EAA[B-Z][A-Za-z0-9]{60,}",
    "Groq key": r"gsk_\w{40,}",
    "xAI key": r"xai-[\w-]{40,}",
    "Replicate token": r"r8_\w{30,}",
    "Perplexity key": r"pplx-\w{40,}",
    "Notion token": r"ntn_\w{40,}",
    "Netlify token": r"nfp_\w{30,}",
    "Terraform token": r"\w{14}\.atlasv1\.[\w-]{40,}",
    "1Password token": r"ops_eyJ[\w+/=-]{40,}",
    "Django salted hash": r"(?:pbkdf2_sha(?:1|256)|argon2|bcrypt(?:_sha256)?|scrypt|md5|sha1)\$[^\s'\"&<>,;]{16,}",
    "password hash": r"\$(?:2[abxy]?|argon2(?:id|i|d)|[156y]|pbkdf2[\w-]*)\$[\w./+=,$-]{16,}",
}
del _VENDORS["AWS secret"]
_VENDOR = re.compile(
    r"(?<![A-Za-z0-9])(?:" + "|".join(f"(?P<v{number}>{form})" for number, form in enumerate(_VENDORS.values())) + ")"
)
_VENDOR_NAMES = list(_VENDORS)
# Each form above has one of these in it: a search for plain text is many times cheaper than one for the forms.
_HINTS = (
    *(
        "AKIA",
        "ASIA",
        "ABIA",
        "ACCA",
        "AIza",
        "ya29.",
        "GOCSPX-",
        "1//0",
        "Q~",
        "==",
        "ghp_",
        "gho_",
        "ghu_",
        "ghs_",
        "ghr_",
    ),
    *(
        "github_pat_",
        "gl",
        "GR1348941",
        "xox",
        "xapp-",
        "xwfp-",
        "hooks.slack.com",
        "/api/webhooks/",
        "k_live_",
        "k_test_",
    ),
    *("k_prod_", "whsec_", "SK", "AC", "SG.", "sk-", "sess-", "hf_", "api_org_", "npm_", "pypi-", "_v1_", "shp", "sq0"),
    *("key-", "-us", "ATATT", "ATCTT", "ATBB", "dckr_", "lin_", ":AA", "sntry", "PMAK-", "rubygems_", "hvs."),
    *("hvb.", "hvr.", "AGE-SECRET", "dapi", "NRAK-", "figd_", "xkeysib-", "pscale_", "sb_", "sbp_", "sbb_", "sbs_"),
    *("EAA", "$", "gsk_", "xai-", "r8_", "pplx-", "ntn_", "nfp_", ".atlasv1.", "ops_eyJ"),
)
_LONG = re.compile(r"[A-Za-z0-9_\-.~:/+=$]{20}")
_SCHEMES = ("bearer", "basic", "token", "apikey", "negotiate", "ntlm")
_JWT = re.compile(r"eyJ[A-Za-z0-9_\-=+]*+(?:\.[A-Za-z0-9_\-=+]*+|:[A-Za-z0-9]{6}:[A-Za-z0-9_\-]{20,}+)*+")
_SCHEME = re.compile(
    r"(?<![A-Za-z0-9])(bearer|basic|token|apikey|negotiate|ntlm)(?:[ \t]{1,4}|%20|\+|: ?)([A-Za-z0-9._~+/\-]{6,}+=*+)",
    re.IGNORECASE,
)
_BLANK = re.compile(r"\+|%20")  # in a form or a URL
# The private parts of a key as JSON (RFC 7518, section 6).
_JWK = re.compile(r"""["'](?:d|p|q|dp|dq|qi|k)\\{0,8}["']:\s?\\{0,8}["']([\w-]{16,}+)""")
_PROSE = word_set(
    """tokens token authentication authorization authorisation authenticate authenticator scheme header headers
    credentials credential required realm format missing invalid expired prefix method string methods support access
    instead without before because should cannot failed failure verification validation refused rejected error errors
    handler handling security parser parsing configuration password passwords username expected provided accepted
    settings information account accounts response request refresh endpoint received supported unsupported disabled
    enabled package packages function functions usage example examples number algorithm encryption something"""
)


def find(text: str, low: str) -> Iterator[Span]:
    """Each such secret in the text, `low` being the same in lower case."""
    if len(text) < 12:
        return
    if "-----BEGIN" in text:
        yield from _private_keys(text)
    if "eyJ" in text:
        yield from _jwts(text)
    if "kty" in low:
        for part in _JWK.finditer(text):
            yield Span(part.start(1), part.end(1), "private part of a JWK")
    if any(scheme in low for scheme in _SCHEMES):
        yield from _schemes(text)
    if _LONG.search(text) and any(hint in text for hint in _HINTS):
        for found in _VENDOR.finditer(text):
            if found[0].startswith("sk-") and found[0].replace("-", "").replace("_", "").isalpha():
                continue
            yield Span(
                found.start(),
                found.start() + len(found[0].rstrip(".")),
                _VENDOR_NAMES[int((found.lastgroup or "v0")[1:])],
            )


def _private_keys(text: str) -> Iterator[Span]:
    start = text.find("-----BEGIN")
    while start >= 0:
        label = text[start : start + 64]
        if "PRIVATE KEY" not in _BLANK.sub(" ", label[10:].split("-----", 1)[0]):
            start = text.find("-----BEGIN", start + 10)
            continue
        end = text.find("-----END", start)
        closing = text.find("-----", end + 8) if end >= 0 else -1
        stop = closing + 5 if closing >= 0 else len(text)
        yield Span(start, stop, "private key")
        start = text.find("-----BEGIN", stop)


def _jwts(text: str) -> Iterator[Span]:
    for found in _JWT.finditer(text):
        whole = found[0].rstrip(".")
        parts = re.split(r"[.:]", whole, maxsplit=2)
        # A JWE for the one key that both sides have is without its second part (RFC 7516, section 5.1).
        if len(whole) >= 16 and len(parts[0]) > 5 and max(map(len, parts[1:]), default=0) > 3:
            yield Span(found.start(), found.start() + len(whole), "JWT")


def _schemes(text: str) -> Iterator[Span]:
    for found in _SCHEME.finditer(text):
        scheme, credential = found[1].lower(), found[2].rstrip(".")
        end = found.start(2) + len(credential)
        if credential.endswith("=") and text[end : end + 1].isalnum():
            continue  # `Bearer expires_in=3600`
        if scheme == "bearer" and _is_credential(credential, text[end : end + 2]):
            yield Span(found.start(2), end, "bearer authorisation")
        elif scheme == "basic" and _is_basic(credential):
            yield Span(found.start(2), end, "basic authorisation")
        elif scheme not in ("bearer", "basic") and looks_random(credential, hexadecimal=True):
            yield Span(found.start(2), end, "authorisation")


def _is_credential(word: str, after: str) -> bool:
    plain = word.strip(".-/").lower()
    if plain in _PROSE or ("." in word and all(part.isalpha() and part.islower() for part in word.split(".") if part)):
        return False
    if (
        any(character.isdigit() for character in word)
        or len(word) >= 20
        or (word != word.lower() and not word.istitle())
    ):
        return True
    return len(word) >= 14 and not (after[:1] == " " and after[1:].isalpha())


def _is_basic(word: str) -> bool:
    try:
        plain = b64decode(word + "=" * (-len(word) % 4), validate=True)
    except (binascii.Error, ValueError):
        return False
    return b":" in plain and all(32 <= byte < 256 and byte != 127 for byte in plain)
