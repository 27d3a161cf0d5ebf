"""Build: the Cython trace parser, and the top-level data folders as packages. Metadata is in pyproject.toml."""

from pathlib import Path

from setuptools import Extension, find_packages, setup

ROOT = Path(__file__).parent
PARSER = "archsim/trace/_accelsim.pyx"


def extensions() -> list[Extension]:
    """The compiled parser of Accel-Sim text traces."""
    if not (ROOT / PARSER).is_file():
        return []
    import numpy
    from Cython.Build import cythonize

    extension = Extension(
        "archsim.trace._accelsim",
        [PARSER],
        include_dirs=[numpy.get_include()],
        define_macros=[("NPY_NO_DEPRECATED_API", "NPY_2_0_API_VERSION")],
        extra_compile_args=["-O3"],
    )
    return cythonize([extension], language_level=3)


# The stand-in of the CUDA runtime is compiled when it is first used.
C_SOURCES = ["**/*.c", "**/*.h", "**/*.map"]

# configs/ and traces/ stay at the top of the checkout, where people look for them, and install inside the package.
DATA = {f"archsim._data.{folder}": folder for folder in ("configs", "traces") if (ROOT / folder).is_dir()}

setup(
    packages=[*find_packages(include=["archsim", "archsim.*"]), *DATA],
    package_dir=DATA,
    package_data={
        "archsim": ["py.typed"],
        "archsim.cuda": C_SOURCES,
        "archsim.emulator": C_SOURCES,
        "archsim.trace": ["*.pyx"],
        "archsim.view": ["assets/*"],
        "archsim._data.configs": ["**/*.yaml", "**/*.txt"],
        "archsim._data.traces": ["**/*.h5", "**/*.md"],
    },
    include_package_data=False,  # what is installed is listed above, not whatever the sdist carries
    ext_modules=extensions(),
)
