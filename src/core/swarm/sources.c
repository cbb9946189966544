/* The sources of a download: their state, their failures, and how many connections each
 * gets. */
#include "core/swarm/swarm.h"

#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"

#define BACKOFF_MS     250
#define BACKOFF_MAX_MS 8000
/* A source may answer "busy" this often (it is hashing the file) before that counts as
 * a failure: a few minutes. */
#define BUSY_MAX 60
const char *
p2p_dl_source_label(const struct dl_source *s, char out[DL_LABEL_MAX])
{
    char id[2 * P2P_DIGEST_LEN + 1] = "", address[P2P_HOST_MAX + 9];

    p2p_addr_format(&s->addr, address, sizeof(address));
    if (s->id_known || s->is_expected)
        p2p_hex_format(s->id_known ? s->id.b : s->expected.b, P2P_DIGEST_LEN, id);
    if (id[0] != '\0')
        snprintf(out, DL_LABEL_MAX, "peer %.16s at %s", id, address);
    else
        snprintf(out, DL_LABEL_MAX, "peer at %s", address);
    return out;
}

static void
stop_workers_of(struct p2p_download *dl, unsigned source) P2P_REQUIRES(p2p_dl_lock)
{
    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->swarm.workers[i];
        if (!w->running || w->source != source)
            continue;
        w->stop = true;
        if (w->conn != NULL)
            p2p_conn_interrupt(w->conn);
    }
}

void
p2p_dl_reconnect(struct p2p_download *dl)
{
    for (unsigned i = 0; i < dl->swarm.source_count; i++) {
        if (dl->swarm.sources[i].has_new_address)
            stop_workers_of(dl, i);
        dl->swarm.sources[i].has_new_address = false;
    }
    p2p_dl_wake(dl);
}

static void
explain_failure(struct p2p_download *dl, enum p2p_err why, const char *label)
    P2P_REQUIRES(p2p_dl_lock)
{
    if (why != P2P_ERR_REFUSED)
        p2p_dl_set_error(dl, why, "%s: %s", label, p2p_err_text(why));
    else
        p2p_dl_set_error(
            dl, why,
            "%s refused this device. It shares with devices that it trusts "
            "only, or it is busy. Ask its owner to trust this one (p2p "
            "peers trust %s), or to start p2p-peer with --public",
            label, p2p_identity_id_hex(dl->opt.identity));
}

/* Sets the message for the user; the log line has the same facts. */
static void
explain_drop(struct p2p_download *dl, const struct dl_source *s, enum p2p_err why,
             bool is_gone) P2P_REQUIRES(p2p_dl_lock)
{
    char label[DL_LABEL_MAX], address[P2P_HOST_MAX + 9];

    p2p_dl_source_label(s, label);
    p2p_addr_format(&s->addr, address, sizeof(address));
    switch (why) {
    case P2P_ERR_HASH_MISMATCH:
        p2p_dl_set_error(dl, why,
                         "%s sent data that does not match the file's hash; it will "
                         "not be asked again",
                         label);
        break;
    case P2P_ERR_PROTOCOL:
    case P2P_ERR_MALFORMED:
        p2p_dl_set_error(dl, why, "%s broke the protocol; it will not be asked again",
                         label);
        break;
    case P2P_ERR_NOT_FOUND:
        p2p_dl_set_error(dl, why,
                         s->disagreed ? "%s has another file, or none, under this name"
                                      : "%s does not have the file",
                         label);
        break;
    case P2P_ERR_FILE_CHANGED:
        p2p_dl_set_error(
            dl, why,
            is_gone ? "%s no longer has the file: it was changed, moved or deleted"
                    : "the file changed at %s",
            label);
        break;
    case P2P_ERR_WRONG_SIZE:
        p2p_dl_set_error(dl, why,
                         "%s says that the file has %llu bytes, but %llu were "
                         "announced; it will not be asked again",
                         label, (unsigned long long)s->meta.geometry.size,
                         (unsigned long long)dl->opt.announced_size);
        break;
    case P2P_ERR_TOO_LARGE:
    case P2P_ERR_FILE_TOO_BIG:
    case P2P_ERR_DISK_TOO_SMALL: /* another source may state another size */
        p2p_dl_explain(dl, why, s->meta.geometry.size);
        break;
    case P2P_ERR_KEY_CHANGED:
    case P2P_ERR_WRONG_PEER:
    case P2P_ERR_NOT_ALLOWED:
        if (dl->opt.protocol == 1) {
            p2p_dl_set_error(dl, why,
                             "%s has used protocol 2 before, so it is no longer asked "
                             "with protocol 1, which proves nothing",
                             label);
            break;
        }
        dl->report.error = why;
        /* After WRONG_PEER, `expected` is not the peer that answered. */
        p2p_known_explain(why, address,
                          s->is_expected && why == P2P_ERR_NOT_ALLOWED ? &s->expected
                                                                       : NULL,
                          dl->report.message, sizeof(dl->report.message));
        break;
    default:
        explain_failure(dl, why, label);
    }
}

/* False if it was dropped before. `*why` gets the sentence for the user. */
static bool
drop(struct p2p_download *dl, unsigned source, enum p2p_err *why)
    P2P_REQUIRES(p2p_dl_lock)
{
    struct dl_source *s = &dl->swarm.sources[source];

    if (s->state == P2P_SRC_DROPPED)
        return false;
    bool is_gone = *why == P2P_ERR_NOT_FOUND;
    if (is_gone && (s->agreed || s->had)) /* the source had the file a moment ago */
        *why = P2P_ERR_FILE_CHANGED;
    s->state = P2P_SRC_DROPPED;
    s->error = *why;
    s->agreed = false;
    explain_drop(dl, s, *why, is_gone);
    stop_workers_of(dl, source);
    p2p_dl_wake(dl);
    return true;
}

void
p2p_dl_drop_source(struct p2p_download *dl, unsigned source, enum p2p_err why)
{
    char label[DL_LABEL_MAX];

    p2p_dl_measure(dl, why);
    p2p_lock(&dl->lock);
    bool is_new = drop(dl, source, &why);
    p2p_dl_source_label(&dl->swarm.sources[source], label);
    p2p_unlock(&dl->lock);
    if (is_new)
        p2p_log_warn("source dropped error=%s source=\"%s\"", p2p_err_name(why), label);
}

static uint64_t
backoff_ms(unsigned failures)
{
    uint64_t ms =
        failures < 6 ? (uint64_t)BACKOFF_MS << (failures - 1) : BACKOFF_MAX_MS;
    uint16_t noise = 0;

    if (p2p_random(&noise, sizeof(noise)) != P2P_OK)
        noise = 0;
    return ms * 3 / 4 + ms * noise / 65536 / 2; /* +- a quarter */
}

/* False if this failure does not count. */
static bool
count_failure(struct p2p_download *dl, struct dl_source *s, enum p2p_err why,
              const char *label) P2P_REQUIRES(p2p_dl_lock)
{
    uint64_t now = p2p_now_ms();

    if (s->state == P2P_SRC_DROPPED)
        return false;
    s->error = why;
    if (s->next_try_ms > now) /* its connections fail together: that is one failure */
        return false;
    if (why == P2P_ERR_BUSY && s->busy < BUSY_MAX)
        s->busy++;
    else {
        s->failures++;
        p2p_dl_all_addresses_failed(dl, s);
    }
    s->next_try_ms = now + backoff_ms(s->failures + s->busy);
    if (s->workers == 0)
        s->state = P2P_SRC_RETRYING;
    explain_failure(dl, why, label);
    return true;
}

void
p2p_dl_source_failed(struct p2p_download *dl, unsigned source, enum p2p_err why)
{
    char label[DL_LABEL_MAX];

    p2p_lock(&dl->lock);
    struct dl_source *s = &dl->swarm.sources[source];
    bool counts = count_failure(dl, s, why, p2p_dl_source_label(s, label));
    unsigned failures = s->failures;
    p2p_unlock(&dl->lock);
    if (counts)
        p2p_log_info("source failed error=%s failures=%u source=\"%s\"",
                     p2p_err_name(why), failures, label);
}

void
p2p_dl_source_delivered(struct p2p_download *dl, unsigned source, uint64_t bytes)
{
    struct dl_source *s = &dl->swarm.sources[source];

    s->received += bytes;
    s->failures = s->busy = 0;
}

void
p2p_dl_ask_sources_again(struct p2p_download *dl)
{
    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        struct dl_source *s = &dl->swarm.sources[i];
        s->agreed = false;
        if (s->state != P2P_SRC_DROPPED ||
            !(s->disagreed || s->error == P2P_ERR_FILE_CHANGED))
            continue;
        s->state = P2P_SRC_CONNECTING;
        s->disagreed = false;
        s->error = P2P_OK;
    }
}

unsigned
p2p_dl_usable_sources(const struct p2p_download *dl)
{
    unsigned usable = 0;

    for (size_t i = 0; i < dl->swarm.source_count; i++)
        usable += dl->swarm.sources[i].state != P2P_SRC_DROPPED;
    return usable;
}

bool
p2p_dl_has_witness(const struct p2p_download *dl)
{
    for (size_t i = 0; i < dl->swarm.source_count; i++)
        if (dl->swarm.sources[i].agreed)
            return true;
    return false;
}

/* Until it is known which content a name means, only the best ranked sources are asked.
 * Otherwise an unknown peer that answers faster could decide what is downloaded, while
 * a trusted peer is still being asked. */
static enum p2p_rank
speakers_rank(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    bool is_open = dl->task->is_open(dl);
    enum p2p_rank best = P2P_RANK_BLOCKED;

    for (size_t i = 0; i < dl->swarm.source_count && is_open; i++)
        if (p2p_dl_source_is_live(dl, &dl->swarm.sources[i]) &&
            dl->swarm.sources[i].rank.rank < best)
            best = dl->swarm.sources[i].rank.rank;
    return best;
}

void
p2p_dl_share_out_connections(struct p2p_download *dl)
{
    unsigned usable = p2p_dl_usable_sources(dl);
    unsigned share = DL_WORKERS / (usable > 0 ? usable : 1);
    enum p2p_rank speakers = speakers_rank(dl);
    bool is_taken = false;

    for (size_t i = 0; i < dl->swarm.source_count; i++) {
        struct dl_source *s = &dl->swarm.sources[i];
        bool is_asked = s->rank.rank <= speakers && s->state != P2P_SRC_DROPPED &&
                        !(dl->task->one_source && is_taken);
        s->wanted = is_asked ? dl->task->wanted(dl, s, usable, share) : 0;
        /* A session of a relay is somebody's bandwidth, and one is enough there and
         * over a channel. */
        if (s->path != P2P_PATH_DIRECT && s->wanted > 1)
            s->wanted = 1;
        is_taken |= s->wanted > 0;
    }
}

/* The most useful error: that of all sources if it is the same, else NO_SOURCE. */
static enum p2p_err
summary(const struct p2p_download *dl) P2P_REQUIRES(p2p_dl_lock)
{
    enum p2p_err err = dl->swarm.source_count > 0 ? dl->swarm.sources[0].error : P2P_OK;

    for (size_t i = 1; i < dl->swarm.source_count; i++)
        if (dl->swarm.sources[i].error != err)
            return P2P_ERR_NO_SOURCE;
    return err != P2P_OK ? err : P2P_ERR_NO_SOURCE;
}

enum p2p_err
p2p_dl_hopeless(struct p2p_download *dl)
{
    p2p_dl_fill_places(dl);
    if (dl->swarm.waiting_count > 0)
        return P2P_OK;
    for (size_t i = 0; i < dl->swarm.source_count; i++)
        if (p2p_dl_source_is_live(dl, &dl->swarm.sources[i]))
            return P2P_OK;
    return summary(dl);
}
