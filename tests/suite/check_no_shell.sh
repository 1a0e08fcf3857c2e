#!/usr/bin/env bash
# No name, argument or path ever reaches a shell: the program calls nothing that starts one. (execvp
# and its like give a file that is no program to /bin/sh; execve does not.)
#
#     check_no_shell.sh PROGRAM
set -euo pipefail
shells='system|popen|wordexp|exec[lv]pe?|posix_spawnp'
symbols=$(nm --dynamic --undefined-only "$1" | awk '{print $NF}' | sed 's/@.*//')
if found=$(grep -xE "$shells" <<<"$symbols"); then
    echo "$1 calls ${found//$'\n'/, }" >&2
    exit 1
fi
grep -qx execve <<<"$symbols" # an empty list would be no proof
