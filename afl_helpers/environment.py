"""What may change a number on this machine: versions, commit, device and processor."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

_VERSIONS = ("torch", "transformers", "numpy", "scikit-learn", "iterative-stratification")


def describe_environment() -> dict[str, Any]:
    """Return what may change a number: versions, commit, device and processor.

    Needs no extra. A package that is not installed has the version None; so has the commit, unless the package is used
    from a checkout of this repository.
    """
    import torch

    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in _VERSIONS},
        "commit": _commit(Path(__file__).parent),
        "device": torch.cuda.get_device_name()
        if torch.cuda.is_available()
        else f"CPU, {torch.get_num_threads()} threads",
        "processor": _processor(),
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _commit(package: Path) -> str | None:
    """The commit of the checkout that holds the package; an environment may lie in a checkout of something else."""
    command = ["git", "rev-parse", "--show-toplevel", "HEAD"]
    try:
        found = subprocess.run(command, cwd=package, capture_output=True, text=True, check=True).stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        return None
    return found[1] if Path(found[0]).resolve() == package.parent.resolve() else None


def _processor() -> str:
    """Name, family and model of the processor if the system gives them, and the vector instructions that torch uses."""
    import torch

    try:
        lines = Path("/proc/cpuinfo").read_text().partition("\n\n")[0].splitlines()
    except OSError:
        lines = []
    facts = {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    capability = torch.backends.cpu.get_cpu_capability()
    if "model name" not in facts:
        return f"{platform.processor() or platform.machine()}, {capability}"
    family = f"family {facts.get('cpu family')}, model {facts.get('model')}"
    return f"{facts['model name']} ({family}), {capability}"
