"""What people read it with: h5py, netCDF4, xarray with both its engines, ncdump and h5dump.

Usage: test_store.py MAKE_STORE [unittest options]. MAKE_STORE writes a store and prints, as JSON,
what is in it; every value is compared with that.
"""

import functools
import json
import math
import os
import subprocess
import sys
import tempfile
import unittest
import warnings

import h5py
import netCDF4
import numpy as np
import xarray as xr

MAKE_STORE = sys.argv.pop(1) if len(sys.argv) > 1 else "make_store"

ENGINES = ("netcdf4", "h5netcdf")
AXES = ("checkpoint", "layer", "task")
COLUMNS = {
    "main_score": "f8",
    "status": "i1",
    "evaluation_time": "f8",
    "finished_at": "f8",
    "attempts": "i4",
    "worker": "i4",
}
MARKERS = {"inode": "u8", "size": "i8", "mtime_ns": "i8"}
FIELDS = {
    "checkpoint": "i4",
    "layer": "i4",
    "task": "i4",
    "split": "i4",
    "subset": "i4",
    "metric": "i4",
    "value": "f8",
}
NAMES = ("split", "subset", "metric")
TRIES = {
    "checkpoint": "i4",
    "layer": "i4",
    "task": "i4",
    "attempt": "i4",
    "worker": "i4",
    "host": "i4",
    "device": "i4",
    "started_at": "f8",
    "finished_at": "f8",
    "load_time": "f8",
    "pass_time": "f8",
    "score_time": "f8",
    "outcome": "i1",
    "reason": "i4",
}
TRY_NAMES = ("host", "device", "reason")


def numbers(values):
    return np.array([math.nan if v is None else v for v in values])


def texts(values):
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]


class Store:
    """One store and what must be in it."""

    def __init__(self, folder, size):
        self.path = os.path.join(folder, "x".join(map(str, size)) + ".h5")
        made = subprocess.run(
            [MAKE_STORE, self.path, *map(str, size)], check=True, capture_output=True, text=True
        )
        self.expected = json.loads(made.stdout)
        self.shape = tuple(len(self.expected[axis]) for axis in AXES)

    def column(self, name):
        return numbers(self.expected[name]).reshape(self.shape)

    def integers(self, name, dtype):
        return np.array(self.expected[name], dtype=dtype).reshape(self.shape)


def for_each_store(test):
    @functools.wraps(test)
    def run(self):
        for store in self.stores:
            with self.subTest(store=os.path.basename(store.path)):
                test(self, store)

    return run


class StoreTest(unittest.TestCase):
    SIZES = ((6, 3, 4, 3), (1, 1, 1, 1), (3, 2, 5, 0), (30, 25, 100, 2))

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.stores = [Store(cls.folder.name, size) for size in cls.SIZES]
        # Old xarray casts NaN times itself, and says so.
        warnings.filterwarnings("ignore", "invalid value encountered in cast", RuntimeWarning)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def check_columns(self, store, read, dtype_of):
        for name, dtype in COLUMNS.items():
            self.assertEqual(dtype_of(name), np.dtype(dtype), name)
            np.testing.assert_array_equal(read(name), store.column(name), name)

    def check_rows(self, store, read, names):
        """Rows, their codes replaced by names, are exactly those that went in, in order."""
        expected = store.expected["rows"]
        for place, axis in enumerate(AXES):
            self.assertEqual(read(axis).tolist(), [row[place] for row in expected])
        for place, kind in enumerate(NAMES):
            self.assertEqual(
                [names[kind][code] for code in read(kind)], [row[3 + place] for row in expected]
            )
            self.assertEqual(sorted(set(read(kind).tolist())), list(range(len(names[kind]))))
        np.testing.assert_array_equal(read("value"), numbers([row[6] for row in expected]))

    def check_tries(self, store, read, names, dtype_of=None):
        """Every try of every unit in order, of the types that the schema has."""
        expected = store.expected["tries"]
        for place, (name, dtype) in enumerate(TRIES.items()):
            column = [row[place] for row in expected]
            if dtype_of:
                self.assertEqual(dtype_of(name), np.dtype(dtype), name)
            if name in TRY_NAMES:
                self.assertEqual([names[name][code] for code in read(name)], column)
                codes = set(read(name).tolist()) | {0}
                self.assertEqual(sorted(codes), list(range(len(names[name]))))
                self.assertEqual(names[name][0], "")
            elif name.endswith("_at") and read(name).dtype.kind == "M":
                self.check_times(read(name), numbers(column))
            else:
                np.testing.assert_array_equal(read(name), numbers(column), name)

    def check_try_attributes(self, attributes_of):
        self.assertEqual(
            texts([attributes_of("started_at")["units"]]), ["seconds since 1970-01-01 00:00:00"]
        )
        self.assertEqual(texts([attributes_of("load_time")["units"]]), ["s"])
        self.assertEqual(np.asarray(attributes_of("outcome")["flag_values"]).tolist(), [1, 2])
        self.assertEqual(texts([attributes_of("outcome")["flag_meanings"]]), ["done failed"])

    @for_each_store
    def test_h5py(self, store):
        with h5py.File(store.path, "r") as file:
            self.assertEqual(texts(file["checkpoint"][()]), store.expected["checkpoint"])
            self.assertEqual(texts(file["task"][()]), store.expected["task"])
            self.assertEqual(file["layer"][()].tolist(), store.expected["layer"])
            np.testing.assert_array_equal(file["step"][()], numbers(store.expected["step"]))
            self.check_columns(store, lambda n: file[n][()], lambda n: file[n].dtype)
            for name, dtype in MARKERS.items():
                np.testing.assert_array_equal(
                    file["markers"][name][()], store.integers(name, dtype)
                )
                self.assertEqual(file["markers"][name].dtype, np.dtype(dtype))
            for name, dtype in COLUMNS.items():
                dims = [d[0].name for d in file[name].dims]
                self.assertEqual(dims, ["/checkpoint", "/layer", "/task"])
                self.assertEqual(file[name].attrs["coordinates"], b"step")
                self.assertEqual("_FillValue" in file[name].attrs, dtype == "f8")
            metrics = file["metrics"]
            for name, dtype in FIELDS.items():
                self.assertEqual(metrics[name].dtype, np.dtype(dtype))
                self.assertEqual(metrics[name].dims[0][0].name, "/metrics/row")
            self.check_rows(
                store,
                lambda n: metrics[n][()],
                {kind: texts(metrics[kind + "_name"][()]) for kind in NAMES},
            )
            tries = file["tries"]
            for name, dtype in TRIES.items():
                self.assertEqual(tries[name].dims[0][0].name, "/tries/row")
                self.assertEqual("_FillValue" in tries[name].attrs, dtype == "f8")
            self.check_tries(
                store,
                lambda n: tries[n][()],
                {kind: texts(tries[kind + "_name"][()]) for kind in TRY_NAMES},
                lambda n: tries[n].dtype,
            )
            self.check_try_attributes(lambda n: tries[n].attrs)
            self.assertEqual(file.attrs["evalsweep_schema"].tolist(), [2])
            self.assertEqual(file.attrs["Conventions"], b"CF-1.10")
            self.assertEqual(file.attrs["source"].decode(), "evalsweep, l'épreuve")

    @for_each_store
    def test_creation(self, store):
        """Creation order as netCDF-4 wants it, and no times, which would make each file another."""
        both = h5py.h5p.CRT_ORDER_TRACKED | h5py.h5p.CRT_ORDER_INDEXED
        with h5py.File(store.path, "r") as file:
            objects = []
            file.visititems(lambda name, item: objects.append(item))
            self.assertEqual(len(objects), 45)
            for item in objects:
                creation = item.id.get_create_plist()
                self.assertEqual(creation.get_attr_creation_order(), both, item.name)
                self.assertFalse(creation.get_obj_track_times(), item.name)
            for name in ("/", "metrics", "markers", "tries"):
                creation = file[name].id.get_create_plist()
                self.assertEqual(creation.get_link_creation_order(), both, name)
                self.assertEqual(creation.get_attr_creation_order(), both, name)
                self.assertFalse(creation.get_obj_track_times(), name)

    @for_each_store
    def test_netcdf4(self, store):
        with netCDF4.Dataset(store.path) as file:
            file.set_auto_mask(False)
            self.assertEqual(file.variables["checkpoint"][:].tolist(), store.expected["checkpoint"])
            self.assertEqual(file.variables["task"][:].tolist(), store.expected["task"])
            self.assertEqual(file.variables["layer"][:].tolist(), store.expected["layer"])
            self.check_columns(
                store, lambda n: file.variables[n][:], lambda n: file.variables[n].dtype
            )
            for name in COLUMNS:
                self.assertEqual(file.variables[name].dimensions, AXES)
            self.assertEqual(file["status"].flag_values.tolist(), [0, 1, 2, 3])
            self.assertEqual(file["status"].flag_meanings, "pending done failed excluded")
            for name, dtype in MARKERS.items():
                self.assertEqual(file["markers"][name].dimensions, AXES)
                np.testing.assert_array_equal(file["markers"][name][:], store.integers(name, dtype))
            metrics = file["metrics"]
            self.assertEqual(
                set(metrics.dimensions), {"row", "split_name", "subset_name", "metric_name"}
            )
            self.assertNotIn("row", metrics.variables)
            self.check_rows(
                store, lambda n: metrics[n][:], {k: texts(metrics[k + "_name"][:]) for k in NAMES}
            )
            tries = file["tries"]
            self.assertEqual(
                set(tries.dimensions), {"row", "host_name", "device_name", "reason_name"}
            )
            self.check_tries(
                store,
                lambda n: tries[n][:],
                {k: texts(tries[k + "_name"][:]) for k in TRY_NAMES},
                lambda n: tries[n].dtype,
            )
            self.check_try_attributes(lambda n: tries[n].__dict__)
            self.assertEqual(file.source, "evalsweep, l'épreuve")
            self.assertEqual(file.empty, "")
            self.assertEqual(file.broken, "not \ufffd UTF-8")
            self.assertEqual(file.job_file, "x" * 100000)

    @for_each_store
    def test_xarray(self, store):
        for engine in ENGINES:
            with xr.open_dataset(store.path, engine=engine) as data:
                self.assertEqual(dict(data.sizes), dict(zip(AXES, store.shape, strict=True)))
                self.assertEqual(set(data.coords), {*AXES, "step"})
                self.assertEqual(set(data.data_vars), set(COLUMNS))
                for axis in AXES:
                    self.assertEqual(data[axis].values.tolist(), store.expected[axis])
                np.testing.assert_array_equal(data["step"], numbers(store.expected["step"]))
                for name in set(COLUMNS) - {"finished_at"}:
                    self.assertEqual(data[name].dtype, np.dtype(COLUMNS[name]), name)
                    np.testing.assert_array_equal(data[name], store.column(name), name)
                self.check_times(data["finished_at"].values, store.column("finished_at"))
                self.check_selection(data, store)
            with xr.open_dataset(store.path, engine=engine, group="markers") as data:
                for name, dtype in MARKERS.items():
                    np.testing.assert_array_equal(data[name], store.integers(name, dtype))
            with xr.open_dataset(store.path, engine=engine, group="metrics") as data:
                self.check_rows(
                    store,
                    lambda n: data[n].values,
                    {k: texts(data[k + "_name"].values) for k in NAMES},
                )

            with xr.open_dataset(store.path, engine=engine, group="tries") as data:
                self.check_tries(
                    store,
                    lambda n: data[n].values,
                    {k: texts(data[k + "_name"].values) for k in TRY_NAMES},
                )

    def check_times(self, times, expected):
        self.assertEqual(times.dtype, np.dtype("datetime64[ns]"))
        np.testing.assert_array_equal(np.isnat(times), np.isnan(expected))
        known = ~np.isnan(expected)
        np.testing.assert_array_equal(
            times[known].astype("i8"), (expected[known] * 1e9).astype("i8")
        )

    def check_selection(self, data, store):
        """Names, layer numbers and steps select, as the recipes in docs/store.md have it."""
        last = [store.expected[axis][-1] for axis in AXES]
        value = data["main_score"].sel(checkpoint=last[0], layer=last[1], task=last[2]).item()
        np.testing.assert_equal(value, store.column("main_score")[-1, -1, -1])
        by_step = data["main_score"].swap_dims(checkpoint="step")
        self.assertEqual(by_step.dims[0], "step")

    def check_evaluator(self, store, attributes):
        """What evaluators say of themselves: texts, float64, and int8 for true and false."""
        expected = store.expected["attributes"]
        found = {
            name.removeprefix("evaluator_"): value
            for name, value in attributes.items()
            if name.startswith("evaluator_")
        }
        self.assertEqual(set(found), set(expected))
        self.assertLessEqual({"dtype", "ends", "n_layers", "normalize", "turn"}, set(found))
        for name, value in expected.items():
            if isinstance(value, str):
                self.assertEqual(texts([found[name]]), [value], name)
            else:
                dtype = "i1" if isinstance(value, bool) else "f8"
                self.assertEqual(np.asarray(found[name]).dtype, np.dtype(dtype), name)
                self.assertEqual(np.asarray(found[name]).item(), value, name)
        turn = 0 if len(store.expected["status"]) == 1 else "(differs)"
        self.assertEqual(expected["turn"], turn)

    @for_each_store
    def test_evaluator_attributes(self, store):
        with h5py.File(store.path, "r") as file:
            self.check_evaluator(store, dict(file.attrs))
        with netCDF4.Dataset(store.path) as file:
            self.check_evaluator(store, {name: file.getncattr(name) for name in file.ncattrs()})
        for engine in ENGINES:
            with xr.open_dataset(store.path, engine=engine) as data:
                self.check_evaluator(store, data.attrs)

    @for_each_store
    def test_dump_tools(self, store):
        # Anything on stderr is a complaint.
        for command in (
            ["ncdump", "-h"],
            ["ncdump"],
            ["ncdump", "-k"],
            ["h5dump", "-H"],
            ["h5dump"],
        ):
            done = subprocess.run([*command, store.path], capture_output=True, text=True)
            self.assertEqual((done.returncode, done.stderr), (0, ""), command)
            if command == ["ncdump", "-h"]:
                self.assertIn("double main_score(checkpoint, layer, task) ;", done.stdout)
                self.assertIn("double started_at(row) ;", done.stdout)
            if command == ["ncdump", "-k"]:
                self.assertEqual(done.stdout.strip(), "netCDF-4")

    def test_rewritten_by_xarray(self):
        """A data set goes through xarray into another file and back."""
        store = self.stores[0]
        for engine in ENGINES:
            path = os.path.join(self.folder.name, "rewritten.nc")
            with xr.open_dataset(store.path, engine=engine) as data:
                data.to_netcdf(path, engine=engine)
                with xr.open_dataset(path, engine=engine) as again:
                    xr.testing.assert_identical(data.load(), again.load())


if __name__ == "__main__":
    unittest.main()
