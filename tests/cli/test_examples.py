"""Every script in examples/ runs as it is and leaves the pictures that it names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
QUICK = {"own_microbenchmark.py"}
SCRIPTS = [
    pytest.param(path, id=path.name, marks=() if path.name in QUICK else pytest.mark.slow)
    for path in sorted((ROOT / "examples").glob("*.py"))
    if "# %%" in path.read_text()
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_example_runs(script, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg"}
    done = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.strip()
    for name in re.findall(r'"([\w-]+\.(?:png|html))"', script.read_text()):
        assert (tmp_path / name).stat().st_size > 1000


def test_every_example_is_tested():
    """A script without cells is a plug-in, shown and tested elsewhere."""
    plain = {path.name for path in (ROOT / "examples").glob("*.py")} - {p.values[0].name for p in SCRIPTS}
    assert plain == {"my_prefetcher.py"}
