/* Reads an image, a file of NETWORK_INPUTS bytes, and says which class it is:
 *
 *     cc -std=c99 -O2 main.c network.c -o classify && ./classify FILE
 */
#include "network.h"

#include <stdio.h>

int main(int count, char **arguments)
{
    static struct network_state state;
    static uint8_t image[NETWORK_INPUTS];
    int layer, is_image;
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;

    if (file == NULL) {
        fprintf(stderr, "usage: %s FILE, which can be read\n", arguments[0]);
        return 2;
    }
    is_image = fread(image, 1, NETWORK_INPUTS, file) == NETWORK_INPUTS && fgetc(file) == EOF;
    fclose(file);
    if (!is_image) {
        fprintf(stderr, "%s must have %d bytes: grey values, @ORDER@\n",
                arguments[1], NETWORK_INPUTS);
        return 1;
    }
    printf("class %d\n", network_classify(&state, image));
    for (layer = 0; layer < NETWORK_LAYERS; layer++) {
        printf("layer %d: %lu spikes\n", layer, (unsigned long)state.total[layer]);
    }
    printf("%lu weights were added\n", (unsigned long)state.operations);
    return 0;
}
