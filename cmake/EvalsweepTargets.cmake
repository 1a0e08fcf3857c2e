# Warnings, sanitizers, and the two kinds of target that the tree is made of: layers and tests.
option(EVALSWEEP_WERROR "Treat warnings as errors" OFF)
option(EVALSWEEP_COVERAGE "Instrument for gcov" OFF)
option(EVALSWEEP_FUZZER "Build the fuzz targets with libFuzzer (clang)" OFF)
set(EVALSWEEP_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize= takes them")

add_library(es_flags INTERFACE)
target_compile_features(es_flags INTERFACE c_std_11)
target_compile_definitions(es_flags INTERFACE _GNU_SOURCE)
target_compile_options(es_flags INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes
    -Wvla -Wundef -Wwrite-strings -fno-common
    $<$<BOOL:${EVALSWEEP_WERROR}>:-Werror>)
if(EVALSWEEP_SANITIZE)
    target_compile_options(es_flags INTERFACE -fsanitize=${EVALSWEEP_SANITIZE}
        -fno-omit-frame-pointer -fno-sanitize-recover=all)
    target_link_options(es_flags INTERFACE -fsanitize=${EVALSWEEP_SANITIZE})
endif()
if(EVALSWEEP_FUZZER) # so that the layers report what an input covers
    target_compile_options(es_flags INTERFACE -fsanitize=fuzzer-no-link)
endif()
if(EVALSWEEP_COVERAGE)
    # Counters are of threads side by side, hence atomic. gcc would have execve write and end the
    # counting, which after vfork is the parent's too: -fno-builtin-execve.
    target_compile_options(es_flags INTERFACE --coverage -fprofile-update=atomic -fno-builtin-execve)
    target_link_options(es_flags INTERFACE --coverage)
endif()

# es_add_layer(NAME [USES layer...] [LIBRARIES lib...]): all of this folder's C files as one layer.
# Which layer may include which is checked by tests/suite/check_layers.sh.
function(es_add_layer name)
    cmake_parse_arguments(arg "" "" "USES;LIBRARIES;SOURCES" ${ARGN})
    if(NOT arg_SOURCES)
        file(GLOB arg_SOURCES CONFIGURE_DEPENDS *.c)
    endif()
    add_library(es_${name} STATIC ${arg_SOURCES})
    target_include_directories(es_${name} PUBLIC ${PROJECT_SOURCE_DIR}/include
        PRIVATE ${PROJECT_SOURCE_DIR}/src)
    target_link_libraries(es_${name} PRIVATE es_flags)
    foreach(layer ${arg_USES})
        target_link_libraries(es_${name} PUBLIC es_${layer})
    endforeach()
    target_link_libraries(es_${name} PUBLIC ${arg_LIBRARIES})
endfunction()

# es_add_unit_tests(LAYER [lib...]): each test_*.c of this folder as one cmocka program; all of them are
# the target unit_tests_LAYER.
function(es_add_unit_tests layer)
    add_custom_target(unit_tests_${layer})
    file(GLOB sources CONFIGURE_DEPENDS test_*.c)
    foreach(source ${sources})
        get_filename_component(base ${source} NAME_WE)
        set(target ${layer}_${base})
        add_executable(${target} ${source})
        add_dependencies(unit_tests_${layer} ${target})
        target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/tests)
        target_link_libraries(${target} PRIVATE es_flags es_${layer} ${ARGN} PkgConfig::cmocka)
        add_test(NAME unit/${layer}/${base} COMMAND ${target})
        set_tests_properties(unit/${layer}/${base} PROPERTIES LABELS unit TIMEOUT ${ES_TEST_TIMEOUT_S})
    endforeach()
endfunction()
