#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "p2p/bytes.h"

static void
integers_are_big_endian(void **state)
{
    static const uint8_t want[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08,
                                   0x09, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f};
    uint8_t buf[sizeof(want)];
    struct p2p_wr wr;
    struct p2p_rd rd;
    size_t len;

    (void)state;
    p2p_wr_init(&wr, buf, sizeof(buf));
    p2p_wr_put_u8(&wr, 0x01);
    p2p_wr_put_u16(&wr, 0x0203);
    p2p_wr_put_u32(&wr, 0x04050607);
    p2p_wr_put_u64(&wr, 0x08090a0b0c0d0e0f);
    assert_int_equal(p2p_wr_end(&wr, &len), P2P_OK);
    assert_int_equal(len, sizeof(want));
    assert_memory_equal(buf, want, sizeof(want));

    p2p_rd_init(&rd, buf, sizeof(buf));
    assert_int_equal(p2p_rd_get_u8(&rd), 0x01);
    assert_int_equal(p2p_rd_get_u16(&rd), 0x0203);
    assert_int_equal(p2p_rd_get_u32(&rd), 0x04050607);
    assert_true(p2p_rd_get_u64(&rd) == 0x08090a0b0c0d0e0f);
    assert_int_equal(p2p_rd_end(&rd), P2P_OK);

    p2p_store_u32(buf, 0xfffefdfc);
    assert_true(p2p_load_u32(buf) == 0xfffefdfc);
    p2p_store_u64(buf, UINT64_MAX - 1);
    assert_true(p2p_load_u64(buf) == UINT64_MAX - 1);
}

static void
a_reader_stops_at_its_end(void **state)
{
    uint8_t *three = malloc(3), out[4] = {9, 9, 9, 9};
    static const uint8_t zero[4];
    struct p2p_rd rd;

    (void)state;
    memset(three, 0xff, 3);
    p2p_rd_init(&rd, three, 3);
    assert_int_equal(p2p_rd_get_u32(&rd), 0);
    assert_true(rd.failed);
    assert_int_equal(p2p_rd_get_u8(&rd),
                     0); /* after the first failure all calls fail */
    assert_int_equal(p2p_rd_end(&rd), P2P_ERR_MALFORMED);

    p2p_rd_init(&rd, three, 3);
    p2p_rd_get_bytes(&rd, out, 4);
    assert_memory_equal(out, zero, 4);
    assert_null(p2p_rd_get_ref(&rd, 0));

    p2p_rd_init(&rd, three, 3);
    assert_null(p2p_rd_get_ref(&rd, SIZE_MAX));
    p2p_rd_init(&rd, three, 3);
    assert_ptr_equal(p2p_rd_get_ref(&rd, 3), three);
    assert_int_equal(p2p_rd_end(&rd), P2P_OK);
    p2p_rd_init(&rd, three, 3);
    assert_int_equal(p2p_rd_get_u16(&rd), 0xffff);
    assert_int_equal(p2p_rd_end(&rd), P2P_ERR_MALFORMED); /* a byte is left over */
    free(three);
}

static void
a_writer_stops_at_its_end(void **state)
{
    uint8_t *three = malloc(3);
    struct p2p_wr wr;
    size_t len;

    (void)state;
    p2p_wr_init(&wr, three, 3);
    p2p_wr_put_u16(&wr, 1);
    p2p_wr_put_u16(&wr, 1);
    p2p_wr_put_u8(&wr, 1); /* this one would fit, but an earlier one did not */
    assert_int_equal(p2p_wr_end(&wr, &len), P2P_ERR_TOO_LARGE);
    assert_int_equal(len, 0);
    p2p_wr_init(&wr, three, 3);
    p2p_wr_put_text(&wr, "abc");
    assert_int_equal(p2p_wr_end(&wr, &len), P2P_OK);
    assert_int_equal(len, 3);
    p2p_wr_init(&wr, three, 3);
    p2p_wr_put_bytes(&wr, "abc", SIZE_MAX);
    assert_true(wr.failed);
    free(three);
}

static void
hex(void **state)
{
    static const char *const wrong[] = {"",     "0",    "0a1", "0a1b2",
                                        "0a1g", "0a 1", "-a1b"};
    uint8_t out[2];
    char text[5];

    (void)state;
    p2p_hex_format("\x0a\xfb", 2, text);
    assert_string_equal(text, "0afb");
    assert_int_equal(p2p_hex_parse("0aFB", out, 2), P2P_OK);
    assert_memory_equal(out, "\x0a\xfb", 2);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        memset(out, 1, sizeof(out));
        assert_int_equal(p2p_hex_parse(wrong[i], out, 2), P2P_ERR_MALFORMED);
        assert_memory_equal(out, "\0\0", 2);
    }
}

static enum p2p_err
decimal(const char *text, uint64_t max, uint64_t *value)
{
    size_t len = strlen(text);
    char *exact = malloc(len > 0 ? len : 1); /* no NUL behind it */
    enum p2p_err err;

    memcpy(exact, text, len);
    err = p2p_decimal_parse(exact, len, max, value);
    free(exact);
    return err;
}

static void
decimals(void **state)
{
    static const char *const malformed[] = {"",   "-1",  "+1",  " 1",  "1 ",      "01",
                                            "00", "1e9", "0x1", "1.0", "\xd9\xa1"};
    uint64_t value;

    (void)state;
    assert_int_equal(decimal("0", 10, &value), P2P_OK);
    assert_int_equal(value, 0);
    assert_int_equal(decimal("18446744073709551615", UINT64_MAX, &value), P2P_OK);
    assert_true(value == UINT64_MAX);
    assert_int_equal(decimal("18446744073709551616", UINT64_MAX, &value),
                     P2P_ERR_RANGE);
    assert_int_equal(decimal("99999999999999999999999999", UINT64_MAX, &value),
                     P2P_ERR_RANGE);
    assert_int_equal(decimal("10", 10, &value), P2P_OK);
    assert_int_equal(decimal("11", 10, &value), P2P_ERR_RANGE);
    assert_int_equal(value, 0);
    for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
        assert_int_equal(decimal(malformed[i], UINT64_MAX, &value), P2P_ERR_MALFORMED);
}

static void
utf8(void **state)
{
    static const char *const valid[] = {"", "a", "ä", "€", "😀", "\xf4\x8f\xbf\xbf"};
    static const char *const invalid[] = {
        "\x80",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf4\x90\x80\x80",
        "\xf8\x88\x80\x80\x80",
        "\xff",
        "\xe2\x82",
        "\xf0\x9f\x98",
        "a\xc3",
    };
    uint32_t cp;

    (void)state;
    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++)
        assert_true(p2p_utf8_is_valid(valid[i], strlen(valid[i])));
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        size_t len = strlen(invalid[i]);
        char *exact = malloc(len);

        memcpy(exact, invalid[i], len);
        assert_false(p2p_utf8_is_valid(exact, len));
        free(exact);
    }
    assert_int_equal(p2p_utf8_next((const uint8_t *)"😀!", 5, &cp), 4);
    assert_int_equal(cp, 0x1f600);
    assert_int_equal(p2p_utf8_next(NULL, 0, &cp), 0);
    assert_true(p2p_utf8_is_invisible(0x202e));
    assert_true(p2p_utf8_is_invisible(0x200b));
    assert_false(p2p_utf8_is_invisible(0x200d)); /* joins emoji */
    assert_false(p2p_utf8_is_invisible('a'));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_big_endian),
        cmocka_unit_test(a_reader_stops_at_its_end),
        cmocka_unit_test(a_writer_stops_at_its_end),
        cmocka_unit_test(hex),
        cmocka_unit_test(decimals),
        cmocka_unit_test(utf8),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
