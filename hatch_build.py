"""Puts the compiled knowledge into the wheel, in the place of the files that it is made from."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_MAKE = "import json, sys; from warroom_mcp.compiling import made; json.dump(made(), sys.stdout)"
_TARGET = "warroom_mcp/knowledge/compiled.json"


class CustomBuildHook(BuildHookInterface):
    """Runs the package's own compiler in a process of its own."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and tell the wheel where the outcome goes."""
        if self.target_name != "wheel" or version == "editable":
            return
        told = subprocess.run([sys.executable, "-c", _MAKE], cwd=self.root, capture_output=True, check=True)
        json.loads(told.stdout)
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "compiled.json"
        file.write_bytes(told.stdout)
        build_data["force_include"][str(file)] = _TARGET
