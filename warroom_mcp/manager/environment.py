"""What a child and an installer see of the environment: built from nothing, by allow-list.

A child gets no token, no setting of this process and no variable that decides which code runs; what
the plan names comes on top.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from warroom_mcp.errors import InvalidInput


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


LAUNCHER_VARIABLES = _names(
    """
    PATH PATHEXT HOME USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA SYSTEMROOT WINDIR COMSPEC
    SHELL IFS ENV BASH_ENV PROMPT_COMMAND PS4 SHELLOPTS BASHOPTS ZDOTDIR CDPATH
    NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE NODE_CHANNEL_FD NODE_V8_COVERAGE
    VIRTUAL_ENV CONDA_PREFIX PERL5LIB PERL5OPT PERLLIB PERL5DB RUBYOPT RUBYLIB PHPRC PHP_INI_SCAN_DIR LUA_INIT
    JAVA_TOOL_OPTIONS JDK_JAVA_OPTIONS _JAVA_OPTIONS CLASSPATH DOTNET_STARTUP_HOOKS
    GLIBC_TUNABLES GCONV_PATH LOCPATH NLSPATH MALLOC_CONF OPENSSL_CONF OPENSSL_ENGINES OPENSSL_MODULES
    GIT_SSH GIT_SSH_COMMAND GIT_EXEC_PATH GIT_ASKPASS GIT_PROXY_COMMAND GIT_EXTERNAL_DIFF GIT_PAGER
    GIT_EDITOR GIT_TEMPLATE_DIR SSH_ASKPASS EDITOR VISUAL PAGER LESSOPEN LESSCLOSE MANPAGER BROWSER
    NPM_EXECPATH NPM_NODE_EXECPATH
    """
)
"""Names that choose a program, or code that a program loads before its own."""

LAUNCHER_PREFIXES = (
    "LD_", "DYLD_", "_RLD", "PYTHON", "PIP_", "UV_", "NPM_CONFIG_", "NPM_LIFECYCLE_", "NPM_PACKAGE_",
    "YARN_", "PNPM_", "BUN_", "DENO_", "COREPACK_", "BASH_FUNC_", "GIT_CONFIG", "CORECLR_", "COMPLUS_",
    "WARROOM_",
)  # fmt: skip
"""Families of such names, and War Room's own settings."""

HARMLESS = frozenset({"PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"})
"""Members of those families that servers ask for and that load nothing."""

PASSED = _names(
    """
    LANG LANGUAGE TZ TMPDIR TMP TEMP TERM USER LOGNAME
    HTTP_PROXY HTTPS_PROXY NO_PROXY ALL_PROXY http_proxy https_proxy no_proxy all_proxy
    SSL_CERT_FILE SSL_CERT_DIR NODE_EXTRA_CA_CERTS REQUESTS_CA_BUNDLE CURL_CA_BUNDLE
    SYSTEMROOT WINDIR COMSPEC PATHEXT USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA
    """
)
"""What a child may see of ours. Without proxies and certificates it cannot reach a network behind them."""

INSTALLER_PREFIXES = ("npm_config_", "uv_", "pip_", "xdg_")
"""What a site has set for its package tools: registries, mirrors, caches, credentials for them."""

ENGINE_VARIABLES = _names(
    """
    HOME DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_CERT_PATH DOCKER_TLS_VERIFY CONTAINER_HOST
    XDG_RUNTIME_DIR XDG_CONFIG_HOME XDG_DATA_HOME
    """
)
"""How a container engine's command line finds its daemon; the container itself sees none of it."""

PERSON_SETTINGS = _names(
    """
    KUBECONFIG DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG DOCKER_CERT_PATH DOCKER_TLS_VERIFY
    AWS_PROFILE AWS_DEFAULT_PROFILE AWS_REGION AWS_DEFAULT_REGION AWS_CONFIG_FILE AWS_SHARED_CREDENTIALS_FILE
    GOOGLE_APPLICATION_CREDENTIALS GOOGLE_CLOUD_PROJECT CLOUDSDK_CONFIG CLOUDSDK_ACTIVE_CONFIG_NAME
    AZURE_CONFIG_DIR PGHOST PGPORT PGUSER PGDATABASE
    """
)
"""Where a person's own tools point. A server that declares such an input gets it, shown in the plan."""

PERSON_FILES = {
    "KUBECONFIG": ".kube/config",
    "AWS_CONFIG_FILE": ".aws/config",
    "AWS_SHARED_CREDENTIALS_FILE": ".aws/credentials",
    "GOOGLE_APPLICATION_CREDENTIALS": ".config/gcloud/application_default_credentials.json",
    "AZURE_CONFIG_DIR": ".azure",
}
"""Where a person's tools look without the variable; a child's HOME is its own, so it has to be told."""

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,199}")


def refused_name(name: str) -> str | None:
    """Why a plan may not set this variable, or None if it may."""
    if not _NAME.fullmatch(name):
        return "it is not a variable name"
    upper = name.upper()  # npm reads its settings in any case, and Windows every variable
    if upper in HARMLESS:
        return None
    if upper in LAUNCHER_VARIABLES or upper.startswith(LAUNCHER_PREFIXES):
        return "it decides which code a program loads"
    return None


def person_environment(base: Mapping[str, str], home: Path) -> dict[str, str]:
    """The person's environment, with the variables for files that their tools would find without them."""
    found = {name: str(home / place) for name, place in PERSON_FILES.items() if (home / place).exists()}
    return {**found, **base}


def child_environment(
    plan_environment: Mapping[str, str],
    secrets_resolved: Mapping[str, str],
    *,
    home: Path,
    base: Mapping[str, str],
    passes: Collection[str] = (),
) -> dict[str, str]:
    """The whole environment of a child: allowed parts of `base`, then the plan's values and secrets.

    `passes` names further variables of `base` to hand through, as `Installed.passes` lists them for a
    container engine. `home` becomes HOME, unless `passes` names that too.

    Raises: InvalidInput when the plan names a variable that decides which code runs.
    """
    environment = _from_base(base, home, {*PASSED, *passes})
    for name, value in {**plan_environment, **secrets_resolved}.items():
        if reason := refused_name(name):
            raise InvalidInput(f"A server may not be given the variable {name!r}: {reason}.")
        if "\0" in value:
            raise InvalidInput(f"The value of {name} contains a null character.")
        environment[name] = value
    return environment


def installer_environment(base: Mapping[str, str]) -> dict[str, str]:
    """The environment of npm, uv and container engines: a child's, and the site's settings for them.

    HOME is the person's own, so that `~/.npmrc` and the caches are found.
    """
    home = Path(base.get("HOME") or base.get("USERPROFILE") or Path.home())
    environment = _from_base(base, home, PASSED | ENGINE_VARIABLES)
    for name, value in base.items():
        if name.lower().startswith(INSTALLER_PREFIXES):
            environment[name] = value
    environment["UV_PYTHON_DOWNLOADS"] = "never"
    return environment


def _from_base(base: Mapping[str, str], home: Path, names: Collection[str]) -> dict[str, str]:
    kept = {
        name: value for name, value in base.items() if value and (name in names or name.startswith("LC_"))
    }
    kept.setdefault("HOME", str(home))
    kept["PATH"] = search_path(base)
    return kept


def search_path(base: Mapping[str, str]) -> str:
    """The absolute parts of PATH; a relative one would let the working directory choose programs."""
    parts = [part for part in base.get("PATH", "").split(os.pathsep) if os.path.isabs(part)]
    return os.pathsep.join(parts or [part for part in os.defpath.split(os.pathsep) if os.path.isabs(part)])
