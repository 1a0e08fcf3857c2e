# What Debian wants otherwise than `cmake --install` leaves it; cpack runs this over the staged tree.
set(usr ${CPACK_TEMPORARY_INSTALL_DIRECTORY}/usr)
set(doc ${usr}/share/doc/evalsweep)
file(RENAME ${doc}/LICENSE ${doc}/copyright)
file(RENAME ${doc}/CHANGELOG.md ${doc}/changelog)
file(GLOB_RECURSE texts ${usr}/share/man/* ${doc}/changelog)
execute_process(COMMAND gzip -9n ${texts} COMMAND_ERROR_IS_FATAL ANY)
file(GLOB archives ${usr}/lib/*.a ${usr}/lib/*/*.a)
execute_process(COMMAND strip --strip-debug --enable-deterministic-archives ${archives}
    COMMAND_ERROR_IS_FATAL ANY)
