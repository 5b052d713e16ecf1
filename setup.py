"""All that setuptools cannot read from pyproject.toml: the compiled module.

Where it cannot be compiled the package is built without it, as a wheel of plain Python. With
NAME_REQUIRE_C=1, NAME being the project's in capitals, that is an error. So it is in an editable
install, which could go on with an older module, unless NAME_REQUIRE_C=0 is set.
"""

import os
import platform
import re
import sysconfig
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError
from setuptools.modified import newer_group

NAME = re.search(r'^name = "(\w+)"$', Path("pyproject.toml").read_text("utf-8"), re.MULTILINE)[1]


def is_required(unless_told="0"):
    return (os.environ.get(f"{NAME.upper()}_REQUIRE_C") or unless_told) != "0"


def leave_out(problem):
    print(f"\n{problem}\n{NAME} is built WITHOUT its compiled engine, for the reason above\n")


def skip_fresh_objects(compiler):
    """Let it compile only sources that are newer than their object, or all if a header is newer."""
    compile_all = compiler.compile

    def compile_stale(sources, output_dir=None, depends=None, **options):
        objects = compiler.object_filenames(sources, output_dir=output_dir)
        for source, object_file in zip(sources, objects):
            if newer_group([source, *depends], object_file):
                compile_all([source], output_dir=output_dir, depends=depends, **options)
        return objects

    compiler.compile = compile_stale


class BuildIfPossible(build_ext):
    def run(self):
        self.keep_objects = self.inplace and not self.force  # setuptools resets inplace in run()
        super().run()

    def build_extensions(self):
        if self.keep_objects:
            skip_fresh_objects(self.compiler)
        super().build_extensions()

    def build_extension(self, ext):
        try:
            super().build_extension(ext)
        except (BaseError, CCompilerError) as problem:
            if is_required("1" if self.editable_mode else "0"):
                raise
            leave_out(problem)
            Path(self.get_ext_fullpath(ext.name)).unlink(missing_ok=True)  # an older one
            self.distribution.ext_modules.clear()
            self.get_finalized_command("bdist_wheel").root_is_pure = True


compiled = {
    "cffi_modules": ["csrc/python/build.py:ffibuilder"],
    "cmdclass": {"build_ext": BuildIfPossible},
}
# The stable ABI costs no time, and one wheel serves all CPythons from 3.9 on.
compiled["options"] = {"bdist_wheel": {"py_limited_api": "cp39"}}

try:
    if platform.python_implementation() != "CPython":
        raise ImportError("the compiled engine is for CPython")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise ImportError("the compiled engine is for a CPython with a GIL, which locks its tape")
    import cffi  # noqa: F401  without it setuptools only leaves the module out
except ImportError as problem:
    if is_required():
        raise
    leave_out(problem)
    compiled = {}

setup(**compiled)
