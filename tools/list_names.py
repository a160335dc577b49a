"""Write book/stability.md: every public name with its signature, and whether it may change.

A test compares the page with the package, so that no change of the public surface goes unseen. After a deliberate change,
run this, read the difference, and say in CHANGELOG.md what it means to others.

Usage: python tools/list_names.py
"""

import importlib
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "book" / "stability.md"
STABLE, OPEN = "stable", "may change"
#: Module -> whether its names are stable; in the order of the page.
MODULES = {
    "afl_helpers": STABLE,
    "afl_helpers.losses": STABLE,
    "afl_helpers.gamma": STABLE,
    "afl_helpers.evaluation": STABLE,
    "afl_helpers.data": STABLE,
    "afl_helpers.training": STABLE,
    "afl_helpers.estimators": STABLE,
    "afl_helpers.errors": STABLE,
    "afl_helpers.augment": OPEN,
    "afl_helpers.relations": OPEN,
    "afl_helpers.doctor": OPEN,
    "afl_helpers.results": OPEN,
    "afl_helpers.studies": OPEN,
    "afl_helpers.claims": OPEN,
}
#: Names that differ from their module: they are younger than the rest.
EXCEPTIONS = {
    "afl_helpers.losses.identify_loss": OPEN,
    "afl_helpers.evaluation.suspicious_labels": OPEN,
}
START = """\
# What stays, and what may change

Every public name of the package with its signature. What is not listed here is internal, even if it can be imported.

- **stable**: a change that breaks a call is announced in the changelog, and the old form works for one more version with a warning.
- **may change**: new enough that a version may change it. The changelog says so.

`afl_helpers.chapters` belongs to the book and is not for others. A test compares this page with the package; `python tools/list_names.py` writes it anew.
"""


def public_names(module: ModuleType) -> list[str]:
    """Return the names of `__all__`, or else those that the module itself defines."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return sorted(listed)
    return sorted(
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and (getattr(value, "__module__", "") == module.__name__ or name.isupper())
    )


def signature(value: object) -> str:
    """Return a signature without annotations, which say types in many words; empty for what cannot be called."""
    if not callable(value):
        return ""
    try:
        found = inspect.signature(value)
    except (TypeError, ValueError):
        return "(...)"
    bare = [parameter.replace(annotation=parameter.empty) for parameter in found.parameters.values()]
    text = str(found.replace(parameters=bare, return_annotation=found.empty))
    return re.sub(r" at 0x\w+", "", text)


def members(cls: type, listed: set[type]) -> Iterator[tuple[str, str]]:
    """Yield the public methods and properties that a class has from this package, with their signatures.

    Those of a base class that is listed itself stand there.
    """
    for name, value in inspect.getmembers_static(cls):
        owner = next(base for base in cls.__mro__ if name in vars(base))
        if name.startswith("_") or not owner.__module__.startswith("afl_helpers") or owner in listed - {cls}:
            continue
        if isinstance(value, property):
            yield name, ""
        elif isinstance(value, classmethod | staticmethod) or inspect.isfunction(value):
            yield name, signature(getattr(cls, name)).replace("(self, ", "(").replace("(self)", "()")


def lines() -> Iterator[str]:
    """Yield the lines of the page after its start."""
    modules = [importlib.import_module(name) for name in MODULES]
    listed = {
        getattr(module, key)
        for module in modules
        for key in public_names(module)
        if inspect.isclass(getattr(module, key))
    }
    for module, (name, stability) in zip(modules, MODULES.items()):
        yield f"\n## {name}\n"
        for key in public_names(module):
            value, own = getattr(module, key), EXCEPTIONS.get(f"{name}.{key}", stability)
            yield f"- `{key}{signature(value)}`: {own}"
            if inspect.isclass(value):
                yield from (f"  - `{member}{arguments}`" for member, arguments in members(value, listed))


def page() -> str:
    """Return the text of the page."""
    return "\n".join([START.rstrip("\n"), *lines(), ""])


def main() -> int:
    PAGE.write_text(page(), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
