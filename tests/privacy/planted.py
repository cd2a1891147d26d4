"""Values that must not get out, made by seeded generators: the same ones at every run, and none that was ever valid."""

from __future__ import annotations

import base64
import json
import random
import re
import string
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tierlens.capture.redaction.personal import luhn

ALNUM = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
LOWER = string.ascii_lowercase
# The record numbers of a hospital, as its own rule has them.
OWN_RULE = r"mrn=(?:MRN|HCP)-\d{3}-\d{5}"


@dataclass(frozen=True, slots=True)
class Planted:
    """A value, and a text that holds it as people and programs write it."""

    kind: str
    value: str
    text: str


Maker = Callable[[random.Random], str]


def word(r: random.Random, alphabet: str, length: int) -> str:
    return "".join(r.choices(alphabet, k=length))


def _padded(r: random.Random, size: int) -> str:
    return base64.b64encode(r.randbytes(size)).decode()


def _jwt(r: random.Random) -> str:
    header = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    claims = base64.urlsafe_b64encode(json.dumps({"sub": word(r, HEX, 12), "iat": r.randrange(10**9)}).encode())
    return f"{header}.{claims.decode().rstrip('=')}.{word(r, ALNUM + '-_', 43)}"


def _pem(r: random.Random) -> str:
    kind = r.choice(("RSA ", "EC ", "", "OPENSSH ", "ENCRYPTED ", "DSA "))
    lines = "\n".join(word(r, ALNUM + "+/", 64) for _ in range(6))
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{lines}\n-----END {kind}PRIVATE KEY-----"


def password(r: random.Random) -> str:
    """As a generator of passwords makes them, with signs that survive in every notation."""
    return word(r, LOWER, 1) + word(r, ALNUM + "!#%^*_+.~-", r.randint(8, 18)) + word(r, ALNUM, 2)


TOKENS: Mapping[str, Maker] = {
    "AWS key id": lambda r: r.choice(("AKIA", "ASIA")) + word(r, UPPER, 16),
    "Google key": lambda r: f"AIza{word(r, ALNUM + '-_', 35)}",
    "Google OAuth": lambda r: f"ya29.{word(r, ALNUM + '-_', 60)}",
    "Google client secret": lambda r: f"GOCSPX-{word(r, ALNUM + '-_', 28)}",
    "Azure client secret": lambda r: f"{word(r, ALNUM, 3)}8Q~{word(r, ALNUM + '_-', 34)}",
    "GitHub": lambda r: f"gh{r.choice('pousr')}_{word(r, ALNUM, 36)}",
    "GitHub fine-grained": lambda r: f"github_pat_{word(r, ALNUM, 22)}_{word(r, ALNUM, 59)}",
    "GitLab": lambda r: f"gl{r.choice(('pat', 'rt', 'dt', 'ptt'))}-{word(r, ALNUM + '_', 20)}",
    "Slack": lambda r: f"xox{r.choice('bpars')}-{word(r, string.digits, 11)}-{word(r, ALNUM, 24)}",
    "Slack hook": lambda r: (
        f"https://hooks.slack.com/services/T{word(r, UPPER, 8)}/B{word(r, UPPER, 8)}/{word(r, ALNUM, 24)}"
    ),
    "Stripe": lambda r: f"{r.choice('sr')}k_{r.choice(('live', 'test'))}_{word(r, ALNUM, 24)}",
    "Stripe hook": lambda r: f"whsec_{word(r, ALNUM, 32)}",
    "OpenAI": lambda r: f"sk-{word(r, ALNUM, 48)}",
    "OpenAI project": lambda r: f"sk-{r.choice(('proj', 'svcacct'))}-{word(r, ALNUM + '-_', 74)}",
    "Anthropic": lambda r: f"sk-ant-{r.choice(('api03', 'admin01'))}-{word(r, ALNUM + '-_', 93)}AA",
    "Hugging Face": lambda r: f"hf_{word(r, ALNUM, 34)}",
    "Databricks": lambda r: f"dapi{word(r, HEX, 32)}",
    "SendGrid": lambda r: f"SG.{word(r, ALNUM + '-_', 22)}.{word(r, ALNUM + '-_', 43)}",
    "npm": lambda r: f"npm_{word(r, ALNUM, 36)}",
    "LangSmith": lambda r: f"lsv2_pt_{word(r, HEX, 32)}_{word(r, HEX, 10)}",
    "JWT": _jwt,
    "private key": _pem,
}

OTHER_TOKENS: Mapping[str, Maker] = {
    "Amazon Bedrock": lambda r: f"ABSKQmVkcm9ja0FQSUtleS{word(r, ALNUM + '+/', 106)}=",
    "Docker": lambda r: f"dckr_pat_{word(r, ALNUM + '-_', 26)}Z",
    "Doppler": lambda r: f"dp.pt.{word(r, ALNUM, 43)}",
    "ElevenLabs": lambda r: f"sk_{word(r, HEX, 48)}",
    "Figma": lambda r: f"figd_{word(r, ALNUM + '-_', 39)}Z",
    "Grafana": lambda r: f"glsa_{word(r, ALNUM, 32)}_{word(r, HEX, 8)}",
    "Heroku": lambda r: f"HRKU-{uuid.UUID(int=r.getrandbits(128))}",
    "Jina": lambda r: f"jina_{word(r, HEX, 32)}{word(r, ALNUM, 28)}",
    "Linear": lambda r: f"lin_api_{word(r, ALNUM, 40)}",
    "New Relic": lambda r: f"NRAK-{word(r, UPPER, 27)}",
    "NVIDIA": lambda r: f"nvapi-{word(r, ALNUM + '-_', 63)}Z",
    "Postman": lambda r: f"PMAK-{word(r, HEX, 24)}-{word(r, HEX, 34)}",
    "Replicate": lambda r: f"r8_{word(r, ALNUM, 37)}",
    "Sentry": lambda r: f"sntrys_{word(r, ALNUM, 60)}",
    "Supabase": lambda r: f"sbp_{word(r, HEX, 40)}",
    "Telegram": lambda r: f"{word(r, string.digits, 10)}:AA{word(r, ALNUM + '-_', 32)}Z",
    "Terraform": lambda r: f"atlasv1.{word(r, ALNUM, 67)}",
    "Twilio": lambda r: f"SK{word(r, HEX, 32)}",
    "Vault batch": lambda r: f"hvb.{word(r, ALNUM + '-_', 91)}Z",
    "Voyage": lambda r: f"pa-{word(r, ALNUM + '-_', 42)}Z",
    "Weights & Biases": lambda r: f"wandb_v1_{word(r, ALNUM, 77)}",
}

# {} is the value; braces of JSON are doubled.
SENTENCES = (
    "{}", "the key is {}, keep it", "({})", "curl -H 'x-token: {}' https://api.example.org",
    '{{"note": "use {} for it"}}', "first line\n{}\nlast line", "`{}`", "<td>{}</td>",
)  # fmt: skip

PASSWORDS = (
    "password={}", "password = {}", "PASSWORD: {}", "passwd={}", "Passwort / password:{}", "pwd={};", "pwd: {}, then",
    "DB_PASSWORD={}", "export PGPASSWORD='{}'", 'MYSQL_ROOT_PASSWORD="{}"', "DB_PASS={}", "SECRET_KEY={}1",
    "API_KEY={}", "STRIPE_SECRET={}9", "AWS_SECRET_ACCESS_KEY={}7", '{{"password": "{}"}}', '{{"password":"{}"}}',
    "{{'password': '{}', 'n': 1}}", '{{"user": {{"passwd": "{}"}}}}', "password: {}\nhost: db", "  password: '{}'",
    'password: "{}"', "password: |\n  {}", ":password => '{}'", 'password := "{}"', "password == '{}'",
    "<password>{}</password>", "<Password>{}</Password><x/>", "mysqldump --password={} shop", "tool --password {} run",
    "tool -password {} run", 'tool --password "{}"', "https://example.org/?user=a&password={}&next=1",
    "jdbc:postgresql://db/shop?user=u&password={}", "Server=db;User Id=u;Password={};Encrypt=yes",
    "host=db user=u password={} dbname=shop", "The password is {}", "password was: {}",
    "client_secret={}8&grant_type=x", '{{"client_secret": "{}"}}', "x-api-key: {}5", '{{"apiKey":"{}"}}',
    "api_key = '{}'", "access_token={}4", '"refresh_token": "{}6"', "Authorization: Basic {}", "passphrase: {}",
    "Passwort: {}", "set password to {}", "| password | {} |", '{{"name": "DB_PASSWORD", "value": "{}"}}',
    "- name: DB_PASSWORD\n  value: {}", '<add key="Password" value="{}"/>', "curl -s -u anna:{} https://example.org",
    "credentials={}", 'log.info("login", password="{}")', "password%3D{}", "private_key='{}'", "encryption key: {}3",
)  # fmt: skip

BEARERS = ("Authorization: Bearer {}", "'Authorization': 'Bearer {}'", "-H 'authorization: bearer {}'", "Bearer {}")

URLS = (
    "postgresql://app:{}@db.example.org:5432/shop", "postgres://app:{}@10.0.0.7/shop?sslmode=require",
    "mysql+pymysql://root:{}@db/shop", "mongodb+srv://app:{}@cluster0.example.net/?retryWrites=true",
    "mongodb://a:{}@one.example.org:27017,two.example.org:27017/shop", "redis://:{}@cache:6379/0",
    "rediss://default:{}@cache.example.org:6380", "amqp://guest:{}@queue:5672/%2F", "https://anna:{}@example.org/feed",
    "ftp://u:{}@files.example.org/in", "DATABASE_URL=postgres://u:{}@db/x", '{{"url": "mysql://u:{}@db/x"}}',
)  # fmt: skip

AZURE = (
    "DefaultEndpointsProtocol=https;AccountName=shop;AccountKey={};EndpointSuffix=core.windows.net",
    "Endpoint=sb://shop.example.net/;SharedAccessKeyName=Root;SharedAccessKey={}",
)


def _email(r: random.Random) -> str:
    names = ("zoë", "josé", "björn", "анна", "李雷", word(r, LOWER, 5), word(r, LOWER, 7))
    host = r.choice((word(r, LOWER, 9), f"mail.{word(r, LOWER, 8)}", f"bücher-{word(r, LOWER, 5)}"))
    ending = r.choice(("com", "org", "co.uk", "de", "health", "рф"))
    return f"{r.choice(names)}{r.choice(('.', '_', '+', '-'))}{word(r, ALNUM, 6)}@{host}.{ending}"


def _digits(r: random.Random, *sizes: int, between: str = " ") -> str:
    return between.join(word(r, string.digits, size) for size in sizes)


def _area(r: random.Random) -> str:
    return f"{r.randint(2, 9)}{_digits(r, 2)}"


PHONES: Mapping[str, Maker] = {
    "US dashes": lambda r: f"{_area(r)}-{_area(r)}-{_digits(r, 4)}",
    "US dots": lambda r: f"{_area(r)}.{_area(r)}.{_digits(r, 4)}",
    "US parentheses": lambda r: f"({_area(r)}) {_area(r)}-{_digits(r, 4)}",
    "US with 1": lambda r: f"1-{_area(r)}-{_area(r)}-{_digits(r, 4)}",
    "US international": lambda r: f"+1 ({_area(r)}) {_area(r)}-{_digits(r, 4)}",
    "GB": lambda r: f"020 {r.randint(1, 9)}{_digits(r, 3, 4)}",
    "GB mobile": lambda r: f"07{_digits(r, 3, 6)}",
    "GB international": lambda r: f"+44 20 {_digits(r, 4, 4)}",
    "FR": lambda r: f"0{r.randint(1, 9)} {_digits(r, 2, 2, 2, 2)}",
    "FR dots": lambda r: f"0{r.randint(1, 9)}.{_digits(r, 2, 2, 2, 2, between='.')}",
    "DE": lambda r: f"0{r.randint(1, 9)}{_digits(r, 2)}/{_digits(r, 7)}",
    "DE international": lambda r: f"+49 (0){r.randint(1, 9)}{_digits(r, 2, 7)}",
    "CH": lambda r: f"0{r.randint(1, 9)}{r.randint(1, 9)} {_digits(r, 3, 2, 2)}",
    "BE": lambda r: f"04{_digits(r, 2, 2, 2, 2)}",
    "AU": lambda r: f"(02) {r.randint(1, 9)}{_digits(r, 3, 4)}",
    "DE spaced": lambda r: f"+49 (0) 1{_digits(r, 2)} / {_digits(r, 3, 2, 2)}",
    "JP": lambda r: f"0{r.randint(1, 9)}-{_digits(r, 4, 4, between='-')}",
    "IN": lambda r: f"+91 {r.randint(6, 9)}{_digits(r, 4, 5)}",
    "BR": lambda r: f"+55 (11) 9{_digits(r, 4)}-{_digits(r, 4)}",
    "ES abroad": lambda r: f"0034 6{_digits(r, 2, 3, 3)}",
    "in a row": lambda r: f"+86{r.randint(1, 9)}{_digits(r, 10)}",
}
CALLS = ("{}", "call {} today", "(tel. {})", '{{"phone": "{}"}}', "first\n{}\nlast")
ANNOUNCED_PHONES = ("phone: {}", "Tel. {}", '{{"mobile": "{}"}}', "fax={}", '{{"phone_number": {}}}')


def _card(r: random.Random) -> str:
    digits = f"{r.choice(('4', '51', '55'))}{_digits(r, 14)}"[:15]
    digits += next(last for last in string.digits if luhn(digits + last))
    return r.choice(("", " ", "-")).join(digits[at : at + 4] for at in range(0, 16, 4))


def _npi(r: random.Random) -> str:
    digits = f"1{_digits(r, 8)}"
    return digits + next(last for last in string.digits if luhn(f"80840{digits}{last}"))


RECORDS: Mapping[str, tuple[Maker, tuple[str, ...]]] = {
    "MRN": (
        lambda r: _digits(r, 8),
        (
            "MRN: {}",
            "mrn {} admitted",
            "patient #{} came",
            "Patientennummer: {}",
            '{{"patient_id": {}}}',
            "Patient ID is {}.",
        ),
    ),
    "NPI": (_npi, ("prescriber {} in Ohio", "NPI {}", '{{"npi": "{}"}}')),
    "SSN": (lambda r: f"{r.randint(100, 665)}-{r.randint(10, 99)}-{r.randint(1000, 9999)}", ("{}", "SSN {}", "no {}.")),
    "card": (_card, ("paid with {}", '{{"card": "{}"}}', "card {} declined")),
    "own": (
        lambda r: f"{r.choice(('MRN', 'HCP'))}-{_digits(r, 3)}-{_digits(r, 5)}",
        ("patient {} came", '{{"who": "{}"}}', "{}", "x\n{}"),
    ),
}


def planted(seed: int = 3) -> list[Planted]:
    """All of them: every kind in every notation that it has."""
    r = random.Random(seed)
    found = [
        Planted(kind, value := make(r), sentence.format(value))
        for kind, make in TOKENS.items()
        for sentence in SENTENCES
    ]
    found += [
        Planted(kind, value := make(r), sentence.format(value))
        for kind, make in OTHER_TOKENS.items()
        for sentence in SENTENCES[:2]
    ]
    found += [Planted("AWS secret key", value := word(r, ALNUM + "/+", 40), f"{TOKENS['AWS key id'](r)}, {value}")]
    for kind, make, sentences in (
        ("password", password, PASSWORDS * 2),
        ("bearer", lambda r: word(r, ALNUM + "-._", 30) + "7", BEARERS * 2),
        ("URL", lambda r: word(r, ALNUM + "!*_~$.", 14), URLS * 2),
        ("Azure key", lambda r: _padded(r, 64), AZURE * 2),
        ("e-mail", _email, ("{}", "write to {}, please", "<{}>", '{{"mail": "{}"}}', "mailto:{}", "a\n{}\nb") * 6),
        ("phone in a row", lambda r: f"{r.randint(2, 9)}{_digits(r, 9)}", ANNOUNCED_PHONES * 2),
    ):
        found += [Planted(kind, value := make(r), sentence.format(value)) for sentence in sentences]
    found += [
        Planted(kind, value := make(r), sentence.format(value)) for kind, make in PHONES.items() for sentence in CALLS
    ]
    found += [
        Planted(kind, value := make(r), sentence.format(value))
        for kind, (make, sentences) in RECORDS.items()
        for sentence in sentences * 3
    ]
    return found


def pieces(value: str) -> list[str]:
    """What must not be found of a value: every ten characters of it in a row, some of them at least."""
    if value.startswith("https://hooks"):
        value = value.partition("/services/")[2]
    if "PRIVATE KEY" in value:
        value = "".join(value.splitlines()[1:-1])
    # The number before it names the bot.
    value = re.sub(r"^\d{10}:", "", value)
    if len(value) <= 10:
        return [value]
    return sorted({value[at : at + 10] for at in (*range(0, len(value) - 10, 5), len(value) - 10)})


def leaked(value: str, text: str) -> bool:
    """Whether any of it stands in ``text``, as it is or escaped as JSON does, once or twice, to ASCII or not."""
    return where(value, text) is not None


def where(value: str, text: str) -> str | None:
    """What stands around the first leak of a value, if there is one.

    A short number counts outside of longer hexadecimal ones alone: some id or time of a large journal has its digits
    by chance.
    """
    if value.isdigit() and len(value) <= 10:
        found = re.search(rf"(?<![0-9a-f]){value}(?![0-9a-f])", text)
        return None if found is None else _around(text, found.start())
    for form in (form for piece in pieces(value) for form in _forms(piece)):
        if (at := text.find(form)) >= 0:
            return _around(text, at)
    return None


def _around(text: str, at: int) -> str:
    return text[max(0, at - 40) : at + 40]


def _forms(piece: str) -> set[str]:
    once = {piece, json.dumps(piece)[1:-1], json.dumps(piece, ensure_ascii=False)[1:-1]}
    return once | {json.dumps(form, ensure_ascii=False)[1:-1] for form in once}
