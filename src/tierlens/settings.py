"""Where and how this process records: one frozen value, from one visible order of sources.

keyword > environment > .env > the ``settings:`` section of config/tierlens.yaml > default

Every field has one variable: ``TIERLENS_<FIELD>``, or the name that MLflow or OpenTelemetry has for it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from pydantic_core import PydanticCustomError

from tierlens.addresses import address_fault, shown
from tierlens.invalid import expected
from tierlens.policy import template_fault

if TYPE_CHECKING:
    from tierlens.precedence import Known

MLFLOW_VARIABLES: Final = {
    "enable_tracking": "MLFLOW_ENABLE_TRACKING",
    "enable_tracing": "MLFLOW_ENABLE_TRACING",
    "tracking_uri": "MLFLOW_TRACKING_URI",
    "mlflow_experiment": "MLFLOW_EXPERIMENT_NAME",
    "artifact_location": "MLFLOW_ARTIFACT_LOCATION",
    "tracking_token": "MLFLOW_TRACKING_TOKEN",
    "tracking_username": "MLFLOW_TRACKING_USERNAME",
    "tracking_password": "MLFLOW_TRACKING_PASSWORD",
    "tracking_insecure_tls": "MLFLOW_TRACKING_INSECURE_TLS",
    "tracking_server_cert_path": "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "tracking_client_cert_path": "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "workspace": "MLFLOW_WORKSPACE",
}
OTEL_VARIABLES: Final = {
    "otlp_headers": "OTEL_EXPORTER_OTLP_HEADERS",
    "metrics_endpoint": "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
    "metrics_headers": "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
}
NOT_IN_YAML: Final = {
    "config_dir": "says where this very file lies; give it as TIERLENS_CONFIG_DIR",
    "mlflow_experiment": "belongs under defaults:, or into an agent's file; or give it as MLFLOW_EXPERIMENT_NAME",
    "tracking_token": "is a credential; give it as MLFLOW_TRACKING_TOKEN",
    "tracking_password": "is a credential; give it as MLFLOW_TRACKING_PASSWORD",
    "otlp_headers": "may hold credentials; give them as OTEL_EXPORTER_OTLP_HEADERS",
    "metrics_headers": "may hold credentials; give them as OTEL_EXPORTER_OTLP_METRICS_HEADERS",
}

_ADDRESS: Final = r"^https?://[^\s/]"
Endpoint = Annotated[str, Field(pattern=_ADDRESS), expected("an address such as http://collector:4318/v1/traces")]
MetricsEndpoint = Annotated[
    str, Field(pattern=_ADDRESS), expected("an address such as http://collector:4318/v1/metrics")
]
Redactor = Annotated[
    str,
    Field(pattern=r"^(presidio(:[\w./-]+)?|[\w.]+:\w+)$"),
    expected("presidio, presidio:<spaCy model> or module:function"),
]
Seconds = Annotated[float, Field(allow_inf_nan=False)]


class Settings(BaseModel):
    """Where and how this process records and delivers."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    enable_tracking: bool = Field(default=True, description="MLflow's switch; false turns tierlens off.")
    enable_tracing: bool = Field(default=True, description="MLflow's switch; false turns tierlens off.")
    enabled: bool = Field(
        default=True,
        validate_default=True,
        description="False makes every call a no-op. So does either switch of MLflow's.",
    )
    tracking_uri: str = Field(
        default="sqlite:///mlflow.db",
        min_length=1,
        description="The MLflow server or database that spans are delivered to.",
    )
    tracking_token: SecretStr | None = Field(default=None, description="Bearer token for the MLflow server.")
    tracking_username: str | None = Field(default=None, description="User for the MLflow server's basic auth.")
    tracking_password: SecretStr | None = Field(
        default=None, description="Password for the MLflow server's basic auth."
    )
    tracking_insecure_tls: bool = Field(default=False, description="Accept any certificate of the server's.")
    tracking_server_cert_path: Path | None = Field(
        default=None, description="CA bundle the server's certificate is checked by."
    )
    tracking_client_cert_path: Path | None = Field(
        default=None, description="PEM file with our own certificate and key, for a server that asks."
    )
    workspace: str | None = Field(default=None, description="MLflow workspace that experiments belong to.")
    mlflow_experiment: str | None = Field(
        default=None, min_length=1, description="Experiment name or template, over that of `defaults:`."
    )
    artifact_location: str | None = Field(
        default=None, description="Where new experiments keep artifacts; MLflow decides if unset."
    )
    otlp_endpoint: Endpoint | None = Field(
        default=None, description="A second destination: an OTLP/HTTP traces endpoint."
    )
    otlp_headers: SecretStr | None = Field(default=None, description="Headers for it, as name=value,name=value.")
    ship_redactor: Redactor | None = Field(
        default=None,
        description="What all text passes through before it leaves the host: presidio, or module:function.",
    )
    metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port on which whoever delivers offers metrics to Prometheus."
    )
    metrics_host: str = Field(
        default="127.0.0.1", min_length=1, description="Address of that port; by default for this host alone."
    )
    metrics_endpoint: MetricsEndpoint | None = Field(
        default=None, description="An OTLP/HTTP metrics endpoint that whoever delivers pushes metrics to."
    )
    metrics_headers: SecretStr | None = Field(default=None, description="Headers for it, as name=value,name=value.")
    metrics_interval_s: Seconds = Field(default=30.0, gt=0, description="Seconds between two pushes of metrics.")
    metrics_label_values: int = Field(
        default=100, ge=1, description="Values of a metric's label that are told apart; the others are `other`."
    )
    config_dir: Path = Field(
        default=Path("config"), description="Folder of tierlens.yaml and agents/; one that is named must be there."
    )
    # Below the working directory, as MLflow's own database is: a journal names brands and experiments, never
    # the server, so one shared by all of a user's projects would go to whichever server ships first.
    journal_dir: Path = Field(
        default=Path("var/tierlens/journal"),
        validate_default=True,
        description="Folder of the journal, on a local disk.",
    )
    brand: str | None = Field(default=None, min_length=1, description="The brand where a call names none.")
    environment: str = Field(default="", description="Deployment, such as prod: a tag, and a field of names.")
    shipper: Literal["thread", "process", "external"] = Field(
        default="process",
        description="Who delivers: a child process, a thread, or `tierlens ship` beside this process.",
    )
    delivery_delay_s: Seconds = Field(
        default=3.0,
        ge=0,
        le=3600,
        description="Seconds that delivery waits at most until no agent writes any more; 0 begins at once.",
    )
    journal_quota_mb: int = Field(
        default=1024, ge=1, description="Disk the journal may take; beyond it spans are refused, counted."
    )
    segment_mb: int = Field(
        default=8, ge=1, description="Size at which a journal segment is closed and the next begun."
    )
    fsync_interval_s: Seconds = Field(default=0.5, gt=0, description="Seconds that a power cut may lose at most.")
    exit_timeout_s: Seconds = Field(
        default=5.0,
        ge=0,
        description="Seconds a clean exit may wait for delivery; half a second where the server does not answer.",
    )
    propagate_threads: bool = Field(default=True, description="Carry the current span into threads that a node starts.")
    strict: bool = Field(
        default=False, description="Raise tierlens's own failures instead of counting them: for its tests."
    )

    @field_validator("enabled")
    @classmethod
    def _mlflow_off_is_off(cls, enabled: bool, info: ValidationInfo) -> bool:
        return enabled and info.data.get("enable_tracking", True) and info.data.get("enable_tracing", True)

    # A host that changes its directory keeps its journal.
    @field_validator("journal_dir")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return _expanded(path).absolute()

    @field_validator("config_dir")
    @classmethod
    def _home(cls, path: Path) -> Path:
        return _expanded(path)

    @field_validator("mlflow_experiment")
    @classmethod
    def _template(cls, template: str | None) -> str | None:
        if template and (fault := template_fault(template)):
            raise PydanticCustomError("expected", "{text}", {"text": fault})
        return template

    def as_environment(self) -> dict[str, str]:
        """The settings as variables, for a child process and for code that reads MLflow's own."""
        values = {name: getattr(self, name) for name in type(self).model_fields}
        if not self.config_dir.exists():
            # Only the default can be missing, and named it would be refused.
            del values["config_dir"]
        return {variable(name): _as_text(value) for name, value in values.items() if value is not None}


def _expanded(path: Path) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise PydanticCustomError("expected", "{text}", {"text": "names a user without a home folder"}) from None


def _as_text(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value).lower() if isinstance(value, bool) else str(value)


def variable(field: str) -> str:
    """The environment variable of a field."""
    return (MLFLOW_VARIABLES | OTEL_VARIABLES).get(field, f"TIERLENS_{field.upper()}")


def load(
    *, environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env"), **keywords: Any
) -> Settings:
    """Resolve the settings.

    Args:
        environ: in place of the process's environment.
        env_file: a file of ``NAME=value`` lines; a missing one is fine, None reads none.
        keywords: any field of `Settings`; None counts as not given.

    Raises:
        SettingsError: a keyword is unknown, a value cannot be used, or a config folder that is named is not
            there; says which source it came from.
        ConfigError: config/tierlens.yaml cannot be read.
    """
    # pydantic-settings takes 55 ms to import, which `import tierlens` must not.
    from tierlens.precedence import resolve

    return resolve(_known(), keywords, os.environ if environ is None else environ, env_file)


def must_deliver(chosen: Settings, *, environ: Mapping[str, str] | None = None, **keywords: Any) -> None:
    """See to it that this process, where it delivers, can deliver to the tracking URI if only somebody answers there.

    Args:
        chosen: what `load` made of the same ``environ`` and ``keywords``.

    Raises:
        SettingsError: nothing can be delivered there; says which source the URI came from.
    """
    fault = address_fault(chosen.tracking_uri)
    if fault is None or not chosen.enabled or chosen.shipper == "external":
        return
    from tierlens.precedence import refusal

    of = ("tracking_uri", repr(shown(chosen.tracking_uri)), fault)
    raise refusal(_known(), of, keywords, os.environ if environ is None else environ, Path(".env"))


def config_dir(*, environ: Mapping[str, str] | None = None, env_file: Path | None = Path(".env")) -> Path:
    """The config folder that `load` would read, whether it is there or not: for who is to make it.

    Raises:
        SettingsError: ``env_file`` cannot be read.
    """
    from tierlens import precedence

    return precedence.config_dir(_known(), os.environ if environ is None else environ, env_file)


def _known() -> Known[Settings]:
    from tierlens.precedence import Known

    return Known(Settings, {variable(field): field for field in Settings.model_fields}, NOT_IN_YAML)
