#!/usr/bin/env bash
# What --help says, the man pages and the completion say too: the same commands, synopses and options,
# none missing and none too many. The page of the job file has every key of docs/job-file.md, that of the
# store every variable of docs/store.md.
#
#     check_man.sh EVALSWEEP
set -euo pipefail
evalsweep=$1
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
faults=0

complain() {
    echo "$*" >&2
    faults=$((faults + 1))
}
same() { # WHAT HELP OTHER
    [ "$2" = "$3" ] || complain "$1: --help and it differ:"$'\n'"$(diff <(echo "$2") <(echo "$3"))"
}

page() { # FILE: as a reader sees it, without bold and underlined
    mandoc -T ascii -O width=200 "docs/man/$1" | sed 's/.\x08//g'
}
section() { # NAME, of a page on stdin
    sed -n "/^$1\$/,/^[A-Z]/{/^[A-Z]/d;p}"
}
man_options() { # of a page on stdin; a short tag has its text on the same line
    section OPTIONS | sed -nE 's/^     (-.*)/\1/p' | sed -E 's/  .*//'
}
help_options() { # of a --help on stdin
    sed -nE 's/^  (-.*)/\1/p' | sed -E 's/  .*//'
}

# What bash is offered for the last of these words. It takes --a=b for three words.
offers() { # WORD...
    COMP_WORDS=("$evalsweep" "$@")
    COMP_CWORD=$#
    _evalsweep "$evalsweep"
    printf '%s\n' "${COMPREPLY[@]}"
}
# shellcheck source=docs/completions/evalsweep
. docs/completions/evalsweep

check_command() { # PAGE COMMAND...
    local file=$1 help text
    help=$("$evalsweep" "${@:2}" --help)
    text=$(page "$file")
    same "$file: OPTIONS" "$(help_options <<<"$help")" "$(man_options <<<"$text")"
    same "$file: SYNOPSIS" "$(sed -n 's/^usage: //p' <<<"$help")" \
        "$(section SYNOPSIS <<<"$text" | sed -n 's/^     //p')"
    same "completion of evalsweep ${*:2}" \
        "$(help_options <<<"$help" | grep -oE -- '--[^ =]+=?' | sort)" "$(offers "${@:2}" -- | sort)"
}

commands=$("$evalsweep" --help | sed -nE '/^Commands:/,/^$/s/^  ([a-z]+) .*/\1/p')
[ "$(wc -w <<<"$commands")" -ge 9 ] || complain "--help names too few commands: $commands"
check_command evalsweep.1
for command in $commands; do
    check_command "evalsweep-$command.1" "$command"
done
same "completion of commands" "$commands" "$(offers '')"
same "evalsweep.1: commands" "$(sort <<<"$commands")" \
    "$(page evalsweep.1 | grep -oP 'evalsweep-\K[a-z]+(?=\(1\)$)' | sort)"

same "completion of --progress=" $'bar\nlines\nnone' "$(offers run --progress =)"
same "completion of --progress=b" bar "$(offers run --progress = b)"
same "completion of --format " $'csv\njsonl' "$(offers export --format '')"
same "completion of --policy l" lpt "$(offers simulate --policy l)"
same "completion of --only=" $'checkpoint=\nlayer=\ntask=' "$(offers run --only =)"
same "completion of a job, after an option" '' "$(offers run --json '')"
same "completion of --output=" '' "$(offers consolidate -o '')"

for file in docs/man/*; do
    mandoc -T lint -W warning "$file" || complain "$file: see above"
    text=$(page "${file##*/}")
    command=${file##*/evalsweep-}
    command=${command%.1}
    for name in NAME SYNOPSIS DESCRIPTION EXAMPLES 'SEE ALSO'; do
        grep -qx "$name" <<<"$text" || complain "$file: no section $name"
    done
    [[ $file == *.5 || $command == mpirun || $command == */evalsweep ||
        " ${commands//$'\n'/ } " == *" $command "* ]] || complain "$file: no such command"
done
for name in OPTIONS ENVIRONMENT FILES 'EXIT STATUS'; do
    for command in $commands; do
        grep -qx "$name" <<<"$(page "evalsweep-$command.1")" ||
            complain "evalsweep-$command.1: no section $name"
    done
done

# names_of: the names in the first column of the tables on stdin
names_of() {
    sed -nE 's/^\| (`[^|]*) \|.*/\1/p' | grep -oE '`[^`]+`' | tr -d '`'
}
job=$(page evalsweep-job.5)
for key in $(names_of <docs/job-file.md | grep -E '^[a-z_.]+$'); do
    [[ $key == .* ]] && key=evaluator$key
    grep -qE "(^| )$key([ ,]|\$)" <<<"$job" || complain "evalsweep-job.5: $key is missing"
done
store=$(page evalsweep-store.5)
for name in $(sed '/^## How it is written/q' docs/store.md | names_of); do
    grep -qE "(^| )$name([ ,]|\$)" <<<"$store" || complain "evalsweep-store.5: $name is missing"
done
exit "$((faults > 0))"
