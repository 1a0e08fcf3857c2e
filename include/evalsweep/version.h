/* The version of evalsweep that these headers belong to. */
#ifndef EVALSWEEP_VERSION_H
#define EVALSWEEP_VERSION_H

/* MAJOR.MINOR.PATCH, semantic; CMake takes it from here. */
#define ES_VERSION "0.1.0"

#endif
