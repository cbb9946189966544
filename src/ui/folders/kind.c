#include "ui/folders/kind.h"

#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"

struct span {
    const uint8_t *at;
    size_t len;
};

static bool
has(struct span s, size_t at, const char *bytes)
{
    size_t len = strlen(bytes);

    return s.len >= at + len && memcmp(s.at + at, bytes, len) == 0;
}

/* Within the first bytes, where containers name their content. */
static bool
mentions(struct span s, const char *word)
{
    size_t end = s.len < 256 ? s.len : 256;

    for (size_t at = 0; at + strlen(word) <= end; at++)
        if (has(s, at, word))
            return true;
    return false;
}

/* Formats that begin with fixed bytes. */
static const char *
by_magic(struct span s)
{
    static const char *const magic[][2] = {
        {"\x89PNG\r\n\x1a\n", "image/png"},
        {"\xff\xd8\xff", "image/jpeg"},
        {"GIF87a", "image/gif"},
        {"GIF89a", "image/gif"},
        {"%PDF-", "application/pdf"},
        {"fLaC", "audio/flac"},
        {"ID3", "audio/mpeg"},
    };

    for (size_t i = 0; i < sizeof(magic) / sizeof(magic[0]); i++)
        if (has(s, 0, magic[i][0]))
            return magic[i][1];
    return NULL;
}

/* MP4 and its relatives (ISO 14496-12): the brand tells pictures, sound and video. */
static const char *
by_brand(struct span s)
{
    static const char *const brands[][2] = {
        {"avif", "image/avif"}, {"avis", "image/avif"}, {"heic", "image/heic"},
        {"heix", "image/heic"}, {"mif1", "image/heic"}, {"M4A ", "audio/mp4"},
        {"M4B ", "audio/mp4"},
    };

    if (!has(s, 4, "ftyp") || s.len < 12)
        return NULL;
    for (size_t i = 0; i < sizeof(brands) / sizeof(brands[0]); i++)
        if (has(s, 8, brands[i][0]))
            return brands[i][1];
    return "video/mp4";
}

static const char *
by_container(struct span s)
{
    if (has(s, 0, "RIFF"))
        return has(s, 8, "WEBP")   ? "image/webp"
               : has(s, 8, "WAVE") ? "audio/wav"
                                   : NULL;
    if (has(s, 0, "OggS"))
        return mentions(s, "theora") ? "video/ogg" : "audio/ogg";
    if (has(s, 0, "\x1a\x45\xdf\xa3"))
        return mentions(s, "webm") ? "video/webm" : "video/x-matroska";
    return by_brand(s);
}

/* A frame of MPEG audio or ADTS begins with twelve set bits. */
static const char *
by_frame(struct span s)
{
    if (s.len < 4 || s.at[0] != 0xff || (s.at[1] & 0xe0) != 0xe0)
        return NULL;
    switch (s.at[1]) {
    case 0xfb:
    case 0xfa:
    case 0xf3:
    case 0xf2:
    case 0xe3:
    case 0xe2:
        return s.at[2] >> 4 != 15 && (s.at[2] & 0x0c) != 0x0c ? "audio/mpeg" : NULL;
    case 0xf1:
    case 0xf9:
        return "audio/aac";
    default:
        return NULL;
    }
}

/* UTF-8 without bytes that no text has. The last character may be cut. */
static bool
is_text(struct span s)
{
    size_t at = 0;

    while (at < s.len) {
        uint32_t c;
        size_t n = p2p_utf8_next(s.at + at, s.len - at, &c);
        if (n == 0)
            return s.len == UI_KIND_HEAD && s.len - at < 4;
        if (c == 0 || (c < 0x20 && strchr("\t\n\r\f\033", (int)c) == NULL))
            return false;
        at += n;
    }
    return true;
}

struct ui_kind
ui_kind_of(const void *head, size_t len)
{
    struct span s = {head, len};
    const char *type = by_magic(s);

    if (type == NULL)
        type = by_container(s);
    if (type == NULL)
        type = by_frame(s);
    if (type == NULL)
        return (struct ui_kind){.type =
                                    is_text(s) ? "text/plain; charset=utf-8" : NULL};
    return (struct ui_kind){
        .type = type,
        .is_shown = true,
        .policy = strcmp(type, "application/pdf") == 0 ? "default-src 'none'" : NULL};
}

struct ui_kind
ui_kind_of_file(int fd)
{
    uint8_t head[UI_KIND_HEAD];
    ssize_t n = pread(fd, head, sizeof(head), 0);

    return n < 0 ? (struct ui_kind){.type = NULL} : ui_kind_of(head, (size_t)n);
}
