// uses p2p-peer
/* All of p2p-peer in this process: it serves until it is closed, and a start that fails
 * in the middle leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <cmocka.h>

#include "keys_fixture.h"
#include "p2p/conn.h"
#include "p2p/log.h"
#include "peer/peer.h"

static struct peer peer;
static struct keys *keys;
static struct keys client;

/* As the parent does it: the options, the only shared folder, a listener. */
static void
prepare(const char *discovery)
{
    static char folder[PATH_MAX];
    char *argv[] = {(char[]){"p2p-peer"},
                    (char[]){"--keys-dir"},
                    keys->dir,
                    (char[]){"--shared-dir"},
                    folder,
                    (char[]){"--discovery"},
                    (char *)(uintptr_t)discovery,
                    (char[]){"--no-mdns"},
                    (char[]){"--no-port-map"},
                    (char[]){"--threads=1"},
                    NULL};
    const int argc = sizeof(argv) / sizeof(argv[0]) - 1;

    snprintf(folder, sizeof(folder), "%s/s", keys->scratch.dir);
    peer = (struct peer){.lock = P2P_MUTEX_INITIALIZER,
                         .duplicate.lock = P2P_MUTEX_INITIALIZER,
                         .rates_lock = P2P_MUTEX_INITIALIZER,
                         .claim = -1,
                         .control_socket = -1};
    assert_int_equal(peer_options_parse(argc, argv, &peer.opt, &peer.text), P2P_OK);
    peer.folders = peer.opt.folders;
    assert_int_equal(server_listen("127.0.0.1", &peer.port, peer.listeners, 1), P2P_OK);
    assert_int_equal(p2p_keys_claim(keys->dir, &peer.claim), P2P_OK);
    assert_int_equal(p2p_control_bind(keys->dir, &peer.control_socket), P2P_OK);
}

static unsigned
open_descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL)
        count++;
    closedir(dir);
    return count;
}

static enum p2p_err
dial(void)
{
    struct p2p_conn_options opt = {
        .identity = client.identity, .protocol = 2, .timeout_ms = 20000};
    struct p2p_conn *conn = NULL;
    enum p2p_err err;

    assert_int_equal(p2p_addr_make("127.0.0.1", peer.port, &opt.addr), P2P_OK);
    if ((err = p2p_conn_open(&opt, &conn)) == P2P_OK)
        p2p_conn_close(conn);
    return err;
}

static void
serves_until_it_is_closed(void **state)
{
    (void)state;
    prepare("none");
    assert_int_equal(peer_open(&peer), P2P_OK);
    assert_int_equal(dial(), P2P_OK);
    assert_int_equal(access(scratch_path(&keys->scratch, "keys/control.sock"), F_OK),
                     0);
    peer_close(&peer);
    assert_int_not_equal(dial(), P2P_OK);
    p2p_options_free(peer.text);
}

/* The registry's address is looked at when everything else runs. */
static void
a_failed_start_leaves_nothing_open(void **state)
{
    unsigned before = open_descriptors();

    (void)state;
    prepare("ftp://registry");
    assert_int_equal(peer_open(&peer), P2P_ERR_USAGE);
    peer_close(&peer);
    assert_int_equal(peer.claim, -1);
    assert_int_not_equal(dial(), P2P_OK);
    p2p_options_free(peer.text);
    assert_int_equal(open_descriptors(), before);
}

/* Its key is not the peer's. */
static void
make_client(void)
{
    char pem[4096];

    scratch_folder(&keys->scratch, "client");
    scratch_put_bytes(&keys->scratch, "client/private_key.pem", pem,
                      test_key_read(0, pem));
    assert_int_equal(
        chmod(scratch_path(&keys->scratch, "client/private_key.pem"), 0600), 0);
    snprintf(client.dir, sizeof(client.dir), "%s/client", keys->scratch.dir);
    client.identity = keys_open(&client);
}

static int
set_up(void **state)
{
    keys_setup(state);
    keys = *state;
    scratch_folder(&keys->scratch, "s");
    scratch_put(&keys->scratch, "s/a", "what is shared");
    make_client();
    return 0;
}

static int
tear_down(void **state)
{
    p2p_identity_close(client.identity);
    return keys_teardown(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(serves_until_it_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_start_leaves_nothing_open, set_up,
                                        tear_down),
    };

    p2p_log_init("test_peer_app", P2P_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
