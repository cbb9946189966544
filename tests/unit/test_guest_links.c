// uses p2p-peer
/* Links for guests: their secret, the calls of guests, and what guests may still have.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/remote/conn_internal.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/grants.h"
#include "p2p/link.h"
#include "p2p/links.h"
#include "peer/offers/links.h"

#include "scratch.h"
#include "test_keys.h"

#define NOW 1800000000u

static const struct p2p_link_secret secret = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}};

static struct p2p_link_keys
keys_of(const struct p2p_link_secret *s)
{
    struct p2p_link_keys keys;

    assert_int_equal(p2p_link_derive(s, &keys), P2P_OK);
    return keys;
}

/* ---- the secret ---- */

/* Computed by tests/vectors/link.py, with the HMAC of Python. */
static void
keys_have_known_answers(void **state)
{
    struct p2p_link_keys keys = keys_of(&secret);
    struct p2p_link_pin pin;
    char hex[65];

    (void)state;
    p2p_hex_format(keys.box.b, 16, hex);
    assert_string_equal(hex, "466bccbc26ed5d963d6d391bd049ec73");
    p2p_hex_format(keys.mac.b, 32, hex);
    assert_string_equal(
        hex, "ea0f1912475e3c62e81a94ed436500804492627f79c045fd14235e4b3c1aead8");
    p2p_hex_format(keys.guest.b, 32, hex);
    assert_string_equal(
        hex, "6ecaa3fd3e0fd5ebeef2f0fab8c8ff64f1352a2e7e3c3e32eefa62745b499a05");
    assert_int_equal(p2p_link_pin_of(&keys, "2468", &pin), P2P_OK);
    p2p_hex_format(pin.b, 16, hex);
    assert_string_equal(hex, "1914a64dd8a66fe889ea039b5a33e509");
}

static void
a_link_as_text(void **state)
{
    static const char *const wrong[] = {
        "", "AAECAwQFBgcICQoLDA0OD", "AAECAwQFBgcICQoLDA0ODwA",
        "AAECAwQFBgcICQoLDA0OD+", "AAECAwQFBgcICQoLDA0ODx"};
    struct p2p_link_secret read;
    char text[P2P_LINK_TEXT], url[P2P_LINK_URL];

    (void)state;
    assert_string_equal(p2p_link_format(&secret, text), "AAECAwQFBgcICQoLDA0ODw");
    assert_int_equal(p2p_link_parse(text, &read), P2P_OK);
    assert_memory_equal(&read, &secret, sizeof(read));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(p2p_link_parse(wrong[i], &read), P2P_ERR_USAGE);
    assert_int_equal(p2p_link_url("https://p2p.example/", &secret, url), P2P_OK);
    assert_string_equal(url, "https://p2p.example/l#AAECAwQFBgcICQoLDA0ODw");
}

/* As people paste it; the registry is that of a code. */
static void
a_link_is_pasted(void **state)
{
    static const char *const wrong[] = {"",
                                        "/l#AAECAwQFBgcICQoLDA0ODw",
                                        "https://p2p.example/l#AAECAwQFBgcICQoLDA0OD",
                                        "https://p2p.example/l#AAECAwQFBgcICQoLDA0ODw#",
                                        "https://p2p.example/#AAECAwQFBgcICQoLDA0ODw",
                                        "https://p2p.example/s#AAECAwQFBgcICQoLDA0ODw",
                                        "ftp://p2p.example/l#AAECAwQFBgcICQoLDA0ODw"};
    static const char *const right[][2] = {
        {"https://p2p.example/l#AAECAwQFBgcICQoLDA0ODw", "https://p2p.example"},
        {"http://10.0.0.1:8000/l#AAECAwQFBgcICQoLDA0ODw", "http://10.0.0.1:8000"},
        {"https://p2p.example/at/l#AAECAwQFBgcICQoLDA0ODw", "https://p2p.example/at"},
        {"p2p.example/l#AAECAwQFBgcICQoLDA0ODw", "https://p2p.example"}};
    char registry[P2P_LINK_URL], cut[4];
    struct p2p_link_secret read;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(
            p2p_link_parse_url(wrong[i], registry, sizeof(registry), &read),
            P2P_ERR_USAGE);
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_true(p2p_link_is_meant(right[i][0]));
        assert_int_equal(
            p2p_link_parse_url(right[i][0], registry, sizeof(registry), &read), P2P_OK);
        assert_string_equal(registry, right[i][1]);
        assert_memory_equal(&read, &secret, sizeof(read));
        assert_int_equal(p2p_link_parse_url(right[i][0], cut, sizeof(cut), &read),
                         P2P_ERR_USAGE);
    }
    assert_false(p2p_link_is_meant("7-guitar-tiger@p2p.example"));
}

static void
a_device_is_one_guest_of_each_link(void **state)
{
    static const struct p2p_link_secret other_secret = {{9}};
    struct p2p_link_keys keys = keys_of(&secret), other = keys_of(&other_secret);
    const struct p2p_id one = {{1}}, two = {{2}};
    struct p2p_guest_id a, b;

    (void)state;
    assert_int_equal(p2p_guest_id_of(&keys, &one, &a), P2P_OK);
    assert_int_equal(p2p_guest_id_of(&keys, &one, &b), P2P_OK);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_int_equal(p2p_guest_id_of(&keys, &two, &b), P2P_OK);
    assert_memory_not_equal(&a, &b, sizeof(a));
    assert_int_equal(p2p_guest_id_of(&other, &one, &b), P2P_OK);
    assert_memory_not_equal(&a, &b, sizeof(a));
}

/* ---- calls ---- */

static struct p2p_guest_call
some_call(const struct p2p_link_keys *keys)
{
    struct p2p_guest_call call = {
        .session = {{1}},
        .guest = {{2}},
        .box = keys->box,
        .reply = {{3}},
        .expires_s = NOW + 30,
        .channel = {.ufrag = "abcd",
                    .pwd = "0123456789012345678901",
                    .fingerprint = {{4}},
                    .candidate_count = 2,
                    .candidates = {"192.0.2.1 5000 host 99",
                                   "198.51.100.7 6000 srflx 9"}},
    };

    return call;
}

static enum p2p_err
parse(const char *text, const struct p2p_link_keys *keys, uint64_t now_s)
{
    struct p2p_guest_call call;

    return p2p_guest_call_parse(text, strlen(text), keys, now_s, &call);
}

static void
a_call_arrives_as_it_was_sent(void **state)
{
    struct p2p_link_keys keys = keys_of(&secret);
    struct p2p_guest_call call = some_call(&keys), read;
    char *text = p2p_guest_call_format(&call, &keys);

    (void)state;
    assert_non_null(text);
    assert_int_equal(p2p_guest_call_parse(text, strlen(text), &keys, NOW, &read),
                     P2P_OK);
    assert_memory_equal(&read, &call, sizeof(call));
    assert_int_equal(parse(text, &keys, NOW + 30 + P2P_CALL_LATE_MAX_S), P2P_OK);
    assert_int_equal(parse(text, &keys, NOW + 31 + P2P_CALL_LATE_MAX_S),
                     P2P_ERR_TIMEOUT);
    assert_int_equal(parse(text, &keys, NOW - 31), P2P_ERR_TIMEOUT);
    free(text);
}

static void
no_other_call_is_taken(void **state)
{
    static const struct p2p_link_secret other_secret = {{9}};
    struct p2p_link_keys keys = keys_of(&secret), other = keys_of(&other_secret);
    struct p2p_guest_call call = some_call(&keys), read;
    char *text = p2p_guest_call_format(&call, &keys);
    size_t len = strlen(text);

    (void)state;
    assert_int_equal(parse(text, &other, NOW), P2P_ERR_AUTH);
    for (size_t n = 0; n < len; n++) { /* in blocks of their exact size */
        char *cut = malloc(n + 1);
        memcpy(cut, text, n);
        assert_int_not_equal(p2p_guest_call_parse(cut, n, &keys, NOW, &read), P2P_OK);
        free(cut);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *flipped = malloc(len);
        memcpy(flipped, text, len);
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ (1 << bit % 8));
        enum p2p_err err = p2p_guest_call_parse(flipped, len, &keys, NOW, &read);
        /* Hex has two spellings of a letter. */
        assert_true(err != P2P_OK || memcmp(&read, &call, sizeof(call)) == 0);
        free(flipped);
    }
    free(text);
}

/* Otherwise one value could pass for two. */
static void
a_value_has_one_line(void **state)
{
    struct p2p_link_keys keys = keys_of(&secret);
    struct p2p_guest_call call = some_call(&keys);
    char *text;

    (void)state;
    strcpy(call.channel.candidates[0], "a\nb");
    text = p2p_guest_call_format(&call, &keys);
    assert_int_equal(parse(text, &keys, NOW), P2P_ERR_MALFORMED);
    free(text);
}

static void
an_answer_is_for_one_call(void **state)
{
    struct p2p_link_keys keys = keys_of(&secret);
    struct p2p_guest_call call = some_call(&keys);
    const struct p2p_id peer = {{7}};
    char *one = p2p_guest_answer_format(&call, &keys, NULL, &peer, &call.channel), *two;

    (void)state;
    call.channel.fingerprint.b[0] ^= 1;
    struct p2p_call_channel same = some_call(&keys).channel;
    two = p2p_guest_answer_format(&call, &keys, NULL, &peer, &same);
    assert_string_not_equal(strstr(one, "\"mac\""), strstr(two, "\"mac\""));
    free(one);
    free(two);
}

static void
an_answer_is_read_by_its_caller(void **state)
{
    static const struct p2p_link_secret other_secret = {{9}};
    struct p2p_link_keys keys = keys_of(&secret), other = keys_of(&other_secret);
    struct p2p_guest_call call = some_call(&keys), elsewhere = call;
    struct p2p_call_channel channel = call.channel, read;
    const struct p2p_id peer = {{7}};
    struct p2p_id from;
    char *text;
    size_t len;

    (void)state;
    strcpy(channel.ufrag, "efgh");
    text = p2p_guest_answer_format(&call, &keys, NULL, &peer, &channel);
    len = strlen(text);
    assert_int_equal(p2p_guest_answer_parse(text, len, &call, &keys, &from, &read),
                     P2P_OK);
    assert_memory_equal(&from, &peer, sizeof(from));
    assert_memory_equal(&read, &channel, sizeof(read));
    assert_int_equal(p2p_guest_answer_parse(text, len, &call, &other, &from, &read),
                     P2P_ERR_AUTH);
    elsewhere.channel.fingerprint.b[0] ^= 1;
    assert_int_equal(p2p_guest_answer_parse(text, len, &elsewhere, &keys, &from, &read),
                     P2P_ERR_AUTH);
    elsewhere = call;
    elsewhere.session.b[0] ^= 1;
    assert_int_equal(p2p_guest_answer_parse(text, len, &elsewhere, &keys, &from, &read),
                     P2P_ERR_MALFORMED);
    for (size_t n = 0; n < len; n++) { /* in blocks of their exact size */
        char *cut = malloc(n + 1);
        memcpy(cut, text, n);
        assert_int_not_equal(p2p_guest_answer_parse(cut, n, &call, &keys, &from, &read),
                             P2P_OK);
        free(cut);
    }
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *flipped = malloc(len);
        memcpy(flipped, text, len);
        flipped[bit / 8] = (char)(flipped[bit / 8] ^ (1 << bit % 8));
        enum p2p_err err =
            p2p_guest_answer_parse(flipped, len, &call, &keys, &from, &read);
        assert_true(err != P2P_OK || (memcmp(&read, &channel, sizeof(read)) == 0 &&
                                      memcmp(&from, &peer, sizeof(from)) == 0));
        free(flipped);
    }
    free(text);
}

/* Who has the link has the key of the MAC, too, but not that of the peer. */
static void
an_answer_is_signed_by_its_peer(void **state)
{
    struct p2p_link_keys keys = keys_of(&secret);
    struct p2p_guest_call call = some_call(&keys);
    struct p2p_rsa *key = test_key(0), *other = test_key(1);
    struct p2p_call_channel read;
    struct p2p_id peer, from;
    char *text, *sig;

    (void)state;
    assert_int_equal(p2p_spki_id(p2p_rsa_spki(key), &peer), P2P_OK);
    text = p2p_guest_answer_format(&call, &keys, key, &peer, &call.channel);
    assert_int_equal(
        p2p_guest_answer_parse(text, strlen(text), &call, &keys, &from, &read), P2P_OK);
    sig = strstr(text, "\"sig\":\"") + 10;
    *sig = *sig == 'A' ? 'B' : 'A';
    assert_int_equal(
        p2p_guest_answer_parse(text, strlen(text), &call, &keys, &from, &read),
        P2P_ERR_AUTH);
    memcpy(strstr(text, "\"sig\""), "\"gis\"", 5); /* only one of the two */
    assert_int_equal(
        p2p_guest_answer_parse(text, strlen(text), &call, &keys, &from, &read),
        P2P_ERR_AUTH);
    free(text);
    text = p2p_guest_answer_format(&call, &keys, other, &peer, &call.channel);
    assert_int_equal(
        p2p_guest_answer_parse(text, strlen(text), &call, &keys, &from, &read),
        P2P_ERR_AUTH);
    free(text);
    p2p_rsa_free(key);
    p2p_rsa_free(other);
}

/* ---- what the peer tells its guest ---- */

static void
a_welcome_is_read(void **state)
{
    static const uint8_t right[] = {0x40, 1,    1, 1,    0,    0,    0,    0,    0,
                                    0,    0,    9, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                    0xff, 0xff, 0, 2,    'h',  'i',  0,    1,    'n'};
    struct p2p_welcome welcome;
    uint8_t block[sizeof(right)];

    (void)state;
    assert_int_equal(p2p_conn_take_welcome(right, sizeof(right), &welcome), P2P_OK);
    assert_int_equal(welcome.mode, P2P_WELCOME_FETCH);
    assert_true(welcome.has_pin);
    assert_int_equal(welcome.expires_s, 9);
    assert_true(welcome.bytes_left == UINT64_MAX);
    assert_string_equal(welcome.title, "hi");
    assert_string_equal(welcome.name, "n");
    for (size_t n = 0; n < sizeof(right); n++) {
        uint8_t *cut = malloc(n + 1);
        memcpy(cut, right, n);
        assert_int_not_equal(p2p_conn_take_welcome(cut, n, &welcome), P2P_OK);
        free(cut);
    }
    memcpy(block, right, sizeof(block));
    block[1] = 2; /* a later version */
    assert_int_equal(p2p_conn_take_welcome(block, sizeof(block), &welcome),
                     P2P_ERR_UNSUPPORTED);
    memcpy(block, right, sizeof(block));
    block[22] = 0x1b; /* would color the terminal */
    assert_int_equal(p2p_conn_take_welcome(block, sizeof(block), &welcome), P2P_OK);
    assert_string_equal(welcome.title, "");
    assert_string_equal(welcome.name, "n");
}

static void
frames_have_a_length(void **state)
{
    static const uint8_t none[4] = {0}, huge[4] = {1, 0, 0, 0};
    uint8_t frame[P2P_FRAME_HEAD + 300];
    size_t size;

    (void)state;
    p2p_conn_guest_seal(frame, 300);
    for (size_t n = 0; n < sizeof(frame); n++)
        assert_int_equal(p2p_conn_guest_peek(frame, n, &size), P2P_ERR_MORE);
    assert_int_equal(p2p_conn_guest_peek(frame, sizeof(frame), &size), P2P_OK);
    assert_int_equal(size, sizeof(frame));
    assert_int_equal(p2p_conn_guest_peek(none, 4, &size), P2P_ERR_MALFORMED);
    assert_int_equal(p2p_conn_guest_peek(huge, 4, &size), P2P_ERR_MALFORMED);
}

/* ---- the table ---- */

static int
make_scratch(void **state)
{
    static struct scratch scratch;

    scratch_make(&scratch);
    *state = &scratch;
    return 0;
}

static int
remove_scratch(void **state)
{
    scratch_remove(*state);
    return 0;
}

static struct p2p_links_row
some_row(void)
{
    struct p2p_links_row row = {.keys = keys_of(&secret),
                                .title = "photos",
                                .created_s = p2p_time_s(),
                                .expires_s = p2p_time_s() + 3600,
                                .uses_left = 3,
                                .bytes_left = P2P_LINKS_NO_LIMIT,
                                .has_pin = true,
                                .pin = {{5}}};

    assert_int_equal(p2p_links_name(&row, "photos/"), P2P_OK);
    assert_int_equal(p2p_links_name(&row, "b.txt"), P2P_OK);
    assert_int_equal(p2p_links_name(&row, "../b.txt"), P2P_ERR_NAME);
    assert_int_equal(p2p_links_name(&row, "a\nb"), P2P_ERR_NAME);
    assert_string_equal(row.names, "photos/\nb.txt\n");
    return row;
}

static void
a_row_is_read_as_it_was_written(void **state)
{
    const char *dir = scratch_path(*state, "");
    struct p2p_links_row row = some_row(), *rows;
    size_t count;

    assert_int_equal(p2p_links_list(dir, &rows, &count), P2P_OK);
    assert_int_equal(count, 0);
    assert_int_equal(p2p_links_revoke(dir, 1), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_links_add(dir, &row), P2P_OK);
    assert_int_equal(p2p_links_spend(dir, row.id, 2, 70), P2P_OK);
    row.uses_left = 2;
    row.bytes_left = 70;
    assert_int_equal(p2p_links_list(dir, &rows, &count), P2P_OK);
    assert_int_equal(count, 1);
    assert_memory_equal(rows, &row, sizeof(row));
    free(rows);
    assert_int_equal(p2p_links_revoke(dir, row.id), P2P_OK);
    assert_int_equal(p2p_links_revoke(dir, row.id), P2P_ERR_NOT_FOUND);
    assert_int_equal(p2p_links_list(dir, &rows, &count), P2P_OK);
    assert_int_equal(count, 0);
    free(rows);
}

static void
there_are_not_too_many(void **state)
{
    const char *dir = scratch_path(*state, "");
    struct p2p_links_row row = some_row(), *rows;
    size_t count;

    row.expires_s = p2p_time_s() - 1;
    assert_int_equal(p2p_links_add(dir, &row), P2P_OK); /* it counts no longer */
    row.expires_s += 3600;
    for (int i = 0; i < P2P_LINKS_MAX; i++)
        assert_int_equal(p2p_links_add(dir, &row), P2P_OK);
    assert_int_equal(p2p_links_add(dir, &row), P2P_ERR_TOO_LARGE);
    assert_int_equal(p2p_links_list(dir, &rows, &count), P2P_OK);
    assert_int_equal(count, P2P_LINKS_MAX);
    free(rows);
}

/* A guest sees the names of its link, whatever the rules give to everyone. */
static void
a_guest_sees_its_link_alone(void **state)
{
    static const char *const seen[] = {"b.txt", "photos/a.jpg", "photos/x/y.jpg"};
    static const char *const hidden[] = {"b.txt2",      "b.tx",  "photos", "photos.txt",
                                         "photo/a.jpg", "a.txt", "",       "z"};
    struct p2p_access *access;
    struct p2p_links_row row = some_row();
    const struct p2p_id other = {{9}};
    const char *dir = scratch_path(*state, "");
    struct p2p_access_caller guest = {.link = &row.keys.guest, .is_trusted = true},
                             stranger = {.link = &other};
    char place[P2P_ACCESS_PLACE_MAX];

    assert_int_equal(p2p_links_add(dir, &row), P2P_OK);
    assert_int_equal(p2p_grants_read(dir, true, &access), P2P_OK);
    assert_true(p2p_access_may_enter(access, &guest));
    assert_false(p2p_access_may_enter(access, &stranger));
    assert_false(p2p_access_may_all(access, &guest));
    for (size_t i = 0; i < sizeof(seen) / sizeof(seen[0]); i++) {
        assert_true(p2p_access_may(access, &guest, seen[i]));
        assert_false(p2p_access_may(access, &stranger, seen[i]));
    }
    for (size_t i = 0; i < sizeof(hidden) / sizeof(hidden[0]); i++)
        assert_false(p2p_access_may(access, &guest, hidden[i]));
    /* What is skipped in a list is never more than what is hidden. */
    p2p_access_skip(access, &guest, "a.txt", place);
    assert_true(strcmp(place, "a.txt") > 0 && strcmp(place, "b.txt") < 0);
    p2p_access_skip(access, &guest, "b.txt2", place);
    assert_true(strcmp(place, "photo/z") > 0 && strcmp(place, "photos/") < 0);
    p2p_access_skip(access, &guest, "photos0", place);
    assert_true(strcmp(place, "zzz") > 0);
    p2p_access_put(access);
}

/* ---- what guests may still have ---- */

struct fixture {
    struct links *links;
    struct p2p_discovery *discovery;
    struct p2p_link_keys keys;
};

static void
on_guest(void *arg, int fd, const struct p2p_id *link, const struct p2p_guest_id *guest)
{
    (void)arg, (void)fd, (void)link, (void)guest;
    fail();
}

/* Nobody listens there, so no guest comes. */
static int
set_up(void **state)
{
    static const char *const urls[] = {"http://127.0.0.1:9"};
    struct fixture *f = calloc(1, sizeof(*f));
    struct links_options options = {.on_guest = on_guest};

    f->keys = keys_of(&secret);
    assert_int_equal(p2p_discovery_open(urls, 1, 1000, &f->discovery), P2P_OK);
    assert_int_equal(links_new(&options, &f->links), P2P_OK);
    *state = f;
    return 0;
}

static int
tear_down(void **state)
{
    struct fixture *f = *state;

    links_halt(f->links);
    links_free(f->links);
    p2p_discovery_close(f->discovery);
    free(f);
    return 0;
}

static struct links_entry
some_entry(const struct fixture *f)
{
    return (struct links_entry){.owner = 5,
                                .keys = f->keys,
                                .title = "photos",
                                .expires_s = p2p_time_s() + 3600,
                                .uses_left = 2,
                                .bytes_left = 100};
}

static void
a_use_is_a_guest_that_downloads(void **state)
{
    const struct p2p_guest_id one = {{1}}, two = {{2}}, three = {{3}};
    struct fixture *f = *state;
    struct links_entry entry = some_entry(f);
    const struct p2p_id *id = &f->keys.guest;
    struct links_counts counts;

    assert_int_equal(links_add(f->links, &entry), P2P_ERR_UNSUPPORTED);
    links_begin(f->links, f->discovery);
    assert_int_equal(links_add(f->links, &entry), P2P_OK);
    assert_int_equal(links_add(f->links, &entry), P2P_ERR_EXISTS);
    assert_int_equal(links_use(f->links, id, &one), P2P_OK);
    assert_int_equal(links_use(f->links, id, &one), P2P_OK);
    assert_int_equal(links_use(f->links, id, &two), P2P_OK);
    assert_int_equal(links_use(f->links, id, &three), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(links_spend(f->links, id, 60), P2P_OK);
    assert_int_equal(links_spend(f->links, id, 41), P2P_ERR_NOT_ALLOWED);
    assert_int_equal(links_spend(f->links, id, 40), P2P_OK);
    links_done(f->links, id, &one);
    links_done(f->links, id, &one);
    links_done(f->links, id, &three);
    assert_true(links_count(f->links, 5, &counts));
    assert_int_equal(counts.uses, 2);
    assert_int_equal(counts.done, 1);
    assert_false(links_count(f->links, 6, &counts));
}

static bool
has_no_offer(void *arg, uint32_t number)
{
    (void)arg;
    return number != 5;
}

/* Its offer was given up: its program was killed. */
static void
a_link_ends_with_its_offer(void **state)
{
    struct fixture *f = *state;
    struct links_options options = {.on_guest = on_guest, .has_offer = has_no_offer};
    struct links_entry entry = some_entry(f);
    struct links_counts counts;
    struct links *links;

    assert_int_equal(links_new(&options, &links), P2P_OK);
    links_begin(links, f->discovery);
    assert_int_equal(links_add(links, &entry), P2P_OK);
    entry.owner = LINKS_TABLE + 5; /* not of an offer */
    entry.keys.guest.b[0] ^= 1;
    assert_int_equal(links_add(links, &entry), P2P_OK);
    assert_true(links_sweep(links));
    assert_false(links_sweep(links));
    assert_false(links_count(links, 5, &counts));
    assert_true(links_count(links, LINKS_TABLE + 5, &counts));
    links_halt(links);
    links_free(links);
}

static void
a_link_ends(void **state)
{
    const struct p2p_guest_id one = {{1}};
    struct fixture *f = *state;
    struct links_entry entry = some_entry(f), found;
    const struct p2p_id *id = &f->keys.guest;

    links_begin(f->links, f->discovery);
    entry.expires_s = p2p_time_s();
    assert_int_equal(links_add(f->links, &entry), P2P_OK);
    assert_false(links_find(f->links, id, &found));
    assert_int_equal(links_use(f->links, id, &one), P2P_ERR_NOT_ALLOWED);
    assert_true(links_sweep(f->links));
    entry = some_entry(f);
    assert_int_equal(links_add(f->links, &entry), P2P_OK);
    assert_true(links_find(f->links, id, &found));
    assert_false(links_sweep(f->links));
    assert_true(links_remove(f->links, 5));
    assert_false(links_remove(f->links, 5));
    assert_false(links_find(f->links, id, &found));
    assert_false(links_find(NULL, id, &found));
}

static void
a_pin_is_guessed_five_times(void **state)
{
    struct fixture *f = *state;
    struct links_entry entry = some_entry(f);
    const struct p2p_id *id = &f->keys.guest;
    struct p2p_link_pin wrong = {{1}};

    entry.has_pin = true;
    assert_int_equal(p2p_link_pin_of(&f->keys, "2468", &entry.pin), P2P_OK);
    links_begin(f->links, f->discovery);
    assert_int_equal(links_add(f->links, &entry), P2P_OK);
    assert_int_equal(links_check_pin(f->links, id, &wrong), P2P_ERR_AUTH);
    assert_int_equal(links_check_pin(f->links, id, &entry.pin), P2P_OK);
    for (int i = 0; i < LINKS_WRONG_MAX; i++)
        assert_int_equal(links_check_pin(f->links, id, &wrong), P2P_ERR_AUTH);
    assert_int_equal(links_check_pin(f->links, id, &entry.pin), P2P_ERR_RATE_LIMITED);
}

int
main(void)
{
#define WITH_SCRATCH(test) \
    cmocka_unit_test_setup_teardown(test, make_scratch, remove_scratch)
#define WITH_LINKS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_have_known_answers),
        cmocka_unit_test(a_link_as_text),
        cmocka_unit_test(a_link_is_pasted),
        cmocka_unit_test(a_device_is_one_guest_of_each_link),
        cmocka_unit_test(a_call_arrives_as_it_was_sent),
        cmocka_unit_test(no_other_call_is_taken),
        cmocka_unit_test(a_value_has_one_line),
        cmocka_unit_test(an_answer_is_for_one_call),
        cmocka_unit_test(an_answer_is_read_by_its_caller),
        cmocka_unit_test(an_answer_is_signed_by_its_peer),
        cmocka_unit_test(a_welcome_is_read),
        cmocka_unit_test(frames_have_a_length),
        WITH_SCRATCH(a_row_is_read_as_it_was_written),
        WITH_SCRATCH(there_are_not_too_many),
        WITH_SCRATCH(a_guest_sees_its_link_alone),
        WITH_LINKS(a_use_is_a_guest_that_downloads),
        WITH_LINKS(a_link_ends),
        WITH_LINKS(a_link_ends_with_its_offer),
        WITH_LINKS(a_pin_is_guessed_five_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
