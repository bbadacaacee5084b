"""The words that the rules for names go by; data only."""


def _all(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _pairs(firsts: str, second: str) -> frozenset[tuple[str, str]]:
    return frozenset((first, last) for first in firsts.split() for last in second.split())


# A name with one of these words holds a secret, unless the words around it say otherwise.
SECRET_WORDS = _all(
    """
    password passwords passwd passwds passphrase passphrases passcode passcodes pwd pwds pw psw psk pass passwort
    kennwort contrasena secret secrets token tokens credential credentials creds cred apikey apikeys auth oauth
    authorization authorisation jwt bearer csrf xsrf pin otp totp hotp cvv cvc cvn csc ssn nino iban bic pan sid
    sessionid sessid passport aadhaar aadhar cpf bsn nric curp personnummer mnemonic privkey authkey sshkey
    cardno cardnum ccnum ccnumber sortcode bsb hmac
    """
)
# These give a secret away wherever they stand in a word that was run together: `dbpassword`, `mysecretvalue`.
SECRET_PARTS = (
    *("password", "passwd", "passphrase", "passcode", "secret", "apikey", "credential", "authorization"),
    *("authorisation", "csrf", "xsrf", "sessionid", "sessid", "privatekey", "accesskey", "secretkey", "creditcard"),
    *("debitcard", "cardnumber", "accountnumber", "socialsecurity", "nationalinsurance", "routingnumber"),
    *("securitycode", "passportno", "passportnum", "encryptionkey", "signingkey", "authkey", "accesstoken"),
)
SECRET_ENDS = ("token", "tokens", "pwd", "dbpass", "userpass", "mypass", "sqlpass", "rootpass", "adminpass", "totp")
HARMLESS_STARTS = ("secretar", "secretion", "passwordless", "tokeniz", "tokenis", "undersecretar")
HARMLESS_WORDS = _all("betoken")

# Two words in a row that name a secret which neither names alone.
SECRET_PAIRS = (
    _pairs(
        """api app application secret private access encryption encrypt decryption signing sign signature master
        license licence auth authorization ssh rsa dsa ecdsa aes des pgp gpg pem tls ssl session service account
        shared hmac deploy host server webhook aws gcp google maps azure stripe twilio sendgrid mailgun openai
        anthropic github gitlab slack client consumer functions function subscription storage instrumentation
        integration ingestion write admin root user recovery vault wallet seed data kms cipher crypto jwt jwk
        datadog newrelic algolia mapbox heroku cloudflare rollbar bugsnag pagerduty opsgenie merchant security
        fernet cookie token credential bot ftp sftp smtp email mail sms redis db database""",
        "key keys",
    )
    | _pairs(
        """verification verify security auth authorization authentication mfa otp sms backup recovery activation
        confirmation reset access login signin invite invitation pass factor fa totp unlock time device pin
        twofactor passcode authenticator scratch magic registration""",
        "code codes",
    )
    | _pairs("session sess", "id ids key token cookie hash data secret")
    | _pairs(
        """card cc creditcard account acct acc bank routing aba passport insurance security ni nhs pan pin licence
        license identity id tax national citizen personal""",
        "number numbers num no nr nbr",
    )
    | _pairs("credit debit bank payment prepaid", "card cards")
    | _pairs("card cc", "cvv cvc code pin pan holder holdername expiry expiration exp data details info expires")
    | _pairs("bank", "account accounts details")
    | _pairs("sort swift bic iban", "code")
    | _pairs("social", "security insurance")
    | _pairs("national", "id identity insurance identifier")
    | _pairs("identity tax citizen resident", "id card")
    | _pairs("driver drivers driving s", "license licence")
    | _pairs("codice", "fiscale")
    | _pairs("seed recovery secret backup", "phrase words")
    | _pairs("security secret", "answer")
    | _pairs("connect", "sid")
    | _pairs("remember", "me token")
    | _pairs("code oauth pkce", "verifier")
    | _pairs("magic reset login", "link")
    | _pairs("private", "pem")
)

# The word that ends the name makes the rest its description: `token_count`, `password_changed_at`.
HARMLESS_AFTER = _all(
    """
    count counts length len size type types kind name names expiry expires expire expiration expired ttl age lifetime
    timeout created updated changed modified at date time timestamp valid invalid validity validator validators
    validation required enabled disabled strength policy policies field fields form view url uri urls path endpoint
    header headers prefix suffix format algorithm alg version status state error errors message label placeholder
    help usage used limit limits quota budget rate index position provider providers backend backends class classes
    hasher hashers manager store storage engine middleware service handler factory serializer model table column
    attempts attempt retries id ids uuid brand network country issuer last description title page template
    configured set present missing exists match matches matched needed issued seconds minutes hours days ms
    number_of scope scopes audience reset rotation rotated verified confirmed hint_shown input widget domain samesite
    secure httponly cache dir directory file filename level mode option options setting settings source target
    iterations rounds bits complexity score max min total module func function method callback func_name
    """
) - _all("total")
HARMLESS_NEXT = _all("count expires expiry expired ttl created changed updated is last based protected free less only usage")
# The word that begins it makes it a yes or no, or a number: `has_password`, `max_tokens`.
HARMLESS_BEFORE = _all(
    "has is was are no num n max min total count avg mean use uses using allow allows require requires required can "
    "should must needs show hide forgot without missing invalid valid did enable disable number nb supports with"
)
HARMLESS_PAIRS = frozenset(
    {("pass", word) for word in "boarding first second third multi single low high band render bus ski day by test one two".split()}
    | {("sid", word) for word in "account message call service".split()}
    | {("pin", word) for word in "gpio map led".split()}
    | {("tokens", word) for word in "num total max".split()}
    | {("token", word) for word in "next continuation page syntax parser lexer unexpected current previous".split()}
)
COUNTED = _all(
    "prompt completion input output total max min used cached reasoning remaining available num thinking generated "
    "consumed new text audio image context budget read creation"
)
# `auth_user` is a table; `auth_header` is not.
AUTH_HEADS = _all("header headers key code token password data string hash value cookie secret digest signature credentials")

# The value decides: a random-looking one goes, a readable one stays.
MAYBE_WORDS = _all(
    "key keys session sig signature salt nonce card authentication oauth code state ticket cookie dsn verifier challenge "
    "license licence invite invitation hash digest uid remember fingerprint assertion samlresponse otpauth seed mac"
) - _all("hash digest uid state fingerprint")
MAYBE_LAST = _all("sess sessions cert certificate blob")
