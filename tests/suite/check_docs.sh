#!/usr/bin/env bash
# What the pages name is there: functions and types (es_..., also es_..._* for a family), and files
# of the tree, in code or behind links.
#
#     check_docs.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
pages=(README.md CONTRIBUTING.md docs/*.md)
faults=0

complain() {
    echo "$*" >&2
    faults=$((faults + 1))
}

identifiers=$(mktemp)
trap 'rm -f "$identifiers"' EXIT
grep -ohE '\bes_[a-z0-9_]+' -r src include cmake tests/CMakeLists.txt | sort -u >"$identifiers"
for page in "${pages[@]}"; do
    while read -r name; do
        case $name in
        *_) grep -q "^$name" "$identifiers" || complain "$page: nothing is called $name*" ;;
        *) grep -qx "$name" "$identifiers" || complain "$page: nothing is called $name" ;;
        esac
    done < <(grep -oE '\bes_[a-z0-9_]+' "$page" | sort -u)
    while read -r path; do # placeholders as in cmd_<name>.c stand for any one
        compgen -G "$path" >/dev/null || complain "$page: there is no $path"
    done < <(grep -oE '`(src|include|tests|tools|docs|jobs|cmake|packaging)/[^` ]+' "$page" |
        tr -d '`' | grep -v '{' | sed 's/<[^>]*>/*/g' | sort -u)
    while read -r path; do
        [ -e "$(dirname "$page")/$path" ] || complain "$page: the link $path leads nowhere"
    done < <(grep -oP '\]\(\K(?!https?:|#)[^)#]+' "$page" | sort -u)
done

exit "$((faults > 0))"
