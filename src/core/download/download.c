/* The public functions: start, status, pause, cancel, wait. */
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
        enum p2p_err err = p2p_folder_new(dl);
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

static void
dl_free(struct p2p_download *dl)
{
    p2p_mutex_unshared(&dl->lock);
    pthread_cond_destroy(&dl->changed);
    p2p_mutex_clear(&dl->lock);
    free(dl->swarm.waiting);
    if (dl->file != NULL || dl->folder != NULL)
        dl->task->free(dl);
    free(dl);
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
        dl_free(dl);
    return err;
}

void
p2p_download_status(struct p2p_download *dl, struct p2p_download_status *out)
{
    p2p_lock(&dl->lock);
    p2p_dl_fill_status(dl, out);
    p2p_unlock(&dl->lock);
}

bool
p2p_download_has_file(struct p2p_download *dl, size_t index)
{
    return dl->folder != NULL && p2p_folder_has(dl, index);
}

enum p2p_err
p2p_download_add_source(struct p2p_download *dl, const struct p2p_source_spec *source)
{
    return p2p_dl_offer_source(dl, source, 0);
}

void
p2p_download_pause(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    dl->wants.pause = true;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

void
p2p_download_resume(struct p2p_download *dl)
{
    p2p_lock(&dl->lock);
    dl->wants.pause = false;
    dl->wants.resume = true;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

void
p2p_download_cancel(struct p2p_download *dl, bool keep_data)
{
    p2p_lock(&dl->lock);
    dl->wants.keep_data = keep_data;
    dl->wants.cancel = true;
    p2p_dl_wake(dl);
    p2p_unlock(&dl->lock);
}

enum p2p_err
p2p_download_wait(struct p2p_download *dl)
{
    enum p2p_err err;

    p2p_lock(&dl->lock);
    /* After the last event: the state is set before the callback is called. */
    while (!dl->report.reported_end)
        p2p_dl_wait(dl, 1000);
    err = dl->report.state == P2P_DL_COMPLETED ? P2P_OK : dl->report.error;
    if (dl->report.state == P2P_DL_FAILED && err == P2P_OK)
        err = P2P_ERR_NO_SOURCE;
    p2p_unlock(&dl->lock);
    return err;
}

void
p2p_download_free(struct p2p_download *dl)
{
    if (dl == NULL)
        return;
    p2p_lock(&dl->lock);
    if (!dl->report.over) {
        dl->wants.keep_data = true;
        dl->wants.cancel = true;
        p2p_dl_wake(dl);
    }
    p2p_unlock(&dl->lock);
    pthread_join(dl->control, NULL);
    dl_free(dl);
}
