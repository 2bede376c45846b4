/* Reads an image, a binary @FORMAT@ file of @WIDTH@ x @HEIGHT@ pixels, and says which class it is:
 *
 *     cc -std=c99 -O2 main.c network.c -o classify && ./classify FILE
 */
#include "network.h"

#include <stdio.h>

int main(int count, char **arguments)
{
    static struct network_state state;
    static uint8_t image[NETWORK_INPUTS];
    int width, height, largest, layer;
    FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;

    if (file == NULL) {
        fprintf(stderr, "usage: %s FILE, a @FORMAT@ file that can be read\n", arguments[0]);
        return 2;
    }
    if (fscanf(file, "@MAGIC@ %d %d %d", &width, &height, &largest) != 3 || fgetc(file) == EOF
        || width != @WIDTH@ || height != @HEIGHT@ || largest != 255
        || fread(image, 1, NETWORK_INPUTS, file) != NETWORK_INPUTS) {
        fprintf(stderr, "%s is no binary @FORMAT@ file of @WIDTH@ x @HEIGHT@ pixels\n",
                arguments[1]);
        fclose(file);
        return 1;
    }
    fclose(file);
    printf("class %d\n", network_classify(&state, image));
    for (layer = 0; layer < NETWORK_LAYERS; layer++) {
        printf("layer %d: %lu spikes\n", layer, (unsigned long)state.total[layer]);
    }
    printf("%lu weights were added\n", (unsigned long)state.operations);
    return 0;
}
