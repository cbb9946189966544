#include <stdio.h>
#include <string.h>

#include "load.h"
#include "p2p/bytes.h"

uint64_t
next_random(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static void
make_word(uint64_t *state, char *out)
{
    static const char *const syllables[] = {
        "ba",  "ren", "lo", "ti", "mus", "ka", "der", "sol", "pi",  "gan", "ve", "cho",
        "rai", "nor", "el", "fu", "zan", "hi", "mer", "ost", "qui", "jal", "wy", "dro"};
    unsigned n = 2 + (unsigned)(next_random(state) % 2);

    *out = '\0';
    while (n-- > 0)
        strcat(out, syllables[next_random(state) % 24]);
}

void
make_name(uint64_t n, char out[NAME_SIZE])
{
    static const char *const ends[] = {"jpg", "mp4", "pdf",  "txt", "zip",
                                       "png", "mkv", "flac", "iso", "docx"};
    uint64_t state = n * 0x2545f4914f6cdd1du + 1;
    char a[16], b[16], c[16];

    make_word(&state, a);
    make_word(&state, b);
    make_word(&state, c);
    snprintf(out, NAME_SIZE, "%s %s %s %llu.%s", a, b, c,
             (unsigned long long)(n % 10000), ends[next_random(&state) % 10]);
}

void
make_key(uint64_t peer, struct p2p_spki *key)
{
    static const uint8_t head[] = {0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a,
                                   0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
                                   0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01,
                                   0x0a, 0x02, 0x82, 0x01, 0x01, 0x00};
    static const uint8_t tail[] = {0x02, 0x03, 0x01, 0x00, 0x01};
    uint64_t seed = peer, state = next_random(&seed); /* streams must not overlap */

    memcpy(key->b, head, sizeof(head));
    memcpy(key->b + P2P_SPKI_LEN - sizeof(tail), tail, sizeof(tail));
    do {
        for (size_t i = sizeof(head); i < sizeof(head) + 256; i += 8)
            p2p_store_u64(key->b + i, next_random(&state));
        key->b[sizeof(head)] |= 0x80;
        key->b[sizeof(head) + 255] |= 1;
    } while (p2p_spki_check(key->b) != P2P_OK);
}

void
make_id(uint64_t peer, char hex[65])
{
    struct p2p_spki key;
    struct p2p_id id;

    make_key(peer, &key);
    if (p2p_spki_id(&key, &id) != P2P_OK)
        die("no id");
    p2p_hex_format(id.b, sizeof(id.b), hex);
}
