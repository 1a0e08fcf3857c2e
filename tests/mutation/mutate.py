#!/usr/bin/env python3
"""Puts each defect of mutations.py into a copy of the tree, and tells whether the tests notice it.

    mutate.py FOLDER [NUMBER...]     FOLDER: for the copy and its build; NUMBER: only these, from 1

Exit code 1 if one is not noticed, does not apply any more, or if a test fails without any.
"""

import shutil
import subprocess
import sys
import time
from pathlib import Path

from mutations import MUTATIONS

PROJECT = Path(__file__).resolve().parents[2]
NOT_COPIED = shutil.ignore_patterns(".git", "build*", "runs", "venv", "__pycache__")
TEST_LIMIT_S = 30  # the longest takes 6


def copy_tree(tree):
    """All its files are new, so that nothing is left of a mutation that was built before."""
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(PROJECT, tree, copy_function=shutil.copy, ignore=NOT_COPIED)


def build(folder, tests):
    targets = [test.replace("/", "_", 1) for test in tests]
    command = ["cmake", "--build", folder / "build", "--target", *targets]
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def failing_test(folder, tests):
    """The first test that fails, or None."""
    for test in tests:
        binary = folder / "build" / "tests" / "unit" / test
        binary = binary.with_name(test.replace("/", "_", 1))
        try:
            done = subprocess.run([binary], capture_output=True, timeout=TEST_LIMIT_S, check=False)
        except subprocess.TimeoutExpired:
            return f"{test} (hung)"
        if done.returncode != 0:
            return test
    return None


def verdict(folder, path, old, new, tests):
    """What became of one mutation, and whether it is as it must be."""
    text = path.read_text()
    if text.count(old) != 1:
        return f"does not apply: the text stands there {text.count(old)} times", False
    try:
        path.write_text(text.replace(old, new))
        built = build(folder, tests)
        if built.returncode != 0:
            return "does not build:\n" + built.stdout.decode(errors="replace"), False
        caught_by = failing_test(folder, tests)
    finally:
        path.write_text(text)
    return (f"caught by {caught_by}", True) if caught_by else ("SURVIVED", False)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder = Path(sys.argv[1]).resolve()
    wanted = {int(number) for number in sys.argv[2:]} or set(range(1, len(MUTATIONS) + 1))
    copy_tree(folder / "tree")
    configure = ["cmake", "-G", "Ninja", "-S", folder / "tree", "-B", folder / "build"]
    options = ["-DCMAKE_BUILD_TYPE=Debug", "-DEVALSWEEP_TESTS=ON", "-DEVALSWEEP_BENCH=OFF"]
    subprocess.run([*configure, *options], stdout=subprocess.DEVNULL, check=True)
    every_test = sorted({test for *_, tests in MUTATIONS for test in tests})
    built = build(folder, every_test)
    if built.returncode != 0:
        sys.exit(built.stdout.decode(errors="replace"))
    if broken := failing_test(folder, every_test):
        sys.exit(f"mutate.py: {broken} fails without a mutation")
    n_wrong = 0
    for number, (file, old, new, tests) in enumerate(MUTATIONS, 1):
        if number not in wanted:
            continue
        begun_s = time.monotonic()
        text, is_right = verdict(folder, folder / "tree" / "src" / file, old, new, tests)
        n_wrong += not is_right
        took_s = time.monotonic() - begun_s
        change = f"{old.strip()!r} -> {new.strip()!r}"
        print(f"{number:2} {file}: {change}: {text} ({took_s:.0f} s)", flush=True)
    print(f"{len(wanted) - n_wrong} of {len(wanted)} mutations were caught")
    sys.exit(n_wrong > 0)


if __name__ == "__main__":
    main()
