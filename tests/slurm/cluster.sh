#!/usr/bin/env bash
# A Slurm cluster of four nodes on this machine alone, with 2 GPUs (that are none) each:
#
#     tests/slurm/cluster.sh up DIR       starts it; everything it writes is in DIR
#     tests/slurm/cluster.sh node DIR N   starts node N (1 to 4) again
#     tests/slurm/cluster.sh down DIR     stops it, with what runs on it, and removes DIR
#
#     export SLURM_CONF=DIR/slurm.conf    is what srun, sbatch and scontrol need to find it
#
# munge, slurmctld and four slurmd (`slurmd -N`, a Slurm built with multiple-slurmd) of Debian's packages;
# nothing is configured outside DIR. Exit code 77: it cannot be had here, and stderr says why.
set -euo pipefail

n_nodes=4

cannot() {
    echo "cluster.sh: $*" >&2
    exit 77
}

usage() {
    echo "usage: tests/slurm/cluster.sh up DIR | node DIR N | down DIR" >&2
    exit 2
}

# The first of n_nodes + 1 ports that nobody listens on.
free_ports() {
    local base i
    for ((base = 21000 + RANDOM % 9000; ; base = 21000 + RANDOM % 9000)); do
        for ((i = 0; i <= n_nodes; i++)); do
            if (: <"/dev/tcp/127.0.0.1/$((base + i))") 2>/dev/null; then continue 2; fi
        done
        echo "$base"
        return
    done
}

# Files with these names stand for the GPUs of every node.
make_devices() {
    local i
    mkdir "$dir/dev"
    for i in 0 1; do
        mknod "$dir/dev/nvidia$i" c 1 3 2>/dev/null || cannot "mknod is not allowed here"
    done
}

write_config() {
    local host base i
    host=$(hostname -s)
    base=$(free_ports)
    # Real controllers take minutes over what is tested here in seconds: timeouts are short.
    cat >"$dir/slurm.conf" <<END
ClusterName=evalsweep
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=$base
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket
CredType=cred/munge
StateSaveLocation=$dir/state
SlurmctldPidFile=$dir/slurmctld.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdPidFile=$dir/%n.pid
SlurmdLogFile=$dir/%n.log
SlurmdSpoolDir=$dir/%n/spool
# PMIx makes its folders there: those of nodes on one host must not collide
TmpFS=$dir/%n/tmp
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/affinity
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
MpiDefault=none
ReturnToService=2
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1,sched_min_interval=0
InactiveLimit=0
KillWait=5
MinJobAge=3600
SlurmctldTimeout=30
SlurmdTimeout=20
CommunicationParameters=NoAddrCache
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE OverTimeLimit=0 State=UP
END
    # There is nothing for it to do here; which plugin does without a cgroup of its own, depends.
    case $(slurmd -V) in
    'slurm-wlm 2'[0-3].*) echo CgroupPlugin=cgroup/v1 ;;
    *) echo CgroupPlugin=disabled ;;
    esac >"$dir/cgroup.conf"
    for ((i = 1; i <= n_nodes; i++)); do
        mkdir -p "$dir/n$i/spool" "$dir/n$i/tmp"
        echo "NodeName=n$i NodeHostname=$host NodeAddr=127.0.0.1 Port=$((base + i)) CPUs=$(nproc)" \
            "RealMemory=1000 Gres=gpu:2 State=UNKNOWN" >>"$dir/slurm.conf"
        echo "NodeName=n$i Name=gpu File=$dir/dev/nvidia[0-1]" >>"$dir/gres.conf"
    done
}

start_node() { # N
    SLURM_CONF=$dir/slurm.conf slurmd -N "n$1" -f "$dir/slurm.conf"
}

start_munge() {
    mkdir -m 700 "$dir/munge"
    dd if=/dev/urandom of="$dir/munge/key" bs=128 count=1 status=none
    chmod 600 "$dir/munge/key"
    munged --force --key-file "$dir/munge/key" --socket "$dir/munge.socket" --num-threads 2 \
        --pid-file "$dir/munge/pid" --log-file "$dir/munge/log" --seed-file "$dir/munge/seed"
}

n_idle() {
    SLURM_CONF=$dir/slurm.conf timeout 5 sinfo -h -N -o %t 2>/dev/null | grep -c '^idle$' || true
}

wait_until() { # COMMAND: for 20 s at most
    local i
    for ((i = 0; i < 200; i++)); do
        if "$@"; then return 0; fi
        sleep 0.1
    done
    return 1
}

nodes_are_idle() { [ "$(n_idle)" -eq "$n_nodes" ]; }

wait_for_nodes() {
    wait_until nodes_are_idle && return 0
    echo "cluster.sh: the nodes did not come up:" >&2
    tail -n 5 "$dir"/*.log >&2
    return 1
}

up() {
    local program
    PATH=$PATH:/usr/sbin:/sbin
    for program in munged slurmctld slurmd srun sbatch; do
        command -v "$program" >/dev/null ||
            cannot "no $program: tools/install-deps.sh --tests installs Slurm where it can"
    done
    [ "$(id -u)" -eq 0 ] || cannot "only root can start it"
    mkdir -p "$dir"
    dir=$(cd "$dir" && pwd)
    chmod 755 "$dir"
    mkdir "$dir/state"
    make_devices
    write_config
    start_munge
    SLURM_CONF=$dir/slurm.conf slurmctld -f "$dir/slurm.conf" -i
    local i
    for ((i = 1; i <= n_nodes; i++)); do start_node "$i"; done
    wait_for_nodes
}

# The daemons that live, steps' too: which have this cluster's folder in command line or environment.
daemons() {
    local pid
    for pid in $(grep -lsaF -e "$dir/" /proc/[0-9]*/cmdline /proc/[0-9]*/environ | cut -d/ -f3 | sort -u); do
        case $(cat "/proc/$pid/comm" 2>/dev/null) in
        munged | slurmctld | slurmd | slurmstepd) echo "$pid" ;;
        esac
    done
}

no_daemons() { [ -z "$(daemons)" ]; }
no_jobs() { [ -z "$(timeout 5 squeue -h 2>/dev/null)" ]; }

# Jobs first, so that nothing of them is left behind.
down() {
    local pids
    [ -e "$dir/slurm.conf" ] || return 0
    dir=$(cd "$dir" && pwd)
    export SLURM_CONF=$dir/slurm.conf
    timeout 5 scancel --user=root --state=PENDING 2>/dev/null || true
    timeout 5 scancel --user=root --full --signal=KILL 2>/dev/null || true
    wait_until no_jobs || true
    mapfile -t pids < <(daemons)
    [ "${#pids[@]}" -eq 0 ] || kill -TERM "${pids[@]}" 2>/dev/null || true
    wait_until no_daemons || true
    mapfile -t pids < <(daemons)
    [ "${#pids[@]}" -eq 0 ] || kill -KILL "${pids[@]}" 2>/dev/null || true
    rm -rf "$dir"
}

[ $# -ge 2 ] || usage
dir=$2
case $1 in
up) up ;;
node) PATH=$PATH:/usr/sbin start_node "$3" ;;
down) down ;;
*) usage ;;
esac
