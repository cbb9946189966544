/* The start of a download: what is to be downloaded, and which kind of task that is. */
#include "p2p/download.h"

#include <stdlib.h>
#include <string.h>

#include "core/download/file.h"
#include "core/download/folder.h"

#define RETRIES    5
#define RESTART_MS 250 /* a source needs a moment to see the change */

static bool
is_folder_name(const char *name)
{
    size_t len = strlen(name);

    return len > 1 && name[len - 1] == '/';
}

static enum p2p_err
take_name(const char *name, char out[P2P_NAME_MAX + 1])
{
    size_t len = name != NULL ? strlen(name) : 0;

    if (len == 0 || len > P2P_NAME_MAX)
        return P2P_ERR_NAME;
    if (p2p_name_check(name, is_folder_name(name) ? len - 1 : len, true) != P2P_OK)
        return P2P_ERR_NAME;
    memcpy(out, name, len + 1);
    return P2P_OK;
}

static enum p2p_err
take_options(struct p2p_download *dl, const struct p2p_download_options *opt)
{
    const char *save_as = opt->save_as != NULL ? opt->save_as : opt->name;
    enum p2p_err err;

    if (opt->identity == NULL || opt->name == NULL || opt->downloads == NULL ||
        opt->source_count == 0 || opt->protocol > 2 ||
        opt->connections > P2P_DOWNLOAD_CONNECTIONS_MAX ||
        (opt->protocol == 1 && (opt->root != NULL || is_folder_name(opt->name))))
        return P2P_ERR_USAGE;
    err = take_name(opt->name, dl->opt.name);
    if (err == P2P_OK)
        err = take_name(save_as, dl->opt.save_as);
    if (err == P2P_OK)
        err = take_name(opt->base != NULL ? opt->base : save_as, dl->opt.base);
    if (err == P2P_OK &&
        is_folder_name(dl->opt.name) != is_folder_name(dl->opt.save_as))
        err = P2P_ERR_NAME;
    dl->opt.identity = opt->identity;
    dl->opt.downloads = opt->downloads;
    dl->opt.discovery = opt->discovery;
    dl->opt.reach = opt->reach;
    dl->opt.rate = opt->rate;
    dl->opt.conflict = opt->conflict;
    dl->opt.verify = opt->verify;
    dl->opt.connections =
        opt->connections > 0 ? opt->connections : P2P_DOWNLOAD_CONNECTIONS;
    dl->opt.retries = opt->retries > 0 ? opt->retries : RETRIES;
    dl->opt.timeout_ms = opt->timeout_ms > 0 ? opt->timeout_ms : P2P_TIMEOUT_MS;
    dl->opt.protocol = opt->protocol == 1 ? 1 : 2;
    dl->opt.root_asked = opt->root != NULL;
    dl->opt.size_announced = opt->size_announced && !is_folder_name(opt->name);
    dl->opt.announced_size = opt->announced_size;
    dl->opt.keep_free = opt->keep_free;
    dl->opt.restart_ms = opt->restart_ms > 0 ? opt->restart_ms : RESTART_MS;
    return err;
}

/* The kind of task that was asked for. */
static enum p2p_err
choose_task(struct p2p_download *dl, const struct p2p_download_options *opt)
{
    if (is_folder_name(dl->opt.name)) {
        enum p2p_err err = p2p_folder_new(dl, p2p_download_start);
        dl->task = &p2p_folder_task;
        if (err == P2P_OK && opt->list != NULL)
            err = p2p_folder_set_list(dl, opt->list, opt->list_count);
        return err;
    }
    dl->task = dl->opt.protocol == 1 ? &p2p_dl_file1_task : &p2p_dl_file_task;
    return p2p_dl_file_new(dl, opt->root);
}

static enum p2p_err
take_sources(struct p2p_download *dl, const struct p2p_download_options *opt)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < opt->source_count && err == P2P_OK; i++) {
        err = p2p_dl_offer_source(dl, &opt->sources[i], i);
        if (err == P2P_ERR_TOO_LARGE) /* there are enough better sources */
            err = P2P_OK;
    }
    p2p_lock(&dl->lock);
    p2p_dl_fill_places(dl);
    p2p_unlock(&dl->lock);
    return err;
}

static enum p2p_err
start(struct p2p_download *dl, const struct p2p_download_options *opt)
{
    enum p2p_err err = take_options(dl, opt);

    if (err == P2P_OK)
        err = choose_task(dl, opt);
    if (err == P2P_OK)
        err = take_sources(dl, opt);
    if (err == P2P_OK)
        err = p2p_err_from_errno(pthread_create(&dl->control, NULL, p2p_dl_run, dl));
    return err;
}

enum p2p_err
p2p_download_start(const struct p2p_download_options *opt, p2p_download_event *on_event,
                   void *arg, struct p2p_download **out)
{
    struct p2p_download *dl = calloc(1, sizeof(*dl));
    enum p2p_err err;

    *out = NULL;
    if (dl == NULL)
        return P2P_ERR_NOMEM;
    p2p_mutex_init(&dl->lock);
    p2p_cond_init(&dl->changed);
    dl->opt.on_event = on_event;
    dl->opt.on_readable = opt->on_readable;
    dl->opt.event_arg = arg;
    err = start(dl, opt);
    if (err == P2P_OK)
        *out = dl;
    else
        p2p_dl_free(dl);
    return err;
}

bool
p2p_download_has_file(struct p2p_download *dl, size_t index)
{
    return dl->folder != NULL && p2p_folder_has(dl, index);
}
