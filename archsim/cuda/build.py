"""Compiles the stand-in for libcudart and libcuda into the user's cache folder, once per version of its sources."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from archsim.errors import RunError

SOURCES = Path(__file__).parent / "src"
CORE_FILES = ("core.c", "map.c", "memory.c", "module.c", "stream.c", "errors.c")
FLAGS = ("-std=gnu11", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror=implicit-function-declaration")
RUNTIME_MAJORS = (12, 13)
_CORE = "libarchsim_core.so"
_SELF = Path(__file__).read_bytes()  # as imported: an edit while a process runs must not name its result


def cache_folder() -> Path:
    """``$ARCHSIM_CACHE_DIR``, else ``$XDG_CACHE_HOME/archsim``, else ``~/.cache/archsim``."""
    own = os.environ.get("ARCHSIM_CACHE_DIR")
    if own:
        return Path(own)
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "archsim"


def _compiler() -> str:
    for name in (os.environ.get("CC"), "gcc", "cc"):
        if name and shutil.which(name):
            return name
    raise RunError("capture needs a C compiler: gcc is not on PATH (Debian and Ubuntu: apt install gcc)")


def exported_names(version_script: Path) -> list[str]:
    """The function names that a version script lists."""
    return re.findall(r"^\s+(\w+);$", version_script.read_text(encoding="utf-8"), re.MULTILINE)


def _stubs(version_script: Path) -> str:
    """C source: a weak definition of every exported name, which reports the call and returns "not supported"."""
    note = "as_note" if "cudart" in version_script.name else ""
    lines = ['#include "core.h"']
    for name in exported_names(version_script):
        lines.append(f'__attribute__((weak)) int {name}(void) {{ return {note}(as_unsupported("{name}")); }}')
    return "\n".join(lines) + "\n"


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RunError(f"the CUDA stand-in does not compile: {' '.join(command)}\n{done.stderr.strip()}")


def _link(compiler: str, inputs: list[Path], name: str, folder: Path, more: list[str]) -> None:
    script = SOURCES / f"{name}.map"
    options = ["-shared", f"-Wl,-soname,{name}", f"-Wl,--version-script={script}", "-Wl,-Bsymbolic"]
    objects = [str(path) for path in inputs]
    _run([compiler, *FLAGS, f"-I{SOURCES}", *options, "-o", str(folder / name), *objects, *more])


def _build(folder: Path) -> None:
    compiler = _compiler()
    _link(compiler, [SOURCES / name for name in CORE_FILES], _CORE, folder, ["-lpthread"])
    use_core = [f"-L{folder}", f"-l:{_CORE}", "-Wl,-rpath,$ORIGIN", "-ldl"]
    runtime: tuple[str, ...] = ("runtime.c", "runtime_memory.c")
    fronts = [(f"libcudart.so.{major}", runtime, [f"-DCUDART_MAJOR={major}"]) for major in RUNTIME_MAJORS]
    fronts.append(("libcuda.so.1", ("driver.c",), []))
    for name, sources, defines in fronts:
        stubs = folder / f"stubs_{name}.c"
        stubs.write_text(_stubs(SOURCES / f"{name}.map"), encoding="utf-8")
        # The linker drops a weak stub where the front end defines the name.
        _link(compiler, [*(SOURCES / source for source in sources), stubs], name, folder, [*defines, *use_core])
        stubs.unlink()


def library_folder() -> Path:
    """Folder with the compiled libcudart.so.12, libcudart.so.13 and libcuda.so.1; compiles them if need be.

    Raises RunError when there is no C compiler, it fails, or the cache folder cannot be written.
    """
    digest = hashlib.sha256(_SELF)
    for path in sorted(SOURCES.iterdir()):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    target = cache_folder() / f"cuda-{digest.hexdigest()[:16]}"
    if (target / _CORE).is_file():
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix="building-", dir=target.parent))
    except OSError as error:
        raise RunError(f"{target.parent}: cannot be written ({error.strerror}); set ARCHSIM_CACHE_DIR") from None
    try:
        _build(made)
        try:
            made.rename(target)  # atomic: another process may be building too
        except OSError:
            if not (target / _CORE).is_file():
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target
