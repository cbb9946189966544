// uses tests/unit/mutate.c
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/channel/crc32.h"
#include "core/channel/stun.h"
#include "mutate.h"
#include "p2p/bytes.h"

static const char password[] = "VOkJxbRl1RmTxUk/WvJxBt";
static const char id_of_all[] = "b7e7a701bc34d686fa87dfae";

/* RFC 5769, sections 2.1 to 2.3 */
static const char rfc_request[] =
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e207465737420636c69656e74"
    "002400046e0001ff80290008932ff9b151263b36000600096576746a3a683676592020200008001"
    "49aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a280280004e57a3bcf";
static const char rfc_answer4[] =
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200008"
    "0001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d780280004c07d4c"
    "96";
static const char rfc_answer6[] =
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f722000200014"
    "0002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014a382954e4be67bf11784c97c8292c27"
    "5bfe3ed4180280004c8fb0b4c";

static size_t
bytes_of(const char *hex, uint8_t *out)
{
    size_t len = strlen(hex) / 2;

    assert_int_equal(p2p_hex_parse(hex, out, len), P2P_OK);
    return len;
}

static void
check_id(const struct p2p_stun *m)
{
    char hex[2 * P2P_STUN_ID_LEN + 1];

    p2p_hex_format(m->id.b, sizeof(m->id.b), hex);
    assert_string_equal(hex, id_of_all);
}

static void
request_of_rfc_5769(void **state)
{
    uint8_t data[P2P_STUN_MAX];
    size_t len = bytes_of(rfc_request, data);
    struct p2p_stun m;

    (void)state;
    assert_int_equal(p2p_stun_parse(data, len, &m), P2P_OK);
    check_id(&m);
    assert_int_equal(m.class, P2P_STUN_REQUEST);
    assert_string_equal(m.username, "evtj:h6vY");
    assert_true(m.has_priority);
    assert_int_equal(m.priority, 0x6e0001ff);
    assert_int_equal(m.role, P2P_STUN_CONTROLLED);
    assert_true(m.tie_breaker == 0x932ff9b151263b36);
    assert_false(m.has_unknown);
    assert_int_equal(p2p_stun_check(data, len, &m, password), P2P_OK);
    assert_int_equal(p2p_stun_check(data, len, &m, "another"), P2P_ERR_AUTH);
}

static void
answers_of_rfc_5769(void **state)
{
    static const struct {
        const char *hex, *ip;
    } known[] = {{rfc_answer4, "192.0.2.1"},
                 {rfc_answer6, "2001:db8:1234:5678:11:2233:4455:6677"}};
    uint8_t data[P2P_STUN_MAX];
    char ip[P2P_ENDPOINT_TEXT];
    struct p2p_stun m;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        size_t len = bytes_of(known[i].hex, data);

        assert_int_equal(p2p_stun_parse(data, len, &m), P2P_OK);
        check_id(&m);
        assert_int_equal(m.class, P2P_STUN_SUCCESS);
        assert_string_equal(p2p_endpoint_format_ip(&m.mapped, ip), known[i].ip);
        assert_int_equal(m.mapped.port, 32853);
        assert_int_equal(p2p_stun_check(data, len, &m, password), P2P_OK);
    }
}

static const struct p2p_stun full = {
    .class = P2P_STUN_REQUEST,
    .id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
    .username = "there:here",
    .priority = 0x7effffff,
    .has_priority = true,
    .use_candidate = true,
    .role = P2P_STUN_CONTROLLING,
    .tie_breaker = 0x0102030405060708,
};

static void
what_is_written_can_be_read(void **state)
{
    struct p2p_stun answer = {
        .class = P2P_STUN_ERROR, .id = full.id, .error_code = P2P_STUN_ROLE_CONFLICT};
    uint8_t data[P2P_STUN_MAX];
    struct p2p_stun m;
    size_t len;

    (void)state;
    assert_int_equal(p2p_stun_format(&full, password, data, &len), P2P_OK);
    assert_int_equal(p2p_stun_parse(data, len, &m), P2P_OK);
    assert_int_equal(p2p_stun_check(data, len, &m, password), P2P_OK);
    m.integrity_offset = 0;
    assert_memory_equal(m.username, full.username, sizeof(m.username));
    assert_int_equal(m.priority, full.priority);
    assert_true(m.use_candidate && m.role == full.role);
    assert_true(m.tie_breaker == full.tie_breaker);

    assert_int_equal(p2p_stun_format(&answer, NULL, data, &len), P2P_OK);
    assert_int_equal(p2p_stun_parse(data, len, &m), P2P_OK);
    assert_int_equal(m.class, P2P_STUN_ERROR);
    assert_int_equal(m.error_code, 487);
    assert_int_equal(p2p_stun_check(data, len, &m, password), P2P_ERR_AUTH);
}

static bool
is_genuine(void *arg, uint8_t *data, size_t len)
{
    struct p2p_stun m;

    (void)arg;
    return p2p_stun_parse(data, len, &m) == P2P_OK &&
           p2p_stun_check(data, len, &m, password) == P2P_OK;
}

static void
nothing_that_was_changed_is_genuine(void **state)
{
    uint8_t data[P2P_STUN_MAX];
    struct mutation_counts taken;
    size_t len;

    (void)state;
    assert_int_equal(p2p_stun_format(&full, password, data, &len), P2P_OK);
    taken = mutate_all(data, len, is_genuine, NULL);
    assert_int_equal(taken.prefixes, 0);
    /* FINGERPRINT becomes an unknown attribute that may be ignored: it is not under
     * MESSAGE-INTEGRITY. 16 bits of its type, less those that must be understood. */
    assert_in_range(taken.flips, 0, 16);
    len = bytes_of(rfc_request, data);
    taken = mutate_all(data, len, is_genuine, NULL);
    assert_int_equal(taken.prefixes, 0);
    assert_in_range(taken.flips, 0, 16);
}

/* An attribute of `len` bytes behind a header. */
static enum p2p_err
parse_with(uint16_t type, uint16_t len, const char *hex, struct p2p_stun *out)
{
    uint8_t data[P2P_STUN_MAX] = {0, 1};
    size_t n = bytes_of(hex, data + 24);

    p2p_store_u32(data + 4, 0x2112a442);
    data[3] = (uint8_t)(4 + n);
    data[20] = (uint8_t)(type >> 8), data[21] = (uint8_t)type;
    data[22] = (uint8_t)(len >> 8), data[23] = (uint8_t)len;
    return p2p_stun_parse(data, 24 + n, out);
}

static void
attributes_with_wrong_lengths(void **state)
{
    struct p2p_stun m;

    (void)state;
    assert_int_equal(parse_with(0x24, 4, "01020304", &m), P2P_OK);
    assert_int_equal(parse_with(0x24, 3, "01020304", &m), P2P_ERR_MALFORMED);
    assert_int_equal(parse_with(0x24, 5, "01020304", &m), P2P_ERR_MALFORMED);
    assert_int_equal(parse_with(0x24, 0xffff, "01020304", &m), P2P_ERR_MALFORMED);
    assert_int_equal(parse_with(0x20, 8, "0001a147e112a643", &m), P2P_OK);
    assert_int_equal(parse_with(0x20, 8, "0002a147e112a643", &m), P2P_ERR_MALFORMED);
    assert_int_equal(parse_with(0x06, 0, "", &m), P2P_ERR_MALFORMED);
    assert_int_equal(parse_with(0x06, 4, "41004242", &m), P2P_ERR_MALFORMED);
    assert_int_equal(parse_with(0x08, 4, "41004242", &m), P2P_ERR_MALFORMED);
    assert_int_equal(parse_with(0x09, 4, "00000457", &m), P2P_OK);
    assert_int_equal(m.error_code, 487);
    assert_int_equal(parse_with(0x09, 4, "00000257", &m), P2P_ERR_MALFORMED);
}

static void
unknown_attributes(void **state)
{
    struct p2p_stun m;

    (void)state;
    assert_int_equal(parse_with(0x7777, 4, "01020304", &m), P2P_OK);
    assert_true(m.has_unknown);
    assert_int_equal(parse_with(0x8777, 4, "01020304", &m), P2P_OK);
    assert_false(m.has_unknown);
}

static void
other_protocols_are_not_stun(void **state)
{
    uint8_t data[P2P_STUN_MAX], dtls[64] = {22, 0xfe, 0xfd};
    size_t len = bytes_of(rfc_request, data);

    (void)state;
    assert_true(p2p_stun_is(data, len));
    assert_false(p2p_stun_is(data, len - 4));
    assert_false(p2p_stun_is(data, 19));
    assert_false(p2p_stun_is(data, 0));
    assert_false(p2p_stun_is(dtls, sizeof(dtls)));
    data[0] |= 0x40;
    assert_false(p2p_stun_is(data, len));
}

static void
a_registry_answers(void **state)
{
    static const char plain[] = "000100002112a442b7e7a701bc34d686fa87dfae";
    uint8_t ask[P2P_STUN_MAX], out[P2P_STUN_MAX];
    struct p2p_endpoint from, six;
    size_t len = bytes_of(plain, ask), out_len;
    struct p2p_stun m;
    bool other;

    (void)state;
    assert_int_equal(p2p_endpoint_parse("198.51.100.7", 40000, &from), P2P_OK);
    assert_int_equal(p2p_endpoint_parse("2001:db8::7", 40000, &six), P2P_OK);
    assert_true(p2p_stun_answer(ask, len, &from, &other, out, &out_len));
    assert_int_equal(out_len, 32);
    assert_int_equal(p2p_stun_parse(out, out_len, &m), P2P_OK);
    check_id(&m);
    assert_true(p2p_endpoint_equal(&m.mapped, &from));
    assert_true(p2p_stun_answer(ask, len, &six, &other, out, &out_len));
    assert_int_equal(out_len, 44);
    assert_int_equal(p2p_stun_parse(out, out_len, &m), P2P_OK);
    assert_true(p2p_endpoint_equal(&m.mapped, &six));
    /* Our own question is never shorter than its answer. */
    p2p_stun_question(&m.id, false, ask);
    assert_true(
        p2p_stun_answer(ask, P2P_STUN_QUESTION_LEN, &six, &other, out, &out_len));
    assert_false(other);
    assert_int_equal(out_len, P2P_STUN_ANSWER_MAX);
    assert_true(out_len <= P2P_STUN_QUESTION_LEN);
    assert_int_equal(p2p_stun_parse(out, out_len, &m), P2P_OK);
    check_id(&m);
    /* Another port is possible, another address is not. */
    p2p_stun_question(&m.id, true, ask);
    assert_true(
        p2p_stun_answer(ask, P2P_STUN_QUESTION_LEN, &six, &other, out, &out_len));
    assert_true(other);
    ask[27] |= 4;
    assert_false(
        p2p_stun_answer(ask, P2P_STUN_QUESTION_LEN, &six, &other, out, &out_len));
    len = bytes_of(plain, ask);
    assert_true(p2p_stun_answer(ask, len, &six, &other, out, &out_len));
    /* An answer gets no answer: two servers would talk for ever. */
    memcpy(ask, out, out_len);
    assert_false(p2p_stun_answer(ask, out_len, &from, &other, out, &out_len));
    assert_false(p2p_stun_answer(ask, 12, &from, &other, out, &out_len));
}

static void
endpoints_have_one_form(void **state)
{
    struct p2p_endpoint a, b;

    (void)state;
    assert_int_equal(p2p_endpoint_parse("::ffff:192.0.2.1", 7, &a), P2P_OK);
    assert_int_equal(p2p_endpoint_parse("192.0.2.1", 7, &b), P2P_OK);
    assert_true(p2p_endpoint_equal(&a, &b));
    assert_true(p2p_endpoint_is_unicast(&a));
    assert_int_equal(p2p_endpoint_parse("host", 7, &a), P2P_ERR_MALFORMED);
    assert_int_equal(p2p_endpoint_parse("fe80::1%lo", 7, &a), P2P_ERR_MALFORMED);
    static const char *const nobody[] = {"0.0.0.0", "224.0.0.1", "255.255.255.255",
                                         "::", "ff02::1"};
    for (size_t i = 0; i < sizeof(nobody) / sizeof(nobody[0]); i++) {
        assert_int_equal(p2p_endpoint_parse(nobody[i], 7, &a), P2P_OK);
        assert_false(p2p_endpoint_is_unicast(&a));
    }
    b.port = 0;
    assert_false(p2p_endpoint_is_unicast(&b));
}

static void
checksums(void **state)
{
    uint8_t bytes[32];

    (void)state;
    assert_int_equal(p2p_crc32("123456789", 9), 0xcbf43926);
    assert_int_equal(p2p_crc32c(0, "123456789", 9), 0xe3069283);
    /* RFC 3720, appendix B.4 */
    memset(bytes, 0, sizeof(bytes));
    assert_int_equal(p2p_crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
    memset(bytes, 0xff, sizeof(bytes));
    assert_int_equal(p2p_crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)i;
    for (size_t cut = 0; cut <= sizeof(bytes); cut++)
        assert_int_equal(
            p2p_crc32c(p2p_crc32c(0, bytes, cut), bytes + cut, sizeof(bytes) - cut),
            0x46dd794e);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(request_of_rfc_5769),
        cmocka_unit_test(answers_of_rfc_5769),
        cmocka_unit_test(what_is_written_can_be_read),
        cmocka_unit_test(nothing_that_was_changed_is_genuine),
        cmocka_unit_test(attributes_with_wrong_lengths),
        cmocka_unit_test(unknown_attributes),
        cmocka_unit_test(other_protocols_are_not_stun),
        cmocka_unit_test(a_registry_answers),
        cmocka_unit_test(endpoints_have_one_form),
        cmocka_unit_test(checksums),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
