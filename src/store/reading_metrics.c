#include "store/reading.h"

#include "core/mem.h"

void es_reading_metrics_take(struct es_h5 *h5, struct es_reading_long *rows, uint32_t unit_id,
                             struct es_result *result)
{
    hsize_t at;
    result->n_metrics = 0;
    while (es_reading_long_next(h5, rows, unit_id, &at)) {
        void *metrics = result->metrics;
        if (es_mem_grow(&metrics, &result->metrics_cap, result->n_metrics + 1,
                        sizeof *result->metrics) < 0) {
            es_h5_nomem(h5);
            return;
        }
        result->metrics = metrics;
        result->metrics[result->n_metrics++] =
            (struct es_metric){.value = ((double *)rows->block.field[ES_METRIC_VALUE])[at],
                               .split = es_reading_long_name(rows, 0, at),
                               .subset = es_reading_long_name(rows, 1, at),
                               .metric = es_reading_long_name(rows, 2, at)};
    }
}
