from __future__ import annotations

import base64
import ssl
from pathlib import Path

import pytest

from tierlens.errors import SettingsError
from tierlens.sinks.credentials import Credentials

NO_FILE = Path("nowhere")


def test_a_user_and_password_are_sent_as_basic_auth_and_win_over_a_token():
    headers = Credentials("ann", "s:cret", "token").headers()

    assert headers == {"Authorization": "Basic " + base64.b64encode(b"ann:s:cret").decode()}


def test_a_token_is_sent_as_bearer():
    assert Credentials(token="abc").headers() == {"Authorization": "Bearer abc"}


def test_a_token_that_was_read_from_a_file_ends_where_it_ends():
    assert Credentials.from_environment({"MLFLOW_TRACKING_TOKEN": "abc\n"}, NO_FILE) == Credentials(token="abc")


@pytest.mark.parametrize("given", [{"token": "s3cr\u00e9t"}, {"token": "s3c\nret"}, {"workspace": "s3cr\u00e9t"}])
def test_what_no_header_can_carry_is_refused_without_being_shown(given):
    with pytest.raises(SettingsError, match=r"character \d of \d cannot stand in an HTTP header") as caught:
        Credentials(**given).headers()
    assert "s3c" not in str(caught.value)


def test_a_user_alone_is_not_sent():
    assert Credentials(username="ann").headers() == {}


def test_the_workspace_goes_along():
    assert Credentials(workspace="oncology").headers() == {"X-MLFLOW-WORKSPACE": "oncology"}


def test_mlflows_own_variables_are_read():
    found = Credentials.from_environment(
        {
            "MLFLOW_TRACKING_TOKEN": "abc",
            "MLFLOW_TRACKING_INSECURE_TLS": "TRUE",
            "MLFLOW_TRACKING_SERVER_CERT_PATH": "ca.pem",
            "MLFLOW_WORKSPACE": "oncology",
        },
        NO_FILE,
    )

    assert found == Credentials(token="abc", insecure_tls=True, server_cert_path="ca.pem", workspace="oncology")


def test_mlflows_credentials_file_fills_what_the_variables_leave_out(tmp_path):
    file = tmp_path / "credentials"
    file.write_text("[mlflow]\nmlflow_tracking_username = ann\nmlflow_tracking_password = 100%\n")

    found = Credentials.from_environment({"MLFLOW_TRACKING_USERNAME": "ben"}, file)

    assert (found.username, found.password) == ("ben", "100%")


@pytest.mark.parametrize("text", ["", "[other]\na = b\n"])
def test_a_credentials_file_without_ours_is_none(tmp_path, text):
    file = tmp_path / "credentials"
    file.write_text(text)

    assert Credentials.from_environment({}, file) == Credentials()


def test_a_damaged_credentials_file_is_named(tmp_path):
    file = tmp_path / "credentials"
    file.write_text("no section\n")

    with pytest.raises(SettingsError, match=r"credentials: .* keeps MLflow's credentials"):
        Credentials.from_environment({}, file)


def test_a_way_to_sign_that_only_mlflow_has_is_refused():
    with pytest.raises(SettingsError, match="MLFLOW_TRACKING_AWS_SIGV4"):
        Credentials.from_environment({"MLFLOW_TRACKING_AWS_SIGV4": "true"}, NO_FILE)


def test_secrets_are_not_shown():
    assert "s3cret" not in repr(Credentials("ann", "s3cret", "s3cret"))


def test_certificates_are_checked_unless_told_not_to():
    assert Credentials().tls() is True
    context = Credentials(insecure_tls=True).tls()
    assert isinstance(context, ssl.SSLContext)
    assert context.verify_mode == ssl.CERT_NONE


def test_a_certificate_file_that_cannot_be_used_is_named():
    with pytest.raises(SettingsError, match=r"missing\.pem"):
        Credentials(server_cert_path="missing.pem").tls()
