/* Finds which content a version of a file is: asks the peer that has it. */
#include "cli/get/get.h"
#include "p2p/conn.h"

struct wanted {
    uint32_t version;
    bool is_found, is_kept;
    struct p2p_digest root;
    uint64_t size;
};

static void
look(void *arg, const struct p2p_history_entry *entry)
{
    struct wanted *w = arg;

    if (entry->version != w->version)
        return;
    w->is_found = true;
    w->is_kept = (entry->flags & P2P_HISTORY_KEPT) != 0;
    w->root = entry->root;
    w->size = entry->size;
}

/* The list begins behind the wanted version, so its first page has it. */
static enum p2p_err
ask(const struct p2p_conn_options *options, const char *name, struct wanted *w)
{
    struct p2p_conn *conn = NULL;
    uint32_t before = w->version < UINT32_MAX ? w->version + 1 : 0;
    enum p2p_err err = p2p_conn_open(options, &conn);

    if (err == P2P_OK)
        err = p2p_conn_history(conn, name, &before, look, w);
    if (err == P2P_OK && !w->is_found) { /* it may be the present one */
        before = 0;
        err = p2p_conn_history(conn, name, &before, look, w);
    }
    p2p_conn_close(conn);
    return err;
}

int
get_find_version(const struct get_options *opt, const char *name,
                 struct p2p_identity *identity, const struct p2p_reach *reach,
                 struct get_sources *sources)
{
    const struct p2p_source_spec *spec = &sources->at[0];
    struct wanted w = {.version = (uint32_t)opt->version};
    struct p2p_addr others[P2P_CONN_OTHERS_MAX];
    const struct p2p_conn_options options = {
        .identity = identity,
        .addr = spec->addr,
        .expected = spec->id,
        .expected_by_user = spec->by_user,
        .protocol = 2,
        .timeout_ms = opt->common.timeout_ms,
        .others = others,
        .other_count = p2p_addr_list_read(spec->others, others, P2P_CONN_OTHERS_MAX),
        .reach = spec->id != NULL ? reach : NULL,
    };
    char shown[CLI_TEXT];
    enum p2p_err err = ask(&options, name, &w);

    cli_text(name, shown);
    if (err == P2P_ERR_UNSUPPORTED)
        return cli_fail(err, "the peer's program is too old: it cannot list versions");
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err,
                        "the peer shows no versions of \"%s\"; its owner can show them "
                        "to all who may download the file: p2p versions set history "
                        "readers",
                        shown);
    if (err != P2P_OK)
        return cli_fail(err, "cannot ask the peer for its versions: %s",
                        p2p_err_text(err));
    if (!w.is_found)
        return cli_fail(P2P_ERR_NOT_FOUND,
                        "\"%s\" has no version %u there; see: p2p history --peer",
                        shown, w.version);
    if (!w.is_kept)
        return cli_fail(P2P_ERR_GONE,
                        "the content of version %u of \"%s\" is no longer kept there",
                        w.version, shown);
    sources->root = w.root;
    sources->size = w.size;
    sources->root_known = sources->root_from_user = sources->size_known = true;
    return 0;
}
