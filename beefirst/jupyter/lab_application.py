"""JupyterLab's browser application, as an extension of Jupyter's server.

JupyterLab's own class, LabApp, brings what is not wanted here (installing, building and updating
extensions, the news feed), half a second of imports for it, and a subprocess for `yarn` where there is
Node.js; at its import it may write into the environment. This is LabApp's core mode without those.
"""

import json
import sys
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jupyter_server import version_info
from jupyterlab_server import LabServerApp
from traitlets import default

FIRST_PAGE = "/lab/tree/00_start_here.ipynb"


class JupyterLabApp(LabServerApp):
    """Serves the pages of the installed JupyterLab without importing the package."""

    name = "lab"
    app_name = "JupyterLab"
    app_version = version("jupyterlab")
    default_url = FIRST_PAGE
    load_other_extensions = False
    cache_files = False

    @default("static_dir")
    def _default_static_dir(self) -> str:
        return _files("static")

    @default("templates_dir")
    def _default_templates_dir(self) -> str:
        return _files("static")

    @default("schemas_dir")
    def _default_schemas_dir(self) -> str:
        return _files("schemas")

    @default("themes_dir")
    def _default_themes_dir(self) -> str:
        return _files("themes")

    @default("labextensions_path")
    def _default_labextensions_path(self) -> list[str]:
        return []

    def initialize_handlers(self) -> None:
        """Tell the page what LabApp would; the page takes what is missing here for a fault."""
        server: Any = self.serverapp
        page = server.web_app.settings.setdefault("page_config_data", {})
        page |= {
            "buildAvailable": False,
            "buildCheck": False,
            "devMode": False,
            "exposeAppInBrowser": False,
            "token": server.identity_provider.token,
            "quitButton": server.quit_button,
            "allow_hidden_files": server.contents_manager.allow_hidden,
            "delete_to_trash": server.contents_manager.delete_to_trash,
            "news": {"disabled": True},
            "notebookVersion": json.dumps(version_info),
        }
        super().initialize_handlers()


def _files(kind: str) -> str:
    """Return a folder of JupyterLab's files: the package's own, or where those are left out the installed copy."""
    spec = find_spec("jupyterlab")
    places = [Path(spec.origin).parent] if spec and spec.origin else []
    places.append(Path(sys.prefix, "share", "jupyter", "lab"))
    return str(next(place for place in places if (place / "static" / "index.html").is_file()) / kind)


def _jupyter_server_extension_points() -> list[dict[str, Any]]:
    return [{"module": __name__, "app": JupyterLabApp}]
