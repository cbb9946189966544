/* p2p-peer: serves shared folders to other peers. The parent listens, the child does
 * all the rest (p2p/guardian.h). */
#include <stdlib.h>

#include "p2p/chunk.h"
#include "p2p/guardian.h"
#include "p2p/log.h"
#include "p2p/service.h"
#include "peer/peer.h"

#define PROGRAM "p2p-peer"

static enum p2p_err
open_listeners(struct peer *peer)
{
    const struct peer_options *opt = &peer->opt;
    enum p2p_err err;

    if (!p2p_service_has_descriptors())
        return P2P_ERR_SYS;
    peer->port = (uint16_t)opt->port;
    err = server_listen(opt->host, &peer->port, peer->listeners, (size_t)opt->threads);
    if (err != P2P_OK)
        p2p_service_say_no_listener(err, opt->host, (unsigned)opt->port);
    return err;
}

/* Registries list one peer for an identity: two would take each other's place. */
static enum p2p_err
claim_keys(struct peer *peer)
{
    const char *keys = peer->opt.keys_dir;
    enum p2p_err err = p2p_keys_claim(keys, &peer->claim);

    if (err == P2P_ERR_BUSY)
        p2p_log_error("another p2p-peer uses %s; give this one its own --keys-dir",
                      keys);
    else if (err != P2P_OK)
        p2p_log_error("keys: cannot lock %s: %s", keys, p2p_err_text(err));
    return err;
}

/* The sandbox allows no new Unix socket. */
static void
bind_control(struct peer *peer)
{
    enum p2p_err err = p2p_control_bind(peer->opt.keys_dir, &peer->control_socket);

    if (err != P2P_OK)
        p2p_log_warn("cannot create %s/%s: %s; `p2p status` and the dashboard cannot "
                     "show uploads",
                     peer->opt.keys_dir, P2P_CONTROL_FILE, p2p_err_text(err));
}

/* The files that the child may use, in addition to the system's. */
static enum p2p_err
allow(void *arg, struct p2p_sandbox_rules *rules)
{
    struct peer *peer = arg;
    const char *keys = peer->opt.keys_dir;
    const struct p2p_shares_sandbox how = {.keys_dir = keys, .program = PROGRAM};
    enum p2p_err err = p2p_sandbox_allow_folder(rules, keys, 0700, P2P_SANDBOX_WRITE);

    if (err != P2P_OK) {
        p2p_log_error("keys: %s: %s", keys, p2p_err_text(err));
        return err;
    }
    if ((err = claim_keys(peer)) != P2P_OK)
        return err;
    bind_control(peer);
    return p2p_shares_allow(rules, &peer->opt.folders, &how, &peer->folders);
}

/* Protocol 2 has powers of two only. */
static void
log_chunk_size(const struct peer *peer)
{
    uint64_t asked = peer->opt.chunk_size;

    if (peer->opt.protocol_1)
        p2p_log_info("chunk size: protocol 1 %llu bytes, protocol 2 %u bytes",
                     (unsigned long long)asked, p2p_chunk_size_floor(asked));
    else
        p2p_log_info("chunk size: protocol 2 %u bytes", p2p_chunk_size_floor(asked));
}

static int
serve(void *arg)
{
    struct peer *peer = arg;
    enum p2p_err err = peer_open(peer);

    if (err == P2P_OK) {
        p2p_service_ready(PROGRAM, "port=%u peer_id=%s", peer->port,
                          p2p_identity_id_hex(peer->identity));
        log_chunk_size(peer);
        p2p_service_wait();
    }
    peer_close(peer);
    return p2p_service_exit_status(err);
}

static enum p2p_err
parse(void *arg, void *fresh, struct p2p_options_text **text)
{
    const struct peer *peer = arg;

    enum p2p_err err = peer_options_parse(peer->argc, peer->argv, fresh, text);

    if (err == P2P_OK)
        peer_options_use_own_keys(fresh, *text, peer->own_keys);
    return err;
}

static void
describe(void *arg, struct p2p_guardian_options *guardian)
{
    const struct peer_options *opt = &((const struct peer *)arg)->opt;

    size_t count = opt->folders.count;

    for (size_t i = 0; i < count; i++)
        guardian->folders[i] = opt->folders.at[i].path;
    guardian->folders[count] = opt->keys_dir;
    guardian->folders[count + 1] = NULL;
    guardian->files[0] = opt->allow_peers;
    guardian->avahi = opt->mdns;
}

static int
run(struct peer *peer)
{
    struct p2p_reload reload = {
        .set = &peer_option_set,
        .fixed = peer_fixed_options,
        .live = peer_live_options,
        .target = &peer->opt,
        .size = sizeof(peer->opt),
        .text = &peer->text,
        .parse = parse,
        .arg = peer,
    };
    const struct p2p_guardian_options guardian = {
        .program = PROGRAM,
        .settings = peer->opt.guardian,
        .describe = describe,
        .reload = &reload,
        .descriptors = peer->listeners,
        .descriptor_count = (unsigned)peer->opt.threads,
        .passphrase = p2p_passphrase_default,
        .allow = allow,
        .serve = serve,
        .arg = peer,
    };
    enum p2p_err err = open_listeners(peer);

    return err == P2P_OK ? p2p_guardian_run(&guardian) : p2p_service_exit_status(err);
}

static enum p2p_err
choose_keys(struct peer *peer)
{
    enum p2p_err err =
        peer_options_find_own_keys(&peer->opt, peer->text, &peer->own_keys);

    if (err == P2P_OK && peer->own_keys != NULL) {
        p2p_log_info("another p2p-peer has the identity in %s, so this one has its own "
                     "in %s",
                     peer->opt.keys_dir, peer->own_keys);
        peer_options_use_own_keys(&peer->opt, peer->text, peer->own_keys);
    }
    return err;
}

int
main(int argc, char **argv)
{
    static struct peer peer = {.lock = P2P_MUTEX_INITIALIZER,
                               .duplicate.lock = P2P_MUTEX_INITIALIZER,
                               .rates_lock = P2P_MUTEX_INITIALIZER,
                               .claim = -1,
                               .control_socket = -1};
    enum p2p_err err;
    int status = 0; /* --help, --version */

    p2p_service_begin();
    p2p_log_init(PROGRAM, P2P_LOG_INFO);
    peer.argc = argc;
    peer.argv = argv;
    err = peer_options_parse(argc, argv, &peer.opt, &peer.text);
    if (err == P2P_OK)
        err = choose_keys(&peer);
    if (err != P2P_ERR_CANCELLED)
        status = err == P2P_OK ? run(&peer) : p2p_service_exit_status(err);
    p2p_options_free(peer.text);
    free(peer.own_keys);
    return status;
}
