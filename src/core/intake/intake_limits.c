/* What guests may still do, and what they have done. */
#include <stdio.h>

#include "core/intake/intake_internal.h"
#include "p2p/clock.h"

/* ---- what guests may ---- */

enum p2p_err
p2p_intake_check_pin(struct p2p_intake *in, const struct p2p_link_pin *pin)
{
    enum p2p_err err = P2P_ERR_RATE_LIMITED;

    p2p_lock(&in->lock);
    if (p2p_now_ms() >= in->locked_until_ms) {
        err =
            p2p_equal_ct(pin->b, in->opt.pin.b, sizeof(pin->b)) ? P2P_OK : P2P_ERR_AUTH;
        in->wrong = err == P2P_OK ? 0 : in->wrong + 1;
        if (in->wrong == P2P_INTAKE_WRONG_MAX) {
            in->wrong = 0;
            in->locked_until_ms = p2p_now_ms() + P2P_INTAKE_LOCKED_MS;
        }
    }
    p2p_unlock(&in->lock);
    return err;
}

void
p2p_intake_tell(const struct p2p_intake *in, enum p2p_intake_event event,
                const char *name, uint64_t size)
{
    if (in->opt.on_event != NULL)
        in->opt.on_event(in->opt.arg, event, name, size);
}

void
p2p_intake_show(struct p2p_intake *in, int fd, const struct intake_part *part)
{
    p2p_lock(&in->lock);
    for (unsigned i = 0; i < in->session_count; i++)
        if (in->sessions[i].fd == fd)
            in->sessions[i].part = part;
    p2p_unlock(&in->lock);
}

static void
put_current(const struct p2p_intake *in, struct p2p_intake_status *out)
    P2P_REQUIRES(intake_lock)
{
    for (unsigned i = 0; i < in->session_count; i++) {
        const struct intake_part *part = in->sessions[i].part;
        if (part == NULL)
            continue;
        snprintf(out->name, sizeof(out->name), "%s", part->name);
        out->size = part->size;
        out->got = atomic_load(&part->got);
        return;
    }
}

void
p2p_intake_status(struct p2p_intake *in, struct p2p_intake_status *out)
{
    p2p_lock(&in->lock);
    *out = (struct p2p_intake_status){
        .uses = in->uses,
        .done = in->done,
        .files = in->files,
        .received = atomic_load(&in->received),
        .uses_left = in->uses_left,
        .bytes_left = in->bytes_left,
        .guests = in->session_count,
        .parts = in->incomplete,
    };
    put_current(in, out);
    p2p_unlock(&in->lock);
}
