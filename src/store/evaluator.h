/* What evaluators say of themselves, as root attributes of the store: evaluator_<name>, each a
 * text, a float64, or an int8 for true and false.
 */
#ifndef ES_STORE_EVALUATOR_H
#define ES_STORE_EVALUATOR_H

#include "evalsweep/units.h"
#include "store/h5.h"

#define ES_EVALUATOR_PREFIX "evaluator_"

/* Writes the table's attributes. */
void es_evaluator_attributes_put(struct es_h5 *h5, hid_t file, const struct es_units *units);

/* Adds the file's attributes to the table's. */
void es_evaluator_attributes_get(struct es_h5 *h5, hid_t file, struct es_units *units);

#endif
