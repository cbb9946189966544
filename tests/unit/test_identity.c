/* identity: the key files, who may read them, passphrases, two programs at once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <sys/wait.h>

#include "core/crypto/ossl.h"
#include "keys_fixture.h"
#include "p2p/vault.h"

static mode_t
mode_of(const struct keys *k, const char *name)
{
    struct stat st;

    assert_int_equal(stat(scratch_path(&k->scratch, name), &st), 0);
    return st.st_mode & 07777;
}

static enum p2p_err
try_open(const char *dir, bool create, p2p_passphrase_fn *passphrase, char why[300])
{
    struct p2p_identity *identity;
    enum p2p_err err =
        p2p_identity_open(dir, create, passphrase, NULL, &identity, why, 300);

    assert_int_equal(err == P2P_OK, identity != NULL);
    p2p_identity_close(identity);
    return err;
}

static void
first_start_makes_a_key_pair(void **state)
{
    struct keys *k = *state;
    char id[P2P_ID_HEX_LEN + 1], why[300];
    struct p2p_identity *identity;
    struct p2p_digest digest;

    snprintf(k->dir, sizeof(k->dir), "%s", scratch_path(&k->scratch, "a/new"));
    assert_int_equal(try_open(k->dir, false, NULL, why), P2P_ERR_NOT_FOUND);
    identity = keys_open(k);
    assert_int_equal(mode_of(k, "a/new"), 0700);
    assert_int_equal(mode_of(k, "a/new/private_key.pem"), 0600);

    const char *pem = p2p_identity_public_pem(identity);
    assert_int_equal(strlen(pem), P2P_PEM_LEN);
    assert_int_equal(p2p_sha256(pem, P2P_PEM_LEN, &digest), P2P_OK);
    p2p_hex_format(digest.b, sizeof(digest.b), id);
    assert_string_equal(p2p_identity_id_hex(identity), id);
    assert_memory_equal(p2p_identity_id(identity)->b, digest.b, sizeof(digest.b));
    p2p_identity_close(identity);

    FILE *f = fopen(scratch_path(&k->scratch, "a/new/public_key.pem"), "re");
    char written[P2P_PEM_LEN + 2] = "";
    assert_non_null(f);
    assert_int_equal(fread(written, 1, sizeof(written), f), P2P_PEM_LEN);
    fclose(f);

    identity = keys_open(k);
    assert_string_equal(p2p_identity_id_hex(identity), id);
    assert_string_equal(p2p_identity_public_pem(identity), written);
    p2p_identity_close(identity);
}

static void
a_fresh_directory_is_closed_to_others(void **state)
{
    struct keys *k = *state;

    scratch_folder(&k->scratch, "fresh");
    scratch_put(&k->scratch, "fresh/.gitkeep", "");
    assert_int_equal(chmod(scratch_path(&k->scratch, "fresh"), 0777), 0);
    snprintf(k->dir, sizeof(k->dir), "%s", scratch_path(&k->scratch, "fresh"));
    p2p_identity_close(keys_open(k));
    assert_int_equal(mode_of(k, "fresh"), 0700);
}

static void
what_others_can_read_or_replace_is_refused(void **state)
{
    struct keys *k = *state;
    const char *file = scratch_path(&k->scratch, "keys/private_key.pem");
    const unsigned readable[] = {0644, 0640, 0604, 0660, 0601};
    char why[300];

    for (size_t i = 0; i < sizeof(readable) / sizeof(readable[0]); i++) {
        chmod(file, readable[i]);
        assert_int_equal(try_open(k->dir, true, NULL, why), P2P_ERR_KEY_FILE);
        assert_non_null(strstr(why, "chmod 600"));
        assert_non_null(strstr(why, file));
    }
    chmod(file, 0400);
    assert_int_equal(try_open(k->dir, true, NULL, why), P2P_OK);
    chmod(k->dir, 0777);
    assert_int_equal(try_open(k->dir, true, NULL, why), P2P_ERR_KEY_FILE);
    assert_non_null(strstr(why, "chmod 700"));
    chmod(k->dir, 0755);
    assert_int_equal(try_open(k->dir, true, NULL, why), P2P_OK);
}

static void
files_that_are_no_key_are_refused_and_kept(void **state)
{
    struct keys *k = *state;
    static const char *const contents[] = {
        "",
        "not a key",
        "-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n",
        /* Ed25519 */
        "-----BEGIN PRIVATE KEY-----\n"
        "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n"
        "-----END PRIVATE KEY-----\n",
    };
    char why[300];

    for (size_t i = 0; i < sizeof(contents) / sizeof(contents[0]); i++) {
        scratch_put(&k->scratch, "keys/private_key.pem", contents[i]);
        assert_int_equal(try_open(k->dir, true, NULL, why), P2P_ERR_KEY_FILE);
        assert_non_null(strstr(why, "private_key.pem"));
        assert_true(scratch_holds(&k->scratch, "keys/private_key.pem", contents[i]));
    }
    remove(scratch_path(&k->scratch, "keys/private_key.pem"));
    scratch_folder(&k->scratch, "keys/private_key.pem");
    assert_int_equal(try_open(k->dir, true, NULL, why), P2P_ERR_KEY_FILE);
}

/* ---- passphrases ---- */

static char *
right(void *arg, const char *prompt)
{
    (void)arg;
    assert_non_null(strstr(prompt, "private_key.pem"));
    return strdup("correct horse");
}

static char *
wrong(void *arg, const char *prompt)
{
    (void)arg, (void)prompt;
    return strdup("incorrect horse");
}

static char *
silent(void *arg, const char *prompt)
{
    (void)arg, (void)prompt;
    return NULL;
}

static bool
key_file_contains(const struct keys *k, const char *text)
{
    char pem[8192];
    FILE *f = fopen(scratch_path(&k->scratch, "keys/private_key.pem"), "re");

    assert_non_null(f);
    size_t len = fread(pem, 1, sizeof(pem), f);
    fclose(f);
    return memmem(pem, len, text, strlen(text)) != NULL;
}

static void
passphrase_protects_the_key(void **state)
{
    struct keys *k = *state;
    char why[300];

    assert_true(key_file_contains(k, "BEGIN PRIVATE KEY"));
    assert_int_equal(p2p_identity_protect(k->identity, "correct horse"), P2P_OK);
    assert_true(key_file_contains(k, "BEGIN ENCRYPTED PRIVATE KEY"));
    assert_int_equal(mode_of(k, "keys/private_key.pem"), 0600);
    assert_int_equal(try_open(k->dir, true, NULL, why), P2P_ERR_PASSPHRASE);
    assert_non_null(strstr(why, "P2P_PASSPHRASE_FILE"));
    assert_int_equal(try_open(k->dir, true, silent, why), P2P_ERR_PASSPHRASE);
    assert_int_equal(try_open(k->dir, true, wrong, why), P2P_ERR_PASSPHRASE);
    assert_non_null(strstr(why, "wrong passphrase"));
    assert_int_equal(try_open(k->dir, true, right, why), P2P_OK);

    assert_int_equal(p2p_identity_protect(k->identity, NULL), P2P_OK);
    assert_int_equal(try_open(k->dir, true, NULL, why), P2P_OK);
}

static void
check_passphrase(const char *expected)
{
    char *got = p2p_passphrase_default(NULL, "Passphrase: ");

    if (expected) {
        assert_non_null(got);
        assert_string_equal(got, expected);
    } else {
        assert_null(got);
    }
    p2p_vault_free(got);
}

static void
passphrases_come_from_files_and_descriptors(void **state)
{
    struct keys *k = *state;
    char number[16], long_line[3000];
    int pipe_fds[2];

    scratch_put(&k->scratch, "key-passphrase", "from systemd\n");
    setenv("CREDENTIALS_DIRECTORY", k->scratch.dir, 1);
    check_passphrase("from systemd");

    assert_int_equal(pipe(pipe_fds), 0);
    assert_int_equal(write(pipe_fds[1], "from a pipe\r\nmore", 17), 17);
    close(pipe_fds[1]);
    snprintf(number, sizeof(number), "%d", pipe_fds[0]);
    setenv("P2P_PASSPHRASE_FD", number, 1);
    check_passphrase("from a pipe");
    assert_int_equal(fcntl(pipe_fds[0], F_GETFD), -1); /* closed */
    setenv("P2P_PASSPHRASE_FD", "-1", 1);
    check_passphrase(NULL);

    scratch_put(&k->scratch, "phrase", " with spaces \nsecond line\n");
    setenv("P2P_PASSPHRASE_FILE", scratch_path(&k->scratch, "phrase"), 1);
    check_passphrase(" with spaces ");
    scratch_put(&k->scratch, "phrase", "\n");
    check_passphrase(NULL);
    memset(long_line, 'x', sizeof(long_line));
    scratch_put_bytes(&k->scratch, "phrase", long_line, sizeof(long_line));
    check_passphrase(NULL);
    setenv("P2P_PASSPHRASE_FILE", scratch_path(&k->scratch, "missing"), 1);
    check_passphrase(NULL);
    unsetenv("P2P_PASSPHRASE_FILE");
    unsetenv("P2P_PASSPHRASE_FD");
    unsetenv("CREDENTIALS_DIRECTORY");
}

/* ---- rotating ---- */

static size_t
count_files(const struct keys *k, const char *prefix)
{
    DIR *dir = opendir(k->dir);
    size_t n = 0;

    assert_non_null(dir);
    for (struct dirent *e; (e = readdir(dir));)
        n += strncmp(e->d_name, prefix, strlen(prefix)) == 0;
    closedir(dir);
    return n;
}

static void
rotation_keeps_the_old_key(void **state)
{
    struct keys *k = *state;
    struct p2p_identity *now;
    struct p2p_id id;

    assert_int_equal(p2p_identity_rotate(k->dir, NULL, false, &id), P2P_OK);
    assert_int_equal(p2p_identity_rotate(k->dir, NULL, false, &id),
                     P2P_OK); /* in the same second */
    assert_int_equal(count_files(k, "private_key."), 3);
    now = keys_open(k);
    assert_string_not_equal(p2p_identity_id_hex(now), p2p_identity_id_hex(k->identity));
    assert_true(p2p_id_equal(p2p_identity_id(now), &id));
    assert_int_equal(mode_of(k, "keys/private_key.pem"), 0600);
    p2p_identity_close(now);
    /* An identity that was opened earlier must not restore its old key. */
    assert_int_equal(p2p_identity_protect(k->identity, "phrase"), P2P_ERR_BUSY);

    remove(scratch_path(&k->scratch, "keys/private_key.pem"));
    assert_int_equal(p2p_identity_rotate(k->dir, NULL, false, &id), P2P_ERR_NOT_FOUND);
}

static void
rotation_does_not_lose_the_passphrase(void **state)
{
    struct keys *k = *state;
    struct p2p_id id;
    char why[300];

    /* Another program protected the key after a caller had looked. */
    assert_int_equal(p2p_identity_protect(k->identity, "correct horse"), P2P_OK);
    assert_int_equal(p2p_identity_rotate(k->dir, NULL, false, &id), P2P_ERR_PASSPHRASE);
    assert_int_equal(count_files(k, "private_key."), 1);
    assert_int_equal(try_open(k->dir, false, silent, why), P2P_ERR_PASSPHRASE);

    assert_int_equal(p2p_identity_rotate(k->dir, "correct horse", false, &id), P2P_OK);
    assert_int_equal(try_open(k->dir, false, silent, why), P2P_ERR_PASSPHRASE);
    assert_int_equal(try_open(k->dir, false, right, why), P2P_OK);
}

static void
rotation_drops_the_passphrase_when_it_shall(void **state)
{
    struct keys *k = *state;
    struct p2p_id id;
    char why[300];

    assert_int_equal(p2p_identity_protect(k->identity, "correct horse"), P2P_OK);
    assert_int_equal(p2p_identity_rotate(k->dir, NULL, true, &id), P2P_OK);
    assert_int_equal(try_open(k->dir, false, NULL, why), P2P_OK);
}

static void
a_first_key_gets_the_passphrase_that_is_set(void **state)
{
    struct keys *k = *state;
    char why[300], number[16], dir[PATH_MAX];
    int pipe_fds[2];

    snprintf(dir, sizeof(dir), "%s/first", k->scratch.dir);
    setenv("P2P_PASSPHRASE_FILE", scratch_path(&k->scratch, "missing"), 1);
    assert_int_equal(try_open(dir, true, p2p_passphrase_default, why),
                     P2P_ERR_PASSPHRASE);
    assert_int_equal(try_open(dir, false, silent, why), P2P_ERR_NOT_FOUND);
    unsetenv("P2P_PASSPHRASE_FILE");

    assert_int_equal(pipe(pipe_fds), 0); /* gives it once */
    assert_int_equal(write(pipe_fds[1], "correct horse\n", 14), 14);
    close(pipe_fds[1]);
    snprintf(number, sizeof(number), "%d", pipe_fds[0]);
    setenv("P2P_PASSPHRASE_FD", number, 1);
    assert_int_equal(try_open(dir, true, p2p_passphrase_default, why), P2P_OK);
    unsetenv("P2P_PASSPHRASE_FD");
    assert_int_equal(try_open(dir, false, silent, why), P2P_ERR_PASSPHRASE);
    assert_int_equal(try_open(dir, false, right, why), P2P_OK);
}

/* ---- several programs ---- */

static void
open_and_report(const char *dir, int pipe_fd)
{
    struct p2p_identity *identity;

    if (p2p_identity_open(dir, true, NULL, NULL, &identity, NULL, 0) != P2P_OK)
        _exit(1);
    if (write(pipe_fd, p2p_identity_id_hex(identity), P2P_ID_HEX_LEN) != P2P_ID_HEX_LEN)
        _exit(1);
    _exit(0);
}

static void
programs_that_start_at_once_share_one_key(void **state)
{
    struct keys *k = *state;
    char ids[4][P2P_ID_HEX_LEN];
    int pipe_fds[2], status;

    snprintf(k->dir, sizeof(k->dir), "%s", scratch_path(&k->scratch, "together"));
    assert_int_equal(pipe(pipe_fds), 0);
    for (int i = 0; i < 4; i++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid == 0)
            open_and_report(k->dir, pipe_fds[1]);
    }
    for (int i = 0; i < 4; i++) {
        assert_true(wait(&status) > 0);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        assert_int_equal(read(pipe_fds[0], ids[i], P2P_ID_HEX_LEN), P2P_ID_HEX_LEN);
        assert_memory_equal(ids[i], ids[0], P2P_ID_HEX_LEN);
    }
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    assert_int_equal(count_files(k, "private_key."), 1); /* nothing left aside */
}

int
main(void)
{
#define WITH_KEYS(test) cmocka_unit_test_setup_teardown(test, keys_setup, keys_teardown)
    const struct CMUnitTest tests[] = {
        WITH_KEYS(first_start_makes_a_key_pair),
        WITH_KEYS(a_fresh_directory_is_closed_to_others),
        WITH_KEYS(what_others_can_read_or_replace_is_refused),
        WITH_KEYS(files_that_are_no_key_are_refused_and_kept),
        WITH_KEYS(passphrase_protects_the_key),
        WITH_KEYS(passphrases_come_from_files_and_descriptors),
        WITH_KEYS(rotation_keeps_the_old_key),
        WITH_KEYS(rotation_does_not_lose_the_passphrase),
        WITH_KEYS(rotation_drops_the_passphrase_when_it_shall),
        WITH_KEYS(a_first_key_gets_the_passphrase_that_is_set),
        WITH_KEYS(programs_that_start_at_once_share_one_key),
    };
    p2p_rsa_set_scrypt_n(16);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
