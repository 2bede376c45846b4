/* Classifies images on standard input; prints class, operations and the spikes of each timestep. */
#include "network.h"

#include <stdio.h>
#include <string.h>

static void print_spikes(const struct network_state *state)
{
    const uint16_t *neurons;
    int layer, i;

    for (layer = 0; layer < NETWORK_LAYERS; layer++) {
        const int count = network_spikes(state, layer, &neurons);
        printf("|");
        for (i = 0; i < count; i++)
            printf(" %d", neurons[i]);
    }
}

int main(int count, char **arguments)
{
    static struct network_state state;
    static uint8_t image[NETWORK_INPUTS];
    const int quiet = count > 1 && strcmp(arguments[1], "classify") == 0;
    int t;

    /* Spikes come timestep by timestep; images at once, and with spikes only of the last one. */
    while (fread(image, 1, sizeof image, stdin) == sizeof image) {
        if (quiet) {
            printf("%d", network_classify(&state, image));
        } else {
            network_reset(&state);
            for (t = 0; t < STEPS; t++) {
                if (t > 0 && fread(image, 1, sizeof image, stdin) != sizeof image)
                    return 1;
                network_step(&state, image);
                print_spikes(&state);
            }
            printf("> %d", network_decision(&state));
        }
        printf(" %lu\n", (unsigned long)state.operations);
    }
    return 0;
}
