#!/usr/bin/env python3
"""Lays the results of a run out as mteb does, for mteb's own tools.

    tools/mteb_results.py runs/pythia-410m results-410m

    import mteb
    cache = mteb.ResultCache("results-410m")
    results = cache.load_results(load_experiments="match_name")

A checkpoint is a revision of the model, and a layer of it an experiment. Files are hard links to
those of the run where there can be links, else copies; what is there already stays.
"""

import argparse
import json
import os
import shutil
import sys
from pathlib import Path

from mteb import ResultCache
from mteb.models import ModelMeta
from mteb_encoder import model_meta


def lay_out(run_dir: Path, folder: Path) -> int:
    """The number of results. Those without what mteb_evaluator.py writes into them are left out."""
    cache = ResultCache(folder)
    n_results = 0
    for marker in run_dir.rglob("done.json"):
        for path in marker.parent.glob("*.json"):
            document = {} if path == marker else json.loads(path.read_text(encoding="utf-8"))
            about = document.get("evalsweep")
            if about:
                meta = model_meta(
                    about["model"], about["checkpoint"], about["width"], about["experiment"]
                )
                _place(path, cache.get_task_result_path(document["task_name"], meta), meta)
                n_results += 1
    return n_results


def _place(source: Path, target: Path, meta: ModelMeta) -> None:
    about_model = target.with_name("model_meta.json")
    if not about_model.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        about_model.write_text(json.dumps(meta.to_dict(), default=str, indent=1), encoding="utf-8")
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    args = parser.parse_args()
    n_results = lay_out(args.run_dir, args.folder)
    print(f"{n_results} results in {args.folder}", file=sys.stderr)


if __name__ == "__main__":
    main()
