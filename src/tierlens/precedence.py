"""The sources of settings, highest first, each value with the place it came from.

pydantic-settings merges them. Its own readers of the environment and of .env are not used, as they cannot say
which variable or line a bad value came from.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from dotenv.parser import parse_stream
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource

from tierlens import presence
from tierlens.errors import SettingsError
from tierlens.invalid import explain
from tierlens.nearest import did_you_mean, nearest
from tierlens.yamlfile import YamlFile, read_yaml

DEFAULT_CONFIG_DIR: Final = "config"

_log = logging.getLogger("tierlens")
_warned: set[str] = set()

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Known(Generic[ModelT]):
    """The settings there are.

    Attributes:
        model: one field a setting, each with a default.
        variables: field by environment variable.
        not_in_yaml: fields that a file may not set, each with the reason.
    """

    model: type[ModelT]
    variables: Mapping[str, str]
    not_in_yaml: Mapping[str, str]

    @property
    def fields(self) -> Iterable[str]:
        return self.model.model_fields


@dataclass(frozen=True, slots=True)
class Found:
    """A value as a source gave it; ``where`` and ``key`` name the place as SettingsError wants it."""

    value: Any
    where: str
    key: str = ""


Layer = Mapping[str, Found]


def resolve(
    known: Known[ModelT], keywords: Mapping[str, Any], environ: Mapping[str, str], env_file: Path | None
) -> ModelT:
    """Merge all sources; see `tierlens.settings.load`."""
    return _merged(known.model, _layers(known, keywords, environ, env_file))


def refusal(
    known: Known[ModelT],
    of: tuple[str, str, str],
    keywords: Mapping[str, Any],
    environ: Mapping[str, str],
    env_file: Path | None,
) -> SettingsError:
    """That a value is refused, in the words of its source; ``of`` is the field, what was found and what is expected."""
    field, found, wanted = of
    source = next(layer[field] for layer in _layers(known, keywords, environ, env_file) if field in layer)
    return SettingsError(source.where, source.key, found, wanted)


def _layers(
    known: Known[ModelT], keywords: Mapping[str, Any], environ: Mapping[str, str], env_file: Path | None
) -> Sequence[Layer]:
    layers = [_keywords(known, keywords), _environment(known, environ), _env_file(known, env_file)]
    return [*layers, _yaml_section(known, _config_dir(layers, required=True) / "tierlens.yaml")]


def config_dir(known: Known[ModelT], environ: Mapping[str, str], env_file: Path | None) -> Path:
    """Where the config folder lies, or is to be made; see `tierlens.settings.config_dir`."""
    return _config_dir([_environment(known, environ), _env_file(known, env_file)], required=False)


def _config_dir(layers: Sequence[Layer], *, required: bool) -> Path:
    """The folder as the highest source names it. One that is named must be there, only the default may be missing."""
    named = next((layer["config_dir"] for layer in layers if "config_dir" in layer), None)
    # What is no path at all is for the model to refuse.
    if named is None or not isinstance(named.value, str | os.PathLike):
        return Path(DEFAULT_CONFIG_DIR)
    folder = Path(named.value)
    # Where there is no such user the folder is looked for as it stands, and not found.
    with contextlib.suppress(RuntimeError):
        folder = folder.expanduser()
    if required:
        _must_be_there(named, folder)
    return folder


def _must_be_there(named: Found, folder: Path) -> None:
    try:
        if presence.is_dir(folder):
            return
        kind = "a file" if presence.exists(folder) else "not there"
    except OSError as error:
        why = f"cannot be looked at: {error.strerror or error}"
        raise SettingsError(named.where, named.key, f"'{named.value}'", why) from error
    found = f"'{named.value}' is {kind} ({folder.absolute()})"
    expected = (
        "and must be a folder with tierlens.yaml and agents/: mend the path, make the folder "
        f"(`tierlens init MODULE:GRAPH --config-dir {folder}`), or leave it out for ./{DEFAULT_CONFIG_DIR}, if any"
    )
    raise SettingsError(named.where, named.key, found, expected)


def _merged(model: type[ModelT], layers: Sequence[Layer]) -> ModelT:
    class FromSources(BaseSettings, model):  # type: ignore[misc, valid-type]  # the base is an argument
        @classmethod
        def settings_customise_sources(
            cls, settings_cls: type[BaseSettings], *_: Any, **__: Any
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return tuple(_LayerSource(settings_cls, layer) for layer in layers)

    try:
        return model.model_construct(**dict(FromSources()))
    except ValidationError as invalid:
        # The cause is left off: a traceback would print the value, and it may be a credential.
        raise _refusal(invalid, layers) from None


def _refusal(invalid: ValidationError, layers: Sequence[Layer]) -> SettingsError:
    """The first error of all, in the words of the source its value came from."""
    error = invalid.errors()[0]
    field = str(error["loc"][0])
    source = next(layer[field] for layer in layers if field in layer)
    found, expected = explain(error, source.value)
    return SettingsError(source.where, source.key, found, expected)


class _LayerSource(PydanticBaseSettingsSource):
    """One layer, as pydantic-settings wants a source."""

    def __init__(self, settings_cls: type[BaseSettings], layer: Layer) -> None:
        super().__init__(settings_cls)
        self._layer = layer

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        return self().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return {field: found.value for field, found in self._layer.items()}


def _keywords(known: Known[ModelT], keywords: Mapping[str, Any]) -> Layer:
    for name in keywords:
        if name not in known.fields:
            raise SettingsError("keyword", "", name, f"is not a setting{did_you_mean(name, known.fields)}")
    return {name: Found(value, f"keyword {name}") for name, value in keywords.items() if value is not None}


def _environment(known: Known[ModelT], environ: Mapping[str, str]) -> Layer:
    _warn_of_unknown(known, ((name, "environment") for name in environ))
    # An empty variable counts as unset, as it does for MLflow.
    return {
        field: Found(environ[name], "environment", name) for name, field in known.variables.items() if environ.get(name)
    }


def _env_file(known: Known[ModelT], path: Path | None) -> Layer:
    if path is None or not _can_be_there(path, presence.is_file):
        return {}
    found = {name: Found(value, f"{path}:{line}", name) for name, value, line in _assignments(path)}
    _warn_of_unknown(known, ((name, entry.where) for name, entry in found.items()))
    return {known.variables[name]: entry for name, entry in found.items() if name in known.variables and entry.value}


def _can_be_there(path: Path, look: Callable[[Path], bool]) -> bool:
    """Also where nobody can tell: reading it will say why."""
    try:
        return look(path)
    except OSError:
        return True


def _assignments(path: Path) -> Iterator[tuple[str, str, int]]:
    """Name, value and line of each assignment; of two with one name the later counts, as in a shell."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            bindings = list(parse_stream(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(str(path), "", "cannot be read:", str(error)) from error
    for binding in bindings:
        # The parser counts the blank lines before a binding as part of it.
        text = binding.original.string
        line = binding.original.line + text[: len(text) - len(text.lstrip())].count("\n")
        if binding.error:
            raise SettingsError(f"{path}:{line}", "", "this line", "is not NAME=value")
        if binding.key and binding.value is not None:
            yield binding.key, binding.value, line


def _yaml_section(known: Known[ModelT], path: Path) -> Layer:
    if not _can_be_there(path, presence.exists):
        return {}
    file = read_yaml(path)
    section = file.data.get("settings") or {}
    if not isinstance(section, dict):
        raise SettingsError(file.where(("settings",)), "settings", str(section), "is not a mapping of keys to values")
    for error in misplaced(file, known.not_in_yaml):
        raise error
    for name in section:
        if name not in known.fields:
            hint = did_you_mean(name, set(known.fields) - known.not_in_yaml.keys())
            raise SettingsError(file.where(("settings", name)), "settings", name, f"is not a known key{hint}")
    return {
        name: Found(value, file.where(("settings", name)), f"settings.{name}")
        for name, value in section.items()
        if value is not None
    }


def misplaced(file: YamlFile, not_in_yaml: Mapping[str, str]) -> Iterator[SettingsError]:
    """The settings in a file that a file may not set."""
    section = file.data.get("settings")
    for name in section if isinstance(section, dict) else ():
        if name in not_in_yaml:
            yield SettingsError(file.where(("settings", name)), f"settings.{name}", "this", not_in_yaml[name])


def _warn_of_unknown(known: Known[ModelT], names: Iterable[tuple[str, str]]) -> None:
    """Say once of each variable that looks like one of ours and is not."""
    fields = {field: name for name, field in known.variables.items()}
    for name, where in names:
        if name.startswith("TIERLENS_") and name not in known.variables and name not in _warned:
            _warned.add(name)
            close = nearest(name.removeprefix("TIERLENS_"), fields)
            hint = f"; did you mean {fields[close]}?" if close else ""
            _log.warning("%s: %s is not a variable of tierlens%s", where, name, hint)
