// uses p2p-ui
/* What the dashboard may show, told from the first bytes of a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ui/folders/kind.h"

#define BYTES(text) text, sizeof(text) - 1
#define TEXT        "text/plain; charset=utf-8"

/* In a block of exactly this size, for the sanitizers. */
static struct ui_kind
kind_of(const char *bytes, size_t len)
{
    char *copy = malloc(len + (len == 0));
    struct ui_kind kind;

    assert_non_null(copy);
    memcpy(copy, bytes, len);
    kind = ui_kind_of(copy, len);
    free(copy);
    return kind;
}

static void
formats_are_told_by_their_bytes(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        const char *type;
    } rows[] = {
        {BYTES("\x89PNG\r\n\x1a\n...."), "image/png"},
        {BYTES("\xff\xd8\xff\xe1"), "image/jpeg"},
        {BYTES("GIF89a\x01"), "image/gif"},
        {BYTES("RIFF\x10\0\0\0WEBPVP8 "), "image/webp"},
        {BYTES("\0\0\0\x20"
               "ftypavif"),
         "image/avif"},
        {BYTES("\0\0\0\x20"
               "ftypheic"),
         "image/heic"},
        {BYTES("\0\0\0\x20"
               "ftypisom"),
         "video/mp4"},
        {BYTES("\0\0\0\x20"
               "ftypM4A "),
         "audio/mp4"},
        {BYTES("\x1a\x45\xdf\xa3\x9f\x42\x82\x84webm"), "video/webm"},
        {BYTES("\x1a\x45\xdf\xa3\x9f\x42\x82\x88matroska"), "video/x-matroska"},
        {BYTES("OggS\0\x02...........................\x80theora"), "video/ogg"},
        {BYTES("OggS\0\x02...........................\x01vorbis"), "audio/ogg"},
        {BYTES("fLaC\0\0\0\x22"), "audio/flac"},
        {BYTES("ID3\x04"), "audio/mpeg"},
        {BYTES("\xff\xfb\x90\x64"), "audio/mpeg"},
        {BYTES("\xff\xf1\x50\x80"), "audio/aac"},
        {BYTES("RIFF\x10\0\0\0WAVEfmt "), "audio/wav"},
        {BYTES("%PDF-1.7\n"), "application/pdf"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ui_kind kind = kind_of(rows[i].bytes, rows[i].len);
        assert_non_null(kind.type);
        assert_string_equal(kind.type, rows[i].type);
        assert_true(kind.is_shown);
        for (size_t cut = 0; cut < rows[i].len; cut++) /* all prefixes */
            (void)kind_of(rows[i].bytes, cut);
    }
}

/* A browser would run scripts of these: they are text, and never in a page of their
 * own. */
static void
what_could_run_is_only_text(void **state)
{
    static const char *const rows[] = {
        "<!DOCTYPE html><script>alert(1)</script>",
        "<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "<?xml version='1.0'?><x/>",
        " %PDF-1.7",
        "\n\x47\x49 not a picture",
        "\xef\xbb\xbf<html>",
        "caf\xc3\xa9",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ui_kind kind = kind_of(rows[i], strlen(rows[i]));
        assert_non_null(kind.type);
        assert_string_equal(kind.type, TEXT);
        assert_false(kind.is_shown);
    }
}

static void
the_rest_is_not_shown(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {BYTES("MZ\x90\0")},
        {BYTES("PK\x03\x04")},
        {BYTES("text with \0 in it")},
        {BYTES("caf\xe9 latin")},
        {BYTES("cut \xc3")}, /* a whole file may not end within a character */
        {BYTES("\xff\xff\xff\xff")},
        {BYTES("\xff\xfb\xff\xff")},
        {BYTES("RIFF\x10\0\0\0AVI ")},
        {BYTES("\x7f"
               "ELF\x02")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ui_kind kind = kind_of(rows[i].bytes, rows[i].len);
        assert_null(kind.type);
        assert_false(kind.is_shown);
    }
}

static void
a_long_text_may_be_cut_within_a_character(void **state)
{
    char head[UI_KIND_HEAD];

    (void)state;
    memset(head, 'x', sizeof(head));
    head[sizeof(head) - 1] = '\xc3';
    assert_string_equal(ui_kind_of(head, sizeof(head)).type, TEXT);
    head[100] = '\xc3';
    assert_null(ui_kind_of(head, sizeof(head)).type);
}

static void
files_are_read_from_their_beginning(void **state)
{
    char path[] = "/tmp/kind-XXXXXX";
    int fd = mkstemp(path);

    (void)state;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "%PDF-1.4", 8), 8); /* the position is at the end */
    assert_string_equal(ui_kind_of_file(fd).type, "application/pdf");
    close(fd);
    assert_null(ui_kind_of_file(-1).type);
    unlink(path);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_are_told_by_their_bytes),
        cmocka_unit_test(what_could_run_is_only_text),
        cmocka_unit_test(the_rest_is_not_shown),
        cmocka_unit_test(a_long_text_may_be_cut_within_a_character),
        cmocka_unit_test(files_are_read_from_their_beginning),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
