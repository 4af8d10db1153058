"""The wheel, and the source archive, as a user installs them: without extras, into an empty virtual environment."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

from tests.support.missing import not_tested

ROOT = Path(__file__).parents[2]


def build_wheel(directory: Path) -> Path:
    """Build the wheel of this tree into ``directory``."""
    return _build("wheel", directory, "*.whl")


def build_sdist(directory: Path) -> Path:
    """Build the source archive of this tree into ``directory``."""
    return _build("sdist", directory, "*.tar.gz")


def _build(target: str, directory: Path, pattern: str) -> Path:
    command = (sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(directory))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    (built,) = directory.glob(pattern)
    return built


def install_wheel(wheel: Path, directory: Path, *others: str) -> Path:
    """Install it and what it depends on, and nothing else but ``others``; the scripts' directory. Skips where there is
    no index."""
    venv.create(directory, with_pip=False, symlinks=True)
    scripts = directory / "bin"
    # Of all that is installed only what a test imports need be compiled.
    done = _pip("--python", str(scripts / "python"), "install", "--quiet", "--no-compile", str(wheel), *others)
    if done.returncode and _pip("download", "--quiet", "--no-deps", "--dest", str(directory), "starlette").returncode:
        not_tested(f"no package index for what Gantry depends on, to install it as a user does: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr
    return scripts


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = (sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments)
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
