/* make_store PATH N_CHECKPOINTS N_LAYERS N_TASKS N_METRICS: writes the store of a sample table, and
 * to stdout, as JSON, what is in the table, by which readers of the store are judged. Ends with 1
 * when anything fails.
 */
#include "core/buf.h"
#include "core/num.h"
#include "evalsweep/store.h"
#include "helper/sample.h"

static void put_doubles(struct es_buf *json, const char *key, const double *values, uint32_t n)
{
    es_buf_printf(json, ",\n\"%s\": [", key);
    for (uint32_t i = 0; i < n; i++) {
        es_buf_puts(json, i ? "," : "");
        es_buf_json_double(json, values[i]);
    }
    es_buf_puts(json, "]");
}

#define PUT_INTEGERS(json, key, format, values, n)                                                 \
    do {                                                                                           \
        es_buf_puts(json, ",\n\"" key "\": [");                                                    \
        for (uint32_t k = 0; k < (n); k++)                                                         \
            es_buf_printf(json, "%s" format, k ? "," : "", (values));                              \
        es_buf_puts(json, "]");                                                                    \
    } while (0)

static void put_string(struct es_buf *json, const char *text)
{
    es_buf_json_string(json, text, strlen(text));
}

static void put_axes(struct es_buf *json, const struct es_grid *grid)
{
    const uint32_t n_checkpoints = es_grid_n_checkpoints(grid);
    es_buf_puts(json, "{\"checkpoint\": [");
    for (uint32_t i = 0; i < n_checkpoints; i++) {
        es_buf_puts(json, i ? "," : "");
        put_string(json, es_grid_checkpoint(grid, i));
    }
    es_buf_puts(json, "],\n\"task\": [");
    for (uint32_t i = 0; i < es_grid_n_tasks(grid); i++) {
        es_buf_puts(json, i ? "," : "");
        put_string(json, es_grid_task(grid, i));
    }
    es_buf_puts(json, "],\n\"step\": [");
    for (uint32_t i = 0; i < n_checkpoints; i++) {
        es_buf_puts(json, i ? "," : "");
        es_buf_json_double(json, es_grid_step(grid, i));
    }
    es_buf_puts(json, "]");
    PUT_INTEGERS(json, "layer", "%d", es_grid_layer(grid, k), es_grid_n_layers(grid));
}

static void put_rows(struct es_buf *json, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    const char *comma = "";
    es_buf_puts(json, ",\n\"rows\": [");
    for (uint32_t id = 0; id < columns.n_units; id++) {
        const struct es_unit unit = es_grid_unit(es_units_grid(units), id);
        uint32_t first, n = es_units_rows_of(units, id, &first);
        for (const struct es_metric_row *row = columns.rows + first; n; n--, row++) {
            es_buf_printf(json, "%s[%u,%u,%u,", comma, unit.checkpoint, unit.layer, unit.task);
            put_string(json, es_units_name(units, ES_NAME_SPLIT, row->split));
            es_buf_puts(json, ",");
            put_string(json, es_units_name(units, ES_NAME_SUBSET, row->subset));
            es_buf_puts(json, ",");
            put_string(json, es_units_name(units, ES_NAME_METRIC, row->metric));
            es_buf_puts(json, ",");
            es_buf_json_double(json, row->value);
            es_buf_puts(json, "]");
            comma = ",\n";
        }
    }
    es_buf_puts(json, "]");
}

static void put_try(struct es_buf *json, const struct es_units *units, uint32_t id, int outcome,
                    const struct es_try_row *row)
{
    const struct es_unit unit = es_grid_unit(es_units_grid(units), id);
    const double numbers[] = {row->started_s, row->finished_s, row->load_s, row->pass_s,
                              row->score_s};
    es_buf_printf(json, "[%u,%u,%u,%d,%d,", unit.checkpoint, unit.layer, unit.task, row->attempt,
                  row->worker);
    put_string(json, es_units_name(units, ES_NAME_HOST, row->host));
    es_buf_puts(json, ",");
    put_string(json, es_units_name(units, ES_NAME_DEVICE, row->device));
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        es_buf_puts(json, ",");
        es_buf_json_double(json, numbers[i]);
    }
    es_buf_printf(json, ",%d,", outcome);
    put_string(json, es_units_name(units, ES_NAME_REASON, row->reason));
    es_buf_puts(json, "]");
}

/* Every try of every unit, in the order of the variables of the store. */
static void put_tries(struct es_buf *json, struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    const char *comma = "";
    es_buf_puts(json, ",\n\"tries\": [");
    for (uint32_t id = 0; id < columns.n_units; id++) {
        const struct es_try_row *earlier;
        uint32_t n = es_units_earlier(units, id, &earlier);
        const struct es_try_row last = {.started_s = columns.started_s[id],
                                        .finished_s = columns.finished_s[id],
                                        .load_s = columns.load_s[id],
                                        .pass_s = columns.pass_s[id],
                                        .score_s = columns.score_s[id],
                                        .attempt = columns.attempts[id],
                                        .worker = columns.worker[id],
                                        .host = columns.host[id],
                                        .device = columns.device[id],
                                        .reason = columns.reason[id]};
        if (columns.status[id] != ES_STATUS_DONE && columns.status[id] != ES_STATUS_FAILED)
            continue;
        for (; n; n--, earlier++, comma = ",\n") {
            es_buf_puts(json, comma);
            put_try(json, units, id, ES_STATUS_FAILED, earlier);
        }
        es_buf_puts(json, comma);
        put_try(json, units, id, columns.status[id], &last);
        comma = ",\n";
    }
    es_buf_puts(json, "]}\n");
}

static int print_table(struct es_units *units)
{
    const struct es_units_columns columns = es_units_columns(units);
    const uint32_t n = columns.n_units;
    struct es_buf json = {0};
    put_axes(&json, es_units_grid(units));
    put_doubles(&json, "main_score", columns.main_score, n);
    put_doubles(&json, "evaluation_time", columns.evaluation_time_s, n);
    put_doubles(&json, "finished_at", columns.finished_s, n);
    PUT_INTEGERS(&json, "status", "%d", columns.status[k], n);
    PUT_INTEGERS(&json, "attempts", "%d", columns.attempts[k], n);
    PUT_INTEGERS(&json, "worker", "%d", columns.worker[k], n);
    PUT_INTEGERS(&json, "inode", "%llu", (unsigned long long)columns.marker[k].inode, n);
    PUT_INTEGERS(&json, "size", "%lld", (long long)columns.marker[k].size_bytes, n);
    PUT_INTEGERS(&json, "mtime_ns", "%lld", (long long)columns.marker[k].mtime_ns, n);
    es_buf_printf(&json, ",\n\"attributes\": %s", es_units_attributes(units));
    put_rows(&json, units);
    put_tries(&json, units);
    int rc = json.failed || fwrite(json.data, 1, json.len, stdout) != json.len ? 1 : 0;
    es_buf_clear(&json);
    return rc;
}

int main(int argc, char **argv)
{
    int64_t n[4];
    struct sample sample;
    struct es_err err = {0};
    /* Beyond 64 KiB, which an attribute of HDF5's first format cannot be. */
    static char long_value[100001];
    memset(long_value, 'x', sizeof long_value - 1);
    const struct es_attribute attributes[] = {{"source", "evalsweep, l'\xc3\xa9preuve"},
                                              {"empty", ""},
                                              {"broken", "not \xff UTF-8"},
                                              {"starts", "{\"job_id\":\"7\",\"ranks\":2}"},
                                              {"job_file", long_value}};
    for (int i = 0; i < 4; i++)
        if (argc != 6 || !es_parse_int(argv[2 + i], &n[i]))
            return 2;
    const struct sample_size size = {(uint32_t)n[0], (uint32_t)n[1], (uint32_t)n[2],
                                     (uint32_t)n[3]};
    if (sample_create(size, &sample) < 0)
        return 1;
    int rc = es_store_write_file(argv[1], attributes, sizeof attributes / sizeof attributes[0],
                                 sample.units, &err);
    if (rc < 0) {
        char text[1000];
        es_err_text(&err, text, sizeof text);
        (void)fprintf(stderr, "%s\n", text);
    }
    int status = rc < 0 ? 1 : print_table(sample.units);
    sample_free(&sample);
    return status;
}
