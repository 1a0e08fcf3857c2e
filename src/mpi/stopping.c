#include "mpi/stopping.h"

#include "mpi/wire.h"
#include "sys/signal.h"

#include <math.h>
#include <signal.h>

/* An evaluator that ignores SIGTERM takes 5 s to kill, and the store is to be written after it. */
#define WRITE_UP_S 10.0
/* Where the grace is short, no more than this part of it is for that. */
#define WRITE_UP_PART 0.25

static bool decide(struct es_stopping *stopping, double until_s)
{
    if (stopping->is_stopping && until_s >= stopping->until_s)
        return false;
    stopping->is_stopping = true;
    stopping->until_s = until_s;
    return true;
}

bool es_stopping_signal(struct es_stopping *stopping, int number, double term_grace_s, double now_s,
                        double *ret_grace_s)
{
    double grace_s = es_signal_is_soft(number) ? stopping->grace_s : term_grace_s;
    bool is_second = number == SIGINT && stopping->was_interrupted;
    stopping->was_interrupted |= number == SIGINT;
    if (is_second) {
        bool is_news = !stopping->is_killing;
        stopping->is_killing = true;
        (void)decide(stopping, now_s);
        *ret_grace_s = ES_DRAIN_KILL;
        return is_news;
    }
    *ret_grace_s = grace_s;
    return decide(stopping, now_s + grace_s);
}

double es_stopping_work_end_s(const struct es_stopping *stopping)
{
    return stopping->end_s - fmin(WRITE_UP_S, WRITE_UP_PART * stopping->grace_s);
}

double es_stopping_due_s(const struct es_stopping *stopping)
{
    return stopping->is_stopping ? (double)INFINITY : stopping->end_s - stopping->grace_s;
}

bool es_stopping_time(struct es_stopping *stopping, double now_s, double *ret_grace_s)
{
    if (now_s < es_stopping_due_s(stopping))
        return false;
    *ret_grace_s = fmax(es_stopping_work_end_s(stopping) - now_s, 0);
    return decide(stopping, now_s + *ret_grace_s);
}
