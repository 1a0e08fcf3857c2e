# Every library the project stands on, all from the distribution's packages.
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(cjson REQUIRED IMPORTED_TARGET libcjson)

set(HDF5_PREFER_PARALLEL OFF)
find_package(HDF5 1.10 REQUIRED COMPONENTS C HL)
if(HDF5_IS_PARALLEL)
    message(STATUS "HDF5 is a parallel build; only its serial functions are used")
endif()

# Where MPICH stands beside Open MPI the generic mpicc may be MPICH's: ask for Open MPI's by name.
if(NOT MPI_C_COMPILER)
    find_program(MPI_C_COMPILER NAMES mpicc.openmpi mpicc)
endif()
if(NOT MPIEXEC_EXECUTABLE)
    find_program(MPIEXEC_EXECUTABLE NAMES mpirun.openmpi mpiexec.openmpi mpirun)
endif()
find_package(MPI REQUIRED COMPONENTS C)
include(CheckSymbolExists)
set(CMAKE_REQUIRED_LIBRARIES MPI::MPI_C)
check_symbol_exists(OPEN_MPI mpi.h EVALSWEEP_OPEN_MPI)
unset(CMAKE_REQUIRED_LIBRARIES)
if(NOT EVALSWEEP_OPEN_MPI)
    message(FATAL_ERROR "evalsweep needs Open MPI, and ${MPI_C_COMPILER} is another MPI: "
                        "set -DMPI_C_COMPILER=/path/to/openmpi/mpicc")
endif()
