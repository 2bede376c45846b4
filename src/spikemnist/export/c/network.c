/* A spiking neural network in C99, event-driven: work is done only where a spike is.
 *
 * Made by spikemnist @VERSION@. Tables come first, in the order in which they are read.
 */
#include "network.h"

#include <stddef.h>
#include <string.h>

enum reset { RESET_NONE, RESET_SUBTRACT, RESET_ZERO };
enum pooling { POOL_NONE, POOL_MAX, POOL_AVERAGE };

/* A dense layer is a convolution of one pixel with a kernel of one pixel. */
struct layer {
    int in_height, in_width, in_channels;
    int kernel, stride, padding;
    int height, width;             /* behind the convolution */
    enum pooling pooling;
    int pool;                      /* side of the square that is pooled, 1 for none */
    int out_height, out_width, channels; /* of the neurons */
    enum reset reset;
    const weight_t *weights;       /* [in_channels][kernel][kernel][channels] */
    const number_t *bias, *beta, *threshold; /* [channels] */
    number_t *current;             /* [height][width][channels] */
    number_t *membrane;            /* [out_height][out_width][channels] */
    uint16_t *spikes;              /* numbers of the neurons that fired */
};

@TABLES@

static int fired[NETWORK_LAYERS]; /* how many neurons of each layer */
static uint16_t events[NETWORK_INPUTS];
static uint32_t operations;
static int steps;
static sum_t membrane_sum[NETWORK_CLASSES];
static number_t membrane_max[NETWORK_CLASSES];
static int spike_count[NETWORK_CLASSES], first_spike[NETWORK_CLASSES];

/* Adds one input, an event, to the currents that it reaches. */
static void add(const struct layer *layer, int event, number_t amount)
{
    const int channel = event % layer->in_channels;
    const int x = event / layer->in_channels % layer->in_width + layer->padding;
    const int y = event / layer->in_channels / layer->in_width + layer->padding;
    const int size = layer->channels;
    int row, column, i;

    for (row = 0; row < layer->kernel; row++) {
        const int down = y - row;
        if (down < 0 || down % layer->stride != 0 || down / layer->stride >= layer->height)
            continue;
        for (column = 0; column < layer->kernel; column++) {
            const int right = x - column;
            const weight_t *weights;
            number_t *current;
            if (right < 0 || right % layer->stride != 0 || right / layer->stride >= layer->width)
                continue;
            weights = layer->weights
                + ((size_t)(channel * layer->kernel + row) * layer->kernel + column) * size;
            current = layer->current
                + ((size_t)(down / layer->stride) * layer->width + right / layer->stride) * size;
            if (amount == 1)
                for (i = 0; i < size; i++)
                    current[i] += weights[i];
            else
                for (i = 0; i < size; i++)
                    current[i] += weights[i] * amount;
            operations += (uint32_t)size;
        }
    }
}

/* Returns what a neuron receives: the current of its place, or of the square that is pooled, whose
 * sum may need more than 32 bits. */
static sum_t receive(const struct layer *layer, int y, int x, int channel)
{
    const int side = layer->pool, size = layer->channels;
    const number_t *current =
        layer->current + ((size_t)y * side * layer->width + (size_t)x * side) * size + channel;
    sum_t found = current[0];
    int i, j;

    for (i = 0; i < side; i++)
        for (j = 0; j < side; j++) {
            const number_t next = current[((size_t)i * layer->width + j) * size];
            if (i == 0 && j == 0)
                continue;
            if (layer->pooling == POOL_AVERAGE)
                found += next;
            else if (next > found)
                found = next;
        }
#if !NETWORK_INTEGER /* whose units are as much smaller */
    if (layer->pooling == POOL_AVERAGE)
        found /= (sum_t)(side * side);
#endif
    return found;
}

/* Moves a membrane on by one timestep. */
static number_t move(const struct layer *layer, int channel, number_t before, sum_t current)
{
    const number_t threshold = layer->threshold[channel];
    const int fires = before > threshold;
#if NETWORK_INTEGER
    const int64_t largest = INT32_MAX / 2;
    int64_t membrane = layer->reset == RESET_ZERO && fires ? 0 : before;

    membrane = membrane * layer->beta[channel] / NETWORK_ONE;
    membrane += current * (layer == layers ? NETWORK_FIRST_UNIT : NETWORK_UNIT);
    membrane += layer->bias[channel];
    if (layer->reset == RESET_SUBTRACT && fires)
        membrane -= threshold;
    return (number_t)(membrane > largest ? largest : membrane < -largest ? -largest : membrane);
#else
    number_t membrane = layer->reset == RESET_ZERO && fires ? 0 : before;

    membrane *= layer->beta[channel];
    membrane += current + layer->bias[channel];
    if (layer->reset == RESET_SUBTRACT && fires)
        membrane -= threshold;
    return membrane;
#endif
}

/* Moves the neurons of a layer on by one timestep, and lists those that fire. */
static int integrate(const struct layer *layer)
{
    int y, x, channel, neuron = 0, count = 0;

    for (y = 0; y < layer->out_height; y++)
        for (x = 0; x < layer->out_width; x++)
            for (channel = 0; channel < layer->channels; channel++, neuron++) {
                const sum_t current = receive(layer, y, x, channel);
                number_t *membrane = layer->membrane + neuron;
                *membrane = move(layer, channel, *membrane, current);
                if (*membrane > layer->threshold[channel])
                    layer->spikes[count++] = (uint16_t)neuron;
            }
    return count;
}

/* Keeps what the decision will be made of. */
static void look_at_outputs(void)
{
    const struct layer *last = layers + NETWORK_LAYERS - 1;
    int i;

    for (i = 0; i < NETWORK_CLASSES; i++) {
        membrane_sum[i] += last->membrane[i];
        if (steps == 0 || last->membrane[i] > membrane_max[i])
            membrane_max[i] = last->membrane[i];
    }
    for (i = 0; i < fired[NETWORK_LAYERS - 1]; i++) {
        const int neuron = last->spikes[i];
        if (spike_count[neuron]++ == 0)
            first_spike[neuron] = steps;
    }
}

void network_reset(void)
{
    int i;

    for (i = 0; i < NETWORK_LAYERS; i++) {
        const struct layer *layer = layers + i;
        memset(layer->membrane, 0,
               sizeof *layer->membrane
                   * (size_t)(layer->out_height * layer->out_width * layer->channels));
        fired[i] = 0;
    }
    for (i = 0; i < NETWORK_CLASSES; i++) {
        membrane_sum[i] = 0;
        spike_count[i] = first_spike[i] = 0;
    }
    operations = 0;
    steps = 0;
}

/* Runs all layers for one timestep on so many events; grey values, where the input has them, are in
 * `image`. A negative count repeats the currents of the first layer. */
static void advance(int count, const uint8_t *image)
{
    const uint16_t *incoming = events;
    int i, j;

    (void)image; /* which spikes alone do without */
    for (i = 0; i < NETWORK_LAYERS; i++) {
        const struct layer *layer = layers + i;
        if (count >= 0)
            memset(layer->current, 0,
                   sizeof *layer->current
                       * (size_t)(layer->height * layer->width * layer->channels));
        for (j = 0; j < count; j++) {
#if NETWORK_GREY && NETWORK_INTEGER
            add(layer, incoming[j], i == 0 ? image[incoming[j]] : 1);
#elif NETWORK_GREY
            add(layer, incoming[j], i == 0 ? image[incoming[j]] / 255.0f : 1);
#else
            add(layer, incoming[j], 1);
#endif
        }
        count = fired[i] = integrate(layer);
        incoming = layer->spikes;
    }
    look_at_outputs();
    steps++;
}

void network_step(const uint8_t *input)
{
    int i, count = 0;

    for (i = 0; input != NULL && i < NETWORK_INPUTS; i++)
        if (input[i])
            events[count++] = (uint16_t)i;
    advance(input == NULL ? -1 : count, input);
}

int network_decision(void)
{
    int i, best = 0;

    for (i = 1; i < NETWORK_CLASSES; i++) {
        int ahead = membrane_sum[i] > membrane_sum[best]; /* decides where the rest is equal */
#if NETWORK_READOUT == NETWORK_MAX_MEMBRANE
        if (membrane_max[i] != membrane_max[best])
            ahead = membrane_max[i] > membrane_max[best];
#elif NETWORK_READOUT == NETWORK_SPIKE_COUNT
        if (spike_count[i] != spike_count[best])
            ahead = spike_count[i] > spike_count[best];
#elif NETWORK_READOUT == NETWORK_FIRST_SPIKE
        const int time = spike_count[i] ? first_spike[i] : steps;
        const int earliest = spike_count[best] ? first_spike[best] : steps;
        if (time != earliest)
            ahead = time < earliest;
#endif
        if (ahead)
            best = i;
    }
    return best;
}

int network_spikes(int layer, const uint16_t **neurons)
{
    *neurons = layers[layer].spikes;
    return fired[layer];
}

const number_t *network_membranes(int layer)
{
    return layers[layer].membrane;
}

uint32_t network_operations(void)
{
    return operations;
}

#if NETWORK_STEPS
int network_classify(const uint8_t *image)
{
    int t;

    network_reset();
    for (t = 0; t < NETWORK_STEPS; t++) {
#if NETWORK_GREY
        network_step(t == 0 ? image : NULL);
#else
        int i, count = 0;
        for (i = 0; i < NETWORK_INPUTS; i++)
            if (code[32 * t + image[i] / 8] >> image[i] % 8 & 1)
                events[count++] = (uint16_t)i;
        advance(count, NULL);
#endif
    }
    return network_decision();
}
#endif
