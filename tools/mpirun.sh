#!/usr/bin/env bash
# Runs a command on a number of MPI ranks of this machine:
#
#     tools/mpirun.sh NRANKS COMMAND [ARGUMENT...]
#
# Hides what Open MPI 4.1 and 5 want to be told: that root may run it, that there may be more ranks
# than cores, and that ranks are not to be bound to one core each (their evaluators would be too).
#
# `evalsweep run` also survives the death of ranks: mpirun's recovery keeps the others alive, and the
# transport is TCP, since over shared memory a rank that dies can take its neighbours along. With
# recovery mpirun itself returns 0 whatever the ranks do, so rank 0 leaves its exit code in a file
# ($TMPDIR must be the same folder where rank 0 runs), and that is what this script returns. When rank 0
# dies, which is to run on this host, it ends the others, and returns 137.
#
#     EVALSWEEP_RECOVERY=0   plain mpirun, with its own choice of transport: what is measured then is the
#                            site's MPI, and one dead rank ends the job
#     EVALSWEEP_NET=eth0     the interface or network (10.0.0.0/8) that the ranks speak over
#     OMPI_MCA_...           what is set already is kept
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: tools/mpirun.sh NRANKS COMMAND [ARGUMENT...]" >&2
    exit 2
fi
n_ranks=$1
shift

launcher=${MPIRUN:-}
for name in mpirun.openmpi mpirun; do # where MPICH stands beside Open MPI, mpirun may be MPICH's
    [ -n "$launcher" ] || launcher=$(command -v "$name" || true)
done
if [ -z "$launcher" ]; then
    echo "mpirun.sh: no mpirun on PATH; tools/install-deps.sh installs Open MPI" >&2
    exit 127
fi

if [ "$(id -u)" -eq 0 ]; then # the second pair is how Open MPI 5's launcher reads it
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export PRTE_ALLOW_RUN_AS_ROOT=1 PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi
launch=("$launcher" -n "$n_ranks" --map-by :OVERSUBSCRIBE --bind-to none)

# Whether the command, behind wrappers perhaps, is `evalsweep run`.
is_run() {
    local before='' word
    for word in "$@"; do
        if [ "$word" = run ] && [ "${before##*/}" = evalsweep ]; then return 0; fi
        before=$word
    done
    return 1
}

if [ "${EVALSWEEP_RECOVERY:-1}" = 0 ] || ! is_run "$@"; then
    exec "${launch[@]}" "$@"
fi

if ! command -v "$1" >/dev/null; then # with recovery mpirun would hang
    echo "mpirun.sh: $1: no such command" >&2
    exit 127
fi
# Started in the background of another script, it would not get SIGINT, which mpirun does.
if [[ "$(trap -p INT)" == *"''"* ]] && env --default-signal=INT true 2>/dev/null; then
    exec env --default-signal=INT "$0" "$n_ranks" "$@"
fi
export OMPI_MCA_pml=${OMPI_MCA_pml:-ob1} OMPI_MCA_btl=${OMPI_MCA_btl:-tcp,self}
# Open MPI 5 asks the kernel for routes by default, which lead ranks of one node over the loopback that it
# leaves out: they could not reach each other.
export OMPI_MCA_reachable=${OMPI_MCA_reachable:-weighted}
if [ -n "${EVALSWEEP_NET:-}" ]; then
    export OMPI_MCA_btl_tcp_if_include=${OMPI_MCA_btl_tcp_if_include:-$EVALSWEEP_NET}
fi

# Open MPI 5 wants its fault tolerance turned on: without it the library itself ends all other ranks.
case $("$launcher" --version) in
*') 4.'*) recovery=(--enable-recovery) ;;
*) recovery=(--with-ft ulfm) ;;
esac

EVALSWEEP_EXIT_FILE=$(mktemp "${TMPDIR:-/tmp}/evalsweep-exit-XXXXXX")
export EVALSWEEP_EXIT_FILE

# Signals are passed on. In a group of its own (set -m), mpirun does not get Ctrl-C a second time.
set -m
"${launch[@]}" "${recovery[@]}" -x EVALSWEEP_EXIT_FILE "$@" <&0 &
set +m
mpirun=$!
for signal in INT TERM HUP USR1 USR2; do
    # shellcheck disable=SC2064 # now is when it is to be expanded
    trap "kill -$signal $mpirun 2>/dev/null || true" "$signal"
done

# Once rank 0 has spoken, the others end soon. One that was stopped never does: mpirun would wait for it.
# When rank 0 is gone without a word, the others wait for it in vain.
end_what_is_left() {
    local word pid_or_limit_s host
    while :; do
        sleep 1
        kill -0 $$ || return 0 # the script was killed
        read -r word pid_or_limit_s host <"$EVALSWEEP_EXIT_FILE" || continue
        if [ "$word" != pid ]; then break; fi
        if [ "$host" = "$HOSTNAME" ] && ! kill -0 "$pid_or_limit_s"; then
            sleep 1 # its word may have come in between
            read -r word pid_or_limit_s host <"$EVALSWEEP_EXIT_FILE" || continue
            if [ "$word" = pid ]; then pid_or_limit_s=0; fi
            break
        fi
    done
    sleep "$pid_or_limit_s"
    kill -TERM "$mpirun"
}
set -m
end_what_is_left 2>/dev/null &
watcher=$!
set +m
trap 'rm -f "$EVALSWEEP_EXIT_FILE"; kill -- "-$watcher" 2>/dev/null || true' EXIT

code=0
while :; do # a signal ends the wait, not mpirun
    wait "$mpirun" && code=0 || code=$?
    kill -0 "$mpirun" 2>/dev/null || break
done

word=
read -r word _ <"$EVALSWEEP_EXIT_FILE" || true
case $word in
pid) # the code of a process that was killed
    echo "mpirun.sh: rank 0 ended without a word: killed, perhaps; what is done is kept: start it again" >&2
    exit 137
    ;;
'')
    echo "mpirun.sh: rank 0 did not start" >&2
    case $code in 0 | 1 | 2 | 3 | 75) code=70 ;; esac # which would be evalsweep's
    exit "$code"
    ;;
*) exit "$word" ;;
esac
