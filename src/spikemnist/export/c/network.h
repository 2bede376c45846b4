/* A spiking neural network in C99: no allocation, no library but C's own.
 *
 * Made by spikemnist @VERSION@. README.md says what is in it, and how to use it.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include <stdint.h>

@DEFINES@

#if NETWORK_INTEGER
typedef int8_t weight_t;  /* in units of their own for each neuron */
typedef int32_t number_t; /* membranes and currents, in fractions of these units */
typedef int64_t sum_t;
#else
typedef float weight_t;
typedef float number_t;
typedef float sum_t;
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
 * order; channels are last in their numbers. Layer 0 is the first one of neurons. */
int network_spikes(int layer, const uint16_t **neurons);

/* Returns the membranes of a layer after the last timestep, before their reset. */
const number_t *network_membranes(int layer);

/* Returns how many weights were added to a current since network_reset(). */
uint32_t network_operations(void);

#if NETWORK_STEPS
/* Classifies an image: NETWORK_INPUTS grey values from 0 to 255, row by row. Runs NETWORK_STEPS
 * timesteps and returns the class. */
int network_classify(const uint8_t *image);
#endif

#endif
