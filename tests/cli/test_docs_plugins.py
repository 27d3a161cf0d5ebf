"""docs/plugins.md: the documented command runs, and the page shows the example file as it is."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "plugins.md").read_text()


def test_page_shows_the_example() -> None:
    """The page's code is the file's."""
    assert (ROOT / "examples" / "my_prefetcher.py").read_text().rstrip() in PAGE


def test_documented_command_runs(tmp_path: Path) -> None:
    """A user's prefetcher outside the package runs and is named in the result."""
    line = next(text for text in PAGE.splitlines() if text.startswith("$ archsim run"))
    plug_in = tmp_path / "my_prefetcher.py"
    plug_in.write_text((ROOT / "examples" / "my_prefetcher.py").read_text())
    words = shlex.split(line.removeprefix("$ archsim ").replace("examples/my_prefetcher.py", str(plug_in)))
    out = tmp_path / "result"
    command = [sys.executable, "-m", "archsim", *words, "--set", "num_sms=8", "--json", "-o", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    kernel = json.loads(done.stdout)["kernels"][0]
    assert kernel["issued"] > 0
    assert "mine" in (out / "stats.txt").read_text()
