# What the program comes with: man pages, completion, and the Python tools, job files and documents, in
# folders named as in the source tree, so that what the documents call tools/... is found.
set(data_dir ${CMAKE_INSTALL_DATADIR}/evalsweep)

foreach(section 1 5)
    file(GLOB pages CONFIGURE_DEPENDS docs/man/*.${section})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()
install(FILES docs/completions/evalsweep
    DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)

# Evaluators, the module they are written with, and what shows results; not what makes the test data of
# the source tree.
file(GLOB tools CONFIGURE_DEPENDS tools/*.py tools/mteb-requirements.txt)
list(FILTER tools EXCLUDE REGEX "/(tiny_[a-z]+|debian_packages)\\.py$")
foreach(tool ${tools})
    file(READ ${tool} start LIMIT 2)
    if(start MATCHES "^#!")
        install(PROGRAMS ${tool} DESTINATION ${data_dir}/tools)
    else()
        install(FILES ${tool} DESTINATION ${data_dir}/tools)
    endif()
endforeach()

file(GLOB jobs CONFIGURE_DEPENDS jobs/*)
list(FILTER jobs EXCLUDE REGEX "/tiny-pythia\\.json$")
install(FILES ${jobs} DESTINATION ${data_dir}/jobs)

foreach(kind lua tcl)
    configure_file(packaging/modulefiles/evalsweep.${kind}.in
        ${PROJECT_BINARY_DIR}/packaging/evalsweep.${kind} @ONLY)
endforeach()
set(modules_dir ${data_dir}/modulefiles/evalsweep)
install(FILES ${PROJECT_BINARY_DIR}/packaging/evalsweep.lua DESTINATION ${modules_dir}
    RENAME ${PROJECT_VERSION}.lua)
install(FILES ${PROJECT_BINARY_DIR}/packaging/evalsweep.tcl DESTINATION ${modules_dir}
    RENAME ${PROJECT_VERSION})

file(GLOB documents CONFIGURE_DEPENDS docs/*.md)
install(FILES README.md CHANGELOG.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES ${documents} DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
install(DIRECTORY docs/img DESTINATION ${CMAKE_INSTALL_DOCDIR}/docs)
