# For the bats files that do what a document says: $doc is its path.

# commands HEADING: the fenced commands below a heading of the document.
commands() {
    # shellcheck disable=SC2154 # the tests set it
    awk -v heading="## $1" '
        /^## / { in_section = $0 == heading }
        /^```/ { in_block = in_section && $0 == "```sh"; next }
        in_block' "$doc"
}

# follow HEADING: runs them, each of which must succeed; what they print is in ./said.
follow() {
    commands "$1" >./commands
    [ -s commands ]
    bash -ex commands >said 2>&1 || { cat said; return 1; }
}
