"""What typical reads of a store take, the file in the page cache.

Usage: read_store.py PATH [REPEATS]. Prints JSON: for each read the median of its seconds.
"""

import json
import statistics
import sys
import time

import h5py
import xarray as xr


def h5py_task(path):
    with h5py.File(path) as file:
        return file["main_score"][:, :, 3]


def h5py_task_status(path):
    with h5py.File(path) as file:
        return file["status"][:, :, 3]


def h5py_checkpoint(path):
    with h5py.File(path) as file:
        return file["main_score"][3]


def h5py_checkpoint_status(path):
    with h5py.File(path) as file:
        return file["status"][3]


def h5py_all_scores(path):
    with h5py.File(path) as file:
        return file["main_score"][:]


def xarray_task(path, engine):
    with xr.open_dataset(path, engine=engine) as data:
        return data.main_score.sel(task="Task3").values


def xarray_tries(path, engine):
    with xr.open_dataset(path, engine=engine, group="tries") as data:
        return data.outcome.values, data.started_at.values, data.finished_at.values


READS = {
    "h5py_task": h5py_task,
    "h5py_task_status": h5py_task_status,
    "h5py_checkpoint": h5py_checkpoint,
    "h5py_checkpoint_status": h5py_checkpoint_status,
    "h5py_all_scores": h5py_all_scores,
    "xarray_h5netcdf_task": lambda path: xarray_task(path, "h5netcdf"),
    "xarray_netcdf4_task": lambda path: xarray_task(path, "netcdf4"),
    "xarray_netcdf4_tries": lambda path: xarray_tries(path, "netcdf4"),
}


def seconds(read, path):
    begun = time.perf_counter()
    read(path)
    return time.perf_counter() - begun


def main():
    path, repeats = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3
    medians = {
        name: statistics.median(seconds(read, path) for _ in range(repeats + 1))
        for name, read in READS.items()
    }
    print(json.dumps(medians, separators=(",", ":")))


if __name__ == "__main__":
    main()
