#include "p2p/intake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/intake/intake_internal.h"
#include "p2p/clock.h"

/* ---- life ---- */

enum p2p_err
p2p_intake_new(const struct p2p_intake_options *opt, struct p2p_intake **out)
{
    struct p2p_intake *in = calloc(1, sizeof(*in));
    enum p2p_err err;

    *out = NULL;
    if (in == NULL)
        return P2P_ERR_NOMEM;
    in->opt = *opt;
    snprintf(in->title, sizeof(in->title), "%s", opt->title);
    snprintf(in->name, sizeof(in->name), "%s", opt->name);
    p2p_mutex_init(&in->lock);
    p2p_cond_init(&in->changed);
    in->uses_left = opt->uses;
    in->bytes_left = opt->bytes;
    err = p2p_random(&in->number, sizeof(in->number));
    if (err == P2P_OK)
        err = p2p_stop_new(&in->stop);
    if (err != P2P_OK) {
        p2p_intake_free(in);
        return err;
    }
    p2p_intake_sweep(opt->root);
    *out = in;
    return P2P_OK;
}

void
p2p_intake_free(struct p2p_intake *in)
{
    if (in == NULL)
        return;
    p2p_intake_forget(in);
    p2p_stop_free(in->stop);
    pthread_cond_destroy(&in->changed);
    p2p_mutex_clear(&in->lock);
    p2p_wipe(&in->opt.pin, sizeof(in->opt.pin));
    free(in);
}

/* Their threads notice at once. */
static void
end_sessions(struct p2p_intake *in, const struct p2p_guest_id *guest)
    P2P_REQUIRES(intake_lock)
{
    for (unsigned i = 0; i < in->session_count; i++)
        if (guest == NULL || memcmp(&in->sessions[i].guest, guest, sizeof(*guest)) == 0)
            shutdown(in->sessions[i].fd, SHUT_RDWR);
}

void
p2p_intake_stop(struct p2p_intake *in)
{
    p2p_stop_set(in->stop);
    p2p_lock(&in->lock);
    end_sessions(in, NULL);
    p2p_unlock(&in->lock);
}

/* ---- conversations ---- */

static bool
is_here(const struct p2p_intake *in, const struct p2p_guest_id *guest)
    P2P_REQUIRES(intake_lock)
{
    for (unsigned i = 0; i < in->session_count; i++)
        if (memcmp(&in->sessions[i].guest, guest, sizeof(*guest)) == 0)
            return true;
    return false;
}

/* A guest that comes again has lost the connection before, which may not have been
 * noticed here. */
static bool
enter(struct p2p_intake *in, int fd, const struct p2p_guest_id *guest)
{
    bool may;

    p2p_lock(&in->lock);
    end_sessions(in, guest);
    while (is_here(in, guest))
        p2p_wait(&in->changed, &in->lock);
    may = in->session_count < P2P_INTAKE_GUESTS_MAX && !p2p_stop_is_set(in->stop);
    if (may)
        in->sessions[in->session_count++] =
            (struct intake_session){.fd = fd, .guest = *guest};
    p2p_unlock(&in->lock);
    return may;
}

static void
leave(struct p2p_intake *in, int fd)
{
    p2p_lock(&in->lock);
    for (unsigned i = 0; i < in->session_count; i++)
        if (in->sessions[i].fd == fd) {
            in->sessions[i] = in->sessions[--in->session_count];
            break;
        }
    pthread_cond_broadcast(&in->changed);
    p2p_unlock(&in->lock);
}

void
p2p_intake_serve(struct p2p_intake *in, int fd, const struct p2p_guest_id *guest)
{
    if (enter(in, fd, guest)) {
        p2p_intake_talk(in, fd, guest);
        leave(in, fd);
    }
    close(fd);
}
