// uses p2p-ui
/* What p2p-ui remembers across a restart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "scratch.h"
#include "ui/transfers/transfer.h"
#include "ui/transfers/transfer_store.h"

static struct scratch scratch;
static struct p2p_root *downloads;
static struct ui_store *store;

static void
open_store(void)
{
    struct stat st;

    if (stat(scratch_path(&scratch, "keys"), &st) != 0) {
        scratch_folder(&scratch, "keys");
        scratch_folder(&scratch, "downloads");
    }
    assert_int_equal(
        p2p_root_open(scratch_path(&scratch, "downloads"), true, 0755, &downloads),
        P2P_OK);
    assert_int_equal(ui_store_open(downloads, scratch_path(&scratch, "keys"), &store),
                     P2P_OK);
}

static void
close_store(void)
{
    ui_store_close(store);
    p2p_root_close(downloads);
    store = NULL;
    downloads = NULL;
}

static int
set_up(void **state)
{
    (void)state;
    scratch_make(&scratch);
    open_store();
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    close_store();
    scratch_remove(&scratch);
    return 0;
}

static struct ui_transfer *
make_transfer(const char *filename)
{
    struct ui_transfer *t = ui_transfer_new();
    struct ui_source sources[2] = {
        {.addr = {.host = "192.0.2.1", .port = 9000}, .id_known = true},
        {.addr = {.host = "2001:db8::1", .port = 9001}, .id_known = false},
    };

    assert_non_null(t);
    memset(sources[0].id.b, 0xab, sizeof(sources[0].id.b));
    snprintf(t->filename, sizeof(t->filename), "%s", filename);
    assert_int_equal(ui_transfer_set_sources(t, sources, 2), P2P_OK);
    return t;
}

struct loaded {
    struct ui_transfer *at[4];
    size_t count;
};

static void
keep(void *arg, struct ui_transfer *t)
{
    struct loaded *l = arg;

    assert_true(l->count < 4);
    l->at[l->count++] = t;
}

static void
free_loaded(struct loaded *l)
{
    while (l->count > 0)
        ui_transfer_free(l->at[--l->count]);
}

static void
a_transfer_comes_back_whole(void **state)
{
    struct ui_transfer *t = make_transfer("dir/a \"name\"'; -- \xf0\x9f\x98\x80");
    struct loaded l = {.count = 0};
    const struct ui_transfer *u;

    (void)state;
    memset(t->root.b, 1, sizeof(t->root.b));
    t->root_known = true;
    t->size = 1ull << 49;
    t->size_known = true;
    t->state = UI_FAILED;
    t->priority = UI_HIGH;
    t->place = 7;
    t->limit_rate = 12345;
    t->is_auto = true;
    t->verified = 99;
    t->error = P2P_ERR_KEY_CHANGED;
    snprintf(t->message, sizeof(t->message), "why");
    t->finished_s = 5;
    t->retry_at_s = 6;
    t->attempts = 3;
    ui_store_put_transfer(store, t);
    close_store();
    open_store();
    ui_store_load_transfers(store, keep, &l);
    assert_int_equal(l.count, 1);
    u = l.at[0];
    assert_string_equal(u->id, t->id);
    assert_string_equal(u->filename, t->filename);
    assert_true(u->root_known && u->size_known && u->is_auto && !u->sha256_known);
    assert_memory_equal(u->root.b, t->root.b, sizeof(t->root.b));
    assert_int_equal(u->size, 1ull << 49);
    assert_int_equal(u->state, UI_FAILED);
    assert_int_equal(u->priority, UI_HIGH);
    assert_int_equal(u->place, 7);
    assert_int_equal(u->limit_rate, 12345);
    assert_int_equal(u->verified, 99);
    assert_int_equal(u->error, P2P_ERR_KEY_CHANGED);
    assert_string_equal(u->message, "why");
    assert_int_equal(u->finished_s, 5);
    assert_int_equal(u->retry_at_s, 6);
    assert_int_equal(u->attempts, 3);
    assert_int_equal(u->created_s, t->created_s);
    assert_int_equal(u->source_count, 2);
    assert_string_equal(u->sources[0].addr.host, "192.0.2.1");
    assert_true(u->sources[0].id_known);
    assert_memory_equal(u->sources[0].id.b, t->sources[0].id.b, 32);
    assert_string_equal(u->sources[1].addr.host, "2001:db8::1");
    assert_int_equal(u->sources[1].addr.port, 9001);
    assert_false(u->sources[1].id_known);
    ui_transfer_free(t);
    free_loaded(&l);
}

static void
changes_replace_and_removal_removes(void **state)
{
    struct ui_transfer *a = make_transfer("a"), *b = make_transfer("b");
    struct loaded l = {.count = 0};

    (void)state;
    a->created_s = 1;
    b->created_s = 2;
    ui_store_put_transfer(store, b);
    ui_store_put_transfer(store, a);
    a->state = UI_PAUSED;
    ui_store_put_transfer(store, a);
    ui_store_load_transfers(store, keep, &l);
    assert_int_equal(l.count, 2);
    assert_string_equal(l.at[0]->filename, "a");
    assert_int_equal(l.at[0]->state, UI_PAUSED);
    free_loaded(&l);
    ui_store_remove_transfer(store, a->id);
    ui_store_load_transfers(store, keep, &l);
    assert_int_equal(l.count, 1);
    assert_string_equal(l.at[0]->filename, "b");
    free_loaded(&l);
    ui_transfer_free(a);
    ui_transfer_free(b);
}

static void
settings_are_kept(void **state)
{
    char text[32];

    (void)state;
    ui_store_get_setting(store, "name", text, sizeof(text));
    assert_string_equal(text, "");
    ui_store_put_setting(store, "name", "first");
    ui_store_put_setting(store, "name", "second");
    close_store();
    open_store();
    ui_store_get_setting(store, "name", text, sizeof(text));
    assert_string_equal(text, "second");
}

static void
count_note(void *arg, const struct ui_note *note)
{
    size_t *count = arg;

    assert_string_equal(note->key, "key");
    assert_string_equal(note->value, "value 2");
    assert_int_equal(note->time_s, 9);
    (*count)++;
}

static void
notes_are_kept_by_kind_and_key(void **state)
{
    size_t count = 0;

    (void)state;
    ui_store_put_note(store, &(struct ui_note){"peer", "key", "value 1", 8});
    ui_store_put_note(store, &(struct ui_note){"peer", "key", "value 2", 9});
    ui_store_put_note(store, &(struct ui_note){"trash-shared", "other", "x", 1});
    ui_store_load_notes(store, "peer", count_note, &count);
    assert_int_equal(count, 1);
    ui_store_remove_note(store, "peer", "key");
    ui_store_load_notes(store, "peer", count_note, &count);
    assert_int_equal(count, 1);
}

static void
one_program_at_a_time(void **state)
{
    struct ui_store *second = NULL;

    (void)state;
    assert_int_equal(ui_store_open(downloads, scratch_path(&scratch, "keys"), &second),
                     P2P_ERR_BUSY);
    assert_null(second);
}

/* The only file in `keys`, below the scratch folder, whose name ends in `end`; "":
 * there is none. */
static const char *
stored_file(const char *end)
{
    static char name[512];
    DIR *dir = opendir(scratch_path(&scratch, "keys"));
    const struct dirent *entry;
    size_t len = strlen(end);

    name[0] = '\0';
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL)
        if (strlen(entry->d_name) > len &&
            strcmp(entry->d_name + strlen(entry->d_name) - len, end) == 0)
            snprintf(name, sizeof(name), "keys/%s", entry->d_name);
    closedir(dir);
    return name;
}

static void
a_damaged_file_is_set_aside(void **state)
{
    struct loaded l = {.count = 0};
    struct ui_transfer *t = make_transfer("new");

    (void)state;
    close_store();
    assert_string_not_equal(stored_file(".db"), "");
    scratch_put(&scratch, stored_file(".db"), "not a database at all, but long enough");
    open_store();
    assert_string_not_equal(stored_file(".db.damaged"), "");
    ui_store_put_transfer(store, t);
    ui_store_load_transfers(store, keep, &l);
    assert_int_equal(l.count, 1);
    free_loaded(&l);
    ui_transfer_free(t);
}

/* The place where an older version kept it. */
static void
move_to_the_old_place(void)
{
    char from[PATH_MAX];

    snprintf(from, sizeof(from), "%s", scratch_path(&scratch, stored_file(".db")));
    assert_int_equal(
        rename(from, scratch_path(&scratch, "downloads/.p2p/transfers.db")), 0);
}

static void
the_list_of_an_older_version_is_taken_over(void **state)
{
    struct loaded l = {.count = 0};
    struct ui_transfer *t = make_transfer("old");

    (void)state;
    ui_store_put_transfer(store, t);
    ui_transfer_free(t);
    close_store();
    move_to_the_old_place();
    open_store();
    ui_store_load_transfers(store, keep, &l);
    assert_int_equal(l.count, 1);
    free_loaded(&l);
    assert_true(scratch_has(&scratch, "downloads/.p2p/transfers.db.moved"));
    assert_false(scratch_has(&scratch, "downloads/.p2p/transfers.db"));
}

static void
a_damaged_list_of_an_older_version_is_set_aside(void **state)
{
    struct loaded l = {.count = 0};
    struct ui_transfer *t = make_transfer("new");

    (void)state;
    close_store();
    move_to_the_old_place();
    scratch_put(&scratch, "downloads/.p2p/transfers.db",
                "not a database at all, but long enough");
    open_store();
    assert_true(scratch_has(&scratch, "downloads/.p2p/transfers.db.damaged"));
    ui_store_put_transfer(store, t);
    ui_store_load_transfers(store, keep, &l);
    assert_int_equal(l.count, 1);
    free_loaded(&l);
    ui_transfer_free(t);
}

static void
percent_is_whole_only_when_complete(void **state)
{
    struct ui_transfer *t = make_transfer("x");

    (void)state;
    assert_int_equal(ui_transfer_percent(t), 0);
    t->size_known = true;
    assert_int_equal(ui_transfer_percent(t), 0);
    t->size = 50;
    t->verified = 25;
    assert_int_equal(ui_transfer_percent(t), 50);
    t->verified = 50;
    assert_int_equal(ui_transfer_percent(t), 99);
    t->size = t->verified = P2P_FILE_SIZE_MAX;
    assert_int_equal(ui_transfer_percent(t), 99);
    t->state = UI_COMPLETED;
    assert_int_equal(ui_transfer_percent(t), 100);
    ui_transfer_free(t);
}

/* Every error of the core has a sentence, and a code that the document lists. */
static void
failures_are_explained(void **state)
{
    static const char codes[] =
        " peer_offline not_allowed no_source not_found key_changed blocked "
        "hash_mismatch file_changed "
        "disk_full quota no_inodes folder_away file_too_big "
        "read_only target_name in_the_way other_disk no_seek disk_too_small "
        "permission timeout protocol internal ";
    char word[40];

    (void)state;
    for (int i = 1; i < P2P_ERR_COUNT; i++) {
        snprintf(word, sizeof(word), " %s ", ui_error_code((enum p2p_err)i));
        assert_non_null(strstr(codes, word));
        assert_true(strlen(ui_error_advice((enum p2p_err)i)) > 5);
    }
    assert_string_equal(ui_error_code(P2P_ERR_UNREACHABLE), "peer_offline");
    assert_string_equal(ui_error_code(P2P_ERR_DISK_FULL), "disk_full");
    assert_string_equal(ui_error_code(P2P_ERR_KEY_CHANGED), "key_changed");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
        TEST(a_transfer_comes_back_whole),
        TEST(changes_replace_and_removal_removes),
        TEST(settings_are_kept),
        TEST(notes_are_kept_by_kind_and_key),
        TEST(one_program_at_a_time),
        TEST(a_damaged_file_is_set_aside),
        TEST(the_list_of_an_older_version_is_taken_over),
        TEST(a_damaged_list_of_an_older_version_is_set_aside),
        TEST(percent_is_whole_only_when_complete),
        TEST(failures_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
