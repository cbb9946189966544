/*
 * An archive is, for each file: a header, the bytes, a descriptor with the checksum;
 * then a list that repeats the headers, with the places of the files; then an end that
 * says where the list is. Each of these parts has a length that depends only on the
 * name, the size and the place, so zip_finish can compute all places.
 */
#include "http/text/zip.h"

#include "p2p/array.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    HEADER = 30,
    DESCRIPTOR = 16,
    DESCRIPTOR64 = 24,
    LINE = 46,
    END = 22,
    END64 = 56,
    LOCATOR = 20,
    TIME_FIELD = 9, /* an extra field with the time in UTC */
    FIELD_HEAD = 4,
    PART_MAX = LINE + TIME_FIELD + FIELD_HEAD + 24 + ZIP_NAME_MAX,
};
#define FULL16 0xffffu     /* the number is in the ZIP64 record */
#define FULL32 0xffffffffu /* or in the ZIP64 field */

/* Bit 3: the checksum is in the descriptor; bit 11: the name is UTF-8. */
#define FLAGS            0x0808u
#define VERSION_PLAIN    20u
#define VERSION_ZIP64    45u
#define MADE_BY_UNIX     (3u << 8)
#define MODE_OF_A_FILE   (0100644u << 16)
#define FIELD_ZIP64      0x0001u
#define FIELD_TIME       0x5455u
#define TIME_IS_MODIFIED 1u

static bool
is_big(uint64_t value)
{
    return value >= FULL32;
}

/* ---- places ---- */

static size_t
header_len(const struct zip_entry *e)
{
    return HEADER + strlen(e->name) + TIME_FIELD +
           (is_big(e->size) ? FIELD_HEAD + 16 : 0);
}

static size_t
descriptor_len(const struct zip_entry *e)
{
    return is_big(e->size) ? DESCRIPTOR64 : DESCRIPTOR;
}

/* The numbers of the ZIP64 field of a line: two sizes, one place. */
static size_t
big_numbers(const struct zip_entry *e)
{
    return (is_big(e->size) ? 16u : 0u) + (is_big(e->at) ? 8u : 0u);
}

static size_t
line_len(const struct zip_entry *e)
{
    size_t numbers = big_numbers(e);

    return LINE + strlen(e->name) + TIME_FIELD +
           (numbers > 0 ? FIELD_HEAD + numbers : 0);
}

static bool
has_big_end(const struct zip *z)
{
    return z->count >= FULL16 || is_big(z->list_at) || is_big(z->end_at - z->list_at);
}

enum p2p_err
zip_add(struct zip *z, const char *name, uint64_t size, int64_t mtime_s)
{
    struct zip_entry *e;

    if (strlen(name) > ZIP_NAME_MAX)
        return P2P_ERR_RANGE;
    struct zip_entry *entries =
        p2p_array_room(z->entries, z->count, &z->cap, sizeof(*entries));
    if (entries == NULL)
        return P2P_ERR_NOMEM;
    z->entries = entries;
    e = &z->entries[z->count];
    *e = (struct zip_entry){.name = strdup(name), .size = size, .mtime_s = mtime_s};
    if (e->name == NULL)
        return P2P_ERR_NOMEM;
    z->count++;
    return P2P_OK;
}

void
zip_finish(struct zip *z)
{
    uint64_t at = 0;

    for (size_t i = 0; i < z->count; i++) {
        struct zip_entry *e = &z->entries[i];
        e->at = at;
        at += header_len(e) + e->size + descriptor_len(e);
    }
    z->list_at = at;
    for (size_t i = 0; i < z->count; i++) {
        z->entries[i].listed_at = at;
        at += line_len(&z->entries[i]);
    }
    z->end_at = at;
    z->size = at + END + (has_big_end(z) ? END64 + LOCATOR : 0);
}

void
zip_clear(struct zip *z)
{
    for (size_t i = 0; i < z->count; i++)
        free(z->entries[i].name);
    free(z->entries);
    *z = (struct zip){0};
}

uint64_t
zip_file_at(const struct zip *z, size_t entry)
{
    return z->entries[entry].at + header_len(&z->entries[entry]);
}

/* The last entry that begins at `at` or before; by its file or by its line. */
static size_t
entry_at(const struct zip *z, uint64_t at, bool by_line)
{
    size_t low = 0, high = z->count;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        const struct zip_entry *e = &z->entries[middle];
        if ((by_line ? e->listed_at : e->at) <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

size_t
zip_begun_before(const struct zip *z, uint64_t at)
{
    size_t i;

    if (z->count == 0 || at == 0)
        return 0;
    i = entry_at(z, at - 1, false);
    return i + (at > zip_file_at(z, i) ? 1 : 0);
}

/* ---- bytes, little endian ---- */

struct out {
    uint8_t *at;
};

static void
put(struct out *o, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        *o->at++ = (uint8_t)(value >> 8 * i);
}

static void
put_size(struct out *o, uint64_t value)
{
    put(o, is_big(value) ? FULL32 : value, 4);
}

/* Of the local time zone, in steps of two seconds, from 1980 to 2107. */
static uint32_t
dos_time(int64_t mtime_s)
{
    time_t t = (time_t)mtime_s;
    struct tm tm;

    if (localtime_r(&t, &tm) == NULL || tm.tm_year < 80)
        return 1u << 21 | 1u << 16; /* 1980-01-01 */
    if (tm.tm_year > 207)
        tm = (struct tm){.tm_year = 207, .tm_mon = 11, .tm_mday = 31};
    return (uint32_t)(tm.tm_year - 80) << 25 | (uint32_t)(tm.tm_mon + 1) << 21 |
           (uint32_t)tm.tm_mday << 16 | (uint32_t)tm.tm_hour << 11 |
           (uint32_t)tm.tm_min << 5 | (uint32_t)tm.tm_sec / 2;
}

static void
put_time_field(struct out *o, int64_t mtime_s)
{
    int64_t t = mtime_s < INT32_MIN   ? INT32_MIN
                : mtime_s > INT32_MAX ? INT32_MAX
                                      : mtime_s;

    put(o, FIELD_TIME, 2);
    put(o, TIME_FIELD - FIELD_HEAD, 2);
    put(o, TIME_IS_MODIFIED, 1);
    put(o, (uint64_t)t, 4);
}

/* The fields that a header and a line have in common, from the version to the length of
 * the name. */
static void
put_common(struct out *o, const struct zip_entry *e, bool needs_zip64, uint32_t crc)
{
    put(o, needs_zip64 ? VERSION_ZIP64 : VERSION_PLAIN, 2);
    put(o, FLAGS, 2);
    put(o, 0, 2); /* stored */
    put(o, dos_time(e->mtime_s), 4);
    put(o, crc, 4);
    put_size(o, e->size);
    put_size(o, e->size);
    put(o, strlen(e->name), 2);
}

static void
put_name(struct out *o, const struct zip_entry *e)
{
    memcpy(o->at, e->name, strlen(e->name));
    o->at += strlen(e->name);
}

static size_t
make_header(const struct zip_entry *e, uint8_t out[PART_MAX])
{
    struct out o = {out};

    put(&o, 0x04034b50, 4);
    put_common(&o, e, is_big(e->size), 0);
    put(&o, TIME_FIELD + (is_big(e->size) ? FIELD_HEAD + 16u : 0u), 2);
    put_name(&o, e);
    put_time_field(&o, e->mtime_s);
    if (is_big(e->size)) {
        put(&o, FIELD_ZIP64, 2);
        put(&o, 16, 2);
        put(&o, e->size, 8);
        put(&o, e->size, 8);
    }
    return (size_t)(o.at - out);
}

static size_t
make_descriptor(const struct zip_entry *e, uint8_t out[PART_MAX])
{
    struct out o = {out};
    unsigned bytes = is_big(e->size) ? 8 : 4;

    put(&o, 0x08074b50, 4);
    put(&o, e->crc, 4);
    put(&o, e->size, bytes);
    put(&o, e->size, bytes);
    return (size_t)(o.at - out);
}

static size_t
make_line(const struct zip_entry *e, uint8_t out[PART_MAX])
{
    struct out o = {out};
    size_t numbers = big_numbers(e);

    put(&o, 0x02014b50, 4);
    put(&o, MADE_BY_UNIX | VERSION_ZIP64, 2);
    put_common(&o, e, numbers > 0, e->crc);
    put(&o, TIME_FIELD + (numbers > 0 ? FIELD_HEAD + numbers : 0), 2);
    put(&o, 0, 2); /* no comment */
    put(&o, 0, 2); /* the first disk */
    put(&o, 0, 2); /* not text in particular */
    put(&o, MODE_OF_A_FILE, 4);
    put_size(&o, e->at);
    put_name(&o, e);
    put_time_field(&o, e->mtime_s);
    if (numbers > 0) {
        put(&o, FIELD_ZIP64, 2);
        put(&o, numbers, 2);
    }
    if (is_big(e->size)) {
        put(&o, e->size, 8);
        put(&o, e->size, 8);
    }
    if (is_big(e->at))
        put(&o, e->at, 8);
    return (size_t)(o.at - out);
}

static void
put_big_end(struct out *o, const struct zip *z)
{
    put(o, 0x06064b50, 4);
    put(o, END64 - 12, 8); /* without this number and what comes before it */
    put(o, MADE_BY_UNIX | VERSION_ZIP64, 2);
    put(o, VERSION_ZIP64, 2);
    put(o, 0, 4); /* this disk */
    put(o, 0, 4); /* the disk with the list */
    put(o, z->count, 8);
    put(o, z->count, 8);
    put(o, z->end_at - z->list_at, 8);
    put(o, z->list_at, 8);
    put(o, 0x07064b50, 4); /* the locator */
    put(o, 0, 4);
    put(o, z->end_at, 8);
    put(o, 1, 4); /* disks */
}

static size_t
make_end(const struct zip *z, uint8_t out[PART_MAX])
{
    struct out o = {out};
    uint64_t count = z->count < FULL16 ? z->count : FULL16;

    if (has_big_end(z))
        put_big_end(&o, z);
    put(&o, 0x06054b50, 4);
    put(&o, 0, 2);
    put(&o, 0, 2);
    put(&o, count, 2);
    put(&o, count, 2);
    put_size(&o, z->end_at - z->list_at);
    put_size(&o, z->list_at);
    put(&o, 0, 2); /* no comment */
    return (size_t)(o.at - out);
}

/* ---- pieces ---- */

void
zip_piece_at(const struct zip *z, uint64_t at, struct zip_piece *out)
{
    *out = (struct zip_piece){.len = z->size - at};
    if (at < z->list_at) {
        size_t i = entry_at(z, at, false);
        const struct zip_entry *e = &z->entries[i];
        uint64_t data = zip_file_at(z, i), after = data + e->size;

        out->is_file = at >= data && at < after;
        out->entry = i;
        out->from = out->is_file ? at - data : 0;
        out->len = at < data ? data - at
                   : out->is_file
                       ? after - at
                       : (i + 1 < z->count ? z->entries[i + 1].at : z->list_at) - at;
    }
}

/* Finds the part that contains the position `at`, and where it begins. The position is
 * not inside of a file. */
static size_t
make_part(const struct zip *z, uint64_t at, uint8_t out[PART_MAX], uint64_t *begin)
{
    bool in_list = at >= z->list_at;
    const struct zip_entry *e;
    size_t i;

    if (at >= z->end_at) {
        *begin = z->end_at;
        return make_end(z, out);
    }
    i = entry_at(z, at, in_list);
    e = &z->entries[i];
    if (in_list) {
        *begin = e->listed_at;
        return make_line(e, out);
    }
    *begin = e->at;
    if (at < zip_file_at(z, i))
        return make_header(e, out);
    *begin = zip_file_at(z, i) + e->size;
    return make_descriptor(e, out);
}

size_t
zip_make(const struct zip *z, uint64_t at, void *out, size_t cap)
{
    uint8_t part[PART_MAX];
    struct zip_piece piece;
    size_t have = 0;

    while (have < cap && at < z->size) {
        uint64_t begin;
        size_t len, n;

        zip_piece_at(z, at, &piece);
        if (piece.is_file)
            break;
        len = make_part(z, at, part, &begin);
        n = len - (size_t)(at - begin);
        n = n < cap - have ? n : cap - have;
        memcpy((uint8_t *)out + have, part + (at - begin), n);
        have += n;
        at += n;
    }
    return have;
}
