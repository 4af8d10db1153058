"""A picture ``x.png`` with a dark twin ``x-dark.png`` beside it is shown light or dark, as the reader's system is."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(ShowDarkTwins)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


class ShowDarkTwins(SphinxTransform):
    default_priority: ClassVar[int] = 200  # before Sphinx lists the pictures that it must copy

    def apply(self) -> None:
        folder = Path(self.env.srcdir) / Path(self.env.docname).parent
        for picture in list(self.document.findall(nodes.image)):
            dark = Path(picture["uri"]).with_stem(f"{Path(picture['uri']).stem}-dark")
            if (folder / dark).is_file():
                _add_twin(picture, str(dark))


def _add_twin(picture: nodes.image, uri: str) -> None:
    """The classes are furo's."""
    twin = picture.deepcopy()
    twin["uri"] = uri
    picture["classes"].append("only-light")
    twin["classes"].append("only-dark")
    picture.parent.insert(picture.parent.index(picture) + 1, twin)
