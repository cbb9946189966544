/* replay FOLDER   gives every file of the folder to the target, in exact heap blocks.
 */
#include <dirent.h>
#include <string.h>

#include "fuzz.h"

static void
replay_file(const char *folder, const char *name)
{
    char path[512];
    uint8_t *data = malloc(1 << 20), *exact;
    size_t len;
    FILE *f;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    f = fopen(path, "rb");
    MUST(f != NULL && data != NULL);
    len = fread(data, 1, 1 << 20, f);
    fclose(f);
    exact = malloc(len > 0 ? len : 1);
    MUST(exact != NULL);
    memcpy(exact, data, len);
    free(data);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

int
main(int argc, char **argv)
{
    DIR *dir = argc == 2 ? opendir(argv[1]) : NULL;
    struct dirent *entry;
    int count = 0;

    if (dir == NULL) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        replay_file(argv[1], entry->d_name);
        count++;
    }
    closedir(dir);
    printf("%s: %d inputs\n", argv[1], count);
    return count > 0 ? 0 : 1;
}
