/* forecast JOB STORE: what the job's sweep would take on 4 workers, and a store of none of it done.
 */
#include <evalsweep/jobfile.h>
#include <evalsweep/sim.h>
#include <evalsweep/store.h>
#include <evalsweep/synthetic.h>
#include <evalsweep/version.h>
#include <stdio.h>
#include <string.h>

static int simulate(const struct es_grid *grid, struct es_sim_result *ret_result,
                    struct es_err *err)
{
    struct es_synthetic_config config = {.seed = 1, .load_s = 30, .slow_load_factor = 1};
    struct es_sim_config sim = {.n_workers = 4, .sched = {.max_attempts = 1}};
    struct es_synthetic *synthetic = NULL;
    struct es_cost *cost = NULL;
    int rc = es_synthetic_create(grid, sim.n_workers, &config, &synthetic, err);
    if (rc == 0)
        rc = es_cost_create(grid, NULL, &cost, err);
    if (rc == 0) {
        struct es_sim_times times = es_synthetic_times(synthetic);
        rc = es_sim_run(grid, NULL, cost, &times, &sim, ret_result, err);
    }
    es_cost_free(cost);
    es_synthetic_free(synthetic);
    return rc;
}

int main(int argc, char **argv)
{
    struct es_err err = {0};
    struct es_job *job = NULL;
    struct es_units *units = NULL;
    struct es_sim_result result = {0};
    char text[1000];
    if (argc != 3)
        return 2;
    int rc = es_job_load(argv[1], NULL, &job, &err);
    if (rc == 0)
        rc = simulate(job->grid, &result, &err);
    if (rc == 0)
        rc = es_units_create(job->grid, &units, &err);
    if (rc == 0)
        rc = es_store_write_file(argv[2], NULL, 0, units, &err);
    if (rc == 0)
        printf("%s: %llu units, %s\n", ES_VERSION, (unsigned long long)result.n_units_done,
               result.makespan_s >= result.lower_bound_s ? "makespan above its bound" : "too fast");
    es_err_text(&err, text, sizeof text);
    if (rc < 0)
        fprintf(stderr, "%s\n", text);
    es_units_free(units);
    es_job_free(job);
    return rc < 0;
}
