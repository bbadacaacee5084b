"""The words that the rules for names go by; data only."""


def word_set(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def _pairs(firsts: str, lasts: str) -> frozenset[tuple[str, str]]:
    return frozenset((first, last) for first in firsts.split() for last in lasts.split())


# A name with one of these words holds a secret, unless the words around it say otherwise.
SECRET_WORDS = word_set(
    """
    password passwords passwd passwds passwrd pswd passphrase passphrases passcode passcodes pwd pwds pw psw psk pass
       passwort kennwort contrasena secret secrets token tokens credential credentials creds cred apikey apikeys auth
    authorization authorisation jwt bearer csrf xsrf pin otp totp hotp cvv cvc cvn csc ssn nino iban bic pan sid
    sessionid sessid passport aadhaar aadhar cpf bsn nric curp personnummer mnemonic privkey authkey sshkey
    cardno cardnum cardholder ccnum ccnumber ccv sortcode bsb hmac pesel tfn cnpj dni steuernummer
    sozialversicherungsnummer ibannumber tin itin passw motdepasse senha wachtwoord heslo lozinka salasana losenord
    haslo hasla sekret contrasenas passworter kennworter geheimnis geheimnisse geheimzahl zugangsdaten mdp
    kodeord passord sifre
    cyfrinair cyfrineiriau cyfrinach jelszo parola adgangskode пароль 密码 密碼 パスワード 비밀번호 passkey passkeys
    """
)
# These give a secret away wherever they stand in a word that was run together: `dbpassword`, `mysecretvalue`.
SECRET_PARTS = (
    *("password", "passwd", "passphrase", "passcode", "secret", "apikey", "credential", "authorization"),
    *("authorisation", "csrf", "xsrf", "sessionid", "sessid", "privatekey", "accesskey", "secretkey", "creditcard"),
    *("debitcard", "cardnumber", "accountnumber", "socialsecurity", "nationalinsurance", "routingnumber"),
    *("securitycode", "passportno", "passportnum", "encryptionkey", "signingkey", "authkey", "accesstoken"),
)
SECRET_ENDS = (
    "passwort",
    "kennwort",
    "contrasena",
    "token",
    "tokens",
    "pwd",
    "dbpass",
    "userpass",
    "mypass",
    "sqlpass",
    "rootpass",
    "adminpass",
    "totp",
    "bindpw",
    "userpw",
    "dbpw",
)
HARMLESS_STARTS = (
    "secretar",
    "secretsmanager",
    "secretmanager",
    "secretion",
    "passwordless",
    "tokeniz",
    "tokenis",
    "undersecretar",
)
HARMLESS_WORDS = word_set("betoken")

# Two words in a row that name a secret which neither names alone.
SECRET_PAIRS = (
    _pairs(
        """api app application secret private access encryption encrypt decryption signing sign signature master
        license licence auth authorization ssh rsa dsa ecdsa aes des pgp gpg pem tls ssl session service account
        shared hmac deploy host server webhook aws gcp google maps azure stripe twilio sendgrid mailgun openai
        anthropic github gitlab slack client consumer functions function subscription storage instrumentation
        integration ingestion write admin root user recovery vault wallet seed data kms cipher crypto jwt jwk
        datadog newrelic algolia mapbox heroku cloudflare rollbar bugsnag pagerduty opsgenie merchant security
        fernet cookie token credential activation reset preshared apns mailchimp mandrill cosmos cert certificate json
        salt confirmation verification invitation registration bot ftp sftp smtp email mail sms redis db database""",
        "key keys",
    )
    | _pairs(
        """verification verify security auth authorization authentication mfa otp sms backup recovery activation
        confirmation reset access login signin invite invitation pass factor fa totp unlock time device pin sec tfa
        twofactor passcode authenticator scratch magic registration""",
        "code codes",
    )
    | _pairs("session sess", "id ids key token cookie hash data secret")
    | _pairs(
        """card cc creditcard account acct acc bank routing aba passport insurance security ni nhs pan pin licence
        license identity id tax national citizen personal""",
        "number numbers num no nr nbr",
    )
    | _pairs("identification ins sin tfn", "number no")
    | _pairs("id", "rsa dsa ecdsa ed")
    | _pairs("identity", "card")
    | _pairs("de palavra", "passe")
    | _pairs("taxpayer passport govt government", "id")
    | _pairs("dl healthcare medicare medicaid", "number no")
    | _pairs("access", "signature")
    | _pairs("stripe", "sk")
    | _pairs("pass", "word words phrase phrases code codes key keys wd")
    | _pairs("bank user", "code")
    | _pairs("card", "verification")
    | _pairs("on", "card")
    | _pairs("holder cardholder maiden", "name")
    | _pairs("question", "answer")
    | _pairs("saml client", "response assertion")
    | _pairs("captcha recaptcha", "response")
    | _pairs("fiscal", "code")
    | _pairs("credit debit bank payment prepaid", "card cards")
    | _pairs("card cc", "cvv cvc code pin pan holder holdername expiry expiration exp data details info expires")
    | _pairs("bank", "account accounts details")
    | _pairs("sort swift bic iban", "code")
    | _pairs("social", "security insurance")
    | _pairs("national", "id identity insurance identifier")
    | _pairs("tax citizen resident", "id card")
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
HARMLESS_AFTER = word_set(
    """
    action actions address age alg algorithm appearance arn at attempt attempts audience backend backends balance
    bar binding bits board bound brand bucket budget button cache callback change changed check checker checks class
    classes col color colour column complexity condition configured confirmed contract count country counts created
    date days decimals description dialog dir direction directory disabled domain drop duration email enabled
    encoding endpoint enforcement engine entropy error errors event events exchange exist exists exp expiration
    expire expired expires expiry factory failed failure failures family field fields file filename filter flow
    flows form format func function garden generator group groups handler hasher hashers header headers height help
    hint_shown history hours httponly icon id ids image in index input interval issued issuer iterations kind label
    last left len length level lifetime limit limits link_sent list_size loader location manager map mask masked
    match matched matches max message method middleware min minutes mismatch missing modal mode model modified
    module ms name names namespace needed network notice number_of object option options order origin origins out
    owner owners page pages parser path paths pattern per percentage period permission permissions placeholder
    policies policy position prefix present price prompt protected protection provider providers purpose quality
    quota rate ratio reason regex region remaining request requests required requirement requirements reset result
    retries role roles rotated rotation rounds rule rules samesite santa sauce scope scopes score screen seconds
    secure sent serializer service set setting settings shown size source sources stage state stats status step
    storage store strategy strength style success suffix summary supply symbol table target template text_field time
    timeout timestamp title total trusted ttl type types updated upgrade uri uris url urls usage use used user
    username users uuid valid validation validator validators validity verified version versions view views warning
    widget width primaria foranea ajena unica publica valor py html js css
    """
)
HARMLESS_NEXT = word_set(
    "count expires expiry expired ttl created changed updated is last based protected free less only usage per "
    "hint_shown remaining used left lifetime exempt"
)
# The word that begins it makes it a yes or no, or a number: `has_password`, `max_tokens`.
HARMLESS_BEFORE = word_set(
    "has have is was are no num n max min total count avg mean use uses using allow allows require requires required "
    "can should must needs need show hide forgot without missing invalid valid did enable disable number nb supports "
    "with www"
)
HARMLESS_PAIRS = (
    _pairs("boarding first second third multi single low high band render bus ski day by test one two", "pass")
    | _pairs("account message call service", "sid")
    | _pairs("gpio map led", "pin")
    | _pairs("num total max", "tokens")
    | _pairs("next continuation page pagination syntax parser lexer unexpected current previous", "token")
)
# What follows `pin` where it is stuck to a wall.
PIN_ELSEWHERE = word_set("to on top bar board drop location map icon color colour message post up down layout")
COUNTED = word_set(
    "prompt completion input output total max min used cached reasoning remaining available num thinking generated "
    "consumed new text audio image context budget read creation limit ratelimit"
)
# Keys that open nothing.
PUBLIC_KEYS = word_set(
    "public primary foreign cache sort partition publishable dict object lookup group natural unique composite "
    "translation message row hash range index setting config meta field join feature event react queue idempotency "
    "issue project menu route view context s3 sorting order ordering grouping pressed arrow shortcut hot surrogate "
    "business candidate alternate parent child map i18n locale"
)
# `auth_user` is a table; `auth_header` is not.
AUTH_HEADS = word_set(
    "header headers key code token password data string hash value cookie secret digest signature credentials "
    "authorization"
)

# The value decides: a random-looking one goes, a readable one stays.
MAYBE_WORDS = word_set(
    "key keys session sig signature salt nonce tok oauth oauth2 card authentication code ticket cookie dsn verifier "
    "challenge license licence invite invitation remember assertion samlresponse otpauth seed mac clave claves"
)
MAYBE_LAST = word_set("sess sessions cert certificate blob")
# Beside a telling name these are the next field's name, not the value.
FIELD_NAMES = word_set(
    "username email user name id first_name last_name login remember role phone title password password1 "
    "password2 password_confirmation confirm_password token api_key secret csrfmiddlewaretoken csrf_token pin otp "
    "new_password new_password1 new_password2 old_password"
)
# What stands beside a password or in a token's claims (RFC 7519, section 4.1) and tells who it is.
WHO = word_set("username user user_id userid sub email mail login first_name last_name role roles host iss aud")
