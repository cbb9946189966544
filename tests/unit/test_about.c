// uses tests/unit/fake_peer.c
/* Names and kinds of devices: what they send, and which claims are stored. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fake_peer.h"
#include "keys_fixture.h"
#include "p2p/conn.h"
#include "p2p/machine.h"
#include "p2p/names.h"

static enum p2p_err
check(const char *name)
{
    size_t len = strlen(name);
    char *exact =
        malloc(len + 1); /* an exact block, so that a read past its end is seen */
    enum p2p_err err;

    assert_non_null(exact);
    memcpy(exact, name, len);
    err = p2p_about_name_check(exact, len);
    free(exact);
    return err;
}

static void
names_are_texts_that_can_be_shown(void **state)
{
    static const char *const good[] = {
        "a",
        "Kitchen",
        "K\u00fcche \U0001f373",
        "\U0001f468\u200d\U0001f469 laptop",
        "two  spaces",
        "<b>&amp;\"'",
        "10.0.0.1:9000",
        "\u65e5\u672c\u8a9e",
    };
    static const char *const wrong[] = {
        "",         " a",       "a ",      "a\nb",         "a\tb",     "\x1b[31m",
        "a\u202eb", "a\u200bb", "\ufeffa", "a\u00a0b",     "a\u2028b", "\x7f",
        "\xc2\x85", "\xff",     "a\xc3",   "\xed\xa0\x80", "a\u200d",  "\u2800",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(check(good[i]), P2P_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(check(wrong[i]), P2P_ERR_NAME);
    assert_int_equal(p2p_about_name_check("a\0b", 3), P2P_ERR_NAME);
}

static void
names_have_63_bytes_at_most(void **state)
{
    char name[65];
    struct p2p_about about = {.name = "before"};

    (void)state;
    memset(name, 'n', sizeof(name));
    name[63] = '\0';
    assert_int_equal(check(name), P2P_OK);
    assert_true(p2p_about_set_name(&about, name, 63));
    assert_string_equal(about.name, name);
    name[63] = 'n';
    assert_false(p2p_about_set_name(&about, name, 64));
    assert_string_equal(about.name, "");
}

static void
kinds_have_words(void **state)
{
    enum p2p_about_kind kind;

    (void)state;
    for (unsigned i = 0; i <= P2P_ABOUT_TABLET; i++) {
        assert_int_equal(
            p2p_about_kind_parse(p2p_about_kind_name((enum p2p_about_kind)i), &kind),
            P2P_OK);
        assert_int_equal(kind, i);
    }
    assert_int_equal(p2p_about_kind_parse("Laptop", &kind), P2P_ERR_USAGE);
    assert_int_equal(p2p_about_kind_parse("", &kind), P2P_ERR_USAGE);
    assert_int_equal(p2p_about_kind_of(6), P2P_ABOUT_UNKNOWN);
    assert_int_equal(p2p_about_kind_of(UINT64_MAX), P2P_ABOUT_UNKNOWN);
    assert_string_equal(p2p_about_kind_name((enum p2p_about_kind)99), "unknown");
}

static void
a_chassis_tells_the_kind(void **state)
{
    (void)state;
    assert_int_equal(p2p_machine_kind_of_chassis(10), P2P_ABOUT_LAPTOP);
    assert_int_equal(p2p_machine_kind_of_chassis(3), P2P_ABOUT_DESKTOP);
    assert_int_equal(p2p_machine_kind_of_chassis(23), P2P_ABOUT_SERVER);
    assert_int_equal(p2p_machine_kind_of_chassis(30), P2P_ABOUT_TABLET);
    assert_int_equal(p2p_machine_kind_of_chassis(11), P2P_ABOUT_PHONE);
    assert_int_equal(p2p_machine_kind_of_chassis(1), P2P_ABOUT_UNKNOWN);
    assert_int_equal(p2p_machine_kind_of_chassis(37), P2P_ABOUT_UNKNOWN);
    assert_int_equal(p2p_machine_kind_of_chassis(999), P2P_ABOUT_UNKNOWN);
}

static void
options_say_what_the_machine_is(void **state)
{
    struct p2p_about about;
    char why[256] = "";

    (void)state;
    assert_int_equal(p2p_machine_about("Kitchen", "tablet", &about, why, sizeof(why)),
                     P2P_OK);
    assert_string_equal(about.name, "Kitchen");
    assert_int_equal(about.kind, P2P_ABOUT_TABLET);
    assert_int_equal(p2p_machine_about(NULL, NULL, &about, why, sizeof(why)), P2P_OK);
    assert_string_equal(why, "");
    assert_int_equal(p2p_machine_about("a\nb", NULL, &about, why, sizeof(why)),
                     P2P_ERR_USAGE);
    assert_non_null(strstr(why, "--name"));
    assert_int_equal(p2p_machine_about("a", "toaster", &about, why, sizeof(why)),
                     P2P_ERR_USAGE);
    assert_non_null(strstr(why, "--device-kind"));
}

/* ---- Claims beside the known peers ---- */

static void
keys_reopen(struct keys *k)
{
    p2p_identity_close(k->identity);
    k->identity = keys_open(k);
}

static void
keys_write_known(struct keys *k, const char *text)
{
    scratch_put(&k->scratch, "keys/known_peers", text);
    keys_reopen(k);
}

static void
a_claim_is_kept_with_a_known_peer_only(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(0xaa), b = keys_peer(0xbb);
    struct p2p_about claim = {.name = "K\u00fcche", .kind = P2P_ABOUT_LAPTOP};
    struct p2p_known_peer peer;

    assert_int_equal(p2p_known_claim(k->identity, &a, &claim), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_known_find(k->identity, &a, &peer), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_known_set(k->identity, &a, P2P_TRUST_TRUSTED, "Mine", NULL),
                     P2P_OK);
    assert_int_equal(p2p_known_met(k->identity, NULL, &b, 2), P2P_OK);
    assert_int_equal(p2p_known_claim(k->identity, &a, &claim), P2P_OK);
    keys_reopen(k);
    peer = keys_get(k->identity, &a);
    assert_string_equal(peer.claim.name, "K\u00fcche");
    assert_int_equal(peer.claim.kind, P2P_ABOUT_LAPTOP);
    assert_string_equal(peer.name, "Mine"); /* the user's own name stays */
    assert_string_equal(keys_get(k->identity, &b).claim.name, "");
    claim = (struct p2p_about){
        .kind = P2P_ABOUT_SERVER}; /* the device no longer has a name */
    assert_int_equal(p2p_known_claim(k->identity, &a, &claim), P2P_OK);
    keys_reopen(k);
    assert_string_equal(keys_get(k->identity, &a).claim.name, "");
    assert_int_equal(keys_get(k->identity, &a).claim.kind, P2P_ABOUT_SERVER);
    assert_int_equal(p2p_known_forget(k->identity, &a), P2P_OK);
    assert_int_equal(p2p_known_set(k->identity, &a, P2P_TRUST_SEEN, NULL, NULL),
                     P2P_OK);
    keys_reopen(k);
    assert_int_equal(keys_get(k->identity, &a).claim.kind, P2P_ABOUT_UNKNOWN);
}

static void
wrong_lines_of_claims_are_passed_over(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(0xaa);
    char hex[P2P_ID_HEX_LEN + 1], text[2048];

    p2p_hex_format(a.b, sizeof(a.b), hex);
    snprintf(text, sizeof(text),
             "#@ %s laptop before its peer\n"
             "%s trusted 2 1 1 -\n"
             "#@ %s laptop Good\n"
             "#@ %s toaster Bad kind\n"
             "#@ %.63s laptop Short id\n"
             "#@ \n"
             "#@\n"
             "#@%s laptop No space\n",
             hex, hex, hex, hex, hex, hex);
    keys_write_known(k, text);
    assert_string_equal(keys_get(k->identity, &a).claim.name, "Good");
    snprintf(text, sizeof(text), "%s trusted 2 1 1 -\n#@ %s laptop a\u202eb\n", hex,
             hex);
    keys_write_known(k, text);
    assert_string_equal(keys_get(k->identity, &a).claim.name, "");
    assert_int_equal(keys_get(k->identity, &a).claim.kind, P2P_ABOUT_LAPTOP);
    assert_int_equal(keys_get(k->identity, &a).trust, P2P_TRUST_TRUSTED);
}

/* ---- What peers are called ---- */

static const char *
called(struct keys *k, uint8_t byte, const char *said)
{
    static char out[P2P_CALLED_MAX];
    struct p2p_id id = keys_peer(byte);
    struct p2p_about about = {.kind = P2P_ABOUT_UNKNOWN};

    if (said != NULL)
        assert_true(p2p_about_set_name(&about, said, strlen(said)));
    return p2p_peer_called(k->identity, &id, &about, out);
}

static void
claim(struct keys *k, uint8_t byte, enum p2p_trust trust, const char *own,
      const char *name)
{
    struct p2p_id id = keys_peer(byte);
    struct p2p_about about = {.kind = P2P_ABOUT_UNKNOWN};

    assert_int_equal(p2p_known_set(k->identity, &id, trust, own, NULL), P2P_OK);
    assert_true(p2p_about_set_name(&about, name, strlen(name)));
    assert_int_equal(p2p_known_claim(k->identity, &id, &about), P2P_OK);
}

static void
digits_stand_beside_a_name_until_it_is_sure(void **state)
{
    struct keys *k = *state;

    assert_string_equal(called(k, 0xaa, NULL), "aaaaaaaaaaaaaaaa...");
    assert_string_equal(called(k, 0xaa, "Said"), "Said (aaaaaaaa)");
    claim(k, 0xaa, P2P_TRUST_SEEN, NULL, "Claim");
    assert_string_equal(called(k, 0xaa, "Said"), "Claim (aaaaaaaa)");
    claim(k, 0xaa, P2P_TRUST_TRUSTED, NULL, "Claim");
    assert_string_equal(called(k, 0xaa, "Said"), "Claim");
    claim(k, 0xaa, P2P_TRUST_BLOCKED, NULL, "Claim");
    assert_string_equal(called(k, 0xaa, NULL), "Claim (aaaaaaaa)");
    claim(k, 0xaa, P2P_TRUST_TRUSTED, "Mine", "Claim");
    assert_string_equal(called(k, 0xaa, "Said"), "Mine");
    struct p2p_id b = keys_peer(0xbb);
    assert_int_equal(p2p_known_set(k->identity, &b, P2P_TRUST_TRUSTED, NULL, NULL),
                     P2P_OK);
    assert_string_equal(called(k, 0xbb, "Said"), "Said (bbbbbbbb)"); /* by others */
}

static enum p2p_err
find(struct keys *k, const char *name, uint8_t said_by, const char *said,
     struct p2p_names_found *found)
{
    struct p2p_names names = {0};
    struct p2p_id id = keys_peer(said_by);
    struct p2p_about about = {.kind = P2P_ABOUT_UNKNOWN};
    enum p2p_err err;

    assert_int_equal(p2p_names_add_known(&names, k->identity), P2P_OK);
    (void)p2p_about_set_name(&about, said, strlen(said));
    assert_int_equal(p2p_names_add_said(&names, &id, &about), P2P_OK);
    err = p2p_names_find(&names, name, found);
    p2p_names_clear(&names);
    return err;
}

static void
a_claim_takes_no_name_from_a_trusted_peer(void **state)
{
    struct keys *k = *state;
    struct p2p_names_found found;
    struct p2p_id a = keys_peer(0xaa), b = keys_peer(0xbb), c = keys_peer(0xcc);

    assert_int_equal(find(k, "Kitchen", 0xcc, "Hall", &found), P2P_ERR_NOT_FOUND);
    assert_int_equal(find(k, "", 0xcc, "", &found), P2P_ERR_NOT_FOUND);
    assert_int_equal(find(k, "Kitchen", 0xcc, "Kitchen", &found), P2P_OK);
    assert_true(p2p_id_equal(&found.ids[0], &c) && found.claim == P2P_NAME_CLAIMED);
    assert_int_equal(find(k, "kitchen", 0xcc, "Kitchen", &found), P2P_ERR_NOT_FOUND);
    claim(k, 0xbb, P2P_TRUST_SEEN, NULL, "Kitchen");
    assert_int_equal(find(k, "Kitchen", 0xcc, "Kitchen", &found), P2P_ERR_AMBIGUOUS);
    assert_int_equal(found.count, 2);
    assert_int_equal(find(k, "Kitchen", 0xbb, "Kitchen", &found), P2P_OK); /* one id */
    claim(k, 0xbb, P2P_TRUST_TRUSTED, NULL, "Kitchen");
    assert_int_equal(find(k, "Kitchen", 0xcc, "Kitchen", &found), P2P_OK);
    assert_true(p2p_id_equal(&found.ids[0], &b) && found.claim == P2P_NAME_TRUSTED);
    claim(k, 0xaa, P2P_TRUST_SEEN, "Kitchen", "Other");
    assert_int_equal(find(k, "Kitchen", 0xcc, "Kitchen", &found), P2P_OK);
    assert_true(p2p_id_equal(&found.ids[0], &a) && found.claim == P2P_NAME_OWN);
    claim(k, 0xdd, P2P_TRUST_TRUSTED, "Kitchen", "Other");
    assert_int_equal(find(k, "Kitchen", 0xcc, "Kitchen", &found), P2P_ERR_AMBIGUOUS);
    assert_int_equal(found.count, 2);
}

/* ---- INFO on a connection ---- */

/* A peer with one small file whose INFO has this name; NULL: it does not know INFO?. */
struct told {
    struct keys *keys;
    struct fake_peer peer;
    struct p2p_conn *conn;
};

static void
tell(struct told *t, struct keys *k, const char *name)
{
    static const uint8_t data[] = "x";
    struct p2p_conn_options opt = {.identity = k->identity, .protocol = 2};

    memset(t, 0, sizeof(*t));
    t->keys = k;
    t->peer.manners.name = name;
    fake_peer_add(&t->peer, "f", data, 1, P2P_CHUNK_SIZE_MIN);
    fake_peer_start(&t->peer);
    opt.addr = fake_peer_spec(&t->peer).addr;
    opt.timeout_ms = 20000;
    assert_int_equal(p2p_conn_open(&opt, &t->conn), P2P_OK);
}

static void
end(struct told *t)
{
    p2p_conn_close(t->conn);
    fake_peer_stop(&t->peer);
}

static void
a_peer_says_its_name_beside_the_first_answer(void **state)
{
    struct told t;
    struct p2p_meta meta;
    struct p2p_known_peer peer;

    tell(&t, *state, "Kitchen");
    assert_null(p2p_conn_about(t.conn)); /* the client did not wait for an answer */
    assert_int_equal(p2p_conn_meta_by_name(t.conn, "f", &meta), P2P_OK);
    assert_non_null(p2p_conn_about(t.conn));
    assert_string_equal(p2p_conn_about(t.conn)->name, "Kitchen");
    assert_int_equal(p2p_conn_about(t.conn)->kind, P2P_ABOUT_LAPTOP);
    assert_int_equal(p2p_known_find(t.keys->identity, &t.peer.id, &peer),
                     P2P_ERR_NOT_FOUND); /* the name of an unknown peer is not stored */
    p2p_conn_remember(t.conn);
    assert_string_equal(keys_get(t.keys->identity, &t.peer.id).claim.name, "Kitchen");
    end(&t);
}

static void
an_old_peer_goes_on_without_a_name(void **state)
{
    struct told t;
    struct p2p_meta meta;
    uint64_t rtt_us;

    tell(&t, *state, NULL);
    assert_int_equal(p2p_conn_ping(t.conn, &rtt_us), P2P_OK);
    assert_null(p2p_conn_about(t.conn));
    assert_int_equal(p2p_conn_meta_by_name(t.conn, "g", &meta), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_conn_meta_by_name(t.conn, "f", &meta), P2P_OK);
    end(&t);
}

static void
a_known_peer_that_is_met_again_gets_its_new_name(void **state)
{
    struct told t;
    struct p2p_meta meta;

    tell(&t, *state, "New");
    p2p_conn_remember(t.conn);
    assert_int_equal(p2p_conn_meta_by_name(t.conn, "f", &meta), P2P_OK);
    assert_string_equal(keys_get(t.keys->identity, &t.peer.id).claim.name, "New");
    end(&t);
}

static void
a_name_that_cannot_be_shown_ends_the_connection(void **state)
{
    struct told t;
    struct p2p_meta meta;

    tell(&t, *state, "\x1b[31m");
    p2p_conn_remember(t.conn);
    assert_int_equal(p2p_conn_meta_by_name(t.conn, "f", &meta), P2P_ERR_MALFORMED);
    assert_null(p2p_conn_about(t.conn));
    assert_string_equal(keys_get(t.keys->identity, &t.peer.id).claim.name, "");
    end(&t);
}

#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, keys_setup, keys_teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_texts_that_can_be_shown),
        cmocka_unit_test(names_have_63_bytes_at_most),
        cmocka_unit_test(kinds_have_words),
        cmocka_unit_test(a_chassis_tells_the_kind),
        cmocka_unit_test(options_say_what_the_machine_is),
        WITH_KEYS(a_claim_is_kept_with_a_known_peer_only),
        WITH_KEYS(wrong_lines_of_claims_are_passed_over),
        WITH_KEYS(digits_stand_beside_a_name_until_it_is_sure),
        WITH_KEYS(a_claim_takes_no_name_from_a_trusted_peer),
        WITH_KEYS(a_peer_says_its_name_beside_the_first_answer),
        WITH_KEYS(an_old_peer_goes_on_without_a_name),
        WITH_KEYS(a_known_peer_that_is_met_again_gets_its_new_name),
        WITH_KEYS(a_name_that_cannot_be_shown_ends_the_connection),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
