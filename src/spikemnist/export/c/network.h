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
#define NETWORK_OUTPUTS @OUTPUTS@ /* output neurons */
#define NETWORK_NEURONS @NEURONS@ /* neurons of all layers */
#define NETWORK_CURRENTS @CURRENTS@ /* currents that are held at a time */
#define NETWORK_STEPS @STEPS@ /* timesteps of an image, 0 if the network takes spikes alone */
#define NETWORK_GREY @GREY@ /* 1 if its input is grey values, 0 if it is spikes */

#if @INTEGER@
typedef int32_t network_number_t; /* of membranes, in a unit of its own for each neuron */
typedef int64_t network_sum_t;
#else
typedef float network_number_t; /* of membranes */
typedef float network_sum_t;
#endif

/* All that changes while a network runs. The caller has one for each thread, or for each stream of
 * input; network_reset() fills it. The tables are constant, and all states share them. */
struct network_state {
    network_sum_t membrane_sum[NETWORK_OUTPUTS]; /* over the timesteps */
    network_number_t current[NETWORK_CURRENTS];  /* into a row of neurons of one layer */
    network_number_t membrane[NETWORK_NEURONS];  /* layer by layer */
#if @MAX_MEMBRANE@
    network_number_t score[NETWORK_OUTPUTS]; /* the highest membrane */
#endif
#if @SPIKE_COUNT@
    int32_t score[NETWORK_OUTPUTS]; /* how many spikes */
#endif
#if @FIRST_SPIKE@
    int32_t score[NETWORK_OUTPUTS]; /* minus the number of timesteps before the first spike */
#endif
    uint32_t total[NETWORK_LAYERS];   /* spikes of each layer since network_reset() */
    uint32_t operations;              /* weights that were added since network_reset() */
    int32_t steps;                    /* timesteps since network_reset() */
    uint16_t fired[NETWORK_LAYERS];   /* spikes of each layer at the last timestep */
    uint16_t spikes[NETWORK_NEURONS]; /* numbers of the neurons that fired then */
    uint16_t events[NETWORK_INPUTS];  /* numbers of the inputs that are not 0 */
};

#ifdef __cplusplus
extern "C" {
#endif

/* Puts all membranes at rest: before each image. */
void network_reset(struct network_state *state);

#if @GREY@
/* Runs all layers for one timestep.
 *
 * input: NETWORK_INPUTS grey values from 0 to 255, @ORDER@.
 */
#else
/* Runs all layers for one timestep on a list of spikes.
 *
 * index: numbers of the inputs that spike, from 0 to NETWORK_INPUTS - 1, which is not checked. That
 * of a pixel is @NUMBER@. In ascending order they are taken as
 * they are; others are sorted into state->events first, and count once. The list may be
 * state->events.
 * count: how many.
 */
void network_step_events(struct network_state *state, const uint16_t *index, int count);

/* Does the same for NETWORK_INPUTS bytes; a byte that is not 0 is a spike. Fills state->events. */
#endif
void network_step(struct network_state *state, const uint8_t *input);

/* Returns the class that the timesteps since network_reset() decide for. */
int network_decision(const struct network_state *state);

/* Returns how many neurons of a layer fired at the last timestep, and which ones, in ascending
 * order; channels are last in their numbers.
 *
 * layer: from 0, the first one of neurons, to NETWORK_LAYERS - 1; it is not checked.
 */
int network_spikes(const struct network_state *state, int layer, const uint16_t **neurons);

/* Returns the membranes of a layer, numbered as above, after the last timestep, before their
 * reset. */
const network_number_t *network_membranes(const struct network_state *state, int layer);

#if @STEPS@
/* Classifies an image: NETWORK_INPUTS values from 0 to 255, @ORDER@, prepared as those
 * of the training, see README.md. Resets the state, runs NETWORK_STEPS timesteps and returns the class. */
int network_classify(struct network_state *state, const uint8_t *image);

#endif
#ifdef __cplusplus
}
#endif

#endif
