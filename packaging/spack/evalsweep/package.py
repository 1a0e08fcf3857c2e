# A recipe for Spack 1.0 and later. From a checkout of evalsweep:
#
#     spack repo create ~/evalsweep-repo evalsweep_repo
#     cp -r packaging/spack/evalsweep ~/evalsweep-repo/packages/
#     spack repo add ~/evalsweep-repo
#     spack dev-build evalsweep@0.1.0

# ruff: noqa: F403, F405, I001 (recipes are written so)
from spack_repo.builtin.build_systems.cmake import CMakePackage

from spack.package import *


class Evalsweep(CMakePackage):
    """Evaluates every (checkpoint, layer, task) of a sweep in one MPI job, in place of a Slurm job
    array, and gathers scores and completion status in one HDF5 file."""

    license("MIT")

    version("0.1.0")

    depends_on("c", type="build")
    depends_on("cmake@3.25:", type="build")
    depends_on("pkgconfig", type=("build", "link"))
    depends_on("openmpi@4.1:5")
    depends_on("hdf5@1.10:1.14+hl")
    depends_on("cjson")
    # tools/: evaluators and what shows results; numpy and the like are the evaluator's own affair
    depends_on("python@3.11:", type="run")

    def cmake_args(self):
        return [
            self.define("EVALSWEEP_TESTS", False),
            self.define("EVALSWEEP_BENCH", False),
            self.define("MPI_C_COMPILER", self.spec["openmpi"].prefix.bin.mpicc),
        ]

    def setup_run_environment(self, env):
        env.set("EVALSWEEP_HOME", self.prefix.share.evalsweep)

    @run_after("install")
    @on_package_attributes(run_tests=True)
    def check_program(self):
        evalsweep = Executable(self.prefix.bin.evalsweep)
        evalsweep("--version")
        evalsweep("check", self.prefix.share.evalsweep.jobs.join("digits.json"))
