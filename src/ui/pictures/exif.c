/* EXIF 2.3: a TIFF file within the segment APP1 of a JPEG. */
#include <string.h>

#include "ui/pictures/picture.h"

enum {
    ORIENTATION = 0x0112,
    THUMB_AT = 0x0201,
    THUMB_LEN = 0x0202,
    ENTRY = 12,
    ENTRIES_MAX = 512,
};

struct tiff {
    const uint8_t *at;
    size_t len;
    bool little;
};

static uint32_t
number(const struct tiff *t, size_t at, unsigned bytes)
{
    uint32_t value = 0;

    if (at > t->len || t->len - at < bytes)
        return 0;
    for (unsigned i = 0; i < bytes; i++)
        value = value << 8 | t->at[at + (t->little ? bytes - 1 - i : i)];
    return value;
}

/* The segment APP1 that begins with "Exif". */
static struct tiff
find_exif(const uint8_t *in, size_t len)
{
    size_t at = 2;

    while (len >= 4 && at <= len - 4 && in[at] == 0xff && in[at + 1] != 0xda) {
        size_t size = (size_t)in[at + 2] << 8 | in[at + 3];
        if (size < 2 || size > len - at - 2)
            break;
        if (in[at + 1] == 0xe1 && size >= 16 && memcmp(in + at + 4, "Exif\0", 6) == 0)
            return (struct tiff){in + at + 10, size - 8, in[at + 10] == 'I'};
        at += 2 + size;
    }
    return (struct tiff){NULL, 0, false};
}

/* The value of a tag in the directory at `ifd`, or 0. SHORT values lie in the first two
 * bytes of the field. */
static uint32_t
find(const struct tiff *t, size_t ifd, unsigned tag)
{
    unsigned count = number(t, ifd, 2);

    for (unsigned i = 0; i < count && i < ENTRIES_MAX; i++) {
        size_t entry = ifd + 2 + (size_t)i * ENTRY;
        if (number(t, entry, 2) == tag)
            return number(t, entry + 8, number(t, entry + 2, 2) == 3 ? 2 : 4);
    }
    return 0;
}

struct ui_exif
ui_exif_read(const uint8_t *in, size_t len)
{
    struct tiff t = find_exif(in, len);
    struct ui_exif exif = {NULL, 0, 1};
    size_t first, second;
    uint32_t turn, at, size;

    if (t.at == NULL || t.len < 8)
        return exif;
    first = number(&t, 4, 4);
    turn = find(&t, first, ORIENTATION);
    if (turn >= 1 && turn <= 8)
        exif.orientation = turn;
    second = number(&t, first + 2 + (size_t)number(&t, first, 2) * ENTRY, 4);
    if (second == 0)
        return exif;
    at = find(&t, second, THUMB_AT);
    size = find(&t, second, THUMB_LEN);
    if (size < 4 || at > t.len || size > t.len - at)
        return exif;
    exif.thumb = t.at + at;
    exif.thumb_len = size;
    return exif;
}
