"""Templates of HTML, and the styles and scripts beside them, in the folder `assets` of a package."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def asset(package: str, name: str) -> str:
    """Return the text of a file in a package's `assets`."""
    return files(package).joinpath("assets", name).read_text("utf-8")


def environment(package: str) -> Environment:
    """Return Jinja's environment of a package: text is escaped, and a value that a template lacks is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(package, "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(package: str, template: str, **values: Any) -> str:
    """Return a package's template, filled in."""
    return environment(package).get_template(template).render(**values)
