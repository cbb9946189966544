/* The multipart parser: forms as browsers send them, in pieces, and hostile ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/text/multipart.h"

/* The events as text: "[name|filename]content;" for each part. */
struct seen {
    char text[300000];
    size_t len;
    enum p2p_err answer; /* position of the next on_data */
};
static struct seen seen;

static void
note(const void *data, size_t len)
{
    assert_true(seen.len + len < sizeof(seen.text));
    memcpy(seen.text + seen.len, data, len);
    seen.len += len;
    seen.text[seen.len] = '\0';
}

static enum p2p_err
on_part(void *arg, const char *name, const char *filename)
{
    char head[8192];

    (void)arg;
    note(head, (size_t)snprintf(head, sizeof(head), "[%s|%s]", name,
                                filename != NULL ? filename : "-"));
    return P2P_OK;
}

static enum p2p_err
on_data(void *arg, const void *data, size_t len)
{
    (void)arg;
    note(data, len);
    return seen.answer;
}

static enum p2p_err
on_part_end(void *arg)
{
    (void)arg;
    note(";", 1);
    return P2P_OK;
}

static const struct http_multipart_events events = {on_part, on_data, on_part_end};

/* Feeds in pieces of `step` bytes, each an exact heap block. */
static enum p2p_err
parse(const char *boundary, const char *body, size_t len, size_t step)
{
    struct http_multipart *m = http_multipart_new(boundary, &events, NULL);
    enum p2p_err err = P2P_OK;

    seen.len = 0;
    seen.text[0] = '\0';
    for (size_t i = 0; i < len && err == P2P_OK; i += step) {
        size_t n = len - i < step ? len - i : step;
        char *piece = malloc(n);

        memcpy(piece, body + i, n);
        err = http_multipart_feed(m, piece, n);
        free(piece);
    }
    if (err == P2P_OK)
        err = http_multipart_finish(m);
    http_multipart_free(m);
    return err;
}

static enum p2p_err
parse_text(const char *body)
{
    return parse("XX", body, strlen(body), 1000);
}

#define PART(head, content) "--XX\r\n" head "\r\n\r\n" content "\r\n"
#define FILE_PART(name, content)                                                 \
    PART("Content-Disposition: form-data; name=\"file\"; filename=\"" name "\"", \
         content)

static const char form[] = FILE_PART("a.txt", "hello\r\n--X\r\nworld")
    PART("content-disposition: form-data; name=note", "")
        FILE_PART("b", "\r\n--XY") "--XX--\r\n";
static const char form_seen[] =
    "[file|a.txt]hello\r\n--X\r\nworld;[note|-];[file|b]\r\n--XY;";

static void
reads_a_form_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (size_t step = 1; step < sizeof(form); step++) {
        assert_int_equal(parse("XX", form, sizeof(form) - 1, step), P2P_OK);
        assert_string_equal(seen.text, form_seen);
    }
}

static void
refuses_every_form_that_is_cut(void **state)
{
    (void)state;
    for (size_t len = 0; len < sizeof(form) - 1 - 4; len++)
        assert_int_equal(parse("XX", form, len, 7), P2P_ERR_MALFORMED);
}

static void
survives_every_single_bit_flip(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < (sizeof(form) - 1) * 8; bit++) {
        char copy[sizeof(form)];
        enum p2p_err err;

        memcpy(copy, form, sizeof(form));
        copy[bit / 8] = (char)(copy[bit / 8] ^ 1 << bit % 8);
        err = parse("XX", copy, sizeof(form) - 1, 5);
        assert_true(err == P2P_OK || err == P2P_ERR_MALFORMED);
    }
}

static void
passes_long_content_on_without_keeping_it(void **state)
{
    static char body[250000];
    size_t n = (size_t)sprintf(body, "--XX\r\nContent-Disposition: form-data; name=f; "
                                     "filename=x\r\n\r\n");

    (void)state;
    memset(body + n, '\r', 200000);
    n += 200000;
    n += (size_t)sprintf(body + n, "\r\n--XX--");
    assert_int_equal(parse("XX", body, n, 4093), P2P_OK);
    assert_int_equal(seen.len, strlen("[f|x];") + 200000);
}

static void
takes_names_as_browsers_write_them(void **state)
{
    (void)state;
    assert_int_equal(parse_text(FILE_PART("a\\\"b%22c;d=e", "") "--XX--"), P2P_OK);
    assert_string_equal(seen.text, "[file|a\"b\"c;d=e];");
    assert_int_equal(parse_text(FILE_PART("C:\\dir\\x", "") "--XX--"), P2P_OK);
    assert_string_equal(seen.text, "[file|C:\\dir\\x];");
    assert_int_equal(parse_text(FILE_PART("h\xc3\xa4\xf0\x9f\x98\x80", "") "--XX--"),
                     P2P_OK);
    assert_int_equal(parse_text(FILE_PART("", "") "--XX--"), P2P_OK);
    assert_string_equal(seen.text, "[file|];");
}

static void
refuses_parts_that_are_none(void **state)
{
    static const char *const bad[] = {
        PART("X: y", "") "--XX--",
        PART("", "") "--XX--",
        PART("Content-Disposition: attachment; name=f", "") "--XX--",
        PART("Content-Disposition: form-data", "") "--XX--",
        PART("Content-Disposition: form-data; name=\"f", "") "--XX--",
        PART("Content-Disposition: form-data; name=f\r\nContent-Disposition: "
             "form-data; name=g",
             "") "--XX--",
        FILE_PART("\xff", "") "--XX--",
        FILE_PART("\xed\xa0\x80", "") "--XX--",
        "--XX\r\n\r\ncontent\r\n--XX--",
        "--XXjunk\r\nContent-Disposition: form-data; name=f\r\n\r\n\r\n--XX--",
        "--XX \t x\r\n",
        "no delimiter at all",
        "--XX",
        "",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(parse_text(bad[i]), P2P_ERR_MALFORMED);
}

static void
bounds_headers_and_parts(void **state)
{
    static char body[700000];
    size_t n = (size_t)sprintf(body, "--XX\r\nX: ");

    (void)state;
    memset(body + n, 'y', HTTP_MULTIPART_HEADER_MAX);
    assert_int_equal(parse("XX", body, n + HTTP_MULTIPART_HEADER_MAX, 100),
                     P2P_ERR_MALFORMED);
    n = 0;
    for (unsigned i = 0; i <= HTTP_MULTIPART_PARTS_MAX; i++)
        n += (size_t)sprintf(
            body + n, "--XX\r\nContent-Disposition: form-data; name=f\r\n\r\n\r\n");
    seen.len = 0;
    assert_int_equal(parse("XX", body, n, 65536), P2P_ERR_MALFORMED);
}

static void
ends_with_the_error_of_an_event(void **state)
{
    (void)state;
    seen.answer = P2P_ERR_DISK_FULL;
    assert_int_equal(parse("XX", form, sizeof(form) - 1, 10), P2P_ERR_DISK_FULL);
    seen.answer = P2P_OK;
}

/* CVE-2023-27371 was an over-read on such boundaries in libmicrohttpd's own parser. */
static void
takes_only_legal_boundaries(void **state)
{
    char out[HTTP_MULTIPART_BOUNDARY_MAX + 1], type[300];

    (void)state;
    assert_int_equal(http_multipart_boundary("multipart/form-data; boundary=a-b", out),
                     P2P_OK);
    assert_string_equal(out, "a-b");
    assert_int_equal(http_multipart_boundary(
                         "Multipart/Form-Data; charset=x; BOUNDARY=\"a b\"", out),
                     P2P_OK);
    assert_string_equal(out, "a b");
    assert_int_equal(http_multipart_boundary(NULL, out), P2P_ERR_UNSUPPORTED);
    assert_int_equal(http_multipart_boundary("text/plain; boundary=a", out),
                     P2P_ERR_UNSUPPORTED);
    static const char *const bad[] = {"",
                                      "; boundary=",
                                      "; boundary=\"",
                                      "; boundary=\"\"",
                                      "; boundary",
                                      "; boundary=\"a ",
                                      "; boundary=\"a \"",
                                      "; boundary=a\"b",
                                      "; boundary=a\r\nb",
                                      "; boundary=\xff",
                                      "; xboundary=a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(type, sizeof(type), "multipart/form-data%s", bad[i]);
        assert_int_equal(http_multipart_boundary(type, out), P2P_ERR_MALFORMED);
    }
    memset(type, 'a', sizeof(type));
    memcpy(type, "multipart/form-data; boundary=", 30);
    type[30 + HTTP_MULTIPART_BOUNDARY_MAX] = '\0';
    assert_int_equal(http_multipart_boundary(type, out), P2P_OK);
    type[30 + HTTP_MULTIPART_BOUNDARY_MAX] = 'a';
    type[31 + HTTP_MULTIPART_BOUNDARY_MAX] = '\0';
    assert_int_equal(http_multipart_boundary(type, out), P2P_ERR_MALFORMED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_form_in_pieces_of_any_size),
        cmocka_unit_test(refuses_every_form_that_is_cut),
        cmocka_unit_test(survives_every_single_bit_flip),
        cmocka_unit_test(passes_long_content_on_without_keeping_it),
        cmocka_unit_test(takes_names_as_browsers_write_them),
        cmocka_unit_test(refuses_parts_that_are_none),
        cmocka_unit_test(bounds_headers_and_parts),
        cmocka_unit_test(ends_with_the_error_of_an_event),
        cmocka_unit_test(takes_only_legal_boundaries),
    };

    return cmocka_run_group_tests_name("multipart", tests, NULL, NULL);
}
