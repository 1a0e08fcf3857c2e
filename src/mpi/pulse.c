#include "mpi/pulse.h"

#include "core/mem.h"

#include <stdlib.h>

/* A longer gap between two looks, in beats, is one in which the observer did not run. */
#define GAP_BEATS 2
/* Looks a beat at which the peers are gone through. */
#define ROUNDS_A_BEAT 4
/* Beats to one that is silent itself are sent in so much longer intervals: enough for it to know
 * that the other side lives, should only its own words be lost, and few enough to leave no heap
 * behind. */
#define SILENT_BEATS 5

struct peer {
    enum es_pulse_state state;
    double heard_s; /* on the pulse's own clock, as all times below */
    double sent_s;
};

struct es_pulse {
    struct es_pulse_limits limits;
    double looked_s; /* on the caller's clock */
    double now_s;    /* time that the observer has run */
    double round_s;  /* when the peers are gone through again */
    uint32_t n_peers;
    uint32_t next; /* the peer to look at next in this round; n_peers: none */
    struct peer *peers;
};

int es_pulse_create(uint32_t n_peers, const struct es_pulse_limits *limits, double now_s,
                    struct es_pulse **ret_pulse, struct es_err *err)
{
    struct es_pulse *pulse = es_mem_calloc(1, sizeof *pulse);
    struct peer *peers = es_mem_calloc(n_peers, sizeof *peers);
    if (!pulse || !peers) {
        free(pulse);
        free(peers);
        return es_err_nomem(err, "watching the ranks");
    }
    *pulse = (struct es_pulse){
        .limits = *limits, .looked_s = now_s, .n_peers = n_peers, .next = n_peers, .peers = peers};
    *ret_pulse = pulse;
    return 0;
}

void es_pulse_free(struct es_pulse *pulse)
{
    if (!pulse)
        return;
    free(pulse->peers);
    free(pulse);
}

void es_pulse_watch(struct es_pulse *pulse, uint32_t peer)
{
    pulse->peers[peer] =
        (struct peer){.state = ES_PULSE_ALIVE, .heard_s = pulse->now_s, .sent_s = pulse->now_s};
}

enum es_pulse_state es_pulse_heard(struct es_pulse *pulse, uint32_t peer)
{
    struct peer *from = &pulse->peers[peer];
    enum es_pulse_state before = from->state;
    if (before != ES_PULSE_UNWATCHED)
        from->state = ES_PULSE_ALIVE;
    from->heard_s = pulse->now_s;
    return before;
}

void es_pulse_sent(struct es_pulse *pulse, uint32_t peer)
{
    pulse->peers[peer].sent_s = pulse->now_s;
}

enum es_pulse_state es_pulse_state(const struct es_pulse *pulse, uint32_t peer)
{
    return pulse->peers[peer].state;
}

void es_pulse_look(struct es_pulse *pulse, double now_s)
{
    double passed_s = now_s - pulse->looked_s;
    pulse->looked_s = now_s;
    if (passed_s <= GAP_BEATS * pulse->limits.beat_s)
        pulse->now_s += passed_s;
    if (pulse->now_s < pulse->round_s)
        return;
    pulse->next = 0;
    pulse->round_s = pulse->now_s + pulse->limits.beat_s / ROUNDS_A_BEAT;
}

static enum es_pulse_event event_of(struct es_pulse *pulse, struct peer *peer)
{
    double silent_s = pulse->now_s - peer->heard_s;
    double interval_s = pulse->limits.beat_s;
    if (silent_s >= pulse->limits.given_up_s) {
        peer->state = ES_PULSE_GIVEN_UP;
        return ES_PULSE_TURNED_DEAD;
    }
    if (peer->state == ES_PULSE_ALIVE && silent_s >= pulse->limits.suspect_s) {
        peer->state = ES_PULSE_SUSPECT;
        return ES_PULSE_TURNED_SILENT;
    }
    if (peer->state == ES_PULSE_SUSPECT)
        interval_s *= SILENT_BEATS;
    if (pulse->now_s - peer->sent_s < interval_s)
        return ES_PULSE_NOTHING;
    peer->sent_s = pulse->now_s;
    return ES_PULSE_BEAT_DUE;
}

enum es_pulse_event es_pulse_next(struct es_pulse *pulse, uint32_t *ret_peer)
{
    for (; pulse->next < pulse->n_peers; pulse->next++) {
        struct peer *peer = &pulse->peers[pulse->next];
        if (peer->state == ES_PULSE_UNWATCHED || peer->state == ES_PULSE_GIVEN_UP)
            continue;
        enum es_pulse_event event = event_of(pulse, peer);
        if (event == ES_PULSE_NOTHING)
            continue;
        *ret_peer = pulse->next; /* looked at again: a suspect may be due a beat as well */
        return event;
    }
    return ES_PULSE_NOTHING;
}

double es_pulse_due_s(const struct es_pulse *pulse)
{
    return pulse->looked_s + pulse->round_s - pulse->now_s;
}
