# `cpack -G DEB` in the build folder: evalsweep_VERSION_ARCHITECTURE.deb, for the Debian it was built on.
set(CPACK_PACKAGE_VENDOR "The evalsweep authors")
set(CPACK_PACKAGE_CONTACT "The evalsweep authors <evalsweep@localhost>")
set(CPACK_PACKAGE_DESCRIPTION "\
evalsweep evaluates every (checkpoint, layer, task) of a sweep in one MPI job:
it finds what is done, hands the rest out to the ranks as they become free, and
gathers scores and completion status in one HDF5 file. Stopped, it resumes.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE
    GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_GENERATOR DEB)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
# mpirun, for evalsweep-mpirun; srun does without. The rest is for tools/ and for building on the library.
set(CPACK_DEBIAN_PACKAGE_RECOMMENDS "openmpi-bin, python3")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "python3-numpy, python3-sklearn, python3-xarray, python3-h5netcdf, \
python3-matplotlib, libopenmpi-dev, libhdf5-dev, libcjson-dev")
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/packaging/deb/prerm)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_PRE_BUILD_SCRIPTS ${PROJECT_SOURCE_DIR}/packaging/deb/policy.cmake)
include(CPack)
