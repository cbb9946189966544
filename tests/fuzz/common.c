#include <string.h>

#include "fuzz.h"

struct p2p_rsa *
fuzz_key(const char *name)
{
    char path[128], pem[4096];
    struct p2p_rsa *key;
    size_t len;
    FILE *f;

    snprintf(path, sizeof(path), "tests/vectors/keys/%s.pem", name);
    f = fopen(path, "rb");
    MUST(f != NULL); /* run in the project's folder */
    len = fread(pem, 1, sizeof(pem), f);
    fclose(f);
    MUST(p2p_rsa_parse_pem(pem, len, NULL, &key) == P2P_OK);
    return key;
}
