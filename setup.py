"""All that setuptools cannot read from pyproject.toml: the compiled module."""

from setuptools import setup

setup(cffi_modules=["csrc/build_ffi.py:ffibuilder"])
