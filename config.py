"""Settings: one frozen record of the FRACTURE_* environment variables."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from utils.errors import SetupError
from utils.imaging.radiograph import MEGAPIXEL, Limits
from utils.inference.engines.engine import DEFAULT_ENGINE, DEFAULT_PRECISION, ENGINES, PRECISIONS
from utils.messages import sentence

PREFIX = "FRACTURE_"
ROOT = Path(__file__).resolve().parent


class BadSetting(SetupError):
    """A FRACTURE_* variable has a value that is not allowed."""

    code = "bad_setting"


def _setting(default: Any, description: str, allowed: str, **limits: Any) -> Any:
    """Return a field with its description and allowed values, for the documents and for messages."""
    return Field(default, description=description, json_schema_extra={"allowed": allowed}, **limits)


class Settings(BaseSettings):
    """All settings of the app; relative paths are relative to the project's folder."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, frozen=True, extra="ignore"
    )

    model: Path = _setting(
        Path("models/best_model.h5"),
        "model file; its sidecar `.json` lies beside it",
        "a path",
        validate_default=True,
    )
    engine: str = _setting(
        DEFAULT_ENGINE, "what runs the network", " or ".join(f"`{name}`" for name in ENGINES)
    )
    precision: str = _setting(
        DEFAULT_PRECISION,
        "what the network computes in",
        " or ".join(f"`{name}`" for name in PRECISIONS),
    )
    threads: int = _setting(
        0,
        "threads that compute one forward pass; 0 is a worker's share of the cores, all of them for a "
        "radiograph that is alone in its worker",
        "a whole number, 0 to 256",
        ge=0,
        le=256,
    )
    cache_folder: Path | None = _setting(
        None,
        "where the engine caches the network in its own format; else `engine` in FRACTURE_INSTANCE_FOLDER",
        "a folder",
    )
    max_upload_mb: int = _setting(
        64,
        "largest file that is accepted, in MB of 2^20 bytes",
        "a whole number, 1 to 2048",
        ge=1,
        le=2048,
    )
    max_megapixels: int = _setting(
        50,
        "largest picture that is decoded, in millions of pixels",
        "a whole number, 1 to 1000",
        ge=1,
        le=1000,
    )
    body_seconds: int = _setting(
        60,
        "longest pause of an upload, in which less than 4 kB arrive, and a 30th of the longest time "
        "that it may take; 408 after either",
        "a whole number, 1 to 3600",
        ge=1,
        le=3600,
    )
    concurrency: int = _setting(
        0,
        "predictions one worker computes at once, which bounds its memory; 0 is its cores and one more",
        "a whole number, 0 to 64",
        ge=0,
        le=64,
    )
    queue: int = _setting(
        64,
        "requests that may wait in one worker while others are computed; 503 at once beyond it",
        "a whole number, 0 to 1000",
        ge=0,
        le=1000,
    )
    queue_seconds: float = _setting(
        10.0,
        "longest time a request waits in the admission queue, once it has arrived whole; 503 after it",
        "a number, 0.1 to 300",
        ge=0.1,
        le=300,
    )
    prevalence: float | None = _setting(
        None,
        "share of the radiographs sent here that show a fracture (prevalence); with it, each answer has its "
        "predictive value",
        "a number above 0 and below 1",
        gt=0,
        lt=1,
    )
    upload_folder: Path = _setting(
        Path("uploads"),
        "where a large upload is spooled while it arrives, in files without a name",
        "a folder that can be written",
        validate_default=True,
    )
    instance_folder: Path = _setting(
        Path("instance"),
        "where the key file `secret_key` lies when FRACTURE_SECRET_KEY is not set, and the engine's cache",
        "a folder that can be written",
        validate_default=True,
    )
    secret_key: SecretStr | None = _setting(
        None,
        "signs the form's session cookie; without it one key file is made and shared",
        "at least 16 characters",
    )
    cookie_secure: bool = _setting(
        False, "send the session cookie over HTTPS only; set it behind TLS", "`true` or `false`"
    )
    trusted_proxies: int = _setting(
        0,
        "reverse proxies in front, whose X-Forwarded headers are trusted",
        "a whole number, 0 to 8",
        ge=0,
        le=8,
    )
    log_level: Literal["debug", "info", "warning", "error"] = _setting(
        "info", "least severe event that is logged", "`debug`, `info`, `warning` or `error`"
    )
    host: str = _setting(
        "127.0.0.1", "address that `python app.py` listens on (gunicorn: `-b`)", "an address"
    )
    port: int = _setting(
        5000,
        "port that `python app.py` listens on (gunicorn: `-b`)",
        "a whole number, 1 to 65535",
        ge=1,
        le=65535,
    )

    @field_validator("model", "cache_folder", "upload_folder", "instance_folder")
    @classmethod
    def _relative_to_project(cls, path: Path | None) -> Path | None:
        return None if path is None else ROOT / path

    @field_validator("engine", "precision")
    @classmethod
    def _known(cls, name: str, field: ValidationInfo) -> str:
        if name not in (ENGINES if field.field_name == "engine" else PRECISIONS):
            raise ValueError("unknown")
        return name

    @field_validator("secret_key")
    @classmethod
    def _long_enough(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and len(key.get_secret_value()) < 16:
            raise ValueError("too short")
        return key

    @property
    def engine_cache(self) -> Path:
        """Folder in which the engine keeps the network in its own format."""
        return self.cache_folder or self.instance_folder / "engine"

    @property
    def limits(self) -> Limits:
        """Limits of the files that are decoded."""
        return Limits(self.max_upload_mb * 2**20, self.max_megapixels * MEGAPIXEL)


def read_settings() -> Settings:
    """Read the settings from the environment.

    Raises:
        BadSetting: a value is not allowed; the message names the variable and what is allowed.
    """
    try:
        return Settings()
    except ValidationError as error:
        problems = "; ".join(_problem(details) for details in error.errors())
        raise BadSetting("web.bad_settings", problems=problems) from None


def _problem(error: Any) -> str:
    """Return the sentence on one wrong variable; a secret's value is not repeated."""
    name = str(error["loc"][0])
    extra = Settings.model_fields[name].json_schema_extra
    allowed = str(extra["allowed"] if isinstance(extra, dict) else "").replace("`", "")
    found = "this value" if name == "secret_key" else repr(str(error["input"]))
    variable = f"{PREFIX}{name.upper()}"
    return sentence("web.bad_setting", variable=variable, found=found, allowed=allowed)


def unknown_variables(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return the FRACTURE_* variables that are no setting: misspelt ones, most likely.

    They are logged and not refused, because Kubernetes puts FRACTURE_SERVICE_HOST and its like into
    every container once a service is called "fracture".
    """
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    return sorted(
        name
        for name in environment
        if name.upper().startswith(PREFIX) and name.upper() not in known
    )
