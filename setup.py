"""All that setuptools cannot read from pyproject.toml: the compiled module, and that it needs cffi.

Where it cannot be compiled the package is built without it, as a wheel of plain Python. With
NAME_REQUIRE_C=1, NAME being the package's in capitals, that is an error. So it is in an editable
install and in a build in place, which could go on with an older module, unless
NAME_REQUIRE_C=0 is set.

NAME_PURE=1 leaves it out where it could be compiled: the wheel for all other machines.
"""

import os
import platform
import re
import sys
import sysconfig
from hashlib import sha256
from pathlib import Path

from setuptools import setup
from setuptools.command.build_ext import build_ext
from setuptools.errors import BaseError, CCompilerError

# what one imports; the name that it is published under is the [project]'s, and may be another
NAME = re.search(r'^packages = \["(\w+)"', Path("pyproject.toml").read_text("utf-8"), re.M)[1]


def is_set(word, unless_told="0"):
    return (os.environ.get(f"{NAME.upper()}_{word}") or unless_told) != "0"


def leave_out(problem):
    print(f"\n{problem}\n{NAME} is built WITHOUT its compiled engine, for the reason above\n")


def skip_fresh_objects(compiler):
    """Let it compile only what has changed, by a digest of its making beside each object."""
    compile_all = compiler.compile

    def compile_changed(sources, output_dir=None, depends=(), **options):
        objects = compiler.object_filenames(sources, output_dir=output_dir)
        how = repr((getattr(compiler, "compiler_so", None), sorted(options.items()))).encode()
        headers = b"".join(Path(path).read_bytes() for path in depends)
        for source, object_file in zip(sources, objects):
            digest = sha256(how + headers + Path(source).read_bytes()).hexdigest()
            known = Path(f"{object_file}.sha256")
            if known.exists() and known.read_text() == digest and Path(object_file).exists():
                continue
            known.unlink(missing_ok=True)
            compile_all([source], output_dir=output_dir, depends=depends, **options)
            known.write_text(digest)
        return objects

    compiler.compile = compile_changed


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
            if is_set("REQUIRE_C", "1" if self.editable_mode or self.keep_objects else "0"):
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
# A wheel without it needs no cffi, which there is not for every Python.
compiled["install_requires"] = ["cffi>=1.15"]

try:
    if is_set("PURE"):
        raise ImportError(f"{NAME.upper()}_PURE is set")
    if platform.python_implementation() != "CPython" or sys.platform == "emscripten":
        raise ImportError("the compiled engine is for CPython")
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        raise ImportError("the compiled engine is for a CPython with a GIL, which locks its tape")
    import cffi  # noqa: F401  without it setuptools only leaves the module out
except ImportError as problem:
    if is_set("REQUIRE_C"):
        raise
    leave_out(problem)
    compiled = {"install_requires": []}

setup(**compiled)
