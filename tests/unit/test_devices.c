/* Paired devices and tokens: only hashes are stored, in a file that only the user can
 * read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/devices.h"
#include "scratch.h"

static struct scratch scratch;
static struct p2p_devices *devices;

static int
set_up(void **state)
{
    (void)state;
    assert_int_equal(p2p_crypto_init(), P2P_OK);
    scratch_make(&scratch);
    assert_int_equal(p2p_devices_open(scratch.dir, &devices), P2P_OK);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    p2p_devices_close(devices);
    devices = NULL;
    scratch_remove(&scratch);
    return 0;
}

static void
add(const char *name, struct p2p_device *out, char token[P2P_DEVICE_TOKEN_LEN + 1])
{
    assert_int_equal(
        p2p_devices_add(devices, P2P_DEVICE_TOKEN, name, "192.0.2.1", out, token),
        P2P_OK);
}

static void
a_token_lets_in_until_it_is_revoked(void **state)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1];
    struct p2p_device made, found;

    (void)state;
    add("backup script", &made, token);
    assert_int_equal(strspn(token, "0123456789abcdef"), P2P_DEVICE_TOKEN_LEN);
    assert_int_equal(p2p_devices_check(devices, token, "192.0.2.9", &found), P2P_OK);
    assert_string_equal(found.id, made.id);
    assert_string_equal(found.name, "backup script");
    assert_string_equal(found.address, "192.0.2.9");
    assert_true(found.last_seen_s > 0);
    assert_int_equal(found.kind, P2P_DEVICE_TOKEN);
    assert_int_equal(p2p_devices_remove(devices, made.id), P2P_OK);
    assert_int_equal(p2p_devices_check(devices, token, "", &found),
                     P2P_ERR_NOT_ALLOWED);
    assert_int_equal(p2p_devices_remove(devices, made.id), P2P_ERR_NOT_FOUND);
}

static void
what_is_no_token_lets_nobody_in(void **state)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1], other[P2P_DEVICE_TOKEN_LEN + 2];
    struct p2p_device d;

    (void)state;
    add("x", &d, token);
    assert_int_equal(p2p_devices_check(devices, "", "", &d), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(p2p_devices_check(devices, "' OR 1=1 --", "", &d),
                     P2P_ERR_NOT_ALLOWED);
    snprintf(other, sizeof(other), "%s0", token);
    assert_int_equal(p2p_devices_check(devices, other, "", &d), P2P_ERR_NOT_ALLOWED);
    for (size_t i = 0; i < P2P_DEVICE_TOKEN_LEN; i++) {
        memcpy(other, token, sizeof(token));
        other[i] = other[i] == '0' ? '1' : '0';
        assert_int_equal(p2p_devices_check(devices, other, "", &d),
                         P2P_ERR_NOT_ALLOWED);
    }
}

static void
the_file_is_private_and_holds_no_token(void **state)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1], bytes[65536];
    uint8_t secret[P2P_DEVICE_TOKEN_LEN / 2];
    struct p2p_device d;
    struct stat st;
    size_t len;
    FILE *f;

    (void)state;
    add("x", &d, token);
    assert_int_equal(stat(scratch_path(&scratch, "devices.db"), &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    f = fopen(scratch_path(&scratch, "devices.db"), "re");
    assert_non_null(f);
    len = fread(bytes, 1, sizeof(bytes), f);
    fclose(f);
    assert_true(len > 0);
    assert_null(memmem(bytes, len, token, P2P_DEVICE_TOKEN_LEN));
    assert_int_equal(p2p_hex_parse(token, secret, sizeof(secret)), P2P_OK);
    assert_null(memmem(bytes, len, secret, sizeof(secret)));
}

static void
two_programs_see_the_same_list(void **state)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1];
    struct p2p_devices *other = NULL;
    struct p2p_device d;

    (void)state;
    assert_int_equal(p2p_devices_open(scratch.dir, &other), P2P_OK);
    add("x", &d, token);
    assert_int_equal(p2p_devices_check(other, token, "", &d), P2P_OK);
    assert_int_equal(p2p_devices_remove(other, d.id), P2P_OK);
    assert_int_equal(p2p_devices_check(devices, token, "", &d), P2P_ERR_NOT_ALLOWED);
    p2p_devices_close(other);
}

static void
names_lose_what_does_not_show(void **state)
{
    static const struct {
        const char *given, *kept;
    } cases[] = {
        {"my phone", "my phone"},
        {"tab\tbell\a", "tabbell"},
        {"esc\x1b[31mred", "esc[31mred"},
        {"turn\xe2\x80\xaeround", "turnround"},
        {"bad\xff\xfeutf8", "badutf8"},
        {"gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
        {"", ""},
    };
    char token[P2P_DEVICE_TOKEN_LEN + 1], longer[400];
    struct p2p_device d;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        add(cases[i].given, &d, token);
        assert_string_equal(d.name, cases[i].kept);
    }
    for (size_t i = 0; i + 2 < sizeof(longer); i += 2)
        memcpy(longer + i, "\xc3\xbc", 3);
    add(longer, &d, token);
    assert_int_equal(strlen(d.name), P2P_DEVICE_NAME_MAX);
    assert_true(p2p_utf8_is_valid(d.name, strlen(d.name)));
}

static void
the_list_is_in_order_and_bounded(void **state)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1];
    struct p2p_device *list = NULL, d;
    size_t count;

    (void)state;
    for (int i = 0; i < P2P_DEVICES_MAX; i++)
        add("x", &d, token);
    assert_int_equal(
        p2p_devices_add(devices, P2P_DEVICE_BROWSER, "one too many", "", &d, token),
        P2P_ERR_TOO_LARGE);
    assert_string_equal(token, "");
    assert_int_equal(p2p_devices_list(devices, &list, &count), P2P_OK);
    assert_int_equal(count, P2P_DEVICES_MAX);
    for (size_t i = 1; i < count; i++)
        assert_true(list[i - 1].created_s <= list[i].created_s);
    free(list);
}

static void
a_damaged_file_is_refused(void **state)
{
    struct p2p_devices *other = NULL;

    (void)state;
    scratch_folder(&scratch, "other");
    scratch_put(&scratch, "other/devices.db",
                "this is not a database, and long enough to be looked at as one");
    assert_int_equal(p2p_devices_open(scratch_path(&scratch, "other"), &other),
                     P2P_ERR_CORRUPT);
    assert_null(other);
    assert_int_equal(p2p_devices_open(scratch_path(&scratch, "missing"), &other),
                     P2P_ERR_PERMISSION);
}

static void
only_a_paired_browser_becomes_an_administrator(void **state)
{
    char token[P2P_DEVICE_TOKEN_LEN + 1], other[P2P_DEVICE_TOKEN_LEN + 1];
    struct p2p_device phone, script, owner, found;

    (void)state;
    assert_int_equal(
        p2p_devices_add(devices, P2P_DEVICE_BROWSER, "Phone", "", &phone, token),
        P2P_OK);
    assert_false(phone.is_admin);
    add("script", &script, other);
    assert_int_equal(
        p2p_devices_add(devices, P2P_DEVICE_OWNER, "Own", "", &owner, other), P2P_OK);

    for (int on = 1; on >= 0; on--) {
        assert_int_equal(p2p_devices_set_admin(devices, phone.id, on), P2P_OK);
        assert_int_equal(p2p_devices_set_admin(devices, phone.id, on), P2P_OK);
        assert_int_equal(p2p_devices_check(devices, token, "", &found), P2P_OK);
        assert_int_equal(found.kind, P2P_DEVICE_BROWSER);
        assert_int_equal(found.is_admin, on);
    }
    assert_int_equal(p2p_devices_set_admin(devices, script.id, true),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_devices_set_admin(devices, owner.id, false),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_devices_set_admin(devices, "0", true), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_devices_check(devices, other, "", &found), P2P_OK);
    assert_int_equal(found.kind, P2P_DEVICE_OWNER);
    assert_false(found.is_admin);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(a_token_lets_in_until_it_is_revoked),
        TEST(only_a_paired_browser_becomes_an_administrator),
        TEST(what_is_no_token_lets_nobody_in),
        TEST(the_file_is_private_and_holds_no_token),
        TEST(two_programs_see_the_same_list),
        TEST(names_lose_what_does_not_show),
        TEST(the_list_is_in_order_and_bounded),
        TEST(a_damaged_file_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
