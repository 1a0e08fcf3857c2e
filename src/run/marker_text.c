#include "run/marker.h"

#include "sys/clock.h"

#include <math.h>
#include <string.h>

static void add_name(struct es_buf *text, const char *key, const char *value)
{
    es_buf_printf(text, "\"%s\":", key);
    es_buf_json_string(text, value, strlen(value));
    es_buf_putc(text, ',');
}

static void add_number(struct es_buf *text, const char *key, double value)
{
    es_buf_printf(text, "\"%s\":", key);
    es_buf_json_double(text, value);
    es_buf_putc(text, ',');
}

static void add_reported(struct es_buf *text, const char *key, double value)
{
    if (!isnan(value))
        add_number(text, key, value);
}

static void add_time(struct es_buf *text, const char *key, double unix_s)
{
    char utc[24];
    es_clock_format_utc(unix_s, utc);
    if (utc[0])
        add_name(text, key, utc);
    else
        es_buf_printf(text, "\"%s\":null,", key);
}

static void add_metrics(struct es_buf *text, const struct es_result *result)
{
    es_buf_puts(text, "\"metrics\":[");
    for (size_t i = 0; i < result->n_metrics; i++) {
        const struct es_metric *metric = &result->metrics[i];
        es_buf_puts(text, i ? ",{" : "{");
        add_name(text, "split", es_result_text(result, metric->split));
        add_name(text, "subset", es_result_text(result, metric->subset));
        add_name(text, "metric", es_result_text(result, metric->metric));
        es_buf_puts(text, "\"value\":");
        es_buf_json_double(text, metric->value);
        es_buf_putc(text, '}');
    }
    es_buf_puts(text, "],");
}

static void add_try(struct es_buf *text, const struct es_result *result, const struct es_try *try)
{
    add_number(text, "attempt", try->attempt);
    add_name(text, "status", "failed");
    add_name(text, "reason", es_result_text(result, try->reason));
    add_name(text, "exit", es_result_text(result, try->exit));
    add_time(text, "started", try->started_s);
    add_time(text, "finished", try->finished_s);
    add_reported(text, "evaluation_time_s", try->evaluation_time_s);
    add_reported(text, "load_s", try->load_s);
    add_reported(text, "pass_s", try->pass_s);
    add_reported(text, "score_s", try->score_s);
    add_name(text, "host", es_result_text(result, try->host));
    add_name(text, "device", es_result_text(result, try->device));
    es_buf_puts(text, "\"rank\":");
    es_buf_json_double(text, try->rank < 0 ? (double)NAN : try->rank);
}

static void add_earlier(struct es_buf *text, const struct es_result *result)
{
    if (result->n_earlier == 0)
        return;
    for (size_t i = 0; i < result->n_earlier; i++) {
        es_buf_puts(text, i ? ",{" : "\"earlier\":[{");
        add_try(text, result, &result->earlier[i]);
        es_buf_putc(text, '}');
    }
    es_buf_puts(text, "],");
}

void es_marker_text(const struct es_grid *grid, struct es_unit unit, const struct es_result *result,
                    const char *versions_json, const char *exit_text, const char *log_tail,
                    size_t log_tail_n, struct es_buf *text)
{
    es_buf_reset(text);
    es_buf_puts(text, "{\"schema\":1,");
    add_name(text, "checkpoint", es_grid_checkpoint(grid, unit.checkpoint));
    es_buf_printf(text, "\"layer\":%d,", es_grid_layer(grid, unit.layer));
    add_name(text, "task", es_grid_task(grid, unit.task));
    add_name(text, "status", log_tail ? "failed" : "done");
    add_number(text, "main_score", result->main_score);
    add_metrics(text, result);
    add_number(text, "evaluation_time_s", result->evaluation_time_s);
    add_reported(text, "load_s", result->load_s);
    add_reported(text, "pass_s", result->pass_s);
    add_reported(text, "score_s", result->score_s);
    add_time(text, "started", result->started_s);
    add_time(text, "finished", result->finished_s);
    add_name(text, "host", es_result_text(result, result->host));
    add_name(text, "device", es_result_text(result, result->device));
    add_number(text, "rank", result->rank < 0 ? (double)NAN : result->rank);
    add_number(text, "attempt", result->attempt);
    if (log_tail) {
        add_name(text, "reason", es_result_text(result, result->reason));
        add_name(text, "exit", exit_text);
        es_buf_puts(text, "\"log_tail\":");
        es_buf_json_string(text, log_tail, log_tail_n);
        es_buf_putc(text, ',');
        if (result->is_interim)
            es_buf_puts(text, "\"retry\":true,");
    }
    add_earlier(text, result);
    es_buf_printf(text, "\"versions\":%s", versions_json);
    const char *attributes = es_result_text(result, result->attributes);
    if (attributes[0])
        es_buf_printf(text, ",\"attributes\":%s", attributes);
    es_buf_puts(text, "}\n");
}
