#!/usr/bin/python3
"""What can be told of packaging/ without Spack, Lmod and Apptainer: the recipe loads and names this
version, the module files point into an installation and agree, the definition's scripts parse and
what it copies is there. And the changelog has the form that it says it has.

    check_packaging.py BUILD_FOLDER
"""

import re
import subprocess
import sys
import tempfile
import types
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
VERSION = re.search(r'"(.+)"', (REPO / "include/evalsweep/version.h").read_text()).group(1)

# Lmod's functions, which print what they are told.
LMOD = """
local function say(name) return function(...) print(name, ...) end end
for _, name in ipairs{"conflict", "prepend_path", "setenv"} do _G[name] = say(name) end
function help() end
function whatis() end
function pathJoin(a, b) return a .. "/" .. b end
function myFileName() return arg[1] end
dofile(arg[1])
"""


def check_recipe():
    """Loads the Spack recipe with stand-ins for what it imports."""
    told = {"version": [], "depends_on": [], "license": []}
    spack = types.ModuleType("spack.package")
    for name, calls in told.items():
        setattr(spack, name, lambda *a, calls=calls, **k: calls.append(a[0]))
    spack.run_after = spack.on_package_attributes = lambda *a, **k: lambda function: function
    sys.modules["spack.package"] = spack
    build_system = types.SimpleNamespace(CMakePackage=object)
    sys.modules["spack_repo.builtin.build_systems.cmake"] = build_system
    path = REPO / "packaging/spack/evalsweep/package.py"
    exec(compile(path.read_text(), path, "exec"), {})
    assert told["version"] == [VERSION], told
    assert {re.match(r"\w+", name).group() for name in told["depends_on"]} >= {
        "cmake",
        "pkgconfig",
        "openmpi",
        "hdf5",
        "cjson",
    }, told


def check_modules(build, prefix):
    """Every folder that they prepend is there, and the two say the same."""
    install = ["cmake", "--install", build, "--prefix", prefix]
    subprocess.run(install, check=True, capture_output=True)
    folder = prefix / "share/evalsweep/modulefiles/evalsweep"
    stand_in = prefix / "stand_in.lua"
    stand_in.write_text(LMOD)
    command = ["lua5.4", stand_in, folder / f"{VERSION}.lua"]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    lmod = [line.split("\t") for line in out.splitlines()]
    for verb, *arguments in lmod:
        if verb == "prepend_path":
            assert Path(arguments[1]).is_dir(), arguments
    assert ["setenv", "EBVERSIONEVALSWEEP", VERSION] in lmod, lmod

    text = (folder / VERSION).read_text()
    tcl = [
        [verb.replace("-", "_"), *rest.replace("$root", str(prefix)).split()]
        for verb, rest in re.findall(r"^(conflict|prepend-path|setenv) +(.*)", text, re.M)
    ]
    assert tcl == lmod, (tcl, lmod)


def check_definition():
    """The scripts are shell, and the files that are copied are here."""
    text = (REPO / "packaging/apptainer/evalsweep.def").read_text()
    sections = dict(re.findall(r"^%(\w+)\n((?:(?!%).*\n)*)", text, re.M))
    for name in ("post", "environment", "runscript", "test"):
        subprocess.run(["sh", "-n"], input=sections[name], text=True, check=True)
    for line in sections["files"].splitlines():
        if line.strip():
            assert (REPO / line.split()[0]).exists(), line


def check_changelog():
    """Keep a Changelog 1.1.0: versions newest first, with what was not released on top."""
    headings = re.findall(r"^(##+) (.*)", (REPO / "CHANGELOG.md").read_text(), re.M)
    versions = [text for level, text in headings if level == "##"]
    assert versions[0] == "[Unreleased]", versions
    released = [re.fullmatch(r"\[(\d+)\.(\d+)\.(\d+)\] - \d{4}-\d\d-\d\d", v) for v in versions[1:]]
    assert all(released), versions
    numbers = [tuple(map(int, match.groups())) for match in released]
    assert numbers == sorted(numbers, reverse=True), versions
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {text for level, text in headings if level != "##"} <= kinds, headings


if __name__ == "__main__":
    check_recipe()
    check_definition()
    check_changelog()
    with tempfile.TemporaryDirectory() as scratch:
        check_modules(sys.argv[1], Path(scratch).resolve())
