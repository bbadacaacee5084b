"""The arithmetic and the forms that tell a real number of a kind from any other number."""

# Lengths by the IBAN registry (ISO 13616), country by country.
_IBAN_LENGTHS = {
    country: int(length)
    for length, countries in {
        "15": "NO",
        "16": "BE",
        "18": "DK FI FO GL NL SD FK",
        "19": "MK SI",
        "20": "AT BA EE KZ LT LU XK MN",
        "21": "CH HR LI LV",
        "22": "BG BH CR DE GB GE IE ME RS VA",
        "23": "AE GI IL IQ TL OM SO",
        "24": "AD CZ ES MD PK RO SA SE SK TN VG",
        "25": "LY PT ST",
        "26": "IS TR",
        "27": "BI DJ FR GR IT MC MR SM",
        "28": "AL AZ BY CY DO GT HU LB NI PL SV",
        "29": "BR EG PS QA UA",
        "30": "JO KW MU YE",
        "31": "MT SC",
        "32": "LC",
        "33": "RU",
    }.items()
    for country in countries.split()
}


def iban_length(country: str) -> int:
    """How many characters an IBAN of this country has; 0 when it has none."""
    return _IBAN_LENGTHS.get(country.upper(), 0)


def is_iban(text: str) -> bool:
    """Whether the text, free of spaces, is an IBAN by its length and its check digits (ISO 7064, mod 97)."""
    if iban_length(text[:2]) != len(text) or not (text.isascii() and text.isalnum() and text[2:4].isdigit()):
        return False
    return int("".join(str(int(character, 36)) for character in text[4:] + text[:4])) % 97 == 1


_DOUBLED = str.maketrans("0123456789", "0246813579")


def luhn(digits: str) -> bool:
    """Whether the last digit fits the others (ISO/IEC 7812-1)."""
    doubled = digits[-2::-2].translate(_DOUBLED)
    return (sum(map(int, digits[-1::-2])) + sum(map(int, doubled))) % 10 == 0


def is_card(digits: str) -> bool:
    """Whether the digits are a payment card's number: an issuer's prefix, its length, and the check digit."""
    return len(digits) in _card_lengths(digits) and luhn(digits) and len(set(digits)) > 1


def _card_lengths(digits: str) -> tuple[int, ...]:
    two, four = int(digits[:2]), int(digits[:4])
    if digits[0] == "4":
        return 13, 16, 19
    if 51 <= two <= 55 or 2221 <= four <= 2720 or 2200 <= four <= 2204:
        return (16,)
    if two in (34, 37):
        return (15,)
    if 3528 <= four <= 3589 or two in (62, 65, 81) or four == 6011 or 644 <= four // 10 <= 649:
        return 16, 17, 18, 19
    if 300 <= four // 10 <= 305 or two in (36, 38, 39):
        return 14, 16
    if two in (50, 56, 57, 58, 60, 61, 63, 64, 66, 67, 68):
        return 16, 18, 19
    return ()


def is_ssn(area: str, group: str, serial: str) -> bool:
    """Whether the three parts may be a US social security number (the ranges that were never issued are none)."""
    return area not in ("000", "666") and area[0] != "9" and group != "00" and serial != "0000"


def is_nino(prefix: str) -> bool:
    """Whether two letters may begin a UK National Insurance number (HMRC manual NIM39110)."""
    prefix = prefix.upper()
    if prefix[0] in "DFIQUV" or prefix[1] in "DFIOQUV":
        return False
    return prefix not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")
