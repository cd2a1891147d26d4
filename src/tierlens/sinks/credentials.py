"""How MLflow's server is spoken to: MLflow's own variables and credentials file, read without MLflow."""

from __future__ import annotations

import base64
import configparser
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tierlens.errors import SettingsError

_NOT_SENT: Final = re.compile(r"[^\t -~]")


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who we are, and whom we trust.

    Attributes:
        username, password: basic auth; both or neither. They win over ``token``, as in MLflow.
        token: sent as a bearer token.
        insecure_tls: accept any certificate.
        server_cert_path: a CA bundle to check the server's certificate by.
        client_cert_path: a PEM file with our own certificate and key.
        workspace: MLflow workspace, or "".
    """

    username: str = ""
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    insecure_tls: bool = False
    server_cert_path: str = ""
    client_cert_path: str = ""
    workspace: str = ""

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ, file: Path = Path("~/.mlflow/credentials")
    ) -> Credentials:
        """MLFLOW_TRACKING_* and MLFLOW_WORKSPACE, and MLflow's credentials file for what they leave out.

        Raises:
            SettingsError: a way to sign requests is asked for that only MLflow's own client has.
        """
        for name in ("MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_AUTH"):
            if environ.get(name, "").lower() not in ("", "false", "0"):
                raise SettingsError(
                    name, "", repr(environ[name]), "is not supported: use a token or a user and password"
                )
        username, password = _from_file(file.expanduser())
        return cls(
            username=environ.get("MLFLOW_TRACKING_USERNAME") or username,
            password=environ.get("MLFLOW_TRACKING_PASSWORD") or password,
            # Read from a file, as containers are given secrets, it ends with that file's newline.
            token=environ.get("MLFLOW_TRACKING_TOKEN", "").strip(),
            insecure_tls=environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in ("true", "1"),
            server_cert_path=environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH", ""),
            client_cert_path=environ.get("MLFLOW_TRACKING_CLIENT_CERT_PATH", ""),
            workspace=environ.get("MLFLOW_WORKSPACE", ""),
        )

    def headers(self) -> dict[str, str]:
        """The request headers these amount to.

        Raises:
            SettingsError: the token or the workspace cannot stand in a header.
        """
        must_be_sendable("MLFLOW_WORKSPACE", self.workspace)
        headers = {"X-MLFLOW-WORKSPACE": self.workspace} if self.workspace else {}
        if self.username and self.password:
            pair = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            headers["Authorization"] = f"Basic {pair}"
        elif self.token:
            must_be_sendable("MLFLOW_TRACKING_TOKEN", self.token)
            headers["Authorization"] = f"Bearer {self.token}"
        return headers

    def tls(self) -> ssl.SSLContext | bool:
        """What httpx calls ``verify``.

        Raises:
            SettingsError: a certificate file that cannot be used.
        """
        if not (self.insecure_tls or self.server_cert_path or self.client_cert_path):
            return True
        try:
            context = ssl.create_default_context(cafile=self.server_cert_path or None)
            if self.client_cert_path:
                context.load_cert_chain(self.client_cert_path)
        except OSError as e:  # ssl.SSLError is one
            paths = " ".join(filter(None, (self.server_cert_path, self.client_cert_path)))
            raise SettingsError("MLFLOW_TRACKING_*_CERT_PATH", "", paths, f"cannot be used: {e}") from e
        if self.insecure_tls:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context


def must_be_sendable(where: str, value: str) -> None:
    """See that a header can carry this: whoever sent it would quote it, and it may be a secret.

    Raises:
        SettingsError: it cannot; the value is not shown.
    """
    if found := _NOT_SENT.search(value):
        at = f"character {found.start() + 1} of {len(value)}"
        raise SettingsError(where, "", at, "cannot stand in an HTTP header: only printable ASCII can")


def _from_file(path: Path) -> tuple[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read_string(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return "", ""
    except (OSError, UnicodeDecodeError, configparser.Error) as e:
        raise SettingsError(str(path), "", type(e).__name__, "keeps MLflow's credentials from being read") from e
    return (
        parser.get("mlflow", "mlflow_tracking_username", fallback=""),
        parser.get("mlflow", "mlflow_tracking_password", fallback=""),
    )
