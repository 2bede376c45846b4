/* A spiking neural network in C99: no allocation, no library but C's own. C++ can include it, too.
 *
 * Made by spikemnist @VERSION@. README.md says what is in it, and how to use it.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

#define NETWORK_LAYERS @LAYERS@
#define NETWORK_INPUTS @INPUTS@
#define NETWORK_CLASSES @CLASSES@
#define NETWORK_STEPS @STEPS@ /* timesteps of an image, 0 if the network takes spikes alone */
#define NETWORK_GREY @GREY@ /* 1 if its input is grey values, 0 if it is spikes */

#if @INTEGER@
typedef int32_t network_number_t; /* of membranes, in a unit of its own for each neuron */
#else
typedef float network_number_t; /* of membranes */
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Puts all membranes at rest: before each image. */
void network_reset(void);

/* Runs all layers for one timestep.
 *
 * input: NETWORK_INPUTS bytes, channels last; a byte that is not 0 is a spike, or a grey value from
 * 0 to 255 where NETWORK_GREY is 1. NULL repeats the currents of the timestep before.
 */
void network_step(const uint8_t *input);

/* Returns the class that the timesteps since network_reset() decide for. */
int network_decision(void);

/* Returns how many neurons of a layer fired at the last timestep, and which ones, in ascending
 * order; channels are last in their numbers.
 *
 * layer: from 0, the first one of neurons, to NETWORK_LAYERS - 1; it is not checked.
 */
int network_spikes(int layer, const uint16_t **neurons);

/* Returns the membranes of a layer, numbered as above, after the last timestep, before their
 * reset. */
const network_number_t *network_membranes(int layer);

/* Returns how many weights were added to a current since network_reset(). */
uint32_t network_operations(void);

#if @STEPS@
/* Classifies an image: NETWORK_INPUTS values from 0 to 255, row by row, channels last. Runs
 * NETWORK_STEPS timesteps and returns the class. */
int network_classify(const uint8_t *image);

#endif
#ifdef __cplusplus
}
#endif

#endif
