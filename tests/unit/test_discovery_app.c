// uses p2p-discovery
/* All of p2p-discovery in this process: it answers until it is closed, hands its list
 * over, and a start that fails in the middle leaves nothing behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dirent.h>

#include <cmocka.h>

#include "discovery/discovery.h"
#include "p2p/discovery.h"
#include "p2p/log.h"
#include "scratch.h"

static struct discovery registry;
static struct scratch scratch;

/* As the parent does it: the options, a listener. */
static void
prepare(const char *snapshot)
{
    char *argv[] = {(char[]){"p2p-discovery"},   (char[]){"--no-stun"},
                    (char[]){"--no-probe"},      (char[]){"--snapshot"},
                    (char *)(uintptr_t)snapshot, NULL};
    const int argc = sizeof(argv) / sizeof(argv[0]) - 1;

    registry = (struct discovery){.stun = {-1, -1}};
    assert_int_equal(discovery_options_parse(&registry.opt, argc, argv, &registry.text),
                     P2P_OK);
    assert_int_equal(http_listen("127.0.0.1", 0, &registry.listener), P2P_OK);
    registry.descriptors[registry.descriptor_count++] = registry.listener;
}

/* The answer of a client that asks for all peers. */
static enum p2p_err
ask(uint16_t port)
{
    struct p2p_discovery *client;
    struct p2p_peer_list list;
    char url[64];
    const char *urls[] = {url};
    enum p2p_err err;

    snprintf(url, sizeof(url), "http://127.0.0.1:%u", port);
    assert_int_equal(p2p_discovery_open(urls, 1, 20000, &client), P2P_OK);
    if ((err = p2p_discovery_peers(client, &list)) == P2P_OK)
        p2p_peer_list_clear(&list);
    p2p_discovery_close(client);
    return err;
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

static void
answers_until_it_is_closed(void **state)
{
    uint16_t port;

    (void)state;
    prepare(scratch_path(&scratch, "list"));
    assert_int_equal(discovery_open(&registry), P2P_OK);
    port = http_server_port(registry.app.server);
    assert_int_equal(ask(port), P2P_OK);
    assert_int_equal(access(scratch_path(&scratch, "list"), F_OK), 0);
    discovery_close(&registry);
    assert_int_equal(ask(port), P2P_ERR_UNREACHABLE);
    p2p_options_free(registry.text);
}

/* Found when the registry, the housekeeper and the prober run. */
static void
a_failed_start_leaves_nothing_open(void **state)
{
    unsigned before = open_descriptors();

    (void)state;
    prepare(scratch.dir);
    assert_int_equal(discovery_open(&registry), P2P_ERR_USAGE);
    discovery_close(&registry);
    close(registry.listener); /* the server, which takes it, was not opened */
    p2p_options_free(registry.text);
    assert_int_equal(open_descriptors(), before);
}

static int
set_up(void **state)
{
    (void)state;
    scratch_make(&scratch);
    return 0;
}

static int
tear_down(void **state)
{
    (void)state;
    scratch_remove(&scratch);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_until_it_is_closed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_failed_start_leaves_nothing_open, set_up,
                                        tear_down),
    };

    p2p_log_init("test_discovery_app", P2P_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
