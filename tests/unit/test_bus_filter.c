/* The filter in front of the system bus: what it passes on and what it refuses,
 * including messages that are cut short or ambiguous in every way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/guard/bus_filter.h"

struct field {
    uint8_t code;
    char type;
    const char *text;
};

struct call {
    uint8_t bytes[1024];
    size_t len;
};

static void
put_u32(struct call *c, size_t at, uint32_t value)
{
    for (size_t i = 0; i < 4; i++)
        c->bytes[at + i] =
            (uint8_t)(value >> (c->bytes[0] == 'l' ? 8 * i : 24 - 8 * i));
}

static void
pad(struct call *c, size_t to)
{
    while (c->len % to != 0)
        c->bytes[c->len++] = 0;
}

static void
put_field(struct call *c, const struct field *f)
{
    pad(c, 8);
    c->bytes[c->len++] = f->code;
    c->bytes[c->len++] = 1;
    c->bytes[c->len++] = (uint8_t)f->type;
    c->bytes[c->len++] = 0;
    if (f->type == 'u') {
        put_u32(c, c->len, 7);
        c->len += 4;
        return;
    }
    if (f->type == 'g') {
        c->bytes[c->len++] = (uint8_t)strlen(f->text);
    } else {
        put_u32(c, c->len, (uint32_t)strlen(f->text));
        c->len += 4;
    }
    strcpy((char *)c->bytes + c->len, f->text);
    c->len += strlen(f->text) + 1;
}

/* Fields end with one of code 0. */
static struct call
make(char order, uint8_t type, const struct field *fields, const char *body)
{
    struct call c = {.bytes = {(uint8_t)order, type, 0, 1}, .len = 16};

    for (; fields->code != 0; fields++)
        put_field(&c, fields);
    put_u32(&c, 12, (uint32_t)c.len - 16);
    pad(&c, 8);
    put_u32(&c, 4, (uint32_t)strlen(body));
    put_u32(&c, 8, 1);
    memcpy(c.bytes + c.len, body, strlen(body));
    c.len += strlen(body);
    return c;
}

/* In a block of its exact size, so that a sanitizer sees a read past its end. */
static enum p2p_bus_verdict
judge(const struct call *c, size_t len)
{
    uint8_t *copy = malloc(len + (len == 0));
    enum p2p_bus_verdict verdict;
    size_t size;

    memcpy(copy, c->bytes, len);
    verdict = p2p_bus_filter_message(copy, len, &size);
    free(copy);
    if (verdict == P2P_BUS_PASS || verdict == P2P_BUS_DROP)
        assert_int_equal(size, c->len);
    return verdict;
}

static enum p2p_bus_verdict
judge_call(const char *to, const char *interface, const char *member, const char *body)
{
    const struct field fields[] = {{1, 'o', "/"}, {2, 's', interface}, {3, 's', member},
                                   {6, 's', to},  {8, 'g', "s"},       {0, 0, NULL}};
    enum p2p_bus_verdict verdicts[2];

    for (size_t i = 0; i < 2; i++) {
        struct call c = make("lB"[i], 1, fields, body);
        for (size_t len = 0; len < c.len; len++)
            assert_true(judge(&c, len) == P2P_BUS_MORE);
        verdicts[i] = judge(&c, c.len);
    }
    assert_int_equal(verdicts[0], verdicts[1]);
    return verdicts[0];
}

#define AVAHI "org.freedesktop.Avahi"
#define DBUS  "org.freedesktop.DBus"

static void
calls_of_avahi_and_of_a_client(void **state)
{
    (void)state;
    assert_int_equal(judge_call(AVAHI, AVAHI ".Server", "EntryGroupNew", ""),
                     P2P_BUS_PASS);
    assert_int_equal(judge_call(AVAHI, AVAHI ".EntryGroup", "AddService", "x"),
                     P2P_BUS_PASS);
    assert_int_equal(judge_call(AVAHI, DBUS ".Peer", "Ping", ""), P2P_BUS_PASS);
    assert_int_equal(judge_call(DBUS, DBUS, "Hello", ""), P2P_BUS_PASS);
    assert_int_equal(judge_call(DBUS, DBUS, "AddMatch", "type='signal'"), P2P_BUS_PASS);
    assert_int_equal(judge_call(DBUS, DBUS, "NameHasOwner", AVAHI), P2P_BUS_PASS);
}

static void
all_other_calls(void **state)
{
    (void)state;
    static const char *const other[][3] = {
        {"org.freedesktop.systemd1", "org.freedesktop.systemd1.Manager", "StartUnit"},
        {"org.freedesktop.systemd1", AVAHI ".Server", "EntryGroupNew"},
        {":1.7", AVAHI ".Server", "EntryGroupNew"},
        {"org.freedesktop.Avahi2", AVAHI ".Server", "EntryGroupNew"},
        {"org.freedesktop.Avah", AVAHI ".Server", "EntryGroupNew"},
        {AVAHI, AVAHI, "EntryGroupNew"},
        {AVAHI, "org.freedesktop.DBus.Properties", "Set"},
        {AVAHI, AVAHI ".Server", "SetHostName"},
        {AVAHI, DBUS ".Peer", "GetMachineId"},
        {"org.freedesktop.systemd1", DBUS ".Peer", "Ping"},
        {DBUS, DBUS, "RequestName"},
        {DBUS, DBUS, "StartServiceByName"},
        {DBUS, DBUS, "UpdateActivationEnvironment"},
        {DBUS, DBUS, ""},
        {DBUS, DBUS ".Monitoring", "BecomeMonitor"},
        {DBUS, DBUS ".Monitoring", "Hello"},
        {"", "", ""},
    };

    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++)
        assert_int_equal(judge_call(other[i][0], other[i][1], other[i][2], ""),
                         P2P_BUS_REFUSE);
    assert_int_equal(
        judge_call(DBUS, DBUS, "AddMatch", "type='signal',eavesdrop='true'"),
        P2P_BUS_REFUSE);
}

static const struct field good[] = {{1, 'o', "/"},
                                    {2, 's', AVAHI ".Server"},
                                    {3, 's', "X"},
                                    {6, 's', AVAHI},
                                    {0, 0, NULL}};

static void
answers_and_signals_are_dropped(void **state)
{
    const struct field reply[] = {{5, 'u', NULL}, {6, 's', ":1.2"}, {0, 0, NULL}};

    (void)state;
    for (uint8_t type = 0; type < 7; type++) {
        struct call c = make('l', type, type == 1 ? good : reply, "");
        assert_int_equal(judge(&c, c.len), type == 1               ? P2P_BUS_PASS
                                           : type > 1 && type <= 4 ? P2P_BUS_DROP
                                                                   : P2P_BUS_REFUSE);
    }
}

static void
what_could_be_read_in_two_ways(void **state)
{
    static const struct field wrong[][6] = {
        {{1, 'o', "/"},
         {2, 's', AVAHI ".Server"},
         {6, 's', AVAHI},
         {6, 's', "x"},
         {0, 0, NULL}},
        {{6, 's', "x"}, {2, 's', AVAHI ".Server"}, {6, 's', AVAHI}, {0, 0, NULL}},
        {{6, 'o', AVAHI}, {2, 's', AVAHI ".Server"}, {0, 0, NULL}},
        {{6, 'g', AVAHI}, {2, 's', AVAHI ".Server"}, {0, 0, NULL}},
        {{6, 's', AVAHI},
         {0, 0, NULL}}, /* no interface: the bus would call any of them */
        {{2, 's', AVAHI ".Server"}, {0, 0, NULL}},
        {{6, 's', AVAHI}, {2, 's', AVAHI ".Server"}, {9, 'u', NULL}, {0, 0, NULL}},
        {{6, 's', AVAHI}, {2, 's', AVAHI ".Server"}, {10, 's', "x"}, {0, 0, NULL}},
    };
    struct call c;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        c = make('l', 1, wrong[i], "");
        assert_int_equal(judge(&c, c.len), P2P_BUS_REFUSE);
    }
    c = make('l', 1, good, "");
    c.bytes[0] = 'x';
    assert_int_equal(judge(&c, c.len), P2P_BUS_REFUSE);
    c = make('l', 1, good, "");
    c.bytes[3] = 2;
    assert_int_equal(judge(&c, c.len), P2P_BUS_REFUSE);
    c = make('l', 1, good, "");
    put_u32(&c, 4, UINT32_MAX);
    assert_int_equal(judge(&c, c.len), P2P_BUS_REFUSE);
    c = make('l', 1, good, "");
    put_u32(&c, 12, UINT32_MAX - 8);
    assert_int_equal(judge(&c, c.len), P2P_BUS_REFUSE);
}

/* No read goes past the end, and no call to another service passes. */
static void
every_flipped_bit(void **state)
{
    struct call whole = make('l', 1, good, "body");

    (void)state;
    for (size_t bit = 0; bit < 8 * whole.len; bit++) {
        struct call c = whole;
        uint8_t *copy = malloc(c.len);
        size_t size;

        c.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        memcpy(copy, c.bytes, c.len);
        if (p2p_bus_filter_message(copy, c.len, &size) == P2P_BUS_PASS)
            assert_non_null(memmem(copy, size, AVAHI "\0", strlen(AVAHI) + 1));
        free(copy);
    }
}

static enum p2p_bus_verdict
judge_line(const char *line, size_t len)
{
    uint8_t *copy = malloc(len + (len == 0));
    enum p2p_bus_verdict verdict;
    size_t size;

    memcpy(copy, line, len);
    verdict = p2p_bus_filter_line(copy, len, &size);
    free(copy);
    return verdict;
}

static void
lines(void **state)
{
    static const char *const pass[] = {
        "AUTH\r\n", "AUTH EXTERNAL\r\n", "AUTH EXTERNAL 3130\r\n",
        "DATA\r\n", "DATA 00ff\r\n",     "NEGOTIATE_UNIX_FD\r\n"};
    static const char *const refuse[] = {
        "BEGIN \r\n",          " BEGIN\r\n",
        "BEGIN x\r\n",         "begin\r\n",
        "BEGIN\rx\r\n",        "AUTH ANONYMOUS\r\n",
        "AUTH EXTERNAL x\r\n", "CANCEL\r\n",
        "ERROR\r\n",           "\r\n",
        "AUTH EXTERNALS\r\n",  "DATA 0 0\r\n",
    };
    char long_line[P2P_BUS_LINE_MAX + 10];

    (void)state;
    for (size_t i = 0; i < sizeof(pass) / sizeof(pass[0]); i++) {
        assert_int_equal(judge_line(pass[i], strlen(pass[i])), P2P_BUS_PASS);
        for (size_t len = 0; len < strlen(pass[i]); len++)
            assert_int_equal(judge_line(pass[i], len), P2P_BUS_MORE);
    }
    for (size_t i = 0; i < sizeof(refuse) / sizeof(refuse[0]); i++)
        assert_int_equal(judge_line(refuse[i], strlen(refuse[i])), P2P_BUS_REFUSE);
    assert_int_equal(judge_line("BEGIN\r\nmore", 11), P2P_BUS_BEGIN);
    assert_int_equal(judge_line("\0BEGIN\r\n", 8), P2P_BUS_REFUSE);
    assert_int_equal(judge_line("AUTH EXTERNAL \0\r\n", 17), P2P_BUS_REFUSE);
    memset(long_line, '0', sizeof(long_line));
    memcpy(long_line, "DATA ", 5);
    assert_int_equal(judge_line(long_line, sizeof(long_line)), P2P_BUS_REFUSE);
    memcpy(long_line + sizeof(long_line) - 2, "\r\n", 2);
    assert_int_equal(judge_line(long_line, sizeof(long_line)), P2P_BUS_REFUSE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_of_avahi_and_of_a_client),
        cmocka_unit_test(all_other_calls),
        cmocka_unit_test(answers_and_signals_are_dropped),
        cmocka_unit_test(what_could_be_read_in_two_ways),
        cmocka_unit_test(every_flipped_bit),
        cmocka_unit_test(lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
