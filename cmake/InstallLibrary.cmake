# libevalsweep for other projects: archive and headers, what find_package(evalsweep) reads, and
# evalsweep.pc. It is an archive only, so that its users need what it stands on, too.
include(CMakePackageConfigHelpers)
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/evalsweep)

install(TARGETS libevalsweep EXPORT evalsweepTargets ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY include/evalsweep DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT evalsweepTargets NAMESPACE evalsweep:: DESTINATION ${package_dir})

configure_package_config_file(cmake/evalsweepConfig.cmake.in
    ${PROJECT_BINARY_DIR}/cmake/evalsweepConfig.cmake
    INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
# Before 1.0 a minor version may change anything.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/evalsweepConfigVersion.cmake
    COMPATIBILITY SameMinorVersion)

# Relative, since the prefix is known at the installation only.
file(RELATIVE_PATH include_from_lib ${CMAKE_INSTALL_FULL_LIBDIR} ${CMAKE_INSTALL_FULL_INCLUDEDIR})
list(JOIN HDF5_C_HL_LIBRARIES " " hdf5_hl)
list(JOIN HDF5_C_LIBRARIES " " hdf5)
list(JOIN MPI_C_LIBRARIES " " mpi)
configure_file(cmake/evalsweep.pc.in ${PROJECT_BINARY_DIR}/cmake/evalsweep.pc @ONLY)

install(FILES ${PROJECT_BINARY_DIR}/cmake/evalsweepConfig.cmake
    ${PROJECT_BINARY_DIR}/cmake/evalsweepConfigVersion.cmake DESTINATION ${package_dir})
install(FILES ${PROJECT_BINARY_DIR}/cmake/evalsweep.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
