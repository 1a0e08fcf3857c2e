# The headers' comments as Doxygen wants them, so that the sources keep one kind of comment everywhere:
# one that begins a line documents what follows it, one behind code what it is behind, the first one the
# file. A field without a comment is one whose name says it all, and is not missed; a function, struct,
# enum or macro without one is.
/^ *\/\*/ { sub(/\/\*/, "/**") }
/[^ ] *\/\* / && !/^ *\/\*/ { sub(/\/\* /, "/**< ") }
!has_file && /\*\// {
    sub(/ *\*\//, " @file */")
    has_file = 1
}
/^struct [a-z_]* {$/ { in_struct = 1 }
/^}/ { in_struct = 0 }
in_struct && /;$/ { $0 = $0 " /**< &nbsp; */" }
{ print }
