/* A spiking neural network in C99, event-driven: work is done only where a spike is.
 *
 * Made by spikemnist @VERSION@. Tables come first, in the order in which they are read.
 */
#include "network.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

#if INT_MAX < INT32_MAX
#error "an int must have 32 bits"
#endif

typedef network_number_t number_t;
#if @INTEGER@
typedef int8_t weight_t; /* in units of their own for each neuron; currents are, too */
typedef int64_t sum_t;

enum { ONE = @ONE@, UNIT = @UNIT@, FIRST_UNIT = @FIRST_UNIT@ }; /* of a beta, of a current */
#else
typedef float weight_t;
typedef float sum_t;
#endif

enum { RESET_NONE, RESET_SUBTRACT, RESET_ZERO };
enum { POOL_NONE, POOL_MAX, POOL_AVERAGE };

/* A dense layer is a convolution of one pixel with a kernel of one pixel. */
struct network_layer {
    int in_width, in_channels;
    int kernel, stride, padding;
    int height, width;             /* behind the convolution */
    int pooling;
    int pool;                      /* side of the square that is pooled, 1 for none */
    int out_height, out_width, channels; /* of the neurons */
    int reset;
    const weight_t *weights;       /* [in_channels][kernel][kernel][channels] */
    const number_t *bias, *beta, *threshold; /* [channels] */
    number_t *current;             /* [height][width][channels] */
    number_t *membrane;            /* [out_height][out_width][channels] */
    uint16_t *spikes;              /* numbers of the neurons that fired */
};

@TABLES@

static int fired[NETWORK_LAYERS]; /* how many neurons of each layer */
static uint32_t operations;
static int steps;

enum { POPULATION = @POPULATION@ }; /* output neurons for each class */
enum { OUTPUTS = NETWORK_CLASSES * POPULATION };
static sum_t membrane_sum[OUTPUTS];
#if @MAX_MEMBRANE@
static number_t score[OUTPUTS]; /* the highest membrane */
#endif
#if @SPIKE_COUNT@
static int score[OUTPUTS]; /* how many spikes */
#endif
#if @FIRST_SPIKE@
static int score[OUTPUTS]; /* minus the number of timesteps before the first spike */
#endif

static void clear_currents(const struct network_layer *layer)
{
    memset(layer->current, 0,
           sizeof *layer->current * (size_t)(layer->height * layer->width * layer->channels));
}

/* Adds one input to the currents that it reaches: a grey value, or a spike where `grey` is 0. */
static void add(const struct network_layer *layer, int input, int grey)
{
    const int channel = input % layer->in_channels;
    const int x = input / layer->in_channels % layer->in_width + layer->padding;
    const int y = input / layer->in_channels / layer->in_width + layer->padding;
    const int size = layer->channels;
#if @INTEGER@
    const number_t amount = grey;
#else
    const number_t amount = (number_t)grey / 255;
#endif
    int row, column, i;

    for (row = 0; row < layer->kernel; row++) {
        const int down = y - row;
        if (down < 0 || down % layer->stride != 0 || down / layer->stride >= layer->height) {
            continue;
        }
        for (column = 0; column < layer->kernel; column++) {
            const int right = x - column;
            const weight_t *weights;
            number_t *current;
            if (right < 0 || right % layer->stride != 0 || right / layer->stride >= layer->width) {
                continue;
            }
            weights = layer->weights
                + ((ptrdiff_t)(channel * layer->kernel + row) * layer->kernel + column) * size;
            current = layer->current
                + ((ptrdiff_t)(down / layer->stride) * layer->width + right / layer->stride) * size;
            if (grey == 0) {
                for (i = 0; i < size; i++) {
                    current[i] += weights[i];
                }
            } else {
                for (i = 0; i < size; i++) {
                    current[i] += weights[i] * amount;
                }
            }
            operations += (uint32_t)size;
        }
    }
}

/* Returns what a neuron receives: the current of its place, or of the square that is pooled, whose
 * sum may need more than 32 bits. */
static sum_t receive(const struct network_layer *layer, int y, int x, int channel)
{
    const int side = layer->pool, size = layer->channels;
    const number_t *current = layer->current
        + ((ptrdiff_t)y * side * layer->width + (ptrdiff_t)x * side) * size + channel;
    sum_t total = current[0];
    int i, j;

    for (i = 0; i < side; i++) {
        for (j = 0; j < side; j++) {
            const number_t next = current[((ptrdiff_t)i * layer->width + j) * size];
            if (i == 0 && j == 0) {
                continue;
            }
            if (layer->pooling == POOL_AVERAGE) {
                total += next;
            } else if (next > total) {
                total = next;
            }
        }
    }
#if @INTEGER@
    return total; /* of an average as well, whose unit is as much smaller */
#else
    return layer->pooling == POOL_AVERAGE ? total / (sum_t)(side * side) : total;
#endif
}

/* Moves a membrane on by one timestep. */
static number_t move(const struct network_layer *layer, int channel, number_t before, sum_t current)
{
    const number_t threshold = layer->threshold[channel];
    const int fires = before > threshold;
#if @INTEGER@
    const int64_t largest = INT32_MAX / 2;
    int64_t membrane = layer->reset == RESET_ZERO && fires ? 0 : before;

    membrane = membrane * layer->beta[channel] / ONE;
    membrane += current * (layer == layers ? FIRST_UNIT : UNIT);
    membrane += layer->bias[channel];
    if (layer->reset == RESET_SUBTRACT && fires) {
        membrane -= threshold;
    }
    return (number_t)(membrane > largest ? largest : membrane < -largest ? -largest : membrane);
#else
    number_t membrane = layer->reset == RESET_ZERO && fires ? 0 : before;

    membrane *= layer->beta[channel];
    membrane += current + layer->bias[channel];
    if (layer->reset == RESET_SUBTRACT && fires) {
        membrane -= threshold;
    }
    return membrane;
#endif
}

/* Moves the neurons of a layer on by one timestep, and lists those that fire. */
static int integrate(const struct network_layer *layer)
{
    int y, x, channel, neuron = 0, count = 0;

    for (y = 0; y < layer->out_height; y++) {
        for (x = 0; x < layer->out_width; x++) {
            for (channel = 0; channel < layer->channels; channel++, neuron++) {
                const sum_t current = receive(layer, y, x, channel);
                number_t *membrane = layer->membrane + neuron;
                *membrane = move(layer, channel, *membrane, current);
                if (*membrane > layer->threshold[channel]) {
                    layer->spikes[count++] = (uint16_t)neuron;
                }
            }
        }
    }
    return count;
}

/* Keeps what the decision will be made of. */
static void look_at_outputs(void)
{
    const struct network_layer *last = layers + NETWORK_LAYERS - 1;
    int i;

    for (i = 0; i < OUTPUTS; i++) {
        membrane_sum[i] += last->membrane[i];
#if @MAX_MEMBRANE@
        if (steps == 0 || last->membrane[i] > score[i]) {
            score[i] = last->membrane[i];
        }
#endif
    }
#if @SPIKE_COUNT@
    for (i = 0; i < fired[NETWORK_LAYERS - 1]; i++) {
        score[last->spikes[i]]++;
    }
#endif
#if @FIRST_SPIKE@
    for (i = 0; i < OUTPUTS; i++) {
        if (score[i] == -steps && last->membrane[i] <= last->threshold[i]) { /* silent so far */
            score[i]--;
        }
    }
#endif
}

void network_reset(void)
{
    int i;

    for (i = 0; i < NETWORK_LAYERS; i++) {
        const struct network_layer *layer = layers + i;
        memset(layer->membrane, 0,
               sizeof *layer->membrane
                   * (size_t)(layer->out_height * layer->out_width * layer->channels));
        fired[i] = 0;
    }
    for (i = 0; i < OUTPUTS; i++) {
        membrane_sum[i] = 0;
#if @SCORE@
        score[i] = 0;
#endif
    }
    operations = 0;
    steps = 0;
}

/* Runs all layers for one timestep on the currents of the first one. */
static void advance(void)
{
    int i, j;

    for (i = 0; i < NETWORK_LAYERS; i++) {
        if (i > 0) {
            clear_currents(layers + i);
            for (j = 0; j < fired[i - 1]; j++) {
                add(layers + i, layers[i - 1].spikes[j], 0);
            }
        }
        fired[i] = integrate(layers + i);
    }
    look_at_outputs();
    steps++;
}

void network_step(const uint8_t *input)
{
    int i;

    if (input != NULL) {
        clear_currents(layers);
        for (i = 0; i < NETWORK_INPUTS; i++) {
            if (input[i] != 0) {
                add(layers, i, NETWORK_GREY ? input[i] : 0);
            }
        }
    }
    advance();
}

/* Returns the membranes of a class, summed over its neurons and all timesteps. */
static sum_t membranes_of(int number)
{
    sum_t total = 0;
    int i;

    for (i = 0; i < POPULATION; i++) {
        total += membrane_sum[number * POPULATION + i];
    }
    return total;
}
#if @SCORE@

/* Returns the score of a class, summed over its neurons. */
static sum_t score_of(int number)
{
    sum_t total = 0;
    int i;

    for (i = 0; i < POPULATION; i++) {
        total += (sum_t)score[number * POPULATION + i];
    }
    return total;
}
#endif

int network_decision(void)
{
    int i, best = 0;

    for (i = 1; i < NETWORK_CLASSES; i++) {
        int ahead = membranes_of(i) > membranes_of(best);
#if @SCORE@
        const sum_t own = score_of(i), leading = score_of(best);
        if (own > leading || own < leading) { /* else the membranes decide */
            ahead = own > leading;
        }
#endif
        if (ahead) {
            best = i;
        }
    }
    return best;
}

int network_spikes(int layer, const uint16_t **neurons)
{
    *neurons = layers[layer].spikes;
    return fired[layer];
}

const network_number_t *network_membranes(int layer)
{
    return layers[layer].membrane;
}

uint32_t network_operations(void)
{
    return operations;
}
#if @GREY@

int network_classify(const uint8_t *image)
{
    int t;

    network_reset();
    for (t = 0; t < NETWORK_STEPS; t++) {
        network_step(t == 0 ? image : NULL);
    }
    return network_decision();
}
#endif
#if @CODE@

int network_classify(const uint8_t *image)
{
    int t, i;

    network_reset();
    for (t = 0; t < NETWORK_STEPS; t++) {
        clear_currents(layers);
        for (i = 0; i < NETWORK_INPUTS; i++) {
            if ((code[32 * t + image[i] / 8] >> (image[i] % 8)) & 1) {
                add(layers, i, 0);
            }
        }
        advance();
    }
    return network_decision();
}
#endif
