"""One file of config/, read and validated: a model, and every error with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar, get_args, get_origin

from pydantic import BaseModel, ValidationError

from tierlens.errors import ConfigError
from tierlens.invalid import explain
from tierlens.nearest import did_you_mean, nearest
from tierlens.yamlfile import Location, YamlFile, dotted, read_yaml

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Parsed(Generic[ModelT]):
    """``model`` is None where there are ``errors``; ``yaml`` is None where the file is not even YAML."""

    yaml: YamlFile | None
    model: ModelT | None
    errors: tuple[ConfigError, ...] = ()


def parse(path: Path, model: type[ModelT]) -> Parsed[ModelT]:
    """Read ``path`` as ``model``. Raises nothing: all that is wrong is in the answer."""
    try:
        yaml = read_yaml(path)
    except ConfigError as error:
        return Parsed(None, None, (error,))
    try:
        return Parsed(yaml, model.model_validate(yaml.data))
    except ValidationError as invalid:
        return Parsed(yaml, None, tuple(_located(invalid, yaml, model)))


def _located(invalid: ValidationError, yaml: YamlFile, model: type[BaseModel]) -> Iterator[ConfigError]:
    for error in sorted(invalid.errors(), key=lambda error: yaml.line(error["loc"])):
        # pydantic marks a bad key of a mapping by a last part of its own.
        location = tuple(part for part in error["loc"] if part != "[key]")
        yield _error(error, location, yaml, model)


def _error(error: ErrorDetails, location: Location, yaml: YamlFile, model: type[BaseModel]) -> ConfigError:
    where = yaml.where(location)
    if error["type"] == "extra_forbidden":
        name = str(location[-1])
        return ConfigError(where, dotted(location[:-1]), name, f"is not a known key{_hint(model, location)}")
    found, expected = explain(error, location[-1] if "[key]" in error["loc"] else _value(yaml.data, location))
    return ConfigError(where, dotted(location), found, expected)


def _hint(model: type[BaseModel], location: Location) -> str:
    """What an unknown key was probably meant to be, or where it is known."""
    name, owner = str(location[-1]), _owner(model, location[:-1])
    known = owner.model_fields if owner else ()
    place = getattr(owner, "elsewhere", {}).get(name)
    return f" here; it belongs {place}" if place and not nearest(name, known) else did_you_mean(name, known)


def _owner(model: type[BaseModel], location: Location) -> type[BaseModel] | None:
    """What knows the keys at a location."""
    here: Any = model
    for part in location:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = here.model_fields[str(part)].annotation
        elif get_origin(here) in (dict, list):
            here = get_args(here)[-1]
        if get_origin(here) is Annotated:
            here = get_args(here)[0]
    return here if isinstance(here, type) and issubclass(here, BaseModel) else None


def _value(data: Any, location: Location) -> Any:
    for part in location:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            return None
    return data
