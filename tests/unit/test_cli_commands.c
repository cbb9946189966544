// uses p2p
/* Every command of p2p: the arguments that it takes and refuses, and where the message
 * goes. No test connects to another program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <cjson/cJSON.h>

#include "cli/commands/commands.h"
#include "cli/get/get.h"
#include "cli/machine/daemons.h"
#include "cli/machine/dashboard.h"
#include "cli/machine/shared.h"
#include "cli/send/link.h"
#include "cli/send/place.h"
#include "keys_fixture.h"
#include "p2p/path.h"
#include "p2p/versions.h"

enum { TEXT_MAX = 16384, WORDS_MAX = 16 };

static struct scratch scratch;
static char out[TEXT_MAX], err[TEXT_MAX];

/* ---- what a command prints ---- */

static int
divert(FILE *stream, int *saved)
{
    FILE *file = tmpfile();
    int fd;

    assert_non_null(file);
    fflush(stream);
    *saved = dup(fileno(stream));
    fd = dup(fileno(file));
    fclose(file);
    assert_true(dup2(fd, fileno(stream)) >= 0);
    return fd;
}

static void
restore(FILE *stream, int saved, int fd, char text[TEXT_MAX])
{
    ssize_t n;

    fflush(stream);
    n = pread(fd, text, TEXT_MAX - 1, 0);
    assert_true(n >= 0);
    text[n] = '\0';
    close(fd);
    dup2(saved, fileno(stream));
    close(saved);
}

/* Runs `command`, whose name is the first word, as main does: in a separate process,
 * because a command can run only once. */
static int
run(int (*command)(int argc, char **argv), const char *words)
{
    char text[512], *argv[WORDS_MAX + 1] = {NULL}, *save = NULL;
    pid_t pid;
    int argc = 0, status = 0, out_saved, err_saved, out_fd, err_fd;

    snprintf(text, sizeof(text), "%s", words);
    for (char *w = strtok_r(text, " ", &save); w != NULL && argc < WORDS_MAX;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    out_fd = divert(stdout, &out_saved);
    err_fd = divert(stderr, &err_saved);
    if ((pid = fork()) == 0) {
        status = command(argc, argv);
        fflush(NULL);
        _exit(status);
    }
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status));
    restore(stderr, err_saved, err_fd, err);
    restore(stdout, out_saved, out_fd, out);
    return WEXITSTATUS(status);
}

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *wrong; /* arguments that the command does not take */
} commands[] = {
    {"get", cmd_get, ""},
    {"send", cmd_send, ""},
    {"receive", cmd_receive, ""},
    {"search", cmd_search, ""},
    {"peers", cmd_peers, "nonsense"},
    {"ls", cmd_ls, ""},
    {"status", cmd_status, "nonsense"},
    {"id", cmd_id, "nonsense"},
    {"key", cmd_key, "nonsense"},
    {"ui", cmd_ui, "nonsense"},
    {"token", cmd_token, "nonsense"},
    {"folder", cmd_folder, "nonsense"},
    {"share", cmd_share, "nonsense"},
    {"history", cmd_history, ""},
    {"restore", cmd_restore, ""},
    {"versions", cmd_versions, "nonsense"},
    {"mirror", cmd_mirror, "nonsense"},
    {"keeper", cmd_keeper, "nonsense"},
    {"unfinished", cmd_unfinished, "nonsense"},
    {"init", cmd_init, "nonsense"},
    {"inbox", cmd_inbox, "nonsense"},
    {"link", cmd_link, "nonsense"},
    {"config", cmd_config, "nonsense"},
    {"doctor", cmd_doctor, "one two"},
    {"complete", cmd_complete, "nonsense"},
};
enum { COUNT = sizeof(commands) / sizeof(commands[0]) };

static void
help_goes_to_stdout(void **state)
{
    char words[64];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(words, sizeof(words), "%s --help", commands[i].name);
        assert_int_equal(run(commands[i].run, words), 0);
        assert_non_null(strstr(out, commands[i].name));
        assert_non_null(strstr(out, "--help"));
        assert_string_equal(err, "");
    }
}

static void
wrong_arguments_are_refused(void **state)
{
    char words[64];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        snprintf(words, sizeof(words), "%s %s", commands[i].name, commands[i].wrong);
        if (run(commands[i].run, words) != 2)
            fail_msg("%s was taken: %s%s", words, out, err);
        assert_string_equal(out, "");
        assert_string_not_equal(err, "");
    }
}

static void
unknown_options_are_refused(void **state)
{
    static const char *const options[] = {"--no-such-option", "--keys-dir", "--=1"};
    char words[64];

    (void)state;
    for (int i = 0; i < COUNT; i++) {
        for (size_t k = 0; k < sizeof(options) / sizeof(options[0]); k++) {
            snprintf(words, sizeof(words), "%s %s", commands[i].name, options[k]);
            if (run(commands[i].run, words) != 2)
                fail_msg("%s was taken: %s%s", words, out, err);
            assert_string_equal(out, "");
            assert_string_not_equal(err, "");
        }
    }
}

static void
an_identity_is_made_and_shown(void **state)
{
    char words[300], id[65] = "";

    (void)state;
    snprintf(words, sizeof(words), "id --keys-dir %s",
             scratch_path(&scratch, "new-keys"));
    assert_int_equal(run(cmd_id, words), 0);
    assert_int_equal(sscanf(out, "%64[0-9a-f]", id), 1);
    assert_int_equal(strlen(id), 64);
    assert_int_equal(run(cmd_id, words), 0);
    assert_memory_equal(out, id, 64); /* the same one */
}

static void
a_peer_that_is_not_there_cannot_be_listed(void **state)
{
    char words[300];

    (void)state;
    snprintf(words, sizeof(words),
             "ls 127.0.0.1:1 --no-mdns --discovery none --keys-dir %s",
             scratch_path(&scratch, "keys"));
    assert_int_equal(run(cmd_ls, words), 4);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "127.0.0.1:1"));
}

#define KNOWN "ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34ab12cd34"

static void
known_peers_are_offered_to_the_shell(void **state)
{
    const char *keys = scratch_path(&scratch, "tab");
    char words[400];

    (void)state;
    snprintf(words, sizeof(words), "complete peers --discovery none --keys-dir %s",
             keys);
    assert_int_equal(run(cmd_complete, words), 0);
    assert_string_equal(out, "");
    assert_int_not_equal(access(keys, F_OK), 0); /* a Tab makes no identity */

    snprintf(words, sizeof(words), "peers trust %s --discovery none --keys-dir %s",
             KNOWN, keys);
    assert_int_equal(run(cmd_peers, words), 0);
    snprintf(words, sizeof(words), "complete peers ab1 --discovery none --keys-dir %s",
             keys);
    assert_int_equal(run(cmd_complete, words), 0);
    assert_string_equal(out, "ab12cd34ab12cd34\n");
    snprintf(words, sizeof(words), "complete peers cd --discovery none --keys-dir %s",
             keys);
    assert_int_equal(run(cmd_complete, words), 0);
    assert_string_equal(out, "");
}

/* Runs `p2p complete WORDS` with two shared folders and returns what it offers. */
static const char *
offered(const char *words)
{
    char all[500];

    snprintf(all, sizeof(all),
             "complete %s --discovery none --keys-dir %s --output-dir %s "
             "--shared-dir %s --shared-dir Pictures=%s",
             words, scratch_path(&scratch, "own"), scratch.dir,
             scratch_path(&scratch, "bare"), scratch_path(&scratch, "pictures"));
    assert_int_equal(run(cmd_complete, all), 0);
    assert_string_equal(err, "");
    return out;
}

/* A file that was in the folder, and that `p2p restore` can bring back. */
static void
delete_file(const char *folder, const char *name)
{
    struct p2p_versions *versions = NULL;
    struct p2p_root *root = NULL;

    assert_int_equal(p2p_root_open(folder, false, 0755, &root), P2P_OK);
    assert_int_equal(p2p_versions_open(root, &versions), P2P_OK);
    assert_int_equal(p2p_mailbox_take(root, name, NULL), P2P_OK);
    assert_int_equal(p2p_versions_settle(versions, UINT64_MAX), P2P_OK);
    p2p_versions_close(versions);
    p2p_root_close(root);
}

static void
names_of_this_machine_are_offered_to_the_shell(void **state)
{
    static const char *const files[] = {
        "bare/a.txt",     "bare/.hidden",       "bare/gone.txt",     "bare/sub/b.txt",
        "pictures/c.jpg", "pictures/sub/d.jpg", "outside/secret.txt"};
    static const char *const folders[] = {"bare", "bare/sub", "pictures",
                                          "pictures/sub", "outside"};
    char path[500];

    (void)state;
    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        assert_int_equal(mkdir(scratch_path(&scratch, folders[i]), 0700), 0);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        scratch_put(&scratch, files[i], "text");
    assert_int_equal(symlink("a.txt", scratch_path(&scratch, "bare/link")), 0);
    delete_file(scratch_path(&scratch, "bare"), "gone.txt");

    assert_string_equal(offered("shared a"), "a.txt\n");
    assert_string_equal(offered("shared l"), "");
    assert_string_equal(offered("shared ."), "");
    assert_string_equal(offered("shared s"), "sub/\n");
    assert_string_equal(offered("shared sub/"), "sub/b.txt\n");
    assert_string_equal(offered("shared Pic"), "Pictures/\n");
    assert_string_equal(offered("shared Pictures/c"), "Pictures/c.jpg\n");
    assert_string_equal(offered("shared Pictures/sub/"), "Pictures/sub/d.jpg\n");
    assert_string_equal(offered("shared ../outside/"), "");
    assert_string_equal(offered("shared Pictures/../outside/"), "");
    assert_string_equal(offered("shared /"), "");
    assert_string_equal(offered("deleted"), "gone.txt\n");
    assert_string_equal(offered("deleted a"), "");
    assert_string_equal(offered("folders Pic"), "Pictures\n");
    snprintf(path, sizeof(path), "%s\nPictures\n", scratch_path(&scratch, "bare"));
    assert_string_equal(offered("folders"), path);
    assert_string_equal(offered("mirrors"), "");
    assert_string_equal(offered("unfinished"), "");
    assert_string_equal(offered("settings heartb"), "heartbeat\n");
    assert_string_equal(offered("settings nothing"), "");
    assert_int_not_equal(access(scratch_path(&scratch, "own"), F_OK), 0);
}

static void
folders_become_private_and_public(void **state)
{
    const char *keys = scratch_path(&scratch, "grants");
    char words[500];

    (void)state;
    snprintf(
        words, sizeof(words),
        "folder private photos/ --allow %s --discovery none --no-mdns --keys-dir %s",
        KNOWN, keys);
    assert_int_equal(run(cmd_folder, words), 0);
    snprintf(words, sizeof(words), "folder list --keys-dir %s", keys);
    assert_int_equal(run(cmd_folder, words), 0);
    assert_non_null(strstr(out, "photos/  ab12cd34"));
    snprintf(words, sizeof(words), "folder list --json --keys-dir %s", keys);
    assert_int_equal(run(cmd_folder, words), 0);
    assert_non_null(strstr(out, "\"" KNOWN "\""));
    snprintf(words, sizeof(words), "folder private ../x --keys-dir %s", keys);
    assert_int_equal(run(cmd_folder, words), 2);
    snprintf(words, sizeof(words), "folder public photos --allow %s --keys-dir %s",
             KNOWN, keys);
    assert_int_equal(run(cmd_folder, words), 2);
    snprintf(words, sizeof(words), "folder public photos --keys-dir %s", keys);
    assert_int_equal(run(cmd_folder, words), 0);
    snprintf(words, sizeof(words), "folder list --keys-dir %s", keys);
    assert_int_equal(run(cmd_folder, words), 0);
    assert_string_equal(out, "");
}

/* the functions that several commands use */

static void
sizes_and_times_are_short(void **state)
{
    char text[CLI_SHORT];

    (void)state;
    assert_string_equal(cli_size(0, text), "0 B");
    assert_string_equal(cli_size(999, text), "999 B");
    assert_string_equal(cli_size(1000, text), "1.0 kB");
    assert_string_equal(cli_size(1536000, text), "1.5 MB");
    assert_string_equal(cli_size(99960, text), "100 kB");
    assert_string_equal(cli_size(999999, text), "1.0 MB");
    assert_string_equal(cli_size((uint64_t)1 << 40, text), "1.1 TB");
    assert_string_equal(cli_size(UINT64_MAX, text), "18.4 EB");
    assert_true(strlen(cli_size(UINT64_MAX, text)) < CLI_SHORT);
    assert_string_equal(cli_duration(59, text), "0:59");
    assert_string_equal(cli_duration(3723, text), "1:02:03");
    assert_true(strlen(cli_duration(UINT64_MAX, text)) < CLI_SHORT);
    assert_true(strlen(cli_time(UINT64_MAX, text)) < CLI_SHORT);
}

static void
progress_names_the_file_and_drops_whole_fields(void **state)
{
    struct p2p_download_status s = {.state = P2P_DL_DOWNLOADING,
                                    .name = "films/a b.mkv",
                                    .size_known = true,
                                    .size = 1200000000,
                                    .verified = 540000000,
                                    .speed = 96000000,
                                    .eta_s = 7};
    char line[GET_LINE_MAX];

    (void)state;
    get_print_line(&s, 90, line);
    assert_string_equal(line, "a b.mkv   45%  [==========>             ]  "
                              "540 MB / 1.2 GB  96.0 MB/s  ETA 0:07  0 sources");
    get_print_line(&s, 79, line);
    assert_int_equal(strlen(line), 79);
    assert_non_null(strstr(line, ">"));
    get_print_line(&s, 44, line);
    assert_string_equal(line, "a b.mkv   45%  540 MB / 1.2 GB  96.0 MB/s");
    get_print_line(&s, 20, line);
    assert_string_equal(line, "a b.mkv   45%");
    strcpy(s.name, "a very long name indeed, with \xe6\x97\xa5.txt");
    get_print_line(&s, 40, line);
    assert_string_equal(line, "a very lon...   45%  540 MB / 1.2 GB");
    strcpy(s.name, "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e\xe6\x97\xa5\xe6\x9c\xac.txt");
    get_print_line(&s, 27, line);
    assert_string_equal(line,
                        "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e...   45%  [==>   ]");
    s.state = P2P_DL_CONNECTING;
    strcpy(s.name, "x\033[31m");
    get_print_line(&s, 60, line);
    assert_null(strchr(line, '\033'));
    assert_non_null(strstr(line, "connecting ..."));
}

static void
text_from_others_is_escaped(void **state)
{
    char text[CLI_TEXT];

    (void)state;
    assert_string_equal(cli_text("a letter.txt", text), "a letter.txt");
    assert_null(strchr(cli_text("red\033[31m", text), '\033'));
    assert_null(strchr(cli_text("two\nlines", text), '\n'));
}

static void
json_holds_what_was_put(void **state)
{
    const uint8_t digest[32] = {0xab};
    struct cJSON *object = cli_object(), *array = cli_put_array(object, "list");
    char *text;

    (void)state;
    cli_put_text(object, "none", NULL);
    cli_put_number(object, "n", 7);
    cli_put_bool(object, "b", true);
    cli_put_hex(object, "hex", digest, true);
    cli_put_hex(object, "unknown", digest, false);
    cli_put_text(cli_add_object(array), "t", "x");
    text = cJSON_PrintUnformatted(object);
    assert_non_null(text);
    assert_non_null(strstr(text, "\"list\":[{\"t\":\"x\"}],\"none\":null,\"n\":7"));
    assert_non_null(strstr(text, "\"hex\":\"ab0000"));
    assert_non_null(strstr(text, "\"unknown\":null"));
    free(text);
    cJSON_Delete(object);
}

/* The token goes to a program on this machine and nowhere else. */
static void
the_token_is_sent_to_no_stranger(void **state)
{
    static const struct {
        const char *url;
        enum p2p_err err;
    } rows[] = {
        {"http://192.0.2.1:8080", P2P_ERR_USAGE},
        {"", P2P_ERR_USAGE},
        {"http://127.0.0.1:1", P2P_ERR_UNREACHABLE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct cli_dashboard d = {
            .url = rows[i].url, .token = "secret", .uid = getuid(), .timeout_ms = 2000};
        char answer[64] = "", why[256] = "";
        enum p2p_err got = cli_dashboard_post(&d, "/api/owner/link", answer,
                                              sizeof(answer), why, sizeof(why));
        if (got != rows[i].err)
            fail_msg("%s: %s", rows[i].url, p2p_err_name(got));
        assert_string_not_equal(why, "");
        assert_string_equal(answer, "");
    }
}

static void
our_own_process_is_no_daemon(void **state)
{
    struct cli_daemon daemons[64];
    size_t count = cli_find_daemons(daemons, 64);

    (void)state;
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
        assert_int_not_equal(daemons[i].pid, getpid());
        assert_non_null(strstr(daemons[i].name, "p2p-"));
    }
    assert_int_equal(cli_find_daemons(daemons, 0), 0);
}

static int
set_up(void **state)
{
    (void)state;
    scratch_make(&scratch);
    setenv("P2P_HOME", scratch.dir,
           1); /* the files of the user who runs the tests are not changed */
    setenv("HOME", scratch.dir, 1);
    keys_put(&scratch, 0);
    scratch_folder(&scratch, "shared");
    scratch_folder(&scratch, "downloads");
    return chdir(scratch.dir);
}

static int
tear_down(void **state)
{
    (void)state;
    (void)!chdir("/");
    scratch_remove(&scratch);
    return 0;
}

/* Over http on the Internet, others could change the page. */
static void
a_link_needs_https_outside(void **state)
{
    static const char *const good[] = {"https://p2p.example", "http://127.0.0.1:8000",
                                       "http://10.1.2.3:8000", "http://192.168.1.5:80",
                                       "http://[fd00::1]:8000"};
    static const char *const bad[] = {"http://203.0.113.1:8000", "http://p2p.example",
                                      "http://[2001:db8::1]:8000",
                                      "http://192.168.1.5.example:8000"};
    struct place place = {.has_links = true};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        snprintf(place.for_others, sizeof(place.for_others), "%s", good[i]);
        assert_null(place_against_link(&place));
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(place.for_others, sizeof(place.for_others), "%s", bad[i]);
        assert_non_null(strstr(place_against_link(&place), "--insecure-link"));
    }
    place.has_links = false;
    assert_non_null(strstr(place_against_link(&place), "update p2p-discovery"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_goes_to_stdout),
        cmocka_unit_test(wrong_arguments_are_refused),
        cmocka_unit_test(unknown_options_are_refused),
        cmocka_unit_test(an_identity_is_made_and_shown),
        cmocka_unit_test(a_peer_that_is_not_there_cannot_be_listed),
        cmocka_unit_test(known_peers_are_offered_to_the_shell),
        cmocka_unit_test(names_of_this_machine_are_offered_to_the_shell),
        cmocka_unit_test(folders_become_private_and_public),
        cmocka_unit_test(sizes_and_times_are_short),
        cmocka_unit_test(progress_names_the_file_and_drops_whole_fields),
        cmocka_unit_test(text_from_others_is_escaped),
        cmocka_unit_test(json_holds_what_was_put),
        cmocka_unit_test(the_token_is_sent_to_no_stranger),
        cmocka_unit_test(our_own_process_is_no_daemon),
        cmocka_unit_test(a_link_needs_https_outside),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
