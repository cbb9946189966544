/* Known peers: first contact, changed keys, what the user decides, a damaged file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "core/trust/identity_internal.h"
#include "keys_fixture.h"
#include "long_tests.h"
#include "p2p/log.h"

#define HERE  "10.0.0.1:9000"
#define THERE "10.0.0.2:9000"

static enum p2p_err
check(const struct keys *k, const char *address, const struct p2p_id *expected,
      const struct p2p_id *id)
{
    return p2p_known_check(k->identity, address, expected, true, id);
}

static enum p2p_err
note(const struct keys *k, const char *address, const struct p2p_id *id)
{
    return p2p_known_note_newcomer(k->identity, &(struct p2p_place){.asked = address},
                                   id);
}

static void
first_contact_is_remembered(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(0xaa);
    struct p2p_known_peer peer;
    struct stat st;

    assert_int_equal(p2p_known_find(k->identity, &a, &peer), P2P_ERR_NOT_FOUND);
    assert_int_equal(check(k, HERE, NULL, &a), P2P_OK);
    assert_int_equal(p2p_known_find(k->identity, &a, &peer), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 1), P2P_OK);
    peer = keys_get(k->identity, &a);
    assert_int_equal(peer.trust, P2P_TRUST_SEEN);
    assert_string_equal(peer.addresses[0], HERE);
    assert_int_equal(peer.min_protocol, 0);
    assert_true(peer.first_seen_s > 0 && peer.first_seen_s == peer.last_seen_s);
    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
    assert_int_equal(keys_get(k->identity, &a).min_protocol, 2);
    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 1), P2P_OK);
    assert_int_equal(keys_get(k->identity, &a).min_protocol, 2); /* never back */
    assert_int_equal(stat(scratch_path(&k->scratch, "keys/known_peers"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(p2p_known_met(k->identity, THERE, &a, 2), P2P_OK); /* it moved */
    assert_string_equal(keys_get(k->identity, &a).addresses[0], THERE);
}

static void
a_changed_key_is_refused_until_accepted(void **state)
{
    struct keys *k = *state;
    struct p2p_id old = keys_peer(0x11), new = keys_peer(0x22);
    struct p2p_known_peer peer;
    char text[400];

    assert_int_equal(p2p_known_met(k->identity, HERE, &old, 2), P2P_OK);
    assert_int_equal(check(k, HERE, NULL, &new), P2P_ERR_KEY_CHANGED);
    assert_int_equal(check(k, HERE, NULL, &new), P2P_ERR_KEY_CHANGED);
    assert_int_equal(check(k, HERE, NULL, &old), P2P_OK);
    assert_int_equal(p2p_known_find(k->identity, &new, &peer), P2P_ERR_NOT_FOUND);
    assert_int_equal(note(k, THERE, &new), P2P_ERR_NOT_FOUND); /* nobody's place */
    assert_int_equal(note(k, HERE, &new), P2P_OK);
    assert_int_equal(keys_get(k->identity, &new).trust, P2P_TRUST_PENDING);
    p2p_known_explain(P2P_ERR_KEY_CHANGED, HERE, &new, text, sizeof(text));
    assert_non_null(strstr(text, "p2p peers trust 2222222222222222"));

    assert_int_equal(p2p_known_set(k->identity, &new, P2P_TRUST_TRUSTED, NULL, NULL),
                     P2P_OK);
    assert_int_equal(check(k, HERE, NULL, &new), P2P_OK);
    assert_int_equal(check(k, HERE, NULL, &old), P2P_ERR_KEY_CHANGED);
    peer = keys_get(k->identity, &old);
    assert_string_equal(peer.addresses[0], "");
    assert_int_equal(peer.trust, P2P_TRUST_SEEN);
}

static void
forgetting_the_old_one_accepts_the_new_one(void **state)
{
    struct keys *k = *state;
    struct p2p_id old = keys_peer(0x11), new = keys_peer(0x22);

    assert_int_equal(p2p_known_met(k->identity, HERE, &old, 2), P2P_OK);
    assert_int_equal(check(k, HERE, NULL, &new), P2P_ERR_KEY_CHANGED);
    assert_int_equal(p2p_known_forget(k->identity, &old), P2P_OK);
    assert_int_equal(p2p_known_forget(k->identity, &old), P2P_ERR_NOT_FOUND);
    assert_int_equal(check(k, HERE, NULL, &new), P2P_OK);
    assert_int_equal(p2p_known_met(k->identity, HERE, &new, 2), P2P_OK);
    assert_int_equal(keys_get(k->identity, &new).trust, P2P_TRUST_SEEN);
    assert_int_equal(check(k, HERE, NULL, &old), P2P_ERR_KEY_CHANGED);
}

/* A peer that is requested by id may answer at any address, but it does not take over
 * the address. */
static void
an_expected_id_must_be_proven_and_takes_no_address(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1), b = keys_peer(2);

    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
    assert_int_equal(check(k, HERE, &a, &b), P2P_ERR_WRONG_PEER);
    assert_int_equal(check(k, THERE, &b, &a), P2P_ERR_WRONG_PEER);
    assert_int_equal(check(k, HERE, &b, &b), P2P_OK);
    assert_int_equal(p2p_known_met(k->identity, HERE, &b, 2), P2P_OK);
    assert_string_equal(keys_get(k->identity, &a).addresses[0], HERE);
    assert_string_equal(keys_get(k->identity, &b).addresses[0], "");
    assert_int_equal(check(k, HERE, NULL, &b), P2P_ERR_KEY_CHANGED);
}

static void
every_address_it_was_met_at_stays_its_own(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1), other = keys_peer(2);
    struct p2p_known_peer peer;
    char address[P2P_ADDRESS_MAX];

    for (int round = 0; round < 2; round++) {
        assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
        assert_int_equal(p2p_known_met(k->identity, THERE, &a, 2), P2P_OK);
    }
    struct p2p_identity *again = keys_open(k);
    peer = keys_get(again, &a);
    assert_string_equal(peer.addresses[0], THERE);
    assert_string_equal(peer.addresses[1], HERE);
    assert_string_equal(peer.addresses[2], "");
    p2p_identity_close(again);
    assert_int_equal(check(k, HERE, NULL, &other), P2P_ERR_KEY_CHANGED);
    assert_int_equal(check(k, THERE, NULL, &other), P2P_ERR_KEY_CHANGED);
    assert_int_equal(check(k, HERE, NULL, &a), P2P_OK);

    for (int i = 1; i < P2P_PEER_ADDRESSES_MAX; i++) { /* the oldest one makes room */
        snprintf(address, sizeof(address), "10.0.1.%d:9000", i);
        assert_int_equal(p2p_known_met(k->identity, address, &a, 2), P2P_OK);
    }
    peer = keys_get(k->identity, &a);
    assert_true(p2p_known_is_at(&peer, THERE));
    assert_int_equal(check(k, HERE, NULL, &other), P2P_OK);

    /* A decision of the user changes only the address that it names. */
    assert_int_equal(p2p_known_set(k->identity, &other, P2P_TRUST_TRUSTED, NULL, THERE),
                     P2P_OK);
    peer = keys_get(k->identity, &a);
    assert_false(p2p_known_is_at(&peer, THERE));
    assert_string_equal(peer.addresses[0], address);
    assert_int_equal(check(k, THERE, NULL, &a), P2P_ERR_KEY_CHANGED);
}

/* A registry may list a new address of a peer that was met before, but cannot list an
 * unknown peer where another one is remembered. */
static void
a_registry_s_word_is_less_than_the_user_s(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1), met = keys_peer(2), stranger = keys_peer(3);

    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
    assert_int_equal(p2p_known_met(k->identity, THERE, &met, 2), P2P_OK);
    for (int twice = 0; twice < 2; twice++) /* a refused peer does not count as met */
        assert_int_equal(
            p2p_known_check(k->identity, HERE, &stranger, false, &stranger),
            P2P_ERR_KEY_CHANGED);
    assert_int_equal(note(k, HERE, &stranger), P2P_OK);
    assert_int_equal(keys_get(k->identity, &stranger).trust, P2P_TRUST_PENDING);
    assert_int_equal(p2p_known_check(k->identity, HERE, &stranger, true, &stranger),
                     P2P_OK);
    assert_int_equal(p2p_known_check(k->identity, HERE, &met, false, &met), P2P_OK);
    assert_int_equal(p2p_known_check(k->identity, HERE, &a, false, &met),
                     P2P_ERR_WRONG_PEER);
    assert_int_equal(check(k, HERE, NULL, &met), P2P_ERR_KEY_CHANGED);
    assert_int_equal(
        p2p_known_check(k->identity, "10.0.0.9:9000", &stranger, false, &stranger),
        P2P_OK);
}

/* Listing unknown peers writes nothing: the file stays the same, byte for byte. */
static void
judging_writes_nothing(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1), stranger = keys_peer(2);
    const char *path = scratch_path(&k->scratch, "keys/known_peers");
    struct stat before, after;

    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
    assert_int_equal(stat(path, &before), 0);
    for (uint8_t i = 0; i < 100; i++) {
        stranger.b[5] = i;
        assert_int_equal(check(k, HERE, NULL, &stranger), P2P_ERR_KEY_CHANGED);
    }
    path = scratch_path(&k->scratch, "keys/known_peers");
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    assert_int_equal(after.st_size, before.st_size);
}

static void
blocked_peers_stay_blocked(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1);
    char text[400];

    assert_int_equal(p2p_known_set(k->identity, &a, P2P_TRUST_BLOCKED, "Eve", NULL),
                     P2P_OK);
    assert_int_equal(check(k, HERE, NULL, &a), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(check(k, HERE, &a, &a), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(keys_get(k->identity, &a).trust, P2P_TRUST_BLOCKED);
    p2p_known_explain(P2P_ERR_NOT_ALLOWED, HERE, &a, text, sizeof(text));
    assert_non_null(strstr(text, "blocked"));
    assert_int_equal(p2p_known_set(k->identity, &a, P2P_TRUST_TRUSTED, NULL, NULL),
                     P2P_OK);
    assert_int_equal(check(k, HERE, NULL, &a), P2P_OK);
    assert_string_equal(keys_get(k->identity, &a).name, "Eve");
}

static void
names_and_addresses_cannot_break_the_file(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1);
    static const char *const names[] = {"two\nlines", "\x1b[0m",  "bidi \u202e",
                                        "\xff",       " leading", "tab\t"};
    static const char *const addresses[] = {"a b", "a\nb", "a:1,b:2", "\x7f",
                                            "caf\u00e9:1"};
    char long_text[200];

    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(
            p2p_known_set(k->identity, &a, P2P_TRUST_TRUSTED, names[i], HERE),
            P2P_ERR_USAGE);
    for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
        assert_int_equal(
            p2p_known_set(k->identity, &a, P2P_TRUST_TRUSTED, "x", addresses[i]),
            P2P_ERR_USAGE);
    assert_int_equal(p2p_known_set(k->identity, &a, P2P_TRUST_TRUSTED, long_text, NULL),
                     P2P_ERR_USAGE);
    assert_int_equal(p2p_known_met(k->identity, long_text, &a, 2), P2P_ERR_USAGE);
    assert_int_equal(p2p_known_set(k->identity, &a, P2P_TRUST_UNKNOWN, NULL, NULL),
                     P2P_ERR_USAGE);

    assert_int_equal(p2p_known_set(k->identity, &a, P2P_TRUST_TRUSTED,
                                   "Ren\u00e9e's laptop # 2", "[fe80::1%eth0]:9000"),
                     P2P_OK);
    struct p2p_identity *other = keys_open(k);
    assert_string_equal(keys_get(other, &a).name, "Ren\u00e9e's laptop # 2");
    assert_string_equal(keys_get(other, &a).addresses[0], "[fe80::1%eth0]:9000");
    p2p_identity_close(other);
}

static void
ids_are_found_by_prefix(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(0xab), b = keys_peer(0xab), c = keys_peer(0xcd), out;
    char hex[P2P_ID_HEX_LEN + 1];

    b.b[31] = 0;
    p2p_hex_format(c.b, sizeof(c.b), hex);
    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
    assert_int_equal(p2p_known_met(k->identity, THERE, &b, 2), P2P_OK);
    assert_int_equal(p2p_known_resolve(k->identity, hex, &out), P2P_OK); /* unknown */
    assert_true(p2p_id_equal(&out, &c));
    assert_int_equal(p2p_known_resolve(k->identity, "cdcdcdcd", &out),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_known_met(k->identity, "x:1", &c, 2), P2P_OK);
    assert_int_equal(p2p_known_resolve(k->identity, "CDCDcdcd", &out), P2P_OK);
    assert_true(p2p_id_equal(&out, &c));
    assert_int_equal(p2p_known_resolve(k->identity, "cdcdcdcdcdcdcdcd...", &out),
                     P2P_OK);
    assert_int_equal(p2p_known_resolve(k->identity, "abababab", &out), P2P_ERR_USAGE);
    assert_int_equal(p2p_known_resolve(k->identity, "cdcdcdc", &out), P2P_ERR_USAGE);
    assert_int_equal(p2p_known_resolve(k->identity, "cdcdcdcg", &out), P2P_ERR_USAGE);
    assert_int_equal(p2p_known_resolve(k->identity, "", &out), P2P_ERR_USAGE);
}

static void
another_program_s_changes_are_seen(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1), b = keys_peer(2);
    struct p2p_identity *other = keys_open(k);
    struct p2p_known_peer *list;
    size_t count;

    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
    assert_int_equal(p2p_known_met(other, THERE, &b, 2), P2P_OK);
    assert_int_equal(keys_get(k->identity, &b).trust, P2P_TRUST_SEEN);
    assert_int_equal(p2p_known_set(other, &a, P2P_TRUST_BLOCKED, NULL, NULL), P2P_OK);
    assert_int_equal(check(k, HERE, NULL, &a), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(p2p_known_list(k->identity, &list, &count), P2P_OK);
    assert_int_equal(count, 2);
    assert_memory_equal(list[0].id.b, a.b, sizeof(a.b));
    free(list);
    remove(scratch_path(&k->scratch, "keys/known_peers"));
    assert_int_equal(p2p_known_list(k->identity, &list, &count), P2P_OK);
    assert_int_equal(count, 0);
    assert_null(list);
    p2p_identity_close(other);
}

struct writer {
    const struct keys *k;
    uint8_t first;
    enum p2p_err err;
};

static void *
meet_seven(void *arg)
{
    struct writer *w = arg;
    struct p2p_identity *identity = keys_open(w->k);

    for (uint8_t i = 0; i < 7 && !w->err; i++) {
        struct p2p_id id = keys_peer((uint8_t)(w->first + i));
        w->err = p2p_known_met(identity, "", &id, 2);
    }
    p2p_identity_close(identity);
    return NULL;
}

static void
writers_lose_nothing(void **state)
{
    struct keys *k = *state;
    struct writer writers[3] = {{k, 0, P2P_OK}, {k, 50, P2P_OK}, {k, 100, P2P_OK}};
    pthread_t threads[3];
    struct p2p_known_peer *list;
    size_t count;

    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, meet_seven, &writers[i]), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].err, P2P_OK);
    }
    assert_int_equal(p2p_known_list(k->identity, &list, &count), P2P_OK);
    assert_int_equal(count, 21);
    free(list);
}

/* ---- the file ---- */

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void
damaged_lines_are_passed_over_and_kept(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(0xaa), b = keys_peer(0xbb);
    static const char *const damaged[] = {
        "rubbish",
        ID_B,
        ID_B " seen 2 1 1",
        ID_B " friend 2 1 1 -",
        ID_B " unknown 2 1 1 -",
        ID_B " seen 3 1 1 -",
        ID_B " seen 2 -1 1 -",
        ID_B " seen 2 1 99999999999999 -",
        ID_B "b seen 2 1 1 -",
        ID_B " seen 2 1 1 a\x7fz",
        ID_B " seen 2 1 1 - na\x1bme",
        ID_A " blocked 2 1 1 -", /* a second line for A */
        "\xff\xfe\xfd",
    };
    struct p2p_known_peer peer;
    char text[600];

    for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
        snprintf(text, sizeof(text),
                 "# comment\n" ID_A " trusted 2 1 2 %s Alice\n\n%s\n", HERE,
                 damaged[i]);
        scratch_put(&k->scratch, "keys/known_peers", text);
        assert_int_equal(keys_get(k->identity, &a).trust, P2P_TRUST_TRUSTED);
        assert_int_equal(p2p_known_find(k->identity, &b, &peer), P2P_ERR_NOT_FOUND);
        assert_false(scratch_has(&k->scratch, "keys/known_peers.damaged"));
        assert_int_equal(p2p_known_met(k->identity, THERE, &b, 2), P2P_OK);
        assert_true(scratch_holds(&k->scratch, "keys/known_peers.damaged", text));
        assert_string_equal(keys_get(k->identity, &a).name, "Alice");
        remove(scratch_path(&k->scratch, "keys/known_peers.damaged"));
    }
}

/* A line of an earlier version has one address. A line with too many addresses, or with
 * one that is not valid, does not make the peer forgotten. */
static void
lists_of_addresses_are_read(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(0xaa);
    struct p2p_known_peer peer;

    scratch_put(&k->scratch, "keys/known_peers", ID_A " seen 2 1 2 " HERE " Alice\n");
    peer = keys_get(k->identity, &a);
    assert_string_equal(peer.addresses[0], HERE);
    assert_string_equal(peer.addresses[1], "");
    scratch_put(&k->scratch, "keys/known_peers",
                ID_A " seen 2 1 2 a:1,b:2,c:3,d:4,e:5,f:6 Alice\n");
    peer = keys_get(k->identity, &a);
    assert_true(p2p_known_is_at(&peer, "a:1") && p2p_known_is_at(&peer, "d:4"));
    assert_false(p2p_known_is_at(&peer, "e:5") || p2p_known_is_at(&peer, ""));
    scratch_put(&k->scratch, "keys/known_peers", ID_A " seen 2 1 2 a:1,,b:2 Alice\n");
    assert_int_equal(p2p_known_find(k->identity, &a, &peer), P2P_ERR_NOT_FOUND);
}

/* Every single-bit flip and every prefix of a good file: read without harm. */
static void
no_content_does_harm(void **state)
{
    struct keys *k = *state;
    static const char good[] = ID_A " trusted 2 100 200 10.0.0.1:9000 Alice\n";
    struct p2p_known_peer *list;
    char text[sizeof(good)];
    size_t count;

    for (size_t bit = 0; bit < 8 * (sizeof(good) - 1); bit += long_tests_step(5)) {
        memcpy(text, good, sizeof(good));
        text[bit / 8] = (char)(text[bit / 8] ^ 1 << bit % 8);
        scratch_put_bytes(&k->scratch, "keys/known_peers", text, sizeof(good) - 1);
        assert_int_equal(p2p_known_list(k->identity, &list, &count), P2P_OK);
        assert_true(count <= 1);
        free(list);
    }
    for (size_t len = 0; len < sizeof(good); len++) {
        scratch_put_bytes(&k->scratch, "keys/known_peers", good, len);
        assert_int_equal(p2p_known_list(k->identity, &list, &count), P2P_OK);
        free(list);
    }
    remove(scratch_path(&k->scratch, "keys/known_peers"));
    scratch_folder(&k->scratch, "keys/known_peers");
    assert_int_not_equal(p2p_known_list(k->identity, &list, &count), P2P_OK);
}

static struct p2p_id
numbered_peer(uint32_t number)
{
    struct p2p_id id = keys_peer(0);

    p2p_store_u32(id.b, number);
    return id;
}

/* Only the table: only peers that wait for the user's decision make room, whatever
 * comes. */
static void
the_table_is_bounded(void **state)
{
    const size_t met_max = P2P_KNOWN_PEERS_MAX - P2P_KNOWN_PEERS_KEPT_FREE;
    struct p2p_known known = {.count = 0};
    struct p2p_known_peer *peer;
    uint32_t n = 0;

    (void)state;
    for (; n < P2P_KNOWN_PEERS_PENDING_MAX + 50; n++) {
        struct p2p_id id = numbered_peer(n);
        assert_int_equal(p2p_known_add(&known, &id, P2P_TRUST_PENDING, &peer), P2P_OK);
        peer->last_seen_s = n;
    }
    assert_int_equal(known.count, P2P_KNOWN_PEERS_PENDING_MAX);
    for (size_t met = 0; met < met_max; met++, n++) {
        struct p2p_id id = numbered_peer(n);
        assert_int_equal(p2p_known_add(&known, &id, P2P_TRUST_SEEN, &peer), P2P_OK);
        peer->last_seen_s = n;
    }
    for (size_t i = 0; i < known.count; i++)
        assert_int_not_equal(known.peers[i].trust, P2P_TRUST_PENDING);
    struct p2p_id one_more = numbered_peer(n++);
    assert_int_equal(p2p_known_add(&known, &one_more, P2P_TRUST_SEEN, &peer),
                     P2P_ERR_TOO_LARGE); /* the peer that was met first stays */
    assert_int_equal(known.count, met_max);
    while (known.count <
           P2P_KNOWN_PEERS_MAX) { /* there is always room for a decision of the user */
        struct p2p_id id = numbered_peer(n);
        enum p2p_trust trust = n++ % 2 ? P2P_TRUST_TRUSTED : P2P_TRUST_BLOCKED;
        assert_int_equal(p2p_known_add(&known, &id, trust, &peer), P2P_OK);
    }
    for (int trust = P2P_TRUST_SEEN; trust <= P2P_TRUST_PENDING; trust++)
        assert_int_equal(p2p_known_add(&known, &one_more, (enum p2p_trust)trust, &peer),
                         P2P_ERR_TOO_LARGE);
    assert_int_equal(known.count, P2P_KNOWN_PEERS_MAX);
    p2p_known_clear(&known);
}

/* One address in many spellings: the remembered key applies to all of them. */
static void
another_spelling_is_the_same_address(void **state)
{
    static const struct {
        const char *met, *asked;
    } same[] = {
        {"127.0.0.1:9000", "[::ffff:127.0.0.1]:9000"},
        {"127.0.0.1:9000", "[::FFFF:7f00:1]:9000"},
        {"[::ffff:10.0.0.1]:9000", "10.0.0.1:9000"},
        {"[2001:db8::1]:9000", "[2001:0DB8:0:0::0001]:9000"},
        {"nas:9000", "NAS.:9000"},
    };
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1), other = keys_peer(2);

    for (size_t i = 0; i < sizeof(same) / sizeof(same[0]); i++) {
        assert_int_equal(p2p_known_met(k->identity, same[i].met, &a, 2), P2P_OK);
        assert_int_equal(check(k, same[i].asked, NULL, &other), P2P_ERR_KEY_CHANGED);
        assert_int_equal(check(k, same[i].asked, NULL, &a), P2P_OK);
        struct p2p_known_peer peer = keys_get(k->identity, &a);
        assert_true(p2p_known_is_at(&peer, same[i].asked));
        assert_int_equal(p2p_known_forget(k->identity, &a), P2P_OK);
        assert_int_equal(p2p_known_forget(k->identity, &other), P2P_ERR_NOT_FOUND);
    }
    assert_int_equal(p2p_known_met(k->identity, "127.1:9000", &a, 2), P2P_ERR_USAGE);
    scratch_put(
        &k->scratch, "keys/known_peers",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa seen 2 1 2 "
        "[::ffff:10.0.0.1]:9000,10.0.0.1:9000,NAS:1 Alice\n");
    a = keys_peer(0xaa);
    struct p2p_known_peer peer = keys_get(k->identity, &a);
    assert_string_equal(peer.addresses[0], HERE);
    assert_string_equal(peer.addresses[1], "nas:1");
    assert_string_equal(peer.addresses[2], "");
    assert_int_equal(check(k, HERE, NULL, &other), P2P_ERR_KEY_CHANGED);
}

static enum p2p_err
check_place(const struct keys *k, const char *asked, const char *reached,
            const struct p2p_id *id)
{
    const struct p2p_place where = {.asked = asked, .reached = reached};

    return p2p_known_check_place(k->identity, &where, NULL, false, id);
}

/* A host name that leads to an address with a remembered key does not avoid this key; a
 * decision of the user about the name is enough. */
static void
a_name_does_not_hide_the_address_behind_it(void **state)
{
    struct keys *k = *state;
    struct p2p_id a = keys_peer(1), b = keys_peer(2);

    assert_int_equal(p2p_known_met(k->identity, HERE, &a, 2), P2P_OK);
    assert_int_equal(check_place(k, "localhost:9000", HERE, &b), P2P_ERR_KEY_CHANGED);
    assert_int_equal(
        p2p_known_note_newcomer(
            k->identity,
            &(struct p2p_place){.asked = "localhost:9000", .reached = HERE}, &b),
        P2P_OK);
    assert_int_equal(check_place(k, "localhost:9000", HERE, &a), P2P_OK);
    assert_int_equal(check_place(k, NULL, HERE, &b), P2P_ERR_KEY_CHANGED);
    assert_int_equal(check_place(k, "localhost:9000", THERE, &b), P2P_OK);
    assert_string_equal(keys_get(k->identity, &b).addresses[0],
                        HERE); /* waits for it */
    assert_int_equal(
        p2p_known_set(k->identity, &b, P2P_TRUST_TRUSTED, NULL, "LOCALHOST:9000"),
        P2P_OK);
    assert_int_equal(check_place(k, "localhost:9000", HERE, &b), P2P_OK);
    assert_int_equal(check_place(k, "localhost:9000", HERE, &a), P2P_ERR_KEY_CHANGED);
}

int
main(void)
{
#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, keys_setup, keys_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KEYS(first_contact_is_remembered),
        WITH_KEYS(a_changed_key_is_refused_until_accepted),
        WITH_KEYS(forgetting_the_old_one_accepts_the_new_one),
        WITH_KEYS(an_expected_id_must_be_proven_and_takes_no_address),
        WITH_KEYS(every_address_it_was_met_at_stays_its_own),
        WITH_KEYS(a_registry_s_word_is_less_than_the_user_s),
        WITH_KEYS(judging_writes_nothing),
        WITH_KEYS(blocked_peers_stay_blocked),
        WITH_KEYS(names_and_addresses_cannot_break_the_file),
        WITH_KEYS(ids_are_found_by_prefix),
        WITH_KEYS(another_program_s_changes_are_seen),
        WITH_KEYS(writers_lose_nothing),
        WITH_KEYS(damaged_lines_are_passed_over_and_kept),
        WITH_KEYS(lists_of_addresses_are_read),
        WITH_KEYS(no_content_does_harm),
        WITH_KEYS(another_spelling_is_the_same_address),
        WITH_KEYS(a_name_does_not_hide_the_address_behind_it),
        cmocka_unit_test(the_table_is_bounded),
    };
    p2p_log_init("test_known", P2P_LOG_ERROR); /* damaged files are meant here */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
