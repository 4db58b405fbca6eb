"""Where the state of War Room lives. Apart from the settings, which take a third of a second to load."""

import os
from pathlib import Path

LOCAL_HOME = ".war-room"


def find_home() -> Path:
    """The state directory: `WARROOM_HOME`, else `.war-room` here if it exists, else the user's own."""
    if chosen := os.environ.get("WARROOM_HOME"):
        return Path(chosen).expanduser().absolute()
    local = Path.cwd() / LOCAL_HOME
    if local.is_dir():
        return local
    import platformdirs

    return Path(platformdirs.user_data_dir("war-room", appauthor=False))
