"""The wall between compiled kernels and the rest. The rule between houses is import-linter's (pyproject.toml)."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import archsim

KERNELS = sorted((Path(archsim.__file__).parent / "kernels").rglob("*.py"))


@pytest.mark.parametrize("path", KERNELS, ids=[path.name for path in KERNELS])
def test_kernels_import_only_numpy_numba_the_standard_library_and_each_other(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            names = [node.module or ""]
        else:
            continue
        for name in names:
            root = name.split(".")[0]
            sibling = name == "archsim.kernels" or name.startswith("archsim.kernels.")
            assert sibling or root in ("numpy", "numba") or root in sys.stdlib_module_names, name
