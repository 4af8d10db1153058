"""How Sphinx makes a site of the pages (``./run docs``).

Its source directory is the root of the repository, so that links between pages are the same here and on a code host."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

project = "Gantry"
version = re.findall(r'__version__ = "(.*)"', (ROOT / "src" / "gantry" / "__init__.py").read_text(encoding="utf-8"))[0]
language = "en"

extensions = ["myst_parser", "navigation", "pictures"]
root_doc = "docs/README"
include_patterns = ["docs/**.md", "tests/README.md"]
include_patterns += [f"{name}.md" for name in ("README", "ARCHITECTURE", "CHANGELOG", "CONTRIBUTING", "SECURITY")]
exclude_patterns = ["build", "src", "docs/site", "tests/*/*", ".*"]

myst_heading_anchors = 4  # headings of four levels can be linked to, by the names that code hosts give them

html_theme = "furo"
html_title = f"Gantry {version}"
html_favicon = "../../src/gantry/console/static/gantry.svg"
html_extra_path = ["extra"]
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = html_use_index = False
html_show_copyright = html_show_sphinx = False
pygments_style, pygments_dark_style = "default", "monokai"
