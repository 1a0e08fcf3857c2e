"""One-line defects of src/core and src/run, each of which a unit test must notice.

(file below src, text that stands in it once, what stands there instead, the tests that are asked)
"""

MUTATIONS = [
    # Order and priority.
    ("core/heap.c", "return a < b;", "return a > b;", ["core/test_heap"]),
    ("core/heap.c", "        nodes[next].prev = prev;", "        (void)prev;", ["core/test_heap"]),
    ("core/bundle.c", "units.n == 0 ? 0 : (float)fmax(work_s, 0);", "units.n == 1 ? 0 : (float)fmax(work_s, 0);", ["core/test_sched", "core/test_sched_props", "core/test_bundle", "core/test_sim"]),
    ("core/bundle.c", "return -(double)bundle;", "return (double)bundle;", ["core/test_sched", "core/test_sim", "core/test_bundle"]),
    ("core/cost.c", "isfinite(value) && value >= 0;", "isfinite(value);", ["core/test_cost"]),
    ("core/cost.c", "variance);\n    factor->n++;", "variance);", ["core/test_cost"]),
    # The scheduler: what was recalled, what failed, what comes too late.
    ("core/sched_act.c", "n > 0 && to_end_s > from_end_s", "to_end_s > from_end_s", ["core/test_sched", "core/test_sched_join", "core/test_sched_props", "core/test_sim"]),
    ("core/sched_act.c", "           es_bundle_of(sched, unit_id) == bundle && n <", "           n <", ["core/test_sched", "core/test_sched_props"]),
    ("core/sched_act.c", "    sched->n_promised -= n;\n", "", ["core/test_sched", "core/test_sched_props", "core/test_sim"]),
    ("core/sched_act.c", "ready_s <= now_s", "ready_s > now_s", ["core/test_sched", "core/test_sched_props"]),
    ("core/heap.c", "es_heap_set(nodes, heap, item, nodes[item].key);", "(void)heap;", ["core/test_heap", "core/test_sched", "core/test_sched_end"]),
    ("core/sched_end.c", "needs_s <= most_s(sched) ||", "needs_s > most_s(sched) ||", ["core/test_sched_end", "core/test_sched_props"]),
    ("core/sched_end.c", "own->end_s > sched->end_s + LATE_PART * last_s", "own->end_s > sched->end_s - LATE_PART * last_s", ["core/test_sched_end", "core/test_sched_props"]),
    # The table of units, the grid, texts and numbers.
    ("core/units.c", "if (from == units->first_row[row.unit])", "if (false)", ["core/test_units"]),
    ("core/units.c", "(i == 0 || metric.subset != previous.subset)", "(i == 0 || metric.split != previous.split)", ["core/test_units"]),
    ("core/units.c", "    units->n_replaced += units->n_rows[unit_id];\n", "", ["core/test_units"]),
    ("core/grid.c", "n_tasks > ES_GRID_MAX_UNITS", "n_tasks > 4294967296.0", ["core/test_grid"]),
    ("core/grid.c", "if (layers[i] < 0)", "if (layers[i] < -1)", ["core/test_grid"]),
    ("core/csv.c", "if (at == end || *at != '\"')", "if (at == end || *at == '\"')", ["core/test_csv"]),
    ("core/csv.c", "strpbrk(text, \",\\\"\\r\\n\")", "strpbrk(text, \",\\\"\\n\")", ["core/test_csv"]),
    ("core/num.c", "rotate_left(s[3], 45)", "rotate_left(s[3], 44)", ["core/test_num"]),
    # Markers, replies and progress, which others write.
    ("run/marker.c", "look->id.mtime_ns < look->not_before_ns", "look->id.mtime_ns <= look->not_before_ns", ["run/test_marker", "run/test_scan"]),
    ("run/marker.c", "(uint64_t)st.st_size > ES_MARKER_LIMIT_BYTES", "(uint64_t)st.st_size >= ES_MARKER_LIMIT_BYTES", ["run/test_marker", "run/test_scan"]),
    ("run/marker.c", "OPEN_FLAGS | O_NOFOLLOW", "OPEN_FLAGS", ["run/test_marker", "run/test_scan"]),
    ("run/reply.c", "!= &result->main_score && value < 0", "!= &result->main_score && value <= 0", ["run/test_result"]),
    ("run/progress.c", "at[-1] == '\\r' ? \"\\r\\n\" : \"\\n\"", "at[-1] == '\\r' ? \"\\n\" : \"\\r\\n\"", ["run/test_progress"]),
    # Who holds the run.
    ("run/lease.c", "    if (strcmp(holder, id) != 0)\n        return 0;\n", "", ["run/test_lease"]),
    ("run/lock.c", "is_as_judged(lock) && replace(lock, lock->driver_path)", "replace(lock, lock->driver_path)", ["run/test_lock", "run/test_lock_calls"]),
    ("run/lock.c", "    unclaim(lock);\n    return taken &&", "    return taken &&", ["run/test_lock", "run/test_lock_calls"]),
    ("run/holder.c", " && fsync(fd) == 0 ? 0 : -1", " ? 0 : -1", ["run/test_holder", "run/test_lock", "run/test_lock_calls"]),
]  # fmt: skip
