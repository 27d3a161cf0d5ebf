"""Installed archsim finds its shipped files, however it was installed; the README's commands are the ones CI runs."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# A sample of each kind of file that must travel with an installation.
PROBE = "import archsim.cli, archsim.resources as r; print(archsim.__file__); print(r.find_config('h100_sxm'))"


def readme_blocks() -> list[str]:
    text = (ROOT / "README.md").read_text()
    return re.findall(r"^```sh\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def test_readme_has_exactly_the_two_commands():
    main_job, tests = readme_blocks()
    assert main_job.startswith("pip install . && archsim run ")
    assert tests == "pip install '.[test]' && pytest\n"


def test_ci_reads_its_commands_from_the_readme():
    script = (ROOT / ".ci/run").read_text()
    assert "README.md" in script
    assert "pip install" not in script
    done = subprocess.run(["bash", "-n", ROOT / ".ci/run"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A copy of the sources, as git sees them."""
    folder = tmp_path_factory.mktemp("checkout") / "archsim"
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:  # not a git checkout: an unpacked sdist
        shutil.copytree(ROOT, folder, ignore=shutil.ignore_patterns("build", "*.egg-info", "*.so", "__pycache__", ".*"))
        return folder
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def installed(tmp_path: Path, *pip_arguments: str) -> tuple[Path, Path]:
    """Install into a new environment; (archsim's own file, the configuration it finds), asked from another folder."""
    environment = tmp_path / "venv"
    clean = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    python = environment / "bin/python"
    needs = ["pydantic", "pyyaml"]  # what reading a configuration imports
    subprocess.run([python, "-m", "pip", "install", "-q", *needs], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", *pip_arguments], check=True)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = subprocess.run([python, "-c", PROBE], cwd=elsewhere, env=clean, capture_output=True, text=True, check=True)
    listing = subprocess.run(
        [environment / "bin/archsim", "config", "list"],
        cwd=elsewhere,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "h100_sxm" in listing.stdout
    package, config = map(Path, done.stdout.split())
    return package, config


@pytest.mark.slow
def test_wheel_made_from_the_sdist(checkout, tmp_path):
    subprocess.run([sys.executable, "-m", "build", "-o", tmp_path / "dist", checkout], check=True, capture_output=True)
    [sdist], [wheel] = (list((tmp_path / "dist").glob(pattern)) for pattern in ("*.tar.gz", "*.whl"))
    assert sdist.stat().st_size
    package, config = installed(tmp_path, str(wheel))
    assert package.is_relative_to(tmp_path / "venv")
    assert config == package.parent / "_data/configs/gpu/h100_sxm.yaml"
    has_parser = (ROOT / "archsim/trace/_accelsim.pyx").is_file()
    assert bool(list((package.parent / "trace").glob("_accelsim*.so"))) == has_parser


@pytest.mark.slow
def test_editable_installation_uses_the_checkout(checkout, tmp_path):
    package, config = installed(tmp_path, "-e", str(checkout))
    assert package == checkout / "archsim/__init__.py"
    assert config == checkout / "configs/gpu/h100_sxm.yaml"
