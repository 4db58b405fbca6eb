"""Every setting, typed: from the environment (`WARROOM_*`), then `settings.toml` in the state directory."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from warroom_mcp.places import find_home

_OWN_SOURCES = frozenset({"curated", "registry", "npm", "pypi"})
_SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,39}$")]


class PrivateRegistry(BaseModel):
    """A registry that speaks the official one's protocol; `token` is a reference such as `env:NAME`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    token: str | None = None


class Settings(BaseSettings):
    """All settings with their defaults. Times are seconds, sizes are bytes."""

    model_config = SettingsConfigDict(env_prefix="WARROOM_", extra="ignore", frozen=True)

    home: Path = Field(default_factory=find_home, description="State directory.")

    npm_registry_url: str = Field(
        default="https://registry.npmjs.org", description="npm registry: packages and search."
    )
    npm_downloads_url: str = Field(default="https://api.npmjs.org", description="npm download counts.")
    pypi_url: str = Field(default="https://pypi.org", description="PyPI: project metadata.")
    pypi_downloads_url: str = Field(default="https://pypistats.org", description="PyPI download counts.")
    mcp_registry_url: str = Field(
        default="https://registry.modelcontextprotocol.io", description="Official MCP registry, v0.1."
    )

    catalog_registries: dict[_SourceName, PrivateRegistry] = Field(
        default_factory=dict,
        description="Further MCP registries by name, each with its URL and a token reference.",
    )
    catalog_files: dict[_SourceName, Path] = Field(
        default_factory=dict, description="Catalog files by name: a registry's answer, or a server a line."
    )
    sync_seconds: float = Field(
        default=86_400.0,
        description="A local copy of a registry older than this is renewed in the background; 0 never.",
    )

    offline: bool = Field(
        default=False, description="Find with what is on this machine: no registry is asked."
    )
    deep_analysis: Literal["off", "unsure", "always"] = Field(
        default="off",
        description="When a model may read problems too: never, when the patterns are unsure, or always.",
    )
    deep_model: str = Field(default="claude-haiku-5-5", description="The model that reads problems.")
    deep_url: str | None = Field(default=None, description="Base URL of the Anthropic API, else its default.")
    deep_key: str = Field(
        default="env:ANTHROPIC_API_KEY", description="Reference to the API key: `env:NAME` or `keyring:NAME`."
    )
    deep_deadline: float = Field(default=20.0, gt=0, description="For a model to read one problem.")
    deep_calls_per_day: int = Field(default=50, ge=0, description="How many problems a model reads in a day.")
    deep_max_characters: int = Field(
        default=12_000, ge=1_000, description="How much of a problem a model is sent."
    )
    find_deadline: float = Field(default=8.0, description="For asking all catalog sources together.")
    install_deadline: float = Field(default=300.0, description="For fetching and unpacking one package.")
    start_deadline: float = Field(default=45.0, description="For a child to start and answer its handshake.")
    list_deadline: float = Field(default=15.0, description="For a child to list what it offers.")
    call_deadline: float = Field(default=120.0, description="For one tool call; progress extends it.")
    stop_deadline: float = Field(
        default=3.0, description="For a child to leave before its process tree is killed."
    )
    idle_seconds: float = Field(
        default=900.0, description="A child that nobody used for so long is stopped; 0 keeps all running."
    )
    ask_deadline: float = Field(default=600.0, description="For a person to answer an approval in the host.")
    relist_wait: float = Field(
        default=2.0, description="How long an answer is held for the host to list again."
    )

    max_problem_bytes: int = Field(default=4 * 1024 * 1024, description="Largest problem text that is read.")
    max_message_bytes: int = Field(
        default=16 * 1024 * 1024, description="Largest message taken from a child."
    )
    max_result_bytes: int = Field(
        default=256 * 1024, description="Results over this size are stored and handed out page by page."
    )
    max_answer_bytes: int = Field(
        default=16 * 1024 * 1024, description="Largest answer taken from a registry."
    )
    cache_seconds: float = Field(default=86_400.0, description="How long a catalog answer counts as fresh.")

    auto_approve_level: str = Field(
        default="official", description="Highest trust level `auto_approve` covers, or none."
    )
    tool_names: Literal["prefixed", "plain"] = Field(
        default="prefixed", description="`server__tool`, or the tool's own name where no other server has it."
    )
    unused_days: int = Field(
        default=14, description="`optimize` retires a server that nobody called for so long."
    )

    @model_validator(mode="after")
    def _names_are_free(self) -> Self:
        taken = _OWN_SOURCES & {*self.catalog_registries, *self.catalog_files}
        taken |= self.catalog_registries.keys() & self.catalog_files.keys()
        if taken:
            raise ValueError(f"names of catalog sources that are taken: {', '.join(sorted(taken))}")
        return self

    @property
    def config_file(self) -> Path:
        """The servers, in the shape that hosts use."""
        return self.home / "mcp-config.json"

    @property
    def database(self) -> Path:
        """What is remembered."""
        return self.home / "state.db"

    @property
    def index(self) -> Path:
        """The local copy of all catalogs."""
        return self.home / "catalog.db"

    @property
    def packages(self) -> Path:
        """Installed packages, by content."""
        return self.home / "packages"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments win over the environment, the environment over the file."""
        file = TomlConfigSettingsSource(settings_cls, toml_file=find_home() / "settings.toml")
        return init_settings, env_settings, file
