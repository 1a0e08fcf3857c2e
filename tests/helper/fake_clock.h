/* Time as a test says: included once, it stands in for the C library's clocks and sleeps. A sleep
 * takes no time, and moves both clocks on by what it was to take.
 */
#ifndef ES_TESTS_HELPER_FAKE_CLOCK_H
#define ES_TESTS_HELPER_FAKE_CLOCK_H

#include <time.h>

static double fake_mono_s = 1000, fake_wall_s = 1.7e9;
static unsigned n_fake_sleeps;
static void (*on_fake_sleep)(void); /* what others do meanwhile */

static inline void fake_clock_advance(double seconds)
{
    fake_mono_s += seconds;
    fake_wall_s += seconds;
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    double now_s = clock == CLOCK_REALTIME ? fake_wall_s : fake_mono_s;
    ret_now->tv_sec = (time_t)now_s;
    ret_now->tv_nsec = (long)((now_s - (double)ret_now->tv_sec) * 1e9);
    return 0;
}

int nanosleep(const struct timespec *duration, struct timespec *ret_left)
{
    (void)ret_left;
    n_fake_sleeps++;
    fake_clock_advance((double)duration->tv_sec + (double)duration->tv_nsec / 1e9);
    if (on_fake_sleep)
        on_fake_sleep();
    return 0;
}

#endif
