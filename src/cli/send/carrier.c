#include "cli/send/carrier.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/print/print.h"
#include "p2p/box.h"
#include "p2p/bytes.h"
#include "p2p/control.h"
#include "p2p/io.h"

enum { ASK_MS = 30000, ARGUMENTS_MAX = 16 };

/* ---- asking ---- */

static cJSON *
request_for(const struct carrier *c, const char *verb)
{
    cJSON *request = cli_object();

    cli_put_text(request, "verb", verb);
    cli_put_text(request, "offer", c->offer);
    return request;
}

/* Takes the request. `*answer` may be NULL if it does not matter. */
static enum p2p_err
ask(struct carrier *c, cJSON *request, const int *files, size_t count, cJSON **answer)
{
    cJSON *got = NULL;
    enum p2p_err err = p2p_control_ask_with_files(c->control, request, files, count,
                                                  ASK_MS, &got, NULL, 0);

    cJSON_Delete(request);
    if (answer != NULL)
        *answer = got;
    else
        cJSON_Delete(got);
    return err;
}

static enum p2p_err
begin_offer(struct carrier *c)
{
    uint8_t number[4];
    cJSON *answer = NULL;
    enum p2p_err err = p2p_random(number, sizeof(number));

    if (err != P2P_OK)
        return err;
    p2p_hex_format(number, sizeof(number), c->offer);
    err = ask(c, request_for(c, "offer.begin"), NULL, 0, &answer);
    const char *id =
        cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(answer, "peer_id"));
    const cJSON *port = cJSON_GetObjectItemCaseSensitive(answer, "port");
    if (err == P2P_OK &&
        (id == NULL || strlen(id) != P2P_ID_HEX_LEN || !cJSON_IsNumber(port) ||
         port->valuedouble < 1 || port->valuedouble > UINT16_MAX))
        err = P2P_ERR_PROTOCOL;
    if (err == P2P_OK) {
        memcpy(c->peer_id, id, sizeof(c->peer_id));
        c->port = (uint16_t)port->valuedouble;
    }
    cJSON_Delete(answer);
    return err;
}

/* ---- the running peer ---- */

/* It serves if the registry of the code knows it, so that others find a way to it. */
static bool
use_running(struct carrier *c, const struct carrier_options *opt)
{
    struct p2p_id id;

    if (p2p_control_connect(opt->keys_dir, &c->control) != P2P_OK)
        return false;
    if (begin_offer(c) == P2P_OK &&
        p2p_hex_parse(c->peer_id, id.b, sizeof(id.b)) == P2P_OK &&
        (opt->running || p2p_discovery_lists(opt->discovery, 0, &id)))
        return true;
    p2p_fd_close(&c->control);
    return false;
}

/* ---- one of our own ---- */

static enum p2p_err
start_own(struct carrier *c, const struct carrier_options *opt)
{
    char keys[sizeof(c->helper.dir) + 8], empty[sizeof(c->helper.dir) + 8];
    /* Root's files are handed over by root; the peer is in its sandbox all the same. */
    const char *as_root = geteuid() == 0 ? "--run-as-root" : NULL;
    const char *arguments[ARGUMENTS_MAX] = {"--keys-dir",   keys,
                                            "--shared-dir", empty,
                                            "--discovery",  opt->url,
                                            "--port",       "0",
                                            "--no-mdns",    "--no-protocol-1",
                                            "--log-level",  "error",
                                            "--name",       opt->own_name,
                                            as_root,        NULL};
    enum p2p_err err = helper_make_folder(&c->helper);

    snprintf(keys, sizeof(keys), "%s/keys", c->helper.dir);
    snprintf(empty, sizeof(empty), "%s/empty", c->helper.dir);
    if (err == P2P_OK)
        err = helper_start(&c->helper, "p2p-peer", arguments);
    if (err == P2P_OK)
        err = p2p_control_connect(keys, &c->control);
    if (err == P2P_OK)
        err = begin_offer(c);
    if (err != P2P_OK)
        cli_say("cannot start p2p-peer, which serves the files: %s", p2p_err_text(err));
    return err;
}

enum p2p_err
carrier_open(struct carrier *c, const struct carrier_options *opt)
{
    *c = (struct carrier){.control = -1};
    if (!opt->own && use_running(c, opt))
        return P2P_OK;
    if (opt->running) {
        cli_say("p2p-peer does not run with these keys, and the other device downloads "
                "from it; start p2p-peer, or send by a code (without --to)");
        return P2P_ERR_NOT_FOUND;
    }
    return start_own(c, opt);
}

void
carrier_close(struct carrier *c)
{
    if (c->control >= 0)
        (void)!ask(c, request_for(c, "offer.end"), NULL, 0, NULL);
    p2p_fd_close(&c->control);
    helper_stop(&c->helper);
    for (size_t i = 0; i < c->count; i++)
        free((void *)(uintptr_t)c->files[i].name);
    free(c->files);
    c->files = NULL;
    c->count = 0;
}

/* Remembers it for an offer. */
static enum p2p_err
note_file(struct carrier *c, const struct carrier_file *file)
{
    struct p2p_offer_file *grown =
        realloc(c->files, (c->count + 1) * sizeof(*c->files));

    if (grown == NULL)
        return P2P_ERR_NOMEM;
    c->files = grown;
    grown[c->count] = (struct p2p_offer_file){
        .name = strdup(file->name), .size = file->geometry.size, .root = file->root};
    return grown[c->count++].name != NULL ? P2P_OK : P2P_ERR_NOMEM;
}

/* ---- files ---- */

/* A file in memory with the hashes. */
static enum p2p_err
put_layer(const struct carrier_file *file, int *fd)
{
    size_t len = (size_t)file->geometry.count * sizeof(*file->layer);

    *fd = memfd_create("p2p layer", MFD_CLOEXEC);
    if (*fd < 0)
        return p2p_err_from_errno(errno);
    for (size_t done = 0; done < len;) {
        ssize_t n = write(*fd, (const char *)file->layer + done, len - done);
        if (n < 0 && errno != EINTR)
            return p2p_err_from_errno(errno);
        done += n > 0 ? (size_t)n : 0;
    }
    return P2P_OK;
}

enum p2p_err
carrier_add(struct carrier *c, const struct carrier_file *file)
{
    cJSON *request = request_for(c, "offer.file");
    bool is_folder = file->name[strlen(file->name) - 1] == '/';
    char mtime[P2P_U64_TEXT_MAX];
    int files[2] = {file->fd, -1};
    enum p2p_err err = P2P_OK;

    cli_put_text(request, "name", file->name);
    if (!is_folder) {
        p2p_u64_format(file->mtime_ns, mtime);
        cli_put_text(request, "mtime_ns", mtime);
        cli_put_number(request, "chunk_size", file->geometry.chunk_size);
        cli_put_hex(request, "root", file->root.b, true);
        cli_put_hex(request, "sha256", file->sha256.b, true);
        err = put_layer(file, &files[1]);
    }
    if (err == P2P_OK)
        err = ask(c, request, files, is_folder ? 0 : 2, NULL);
    else
        cJSON_Delete(request);
    if (err == P2P_OK && !is_folder)
        err = note_file(c, file);
    p2p_fd_close(&files[1]);
    return err;
}

enum p2p_err
carrier_allow(struct carrier *c, const char *peer_id)
{
    cJSON *request = request_for(c, "offer.open");

    cli_put_text(request, "peer", peer_id);
    return ask(c, request, NULL, 0, NULL);
}

enum p2p_err
carrier_link(struct carrier *c, const struct carrier_link *link)
{
    cJSON *request = request_for(c, "offer.link"), *answer = NULL;
    char secret[P2P_LINK_TEXT];
    enum p2p_err err;

    cli_put_text(request, "secret", p2p_link_format(link->secret, secret));
    cli_put_text(request, "title", link->title);
    cli_put_number(request, "lifetime", (link->lifetime_ms + 999) / 1000);
    if (link->uses > 0)
        cli_put_number(request, "uses", link->uses);
    if (link->pin != NULL)
        cli_put_text(request, "pin", link->pin);
    if (link->near != NULL)
        cli_put_text(request, "near", link->near);
    p2p_wipe(secret, sizeof(secret));
    err = ask(c, request, NULL, 0, &answer);
    if (err == P2P_OK && link->near != NULL &&
        !cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(answer, "near")))
        err = P2P_ERR_UNSUPPORTED;
    cJSON_Delete(answer);
    return err;
}

cJSON *
carrier_status(struct carrier *c)
{
    cJSON *answer = NULL;

    (void)!ask(c, request_for(c, "offer.status"), NULL, 0, &answer);
    return answer;
}
