"""Every command that the documentation shows is known, well-formed, and (slow) runs as shown.

Commands are the lines of fenced ``sh`` blocks and the ``$`` lines of ``console`` blocks, in docs/*.md and README.md. A
page is followed in one empty folder, in order, as a reader would. Fenced YAML and Python whose first line names a file
(``# mine.yaml``) is saved under that name. Lines after a command that show an error are compared with what it says.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from archsim.cli import commands
from archsim.resources import find_trace

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
NOT_RUN = {  # first words: why no test can run it
    "pip": "installing is tested by tests/unit/test_packaging.py and by CI",
    "ncu": "needs an NVIDIA GPU",
    "mkdocs": "starts a server",
}
NEEDS = {"archsim compare": "hw.csv"}  # a file that only a command of NOT_RUN makes
FILES = {  # what a page takes for granted
    "README.md": ("kernel.cu", "kernelslist.g"),
    "capture.md": ("saxpy", "saxpy.cu"),
    "plugins.md": ("examples",),
    "running.md": ("TRACE",),
    "tutorial.md": ("saxpy.cu",),
    "validation.md": ("app.h5",),
}


@dataclass
class Shown:
    """A command, and the error lines shown after it."""

    text: str
    errors: list[str] = field(default_factory=list)

    @property
    def programs(self):
        """Each simple command of a pipe or list, as words."""
        parts = re.split(r"\s(?:&&|\|)\s", self.text)
        return [shlex.split(part, comments=True) for part in parts]

    @property
    def runs(self):
        """False for a command that no test can run."""
        words = self.programs[0]
        return words[0] not in NOT_RUN and " ".join(words[:2]) not in NEEDS


def shown_commands(page):
    """Commands of a page, in order."""
    found: list[Shown] = []
    for kind, body in BLOCK.findall(page.read_text()):
        if kind not in ("sh", "console", "bash"):
            continue
        for line in re.sub(r"\\\n\s*", " ", body).splitlines():
            if kind != "console" and line.strip() and not line.startswith("#"):
                found.append(Shown(line))
            elif line.startswith("$ "):
                found.append(Shown(line[2:]))
            elif line.startswith("archsim: error: "):
                found[-1].errors.append(line)
    return found


EVERY = [pytest.param(page, one, id=f"{page.name}-{i}") for page in PAGES for i, one in enumerate(shown_commands(page))]


def parsed(words):
    """Parse an archsim command line; AssertionError with argparse's words if it is not well-formed."""
    if words[1] in ("--help", "--version"):
        return
    assert words[1] in commands(), f"no command {words[1]!r}"
    module = importlib.import_module(f"archsim.cli.{words[1]}")
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            parser.parse_args(words[2:])
    except SystemExit as stop:
        assert stop.code == 0, said.getvalue()


@pytest.mark.parametrize(("page", "shown"), EVERY)
def test_command_is_well_formed(page, shown):
    for words in shown.programs:
        if words[0] == "archsim":
            parsed(words)
        else:
            assert (
                words[0] in NOT_RUN
                or words[0] in ("pytest", "jq", "python", "printf", "cd", "source")
                or "/" in words[0]
            )


def test_no_command_hides_in_another_kind_of_block():
    for page in PAGES:
        for kind, body in BLOCK.findall(page.read_text()):
            if kind in ("", "text"):
                assert not re.search(r"^(\$ )?archsim ", body, flags=re.MULTILINE), f"{page.name}: {body[:200]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_and_pictures_exist(page):
    generated = ("config-reference.md", "metrics-reference.md")
    for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
        if "://" not in target and Path(target).name not in generated:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def prepare(name, folder):
    """Put a file that a page takes for granted into the reader's folder."""
    sources = ROOT / "validation" / "kernels"
    if name.endswith(".cu"):
        shutil.copy(sources / "saxpy.cu", folder / name)
        shutil.copy(sources / "common.cuh", folder)
    elif name == "saxpy":
        command = ["nvcc", "-cudart", "shared", "-arch=sm_86", "-o", str(folder / name), str(sources / "saxpy.cu")]
        subprocess.run(command, check=True)
    elif name == "kernelslist.g":
        from archsim.trace import export_accelsim, open_trace

        with open_trace(find_trace("saxpy_sm86")) as trace:
            export_accelsim(trace, folder)
    elif name == "examples":
        (folder / name).symlink_to(ROOT / name)
    else:
        (folder / name).symlink_to(find_trace("saxpy_sm86"))


@pytest.fixture
def reader(tmp_path):
    """A folder and an environment in which ``archsim`` is this checkout."""
    binaries = tmp_path / "bin"
    binaries.mkdir()
    for name in ("archsim", "python"):
        module = "-m archsim" if name == "archsim" else ""
        (binaries / name).write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {module} "$@"\n')
        (binaries / name).chmod(0o755)
    folder = tmp_path / "here"
    folder.mkdir()
    path = f"{binaries}{os.pathsep}{os.environ['PATH']}"
    return folder, os.environ | {"PATH": path, "PYTHONPATH": str(ROOT), "COLUMNS": "120"}


RUNNABLE = [page for page in PAGES if any(one.runs for one in shown_commands(page))]


@pytest.mark.slow
@pytest.mark.parametrize("page", RUNNABLE, ids=lambda p: p.name)
def test_page_runs_as_shown(page, reader):
    folder, environment = reader
    for name in FILES.get(page.name, ()):
        prepare(name, folder)
    for _, body in BLOCK.findall(page.read_text()):
        if named := re.match(r"# ([\w-]+\.(?:yaml|py))\b", body):
            (folder / named[1]).write_text(body)
    for shown in filter(lambda one: one.runs, shown_commands(page)):
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", shown.text], cwd=folder, env=environment, capture_output=True, text=True
        )
        said = f"{shown.text}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
        assert (done.returncode != 0) == bool(shown.errors), said
        assert done.stderr.splitlines()[-len(shown.errors) :] == shown.errors or not shown.errors, said


@pytest.mark.slow
def test_python_of_the_pages_runs(reader):
    """Python blocks that need nothing but archsim and what the page made before."""
    folder, environment = reader
    for name in ("README.md", "running.md"):
        page = next(p for p in PAGES if p.name == name)
        for kind, body in BLOCK.findall(page.read_text()):
            if kind == "python":
                subprocess.run([sys.executable, "-c", body], cwd=folder, env=environment, check=True)
