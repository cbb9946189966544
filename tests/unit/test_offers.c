// uses p2p-peer
/* Offers of p2p-peer: who sees which files, and when they end. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#include "keys_fixture.h"
#include "p2p/bytes.h"
#include "p2p/tree.h"
#include "peer/access/access.h"
#include "peer/control.h"
#include "peer/control_offers.h"

static const struct p2p_id alice = {{1}}, bob = {{2}};

struct world {
    struct offers *offers;
    struct control_view view;
};

static int
set_up(void **state)
{
    static struct world w;

    *state = &w;
    if (offers_new(&w.offers) != P2P_OK)
        return 1;
    w.view = (struct control_view){.offers = w.offers};
    return 0;
}

static int
tear_down(void **state)
{
    struct world *w = *state;

    offers_free(w->offers);
    return 0;
}

static int
memory_file(const void *data, size_t len)
{
    int fd = memfd_create("file", MFD_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    return fd;
}

/* One small file: its root is its SHA-256. */
static struct p2p_digest
root_of(const char *text)
{
    struct p2p_digest root;

    assert_int_equal(p2p_sha256(text, strlen(text), &root), P2P_OK);
    return root;
}

static enum p2p_err
add(struct world *w, uint32_t number, const char *name, const char *text)
{
    struct offers_file file = {.name = name, .fd = -1};

    if (text == NULL)
        return offers_add(w->offers, number, &file);
    file.fd = memory_file(text, strlen(text));
    assert_int_equal(fstat(file.fd, &file.hashed), 0);
    assert_int_equal(p2p_chunks_init(&file.entry.geometry, strlen(text), 16384),
                     P2P_OK);
    file.entry.root = root_of(text);
    file.layer = malloc(sizeof(*file.layer));
    file.layer[0] = file.entry.root;
    enum p2p_err err = offers_add(w->offers, number, &file);
    free(file.layer);
    close(file.fd);
    return err;
}

static void
only_the_receiver_sees_an_offer(void **state)
{
    struct world *w = *state;
    struct p2p_share_entry entry, list[8];
    struct p2p_share_file *file;
    struct p2p_digest root = root_of("hello"), layer;
    char bytes[5];

    assert_int_equal(offers_begin(w->offers, 7), P2P_OK);
    assert_int_equal(offers_begin(w->offers, 7), P2P_ERR_EXISTS);
    assert_int_equal(add(w, 7, "b.txt", "hello"), P2P_OK);
    assert_int_equal(add(w, 7, "a/x.txt", "world"), P2P_OK);
    assert_int_equal(add(w, 7, "a/empty/", NULL), P2P_OK);
    assert_false(offers_has(w->offers, &alice));
    assert_int_equal(offers_open(w->offers, 7, &alice), P2P_OK);
    assert_int_equal(add(w, 7, "late.txt", "late"), P2P_ERR_NOT_FOUND);

    assert_true(offers_has(w->offers, &alice));
    assert_int_equal(offers_find_name(w->offers, &alice, "sent-00000007/b.txt", &entry),
                     P2P_OK);
    assert_memory_equal(&entry.root, &root, sizeof(root));
    assert_int_equal(offers_find_root(w->offers, &alice, &root, &entry), P2P_OK);
    assert_string_equal(entry.name, "sent-00000007/b.txt");
    assert_int_equal(offers_layer(w->offers, &alice, &root, 0, 1, &layer), P2P_OK);
    assert_memory_equal(&layer, &root, sizeof(root));
    assert_int_equal(offers_layer(w->offers, &alice, &root, 0, 2, &layer),
                     P2P_ERR_RANGE);
    assert_int_equal(offers_file_open(w->offers, &alice, &root, &file), P2P_OK);
    assert_int_equal(offers_list(w->offers, &alice, "", list, 8), 3);
    assert_string_equal(list[0].name, "sent-00000007/a/empty/");
    assert_string_equal(list[1].name, "sent-00000007/a/x.txt");
    assert_int_equal(offers_list(w->offers, &alice, list[1].name, list, 8), 1);
    assert_int_equal(offers_list(w->offers, &alice, "", list, 2), 2);

    /* For everybody else it does not exist. */
    assert_false(offers_has(w->offers, &bob));
    assert_false(offers_has(w->offers, NULL));
    assert_int_equal(offers_find_name(w->offers, &bob, "sent-00000007/b.txt", &entry),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(offers_find_root(w->offers, &bob, &root, &entry),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(offers_layer(w->offers, &bob, &root, 0, 1, &layer),
                     P2P_ERR_NOT_FOUND);
    struct p2p_share_file *none;
    assert_int_equal(offers_file_open(w->offers, &bob, &root, &none),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(offers_list(w->offers, &bob, "", list, 8), 0);

    /* An open file outlives the offer; nothing else does. */
    assert_true(offers_end(w->offers, 7));
    assert_false(offers_end(w->offers, 7));
    assert_int_equal(p2p_share_file_read(file, 0, bytes, 5), P2P_OK);
    assert_memory_equal(bytes, "hello", 5);
    p2p_share_file_close(file);
    assert_int_equal(offers_find_root(w->offers, &alice, &root, &entry),
                     P2P_ERR_NOT_FOUND);
    assert_int_equal(offers_renew(w->offers, 7), P2P_ERR_NOT_FOUND);
}

static void
names_are_checked(void **state)
{
    static const char *const wrong[] = {"../a", "a//b",   ".hidden", "a\nb",
                                        "/a",   "a/../b", ""};
    struct world *w = *state;

    assert_int_equal(offers_begin(w->offers, 1), P2P_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_not_equal(add(w, 1, wrong[i], "x"), P2P_OK);
    assert_int_equal(add(w, 2, "a", "x"), P2P_ERR_NOT_FOUND);
}

static void
their_number_has_a_limit(void **state)
{
    struct world *w = *state;

    for (uint32_t i = 0; i < OFFERS_MAX; i++)
        assert_int_equal(offers_begin(w->offers, i), P2P_OK);
    assert_int_equal(offers_begin(w->offers, OFFERS_MAX), P2P_ERR_TOO_LARGE);
    for (unsigned i = 0; i < OFFERS_RECEIVERS_MAX; i++) {
        struct p2p_id id = {{(uint8_t)i}};
        assert_int_equal(offers_open(w->offers, 0, &id), P2P_OK);
        assert_int_equal(offers_open(w->offers, 0, &id), P2P_OK);
    }
    struct p2p_id last = {{255, 255}};
    assert_int_equal(offers_open(w->offers, 0, &last), P2P_ERR_TOO_LARGE);
}

/* ---- what arrives at the control socket ---- */

static enum p2p_err
offer_file(struct world *w, const char *name, const struct p2p_digest *root, int file,
           int layer, const char *mtime_ns)
{
    cJSON *request = cJSON_CreateObject(), *answer = cJSON_CreateObject();
    const int files[] = {file, layer};
    char hex[2 * P2P_DIGEST_LEN + 1], own[P2P_U64_TEXT_MAX], why[256];
    struct stat st;

    assert_int_equal(fstat(file, &st), 0);
    p2p_u64_format(
        (uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec, own);
    p2p_hex_format(root->b, sizeof(root->b), hex);
    cJSON_AddStringToObject(request, "offer", "00000007");
    cJSON_AddStringToObject(request, "name", name);
    cJSON_AddStringToObject(request, "mtime_ns", mtime_ns != NULL ? mtime_ns : own);
    cJSON_AddNumberToObject(request, "chunk_size", 16384);
    cJSON_AddStringToObject(request, "root", hex);
    cJSON_AddStringToObject(request, "sha256", hex);
    enum p2p_err err =
        control_offer_file(&w->view, request, files, 2, answer, why, sizeof(why));
    cJSON_Delete(request);
    cJSON_Delete(answer);
    return err;
}

static void
what_is_handed_over_is_checked(void **state)
{
    struct world *w = *state;
    struct p2p_digest root = root_of("hello"), other = root_of("other");
    int file = memory_file("hello", 5), layer = memory_file(root.b, sizeof(root.b));
    int wrong_layer = memory_file(other.b, sizeof(other.b));
    int no_layer = memory_file("", 0), folder = open("/tmp", O_RDONLY | O_CLOEXEC);

    assert_int_equal(offers_begin(w->offers, 7), P2P_OK);
    assert_int_equal(offer_file(w, "a", &root, file, layer, NULL), P2P_OK);
    assert_int_equal(offer_file(w, "b", &root, file, wrong_layer, NULL),
                     P2P_ERR_HASH_MISMATCH);
    assert_int_equal(offer_file(w, "b", &other, file, layer, NULL),
                     P2P_ERR_HASH_MISMATCH);
    assert_int_equal(offer_file(w, "b", &root, file, no_layer, NULL),
                     P2P_ERR_MALFORMED);
    assert_int_equal(offer_file(w, "b", &root, folder, layer, NULL), P2P_ERR_USAGE);
    assert_int_equal(offer_file(w, "b", &root, file, layer, "1"), P2P_ERR_FILE_CHANGED);
    assert_int_equal(offer_file(w, "b", &root, file, layer, "x"), P2P_ERR_MALFORMED);
    assert_int_equal(offer_file(w, "../b", &root, file, layer, NULL), P2P_ERR_NAME);
    close(file);
    close(layer);
    close(wrong_layer);
    close(no_layer);
    close(folder);
}

static void
a_file_that_changes_is_not_served(void **state)
{
    struct world *w = *state;
    struct p2p_digest root = root_of("hello");
    int file = memory_file("hello", 5), layer = memory_file(root.b, sizeof(root.b));
    struct p2p_share_file *open_file;

    assert_int_equal(offers_begin(w->offers, 7), P2P_OK);
    assert_int_equal(offer_file(w, "a", &root, file, layer, NULL), P2P_OK);
    assert_int_equal(offers_open(w->offers, 7, &alice), P2P_OK);
    assert_int_equal(pwrite(file, "world!", 6, 0), 6);
    assert_int_equal(offers_file_open(w->offers, &alice, &root, &open_file),
                     P2P_ERR_FILE_CHANGED);
    close(file);
    close(layer);
}

/* ---- who may connect ---- */

static struct access_standing
standing(struct p2p_identity *identity, const char *keys_dir, struct offers *offers,
         bool trusted_only, const struct p2p_id *id)
{
    const struct access_options options = {.identity = identity,
                                           .keys_dir = keys_dir,
                                           .offers = offers,
                                           .trusted_only = trusted_only};
    struct access_standing out;
    struct access *access;

    assert_int_equal(access_open(&options, &access), P2P_OK);
    access_look(access, id, &out);
    access_close(access);
    return out;
}

/* An offer opens the door for its receiver: for this offer, and not for a blocked one.
 */
static void
an_offer_lets_its_receiver_in(void **state)
{
    struct keys *k = *state;
    struct access_standing s;
    struct offers *offers;

    assert_int_equal(offers_new(&offers), P2P_OK);
    assert_int_equal(offers_begin(offers, 7), P2P_OK);
    s = standing(k->identity, k->dir, offers, false, &alice);
    assert_true(!s.refused && s.refused_outside && !s.is_guest);
    s = standing(k->identity, k->dir, offers, true, &alice);
    assert_true(s.refused && s.refused_outside);

    assert_int_equal(offers_open(offers, 7, &alice), P2P_OK);
    s = standing(k->identity, k->dir, offers, false, &alice);
    assert_true(!s.refused && !s.refused_outside && !s.is_guest && !s.is_trusted);
    /* Without the offer it would not be let in at all, so it sees nothing else. */
    s = standing(k->identity, k->dir, offers, true, &alice);
    assert_true(!s.refused && !s.refused_outside && s.is_guest && !s.is_trusted);
    s = standing(k->identity, k->dir, offers, true, &bob);
    assert_true(s.refused && s.refused_outside);

    assert_int_equal(p2p_known_set(k->identity, &alice, P2P_TRUST_BLOCKED, NULL, NULL),
                     P2P_OK);
    s = standing(k->identity, k->dir, offers, false, &alice);
    assert_true(s.refused && s.refused_outside && !s.is_guest);
    assert_int_equal(p2p_known_set(k->identity, &alice, P2P_TRUST_TRUSTED, NULL, NULL),
                     P2P_OK);
    s = standing(k->identity, k->dir, offers, true, &alice);
    assert_true(!s.refused && s.is_trusted && !s.is_guest);
    offers_free(offers);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(only_the_receiver_sees_an_offer),
        T(names_are_checked),
        T(their_number_has_a_limit),
        T(what_is_handed_over_is_checked),
        T(a_file_that_changes_is_not_served),
        cmocka_unit_test_setup_teardown(an_offer_lets_its_receiver_in, keys_setup,
                                        keys_teardown),
    };

    return p2p_crypto_init() == P2P_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
