"""What a child and an installer see of the environment."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warroom_mcp.errors import InvalidInput
from warroom_mcp.manager.environment import (
    ENGINE_VARIABLES,
    LAUNCHER_VARIABLES,
    PASSED,
    child_environment,
    installer_environment,
    person_environment,
    refused_name,
)

HOME = Path("/home/somebody")


def test_a_child_sees_nothing_that_was_not_allowed() -> None:
    base = {
        "PATH": "/usr/bin:/bin",
        "AWS_SECRET_ACCESS_KEY": "s3cret",
        "GITHUB_TOKEN": "s3cret",
        "NODE_OPTIONS": "--require /tmp/x.js",
        "LD_PRELOAD": "/tmp/x.so",
        "PYTHONPATH": "/tmp",
        "npm_config_registry": "https://npm.example",
        "KUBECONFIG": "/k",
        "DOCKER_HOST": "tcp://d",
    }
    assert child_environment({}, {}, home=HOME, base=base) == {"HOME": str(HOME), "PATH": "/usr/bin:/bin"}


def test_a_persons_files_are_told_where_they_exist_and_no_variable_says_otherwise(tmp_path: Path) -> None:
    (tmp_path / ".kube").mkdir()
    (tmp_path / ".kube" / "config").touch()
    assert person_environment({}, tmp_path) == {"KUBECONFIG": str(tmp_path / ".kube" / "config")}
    assert person_environment({"KUBECONFIG": "/k"}, tmp_path) == {"KUBECONFIG": "/k"}


def test_proxies_certificates_and_language_pass() -> None:
    base = {
        "LANG": "de_DE.UTF-8",
        "LC_ALL": "C",
        "TZ": "UTC",
        "https_proxy": "http://p:1",
        "NO_PROXY": "localhost",
        "NODE_EXTRA_CA_CERTS": "/ca.pem",
        "SSL_CERT_FILE": "/ca.pem",
        "REQUESTS_CA_BUNDLE": "/ca.pem",
        "SSL_CERT_DIR": "",
    }
    made = child_environment({}, {}, home=HOME, base=base)
    assert {name: value for name, value in base.items() if value}.items() <= made.items()
    assert "SSL_CERT_DIR" not in made


def test_what_the_plan_asks_for_comes_on_top() -> None:
    made = child_environment(
        {"KUBECONFIG": "/k", "TZ": "Asia/Seoul"}, {"TOKEN": "s3cret"}, home=HOME, base={"TZ": "UTC"}
    )
    assert made["KUBECONFIG"] == "/k"
    assert made["TZ"] == "Asia/Seoul"
    assert made["TOKEN"] == "s3cret"


def test_relative_parts_of_the_path_are_left_out() -> None:
    made = child_environment({}, {}, home=HOME, base={"PATH": "/usr/bin::.:bin:/bin"})
    assert made["PATH"] == "/usr/bin:/bin"
    assert child_environment({}, {}, home=HOME, base={"PATH": "."})["PATH"].startswith("/")


def test_an_engine_gets_the_way_to_its_daemon_and_a_child_does_not() -> None:
    base = {"DOCKER_HOST": "tcp://d", "PATH": "/bin", "HOME": "/home/me"}
    own = child_environment({}, {}, home=HOME, base=base)
    assert "DOCKER_HOST" not in own
    assert own["HOME"] == str(HOME)
    passed = child_environment({}, {}, home=HOME, base=base, passes=ENGINE_VARIABLES)
    assert (passed["DOCKER_HOST"], passed["HOME"]) == ("tcp://d", "/home/me")


@pytest.mark.parametrize(
    "name",
    [
        *("NODE_OPTIONS", "node_options", "LD_PRELOAD", "LD_AUDIT", "DYLD_INSERT_LIBRARIES", "PYTHONPATH"),
        *(
            "PYTHONSTARTUP",
            "PYTHONWARNINGS",
            "npm_config_registry",
            "NPM_CONFIG_SCRIPT_SHELL",
            "UV_INDEX_URL",
        ),
        *("PIP_INDEX_URL", "PATH", "HOME", "NODE_PATH", "BASH_ENV", "BASH_FUNC_ls", "GIT_SSH_COMMAND"),
        *("WARROOM_NPM_REGISTRY_URL", "", "1A", "A-B", "A=B", "A\nB", "A B", "Ä", "BASH_FUNC_ls%%"),
    ],
)
def test_no_plan_sets_a_variable_that_decides_which_code_runs(name: str) -> None:
    assert refused_name(name) is not None
    with pytest.raises(InvalidInput):
        child_environment({name: "x"}, {}, home=HOME, base={})
    with pytest.raises(InvalidInput):
        child_environment({}, {name: "x"}, home=HOME, base={})


@pytest.mark.parametrize("name", ["GITHUB_TOKEN", "NPM_TOKEN", "PYTHONUNBUFFERED", "PATHS", "HOMEPAGE", "_x"])
def test_ordinary_names_are_allowed(name: str) -> None:
    assert refused_name(name) is None


def test_a_null_character_is_refused_without_repeating_the_value() -> None:
    with pytest.raises(InvalidInput) as raised:
        child_environment({}, {"TOKEN": "s3cret\0"}, home=HOME, base={})
    assert "s3cret" not in raised.value.message


def test_an_installer_gets_the_settings_of_the_site() -> None:
    base = {
        "HOME": "/home/me",
        "npm_config_registry": "https://npm.example",
        "NPM_CONFIG_CAFILE": "/ca.pem",
        "UV_INDEX_URL": "https://pypi.example/simple",
        "PIP_CERT": "/ca.pem",
        "UV_PYTHON_DOWNLOADS": "automatic",
        "NODE_OPTIONS": "--require /tmp/x.js",
        "GITHUB_TOKEN": "s3cret",
    }
    made = installer_environment(base)
    assert made["HOME"] == "/home/me"
    assert made["UV_PYTHON_DOWNLOADS"] == "never"
    assert {"npm_config_registry", "NPM_CONFIG_CAFILE", "UV_INDEX_URL", "PIP_CERT"} <= set(made)
    assert not {"NODE_OPTIONS", "GITHUB_TOKEN"} & set(made)


@given(
    st.dictionaries(st.text(max_size=20) | st.sampled_from(sorted(LAUNCHER_VARIABLES)), st.text(max_size=9))
)
def test_whatever_the_base_holds_only_allowed_names_come_through(base: dict[str, str]) -> None:
    made = child_environment({}, {}, home=HOME, base=base)
    assert all(name in PASSED | {"HOME", "PATH"} or name.startswith("LC_") for name in made)
    assert made["HOME"] == str(HOME)
