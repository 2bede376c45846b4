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
typedef network_sum_t sum_t;
#if @INTEGER@
typedef int8_t weight_t; /* in units of their own for each neuron; currents are, too */

enum { ONE = @ONE@, UNIT = @UNIT@ }; /* of a beta, of a current that spikes make */
#else
typedef float weight_t;
#endif

enum { RESET_NONE, RESET_SUBTRACT, RESET_ZERO };
enum { POOL_NONE, POOL_MAX, POOL_AVERAGE };

/* A dense layer has one place, of `channels` neurons. */
struct network_layer {
    int is_dense;
    int in_width, in_channels;
    int kernel, stride, padding;
    int pooling;
    int pool;                      /* side of the square that is pooled, 1 for none */
    int out_height, out_width, channels; /* of the neurons */
    int reset;
    const weight_t *weights;       /* [in_channels][kernel][kernel][channels] */
    const number_t *bias, *beta, *threshold; /* [channels] */
    int currents;                  /* where they begin, [pool][out_width * pool][channels] */
    int neurons;                   /* where their membranes and spikes begin in the state */
};

/* Inputs of a layer, in ascending order. */
struct events {
    const uint16_t *index;
    int count;
    int next;            /* the first one that may reach the next row of neurons */
    const uint8_t *grey; /* the value of each input; NULL where events are spikes */
};

@TABLES@

enum { POPULATION = NETWORK_OUTPUTS / NETWORK_CLASSES }; /* output neurons for each class */

/* Adds the weights of one input to the currents of one place. */
static void add(number_t *current, const weight_t *weights, int size, const number_t *grey)
{
    int i;

    if (NETWORK_GREY && grey != NULL) {
        const number_t value = *grey;
        for (i = 0; i < size; i++) {
            current[i] += weights[i] * value;
        }
    } else {
        for (i = 0; i < size; i++) {
            current[i] += weights[i];
        }
    }
}

/* Adds one input to the currents that it reaches, which begin at row `top` of the convolution. */
static void convolve(struct network_state *state, const struct network_layer *layer, int top,
                     int input, const number_t *grey)
{
    const int stride = layer->stride, kernel = layer->kernel, size = layer->channels;
    const int channel = input % layer->in_channels;
    const int width = layer->out_width * layer->pool;
    const int x = input / layer->in_channels % layer->in_width + layer->padding;
    const int y = input / layer->in_channels / layer->in_width + layer->padding - top * stride;
    const int right = x / stride < width ? x / stride : width - 1;
    int row = y / stride < layer->pool ? y / stride : layer->pool - 1;
    int column;

    for (; row >= 0 && y - row * stride < kernel; row--) {
        const int first = (channel * kernel + y - row * stride) * kernel + x;
        for (column = right; column >= 0 && x - column * stride < kernel; column--) {
            add(state->current + layer->currents + (row * width + column) * size,
                layer->weights + (ptrdiff_t)(first - column * stride) * size, size, grey);
            state->operations += (uint32_t)size;
        }
    }
}

/* Computes the currents of one row of neurons. A convolution takes the events of the rows of pixels
 * that reach it: in a list in ascending order they stand side by side. */
static void gather(struct network_state *state, const struct network_layer *layer, int row,
                   struct events *events)
{
    const int top = row * layer->pool, pixels = layer->in_width * layer->in_channels;
    const int begin = (top * layer->stride - layer->padding) * pixels;
    const int end = begin + ((layer->pool - 1) * layer->stride + layer->kernel) * pixels;
    int i;

    memset(state->current + layer->currents, 0,
           sizeof *state->current
               * (size_t)(layer->pool * layer->pool * layer->out_width * layer->channels));
    while (events->next < events->count && events->index[events->next] < begin) {
        events->next++;
    }
    for (i = events->next; i < events->count && events->index[i] < end; i++) {
        const int input = events->index[i];
        const number_t *grey = NULL;
        number_t value;
        if (NETWORK_GREY && events->grey != NULL) {
#if @INTEGER@
            value = events->grey[input];
#else
            value = (number_t)events->grey[input] / 255;
#endif
            grey = &value;
        }
        if (layer->is_dense) {
            add(state->current + layer->currents,
                layer->weights + (ptrdiff_t)input * layer->channels, layer->channels, grey);
            state->operations += (uint32_t)layer->channels;
        } else {
            convolve(state, layer, top, input, grey);
        }
    }
}

/* Returns what a neuron receives: the current of its place, or of the square that is pooled, whose
 * sum may need more than 32 bits. */
static sum_t receive(const struct network_layer *layer, const number_t *current)
{
    const int side = layer->pool, width = layer->out_width * side;
    sum_t total = current[0];
    int i, j;

    for (i = 0; i < side; i++) {
        for (j = 0; j < side; j++) {
            const number_t next = current[(i * width + j) * layer->channels];
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
    membrane += current * (NETWORK_GREY && layer == layers ? 1 : UNIT);
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

/* Moves a row of neurons on by one timestep, and lists those that fire behind the `count` spikes of
 * the rows before. Returns how many spikes there are now. */
static int integrate(struct network_state *state, const struct network_layer *layer, int row,
                     int count)
{
    const number_t *current = state->current + layer->currents;
    int neuron = row * layer->out_width * layer->channels;
    int x, channel;

    for (x = 0; x < layer->out_width; x++) {
        for (channel = 0; channel < layer->channels; channel++, neuron++) {
            number_t *membrane = state->membrane + layer->neurons + neuron;
            *membrane = move(layer, channel, *membrane, receive(layer, current + channel));
            if (*membrane > layer->threshold[channel]) {
                state->spikes[layer->neurons + count++] = (uint16_t)neuron;
            }
        }
        current += layer->pool * layer->channels;
    }
    return count;
}

/* Keeps what the decision will be made of. */
static void look_at_outputs(struct network_state *state)
{
    const struct network_layer *last = layers + NETWORK_LAYERS - 1;
    const number_t *membrane = state->membrane + last->neurons;
    int i;

    for (i = 0; i < NETWORK_OUTPUTS; i++) {
        state->membrane_sum[i] += membrane[i];
#if @MAX_MEMBRANE@
        if (state->steps == 0 || membrane[i] > state->score[i]) {
            state->score[i] = membrane[i];
        }
#endif
    }
#if @SPIKE_COUNT@
    for (i = 0; i < state->fired[NETWORK_LAYERS - 1]; i++) {
        state->score[state->spikes[last->neurons + i]]++;
    }
#endif
#if @FIRST_SPIKE@
    for (i = 0; i < NETWORK_OUTPUTS; i++) {
        if (state->score[i] == -state->steps && membrane[i] <= last->threshold[i]) {
            state->score[i]--; /* silent so far */
        }
    }
#endif
}

void network_reset(struct network_state *state)
{
    int i;

    for (i = 0; i < NETWORK_NEURONS; i++) {
        state->membrane[i] = 0;
    }
    for (i = 0; i < NETWORK_LAYERS; i++) {
        state->fired[i] = 0;
        state->total[i] = 0;
    }
    for (i = 0; i < NETWORK_OUTPUTS; i++) {
        state->membrane_sum[i] = 0;
#if @SCORE@
        state->score[i] = 0;
#endif
    }
    state->operations = 0;
    state->steps = 0;
}

/* Runs all layers for one timestep, row by row: a layer needs the currents of one row at a time.
 * Without events the currents of the first layer are those of the timestep before. */
static void advance(struct network_state *state, struct events events)
{
    int i, row;

    for (i = 0; i < NETWORK_LAYERS; i++) {
        const struct network_layer *layer = layers + i;
        int count = 0;
        for (row = 0; row < layer->out_height; row++) {
            if (events.index != NULL) {
                gather(state, layer, row, &events);
            }
            count = integrate(state, layer, row, count);
        }
        state->fired[i] = (uint16_t)count;
        state->total[i] += (uint32_t)count;
        events.index = state->spikes + layer->neurons;
        events.count = count;
        events.next = 0;
        events.grey = NULL;
    }
    look_at_outputs(state);
    state->steps++;
}

/* Lists the inputs that are not 0, and returns how many they are. */
static int list(struct network_state *state, const uint8_t *input)
{
    int i, count = 0;

    for (i = 0; i < NETWORK_INPUTS; i++) {
        if (input[i] != 0) {
            state->events[count++] = (uint16_t)i;
        }
    }
    return count;
}
#if @GREY@

void network_step(struct network_state *state, const uint8_t *input)
{
    struct events events = {NULL, 0, 0, NULL};

    events.index = state->events;
    events.count = list(state, input);
    events.grey = input;
    advance(state, events);
}
#else

/* Returns how many events are left of an unsorted list, put into state->events in ascending order,
 * each once. The list may be state->events: an event is read before its place is taken. */
static int sort(struct network_state *state, const uint16_t *index, int count)
{
    int i, size = 0;

    for (i = 0; i < count; i++) {
        const uint16_t event = index[i];
        int place = size, j;
        while (place > 0 && state->events[place - 1] > event) {
            place--;
        }
        if (place > 0 && state->events[place - 1] == event) {
            continue;
        }
        for (j = size++; j > place; j--) {
            state->events[j] = state->events[j - 1];
        }
        state->events[place] = event;
    }
    return size;
}

void network_step_events(struct network_state *state, const uint16_t *index, int count)
{
    struct events events = {NULL, 0, 0, NULL};
    int i = 1;

    while (i < count && index[i - 1] < index[i]) {
        i++;
    }
    if (i < count) {
        count = sort(state, index, count);
        index = state->events;
    }
    events.index = count > 0 ? index : state->events; /* NULL would keep the currents */
    events.count = count;
    advance(state, events);
}

void network_step(struct network_state *state, const uint8_t *input)
{
    network_step_events(state, state->events, list(state, input));
}
#endif

/* Returns the membranes of a class, summed over its neurons and all timesteps. */
static sum_t membranes_of(const struct network_state *state, int number)
{
    sum_t total = 0;
    int i;

    for (i = 0; i < POPULATION; i++) {
        total += state->membrane_sum[number * POPULATION + i];
    }
    return total;
}
#if @SCORE@

/* Returns the score of a class, summed over its neurons. */
static sum_t score_of(const struct network_state *state, int number)
{
    sum_t total = 0;
    int i;

    for (i = 0; i < POPULATION; i++) {
        total += (sum_t)state->score[number * POPULATION + i];
    }
    return total;
}
#endif

int network_decision(const struct network_state *state)
{
    int i, best = 0;

    for (i = 1; i < NETWORK_CLASSES; i++) {
        int ahead = membranes_of(state, i) > membranes_of(state, best);
#if @SCORE@
        const sum_t own = score_of(state, i), leading = score_of(state, best);
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

int network_spikes(const struct network_state *state, int layer, const uint16_t **neurons)
{
    *neurons = state->spikes + layers[layer].neurons;
    return state->fired[layer];
}

const network_number_t *network_membranes(const struct network_state *state, int layer)
{
    return state->membrane + layers[layer].neurons;
}
#if @GREY@

int network_classify(struct network_state *state, const uint8_t *image)
{
    const struct events none = {NULL, 0, 0, NULL};
    int t;

    network_reset(state);
    for (t = 0; t < NETWORK_STEPS; t++) {
        if (t == 0 || layers[0].out_height > 1) {
            network_step(state, image);
        } else {
            advance(state, none); /* the currents of a single row are still there */
        }
    }
    return network_decision(state);
}
#endif
#if @ONCE@

int network_classify(struct network_state *state, const uint8_t *image)
{
    int place[NETWORK_STEPS + 1] = {0}; /* where the next event of each timestep goes */
    int t, i, first = 0;

    /* No input spikes twice, so their numbers are sorted by timestep once. */
    for (i = 0; i < NETWORK_INPUTS; i++) {
        place[code[image[i]]]++;
    }
    for (t = 0; t < NETWORK_STEPS; t++) {
        first += place[t];
        place[t] = first - place[t];
    }
    for (i = 0; i < NETWORK_INPUTS; i++) {
        t = code[image[i]];
        if (t < NETWORK_STEPS) {
            state->events[place[t]++] = (uint16_t)i;
        }
    }
    network_reset(state);
    for (t = 0, first = 0; t < NETWORK_STEPS; first = place[t++]) {
        network_step_events(state, state->events + first, place[t] - first);
    }
    return network_decision(state);
}
#endif
#if @BITS@

int network_classify(struct network_state *state, const uint8_t *image)
{
    int t, i;

    network_reset(state);
    for (t = 0; t < NETWORK_STEPS; t++) {
        int count = 0;
        for (i = 0; i < NETWORK_INPUTS; i++) {
            if ((code[32 * t + image[i] / 8] >> (image[i] % 8)) & 1) {
                state->events[count++] = (uint16_t)i;
            }
        }
        network_step_events(state, state->events, count);
    }
    return network_decision(state);
}
#endif
