"""The recipes of docs/store.md, as they stand there.

Those for Python and the command line are run, in a folder with a store of that name.

Usage: test_recipes.py STORE_MD MAKE_STORE [unittest options].
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

STORE_MD = sys.argv.pop(1) if len(sys.argv) > 1 else "docs/store.md"
MAKE_STORE = sys.argv.pop(1) if len(sys.argv) > 1 else "make_store"
SIZE = (6, 25, 4, 3)
# What the recipes name, and what the store of this test has in its place.
NAMES = {"step1000": "step5000", '"accuracy"': '"metric \\"0\\", μ"'}


def recipes(language):
    with open(STORE_MD, encoding="utf-8") as page:
        text = page.read()
    return re.findall(r"^### ([^\n]*)\n[^`]*```" + language + r"\n(.*?)```", text, re.M | re.S)


class RecipesTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        subprocess.run(
            [MAKE_STORE, os.path.join(cls.folder.name, "results.h5"), *map(str, SIZE)],
            check=True,
            stdout=subprocess.DEVNULL,
        )

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_command(self, *command):
        environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONWARNINGS": "ignore"}
        done = subprocess.run(
            command, cwd=self.folder.name, capture_output=True, text=True, env=environment
        )
        self.assertEqual((done.returncode, done.stderr), (0, ""), command)
        return done.stdout

    def test_python(self):
        found = recipes("python")
        self.assertEqual(
            [name for name, _ in found],
            [
                "xarray",
                "xarray: tries",
                "xarray: a heat map in one line",
                "h5py",
                "netCDF4 for Python",
            ],
        )
        for name, code in found:
            for engine in ("netcdf4", "h5netcdf") if "xarray" in name else ("",):
                with self.subTest(recipe=name, engine=engine):
                    self.run_command(sys.executable, "-c", self.adapted(code, engine))

    def adapted(self, code, engine):
        for name, replacement in NAMES.items():
            code = code.replace(name, replacement)
        if engine:
            code = code.replace('"results.h5"', f'"results.h5", engine="{engine}"')
        return code

    def test_commands(self):
        ((_, commands),) = recipes("sh")
        for command in commands.splitlines():
            words = command.partition("#")[0].split()
            with self.subTest(command=command):
                self.assertGreater(len(self.run_command(*words)), 50)


if __name__ == "__main__":
    unittest.main()
