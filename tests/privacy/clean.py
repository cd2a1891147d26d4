"""Text that holds nothing private, made by a seeded generator: prose, code, JSON, Markdown, logs, and what pharma
companies write, with all the numbers and codes that are no person's."""

from __future__ import annotations

import base64
import json
import random
import string
import uuid
from collections.abc import Callable

_HEX = "0123456789abcdef"
_NOUNS = (
    "uplift",
    "detailing",
    "territory",
    "campaign",
    "prescriber",
    "cohort",
    "share",
    "formulary",
    "patient",
    "record",
    "subject",
    "member",
    "token",
    "key message",
    "secret of success",
    "passage",
    "password policy",
    "mobile team",
    "authorization",
    "prior authorization",
    "telephone follow-up",
    "keyboard",
    "credentials of the faculty",
)
_VERBS = ("rose", "fell", "was compared with", "passed", "explains", "depends on", "follows", "outperforms", "is")
_DRUGS = ("Kisqali", "Fabhalta", "Remibrutinib", "Entresto", "Cosentyx", "ribociclib 200 mg", "iptacopan", "Leqvio")
_AGENTS = ("causal_impact", "gap_analyzer", "health_score", "heterogeneous_optimizer", "prediction_synthesizer")


def _n(r: random.Random, length: int) -> str:
    return "".join(r.choices(string.digits, k=length))


def _hex(r: random.Random, length: int) -> str:
    return "".join(r.choices(_HEX, k=length))


def _date(r: random.Random) -> str:
    year, month, day = r.randint(1998, 2031), r.randint(1, 12), r.randint(1, 28)
    return r.choice(
        (
            f"{year}-{month:02}-{day:02}",
            f"{day:02}/{month:02}/{year}",
            f"{month:02}-{day:02}-{year}",
            f"{day}.{month}.{year}",
            f"{day:02}.{month:02}.{year}",
            f"{year}{month:02}{day:02}",
            f"{year}-{month:02}-{day:02}T{r.randint(0, 23):02}:30:{r.randint(0, 59):02}.{_n(r, 6)}Z",
            f"{year}-{month:02}-{day:02} {r.randint(0, 23):02}:{r.randint(0, 59):02}:07,{_n(r, 3)}",
            f"{year}/{month:02}/{day:02}",
            f"Q{r.randint(1, 4)} {year}",
            f"{year}-{year + 1}",
            f"week {r.randint(1, 52):02} {year}",
        )
    )


def _code(r: random.Random) -> str:
    """What identifies a product, a diagnosis, a study, a paper, a commit, a row; no person."""
    ndc = r.choice(
        (f"{_n(r, 4)}-{_n(r, 4)}-{_n(r, 2)}", f"{_n(r, 5)}-{_n(r, 3)}-{_n(r, 2)}", f"0{_n(r, 4)}-{_n(r, 4)}-{_n(r, 2)}")
    )
    return r.choice(
        (
            f"NDC {ndc}",
            f"NDC {_n(r, 5)}-{_n(r, 4)}-{_n(r, 1)}",
            f"NDC11 {_n(r, 11)}" if r.random() < 0.1 else f"ICD-10 C50.{_n(r, 3)}",
            f"ICD-10-CM {r.choice('CDEFIJM')}{_n(r, 2)}.{_n(r, 1)}",
            f"NCT0{_n(r, 7)}",
            f"EudraCT 20{_n(r, 2)}-{_n(r, 6)}-{_n(r, 2)}",
            f"doi:10.{_n(r, 4)}/s{_n(r, 5)}-0{_n(r, 2)}-{_n(r, 5)}-{_n(r, 1)}",
            f"https://doi.org/10.1016/0{_n(r, 3)}-{_n(r, 4)}({_n(r, 2)})90{_n(r, 3)}-{_n(r, 1)}",
            f"https://doi.org/10.{_n(r, 4)}/NEJMoa{_n(r, 7)}",
            f"PMID: {_n(r, 8)}",
            f"PMC{_n(r, 7)}",
            f"ISBN 978-0-{_n(r, 3)}-{_n(r, 5)}-{_n(r, 1)}",
            f"ORCID 0000-000{_n(r, 1)}-{_n(r, 4)}-{_n(r, 4)}",
            f"commit {_hex(r, 40)}",
            _hex(r, 7),
            _hex(r, 64),
            str(uuid.UUID(int=r.getrandbits(128))),
            f"tr-{_hex(r, 32)}",
            f"lot {r.choice('ABC')}{_n(r, 5)}",
            f"HCPCS J{_n(r, 4)}",
            f"CPT {_n(r, 5)}",
            f"LOINC {_n(r, 5)}-{_n(r, 1)}",
            f"RxNorm {_n(r, 7)}",
            f"ATC L01EF0{_n(r, 1)}",
            f"SNOMED {_n(r, 8)}",
            f"CAS {_n(r, 6)}-{_n(r, 2)}-{_n(r, 1)}",
            f"v{_n(r, 1)}.{_n(r, 2)}.{_n(r, 1)}",
            f"10.{_n(r, 2)}.0.{_n(r, 2)}:8080",
            f"#{_hex(r, 6)}",
            f"JIRA-{_n(r, 5)}",
        )
    )


def _quantity(r: random.Random) -> str:
    return r.choice(
        (
            f"{r.randint(1, 800)} mg",
            f"{r.randint(1, 99)}.{_n(r, 2)} %",
            f"{r.randint(1, 9)},{_n(r, 3)},{_n(r, 3)} USD",
            f"+{r.randint(1, 99)}.{_n(r, 1)} %",
            f"(95 % CI {r.random():.3f}-{1 + r.random():.3f})",
            f"p = {r.random():.6f}",
            f"n={_n(r, 4)}",
            f"{_n(r, 3)} mg/5 mL",
            f"{r.randint(1, 9)} x 10^{r.randint(3, 9)}/L",
            f"{_n(r, 2)}-{_n(r, 2)} years",
            f"{r.random() * 1e6:.4f}",
            f"HR {r.random():.2f} ({r.random():.2f}, {1 + r.random():.2f})",
            f"{_n(r, 3)}/{_n(r, 2)} mmHg",
            f"{r.randint(100, 999)} {_n(r, 3)} units",
            f"17{_n(r, 8)}.{_n(r, 3)}",
            f"{r.randint(1, 9)}e-{r.randint(2, 12)}",
            f"{r.randint(1, 999)} {_n(r, 3)} {_n(r, 3)}",
        )
    )


def _sentence(r: random.Random) -> str:
    return (
        f"The {r.choice(_NOUNS)} of {r.choice(_DRUGS)} {r.choice(_VERBS)} {_quantity(r)} on {_date(r)}; "
        f"see {_code(r)} and {_code(r)}, {_quantity(r)}."
    )


def _prose(r: random.Random) -> str:
    return " ".join(_sentence(r) for _ in range(r.randint(2, 6)))


def _json(r: random.Random) -> str:
    row = {
        "agent": r.choice(_AGENTS),
        "id": _hex(r, 32),
        "run_id": str(uuid.UUID(int=r.getrandbits(128))),
        "usage": {"input_tokens": r.randint(1, 10**5), "output_tokens": r.randint(1, 999), "cost_per_token": 3.1e-06},
        "created": 17 * 10**8 + r.randrange(10**7),
        "created_ms": 17 * 10**11 + r.randrange(10**10),
        "cursor": r.getrandbits(62),
        "uplift": r.uniform(-1, 1),
        "month": _date(r),
        "note": _sentence(r),
        "primary_key": "month",
        "token": "hello",
        "stop_reason": "end_turn",
        "passed": True,
        "key": r.choice(_AGENTS),
        "patients": r.randint(10, 9999),
        "panel": [[r.random() for _ in range(4)] for _ in range(2)],
        "codes": [_code(r) for _ in range(3)],
    }
    text = json.dumps(row, ensure_ascii=r.random() < 0.5, indent=r.choice((None, 2)))
    return json.dumps({"state": text, "n": [1, 2]}) if r.random() < 0.3 else text


_SNIPPETS = (
    "def estimate(panel: Panel, *, key: str = 'month', seed: int = {n}) -> Effect:\n    return fit(panel[key], {f})\n",
    "tokens = encoder.encode(text)\nfor token in tokens[: {n}]:\n    counts[token] += 1  # token: id\n",
    "password: str\npassword = getpass.getpass()\nkey = lambda row: row['month']\nsorted(rows, key=key)\n",
    "settings = Settings(password=os.environ['DB_PASSWORD'], token=None, api_key=settings.api_key)\n",
    "@app.route('/v{n}/traces')\n@retry(times={n})\nasync def post(request: Request) -> Response: ...\n",
    "SELECT brand, SUM(trx) AS trx FROM sales WHERE month BETWEEN '2024-01-01' AND '2024-0{d}-01' GROUP BY 1;\n",
    "git clone git@github.com:org/repo.git && pip install 'mlflow>=3.1{d}.2' --hash=sha256:{h}\n",
    "limits: {{cpu: {n}m, memory: {n}Mi}}\nsecretKeyRef: {{name: db, key: password}}\nimage: shop@sha256:{h}\n",
    "env:\n  - name: DB_PASSWORD\n  valueFrom: {{secretKeyRef: {{name: db, key: uri}}}}\npassword: ${{DB_PASSWORD}}\n",
    "<img src='data:image/png;base64,{b}' srcset='logo@2x.png 2x'>\n",
    "Traceback (most recent call last):\n  File \"/srv/app/graph.py\", line {n}, in node\nKeyError: 'token'\n",
    "| region | trx | uplift |\n|--------|-----|--------|\n| North | {n} | {f} |\n| South | {n} | {f} |\n",
    "| password | required, {n} characters | string |\n| token | count | n |\n{{'name': 'max_tokens', 'value': {n}}}\n",
    "docker run -u 1000:1000 shop\ngit push -u origin:main\nsudo -u postgres:postgres psql -c 'select {n}'\n",
    "Passwort vergessen? Le mot de passe doit contenir {d} caractères; Patient #{d} von {n}, Patientennummern: {n}.\n",
    "jina_embeddings_v{d}_large_2024 wandb_v1_run_{n}_Final sb_admin_dashboard_V{n} re_indexed_documents_V{d}\n",
    "$ curl -s http://localhost:50{d}0/api/2.0/mlflow/experiments/get?experiment_id={n} | jq .key\n",
    "const key = `row-${{index}}`; const token = await next(); // password field is required\n",
    "2026-0{d}-11 07:0{d}:31,{n} INFO httpx: POST http://10.0.{d}.7:5000/v1/traces 200 in {f} ms, id {h}\n",
    "#!/bin/sh\nset -eu\nPWD=/srv/app\nexport PATH=$HOME/bin:$PATH\ntoken=$(cat /run/secrets/token)\n",
)


def _code_text(r: random.Random) -> str:
    blob = base64.b64encode(r.randbytes(90)).decode()
    return "".join(
        r.choice(_SNIPPETS).format(
            n=r.randint(2, 4999), f=round(r.uniform(0, 9), 3), d=r.randint(1, 9), h=_hex(r, 64), b=blob
        )
        for _ in range(r.randint(1, 4))
    )


def _markdown(r: random.Random) -> str:
    code = _code_text(r)
    return f"## {r.choice(_NOUNS).title()}\n\n- {_sentence(r)}\n- **{_quantity(r)}**\n\n```\n{code}```\n\n{_prose(r)}\n"


def _messages(r: random.Random) -> str:
    said = [{"role": role, "content": _prose(r)} for role in ("system", "user", "assistant")]
    call = {"name": "look_up", "arguments": json.dumps({"query": _code(r), "top_k": r.randint(1, 9)})}
    return json.dumps({"messages": [*said, {"role": "assistant", "tool_calls": [{"function": call}]}]})


_MAKERS: tuple[Callable[[random.Random], str], ...] = (_prose, _json, _code_text, _markdown, _messages, _sentence)


def clean_texts(count: int = 1_500, seed: int = 11) -> list[str]:
    """So many texts, the same at every run."""
    r = random.Random(seed)
    return [_MAKERS[number % len(_MAKERS)](r) for number in range(count)]
