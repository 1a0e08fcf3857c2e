# The target `docs`: HTML of the public headers in build/docs/html, by Doxygen, where that is there.
find_program(DOXYGEN doxygen)
if(DOXYGEN)
    file(WRITE ${PROJECT_BINARY_DIR}/docs/Doxyfile
        "@INCLUDE = ${PROJECT_SOURCE_DIR}/docs/doxygen/Doxyfile\n"
        "PROJECT_NUMBER = ${PROJECT_VERSION}\n"
        "OUTPUT_DIRECTORY = ${PROJECT_BINARY_DIR}/docs\n")
    add_custom_target(docs COMMAND ${DOXYGEN} ${PROJECT_BINARY_DIR}/docs/Doxyfile
        WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endif()
