#!/usr/bin/env python3
"""What must hold in a run folder whatever happened to its driver.

    check_tree.py [--leftovers] [--torn] RUN_DIR COUNT_FILE

Each marker is whole and its unit was evaluated; no other JSON file is torn; nothing temporary is
left, and no lock, driver's file or lease, unless --leftovers. progress.csv has whole lines; with
--torn one may be torn, which was the last when its writer was killed.
Prints "checkpoint layer task" of each unit that has a marker, or what is wrong, with exit code 1.
"""

import json
import os
import sys


def is_temporary(name):
    return name.startswith(".es-")


def problems(run_dir, evaluated, may_leave, done):
    for folder, _, names in os.walk(run_dir):
        for name in names:
            path = os.path.join(folder, name)
            if is_temporary(name) and not may_leave:
                yield f"{path}: left over"
            if name in ("lock", "lock.takeover") and not may_leave:
                yield f"{path}: left over"
            if os.path.basename(folder) in ("drivers", "leases") and not may_leave:
                yield f"{path}: left over"
            if not name.endswith(".json") or is_temporary(name):
                continue
            try:
                with open(path, encoding="utf-8") as file:
                    content = json.load(file)
            except ValueError as error:
                yield f"{path}: {error}"
                continue
            if name == "done.json":
                unit = f"{content['checkpoint']} {content['layer']} {content['task']}"
                done.append(unit)
                if unit not in evaluated:
                    yield f"{path}: was not evaluated"


def torn_lines(path):
    if not os.path.exists(path):
        return
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    for number, line in enumerate(lines, 1):
        if line.count(",") != 9 and (line or number < len(lines)):
            yield f"{path}: line {number} is torn: {line}"


def main():
    run_dir, count_file = [a for a in sys.argv[1:] if not a.startswith("--")]
    evaluated, done = set(), []
    if os.path.exists(count_file):
        with open(count_file, encoding="utf-8") as file:
            evaluated = set(file.read().splitlines())
    found = list(problems(run_dir, evaluated, "--leftovers" in sys.argv, done))
    torn = list(torn_lines(os.path.join(run_dir, "progress.csv")))
    if len(torn) > ("--torn" in sys.argv):
        found += torn
    print("\n".join(found or sorted(done)))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
