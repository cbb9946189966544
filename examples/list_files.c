/*
 * Lists what a peer shares: name, size and root of each file.
 *
 *   cc -o list_files list_files.c $(pkg-config --cflags --libs p2pcore)
 *   ./list_files HOST:PORT [KEYS_DIR]
 *
 * Also compiles as C++. The keys of this device are made in KEYS_DIR (default keys)
 * when there are none.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <p2p/addr.h>
#include <p2p/bytes.h>
#include <p2p/conn.h>
#include <p2p/identity.h>

#define DEFAULT_PORT 9000
#define TIMEOUT_MS   10000
#define LIST_MS      60000

static enum p2p_err
print_file(void *arg, const char *name, const struct p2p_list_entry *entry)
{
    char root[2 * sizeof(entry->root.b) + 1];
    unsigned *count = (unsigned *)arg;

    p2p_hex_format(entry->root.b, sizeof(entry->root.b), root);
    printf("%s %12" PRIu64 " %s\n", root, entry->size, name);
    ++*count;
    return P2P_OK;
}

/* The connection proves the peer's identity: the first one that is met at an address is
 * remembered, another one is refused later. */
static enum p2p_err
list(struct p2p_identity *identity, const struct p2p_addr *addr, unsigned *count)
{
    const struct p2p_list_visitor visitor = {
        .file = print_file, .folder = NULL, .arg = count};
    struct p2p_conn_options options;
    struct p2p_conn *conn = NULL;
    enum p2p_err err;

    memset(&options, 0, sizeof(options));
    options.identity = identity;
    options.addr = *addr;
    options.protocol = 2;
    options.timeout_ms = TIMEOUT_MS;
    err = p2p_conn_open(&options, &conn);
    if (err == P2P_OK) {
        p2p_conn_remember(conn);
        err = p2p_conn_list_all(conn, p2p_now_ms() + LIST_MS, &visitor);
    }
    p2p_conn_close(conn);
    return err;
}

int
main(int argc, char **argv)
{
    const char *keys_dir = argc > 2 ? argv[2] : "keys";
    struct p2p_identity *identity = NULL;
    struct p2p_addr addr;
    char why[256] = "";
    unsigned count = 0;
    enum p2p_err err;

    if (argc < 2 || p2p_addr_parse(argv[1], DEFAULT_PORT, &addr) != P2P_OK) {
        fprintf(stderr, "usage: list_files HOST:PORT [KEYS_DIR]\n");
        return p2p_err_exit_status(P2P_ERR_USAGE);
    }
    err = p2p_identity_open(keys_dir, true, p2p_passphrase_default, NULL, &identity,
                            why, sizeof(why));
    if (err == P2P_OK)
        err = list(identity, &addr, &count);
    if (err != P2P_OK)
        fprintf(stderr, "list_files: %s: %s %s\n", argv[1], p2p_err_text(err), why);
    else
        fprintf(stderr, "%u files\n", count);
    p2p_identity_close(identity);
    return p2p_err_exit_status(err);
}
