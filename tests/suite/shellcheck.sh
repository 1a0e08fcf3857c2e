#!/usr/bin/env bash
# All that shellcheck has to say, over all shell scripts and tests. Not asked for:
#   SC2013, SC2044            loops over words: process ids, names without blanks
#   SC2016, SC2094            backquotes and $ in patterns; a file and a command that are called alike
# and in tests, which bats runs each in a shell of its own that ends at the first failure:
#   SC2154, SC2034            $output and $status are bats's; helpers use variables that tests set
#   SC2030, SC2031            what a test changes is meant to be gone after it
#   SC2164                    a failing cd ends the test
#   SC2016                    scripts in single quotes are for other shells
#   SC1010                    "done" is a word of evalsweep's
#   SC2046, SC2086            lists of process ids and of options are meant to be split
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
mapfile -t scripts < <(find tools tests jobs -name '*.sh' -o -name '*.sbatch')
mapfile -t tests < <(find tests -name '*.bats' -o -name '*.bash')
shellcheck --external-sources --exclude=SC2013,SC2044,SC2016,SC2094 .ci/run packaging/deb/prerm docs/completions/* "${scripts[@]}"
shellcheck --external-sources --exclude=SC2013,SC2044,SC2154,SC2034,SC2030,SC2031,SC2164,SC2016,SC1010,SC2046,SC2086 \
    "${tests[@]}"
