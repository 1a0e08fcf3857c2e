/* The version of evalsweep that these headers belong to. */
#ifndef EVALSWEEP_VERSION_H
#define EVALSWEEP_VERSION_H

#define ES_VERSION "0.1.0"

#endif
