/* Compares the network with the spikes and classes that spikemnist @VERSION@ computes with the same
 * numbers, of the type of the weights, for ten images:
 *
 *     cc -std=c99 -O2 test.c network.c -o test && ./test
 *
 * Prints each difference and how many images agree; returns 0 if all do, else 1.
 */
#include "network.h"

#include <stdio.h>

enum { IMAGES = 10 };

static const struct {
    int label;
    uint32_t spikes[NETWORK_LAYERS];
} expected[IMAGES] = {
@EXPECTED@
};

@PIXELS@

int main(void)
{
    static struct network_state state;
    int i, layer, agree = 0;

    for (i = 0; i < IMAGES; i++) {
        const int label = network_classify(&state, images + i * NETWORK_INPUTS);
        int differ = label != expected[i].label;
        if (differ) {
            printf("image %d: class %d, expected %d\n", i, label, expected[i].label);
        }
        for (layer = 0; layer < NETWORK_LAYERS; layer++) {
            if (state.total[layer] != expected[i].spikes[layer]) {
                printf("image %d, layer %d: %lu spikes, expected %lu\n", i, layer,
                       (unsigned long)state.total[layer],
                       (unsigned long)expected[i].spikes[layer]);
                differ = 1;
            }
        }
        agree += !differ;
    }
    printf("%d of %d images agree\n", agree, IMAGES);
    return agree != IMAGES;
}
