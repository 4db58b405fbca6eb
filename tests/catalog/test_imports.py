"""The catalog is cheap to import: the network client comes with its first use."""

import subprocess
import sys


def test_importing_the_catalog_does_not_import_the_network() -> None:
    code = (
        "import sys, warroom_mcp.catalog;"
        "heavy = {'httpx2', 'httpx', 'stamina', 'pydantic', 'structlog'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
