"""Which machine, compiler and versions these are; nothing that names its owner."""

import importlib.metadata
import os
import platform
import shutil
import subprocess

from micrograd import __version__

from .programs import COMPILER

RIVALS = ["xad", "torch", "autograd", "jax", "casadi", "numpy"]


def machine():
    """Return by what it is, what it is."""
    found = {
        "micrograd": __version__,
        "Python": f"{platform.python_implementation()} {platform.python_version()}, "
        f"{platform.python_compiler()}",
        "compiler": first_line(*COMPILER, "--version"),
        "processor": f"{processor()}, {os.cpu_count()} cores",
        "system": platform.platform(),
        "load average before the run": f"{os.getloadavg()[0]:.1f}",
    }
    if shutil.which("pypy3"):
        found["PyPy"] = pypy_version()
    for name in RIVALS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def first_line(*command):
    return subprocess.run(command, capture_output=True, text=True).stdout.splitlines()[0]


def pypy_version():
    code = "import platform, sys; print('.'.join(map(str, sys.pypy_version_info[:3])))"
    return first_line("pypy3", "-c", code)


def processor():
    try:
        with open("/proc/cpuinfo") as lines:
            models = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    except OSError:
        models = []
    return models[0] if models else platform.processor() or platform.machine()
