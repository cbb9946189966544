/* The sources of a download: their state, their failures, and how many connections each
 * gets. */
#include "core/download/download_internal.h"
#include "core/download/folder.h"

#include <stdio.h>
#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"

#define BACKOFF_MS     250
#define BACKOFF_MAX_MS 8000
/* A source may answer "busy" this often (it is hashing the file) before that counts as
 * a failure: a few minutes. */
#define BUSY_MAX 60
/* Chunks that a connection needs to be worth its handshake. */
#define CHUNKS_PER_CONNECTION 4
/* Above this round-trip time, open a source's connections in parallel. */
#define FAR_RTT_US 20000
/* Above this one, start with more connections: socket buffers and slow start limit four
 * of them for a long time. */
#define VERY_FAR_RTT_US 200000

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
stop_workers_of(struct p2p_download *dl, unsigned source)
{
    for (unsigned i = 0; i < DL_WORKERS; i++) {
        struct dl_worker *w = &dl->workers[i];
        if (!w->running || w->source != source)
            continue;
        w->stop = true;
        if (w->conn != NULL)
            p2p_conn_interrupt(w->conn);
    }
}

/* Sets the message for the user; the log line has the same facts. */
static void
explain_drop(struct p2p_download *dl, const struct dl_source *s, enum p2p_err why,
             bool is_gone)
{
    char label[DL_LABEL_MAX], address[P2P_HOST_MAX + 9];

    p2p_dl_source_label(s, label);
    p2p_addr_format(&s->addr, address, sizeof(address));
    switch (why) {
    case P2P_ERR_HASH_MISMATCH:
        p2p_dl_set_error(dl, why,
                         "%s sent data that does not match the file's hash; it is not "
                         "asked again",
                         label);
        break;
    case P2P_ERR_PROTOCOL:
    case P2P_ERR_MALFORMED:
        p2p_dl_set_error(dl, why, "%s broke the protocol; it is not asked again",
                         label);
        break;
    case P2P_ERR_NOT_FOUND:
        p2p_dl_set_error(dl, why,
                         s->disagreed ? "%s has another file, or none, under this name"
                                      : "%s does not have the file",
                         label);
        break;
    case P2P_ERR_FILE_CHANGED:
        p2p_dl_set_error(dl, why,
                         is_gone ? "%s does not have the file any more: it changed, or "
                                   "was moved or deleted"
                                 : "the file changed at %s",
                         label);
        break;
    case P2P_ERR_WRONG_SIZE:
        p2p_dl_set_error(dl, why,
                         "%s says that the file has %llu bytes, but %llu were "
                         "announced; it is not downloaded from there",
                         label, (unsigned long long)s->meta.geometry.size,
                         (unsigned long long)dl->announced_size);
        break;
    case P2P_ERR_KEY_CHANGED:
    case P2P_ERR_WRONG_PEER:
    case P2P_ERR_NOT_ALLOWED:
        if (dl->protocol == 1) {
            p2p_dl_set_error(
                dl, why,
                "%s has spoken protocol 2 before; protocol 1, which proves "
                "nothing, is not used with it any more",
                label);
            break;
        }
        dl->error = why;
        /* After WRONG_PEER, `expected` is not the peer that answered. */
        p2p_known_explain(why, address,
                          s->is_expected && why == P2P_ERR_NOT_ALLOWED ? &s->expected
                                                                       : NULL,
                          dl->message, sizeof(dl->message));
        break;
    default:
        p2p_dl_set_error(dl, why, "%s: %s", label, p2p_err_text(why));
    }
}

void
p2p_dl_drop_source(struct p2p_download *dl, unsigned source, enum p2p_err why)
{
    struct dl_source *s = &dl->sources[source];
    char label[DL_LABEL_MAX];

    if (s->state == P2P_SRC_DROPPED)
        return;
    bool is_gone = why == P2P_ERR_NOT_FOUND;
    if (is_gone &&
        (s->agreed || (s->had && dl->protocol != 1))) /* it had it a moment ago */
        why = P2P_ERR_FILE_CHANGED;
    p2p_log_warn("source dropped error=%s source=\"%s\"", p2p_err_name(why),
                 p2p_dl_source_label(s, label));
    s->state = P2P_SRC_DROPPED;
    s->error = why;
    s->agreed = false;
    explain_drop(dl, s, why, is_gone);
    stop_workers_of(dl, source);
    pthread_cond_broadcast(&dl->changed);
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

void
p2p_dl_source_failed(struct p2p_download *dl, unsigned source, enum p2p_err why)
{
    struct dl_source *s = &dl->sources[source];
    char label[DL_LABEL_MAX];
    uint64_t now = p2p_now_ms();

    if (s->state == P2P_SRC_DROPPED)
        return;
    s->error = why;
    if (s->next_try_ms > now) /* its connections fail together: that is one failure */
        return;
    if (why == P2P_ERR_BUSY && s->busy < BUSY_MAX)
        s->busy++;
    else
        s->failures++;
    s->next_try_ms = now + backoff_ms(s->failures + s->busy);
    if (s->workers == 0)
        s->state = P2P_SRC_RETRYING;
    p2p_log_info("source failed error=%s failures=%u source=\"%s\"", p2p_err_name(why),
                 s->failures, p2p_dl_source_label(s, label));
    p2p_dl_set_error(dl, why, "%s: %s", label, p2p_err_text(why));
}

void
p2p_dl_source_delivered(struct p2p_download *dl, unsigned source, uint64_t bytes)
{
    struct dl_source *s = &dl->sources[source];

    s->received += bytes;
    s->failures = s->busy = 0;
}

void
p2p_dl_forget_file(struct p2p_download *dl)
{
    for (size_t i = 0; i < dl->source_count; i++) {
        struct dl_source *s = &dl->sources[i];
        s->agreed = false;
        if (s->state != P2P_SRC_DROPPED ||
            !(s->disagreed || s->error == P2P_ERR_FILE_CHANGED))
            continue;
        s->state = P2P_SRC_CONNECTING;
        s->disagreed = false;
        s->error = P2P_OK;
    }
    dl->meta_known = dl->layer_known = dl->looked = false;
    if (!dl->root_asked)
        dl->meta = (struct p2p_meta){0};
}

unsigned
p2p_dl_usable_sources(const struct p2p_download *dl)
{
    unsigned usable = 0;

    for (size_t i = 0; i < dl->source_count; i++)
        usable += dl->sources[i].state != P2P_SRC_DROPPED;
    return usable;
}

bool
p2p_dl_has_witness(const struct p2p_download *dl)
{
    for (size_t i = 0; i < dl->source_count; i++)
        if (dl->sources[i].agreed)
            return true;
    return false;
}

/* One connection until the file is known and worth more, then the same number for each
 * source. To a distant source all connections are opened at once: that saves three
 * round trips, and costs the source a few signatures if the file turns out to be small.
 */
/* Until it is known which content a name means, only the best ranked sources are asked.
 * Otherwise a stranger that answers faster would decide what is downloaded, while a
 * trusted peer is still being asked. */
static enum p2p_rank
speakers_rank(const struct p2p_download *dl)
{
    bool is_open =
        dl->folder != NULL ? !dl->folder->listed : !dl->root_asked && !dl->meta_known;
    enum p2p_rank best = P2P_RANK_BLOCKED;

    for (size_t i = 0; i < dl->source_count && is_open; i++)
        if (p2p_dl_source_is_live(dl, &dl->sources[i]) &&
            dl->sources[i].rank.rank < best)
            best = dl->sources[i].rank.rank;
    return best;
}

static unsigned
wanted_of(const struct p2p_download *dl, const struct dl_source *s, unsigned usable)
{
    unsigned share = DL_WORKERS / (usable > 0 ? usable : 1);
    uint64_t left = dl->ready ? dl->plan.left : dl->meta.geometry.count;
    uint64_t worth = left / CHUNKS_PER_CONNECTION / (usable > 0 ? usable : 1);

    if (s->state == P2P_SRC_DROPPED)
        return 0;
    if (dl->folder != NULL)
        return p2p_folder_wanted(dl, share);
    unsigned wanted = dl->connections + dl->grown;
    if (s->rtt_us >= VERY_FAR_RTT_US && dl->protocol != 1)
        wanted += dl->connections;
    if (wanted > share)
        wanted = share;
    if (!dl->ready && dl->protocol == 1)
        return 1;
    if (!s->agreed)
        return s->rtt_us >= FAR_RTT_US && wanted > 0 ? wanted : 1;
    /* While one connection fetches the layer, the others can do their handshakes. */
    if (left == 0)
        return dl->ready ? 0 : 1;
    if (wanted > worth)
        wanted = (unsigned)worth;
    return wanted > 0 ? wanted : 1;
}

void
p2p_dl_share_out_connections(struct p2p_download *dl)
{
    unsigned usable = p2p_dl_usable_sources(dl);
    enum p2p_rank speakers = speakers_rank(dl);
    bool protocol1_busy = false;

    for (size_t i = 0; i < dl->source_count; i++) {
        struct dl_source *s = &dl->sources[i];
        s->wanted = s->rank.rank <= speakers ? wanted_of(dl, s, usable) : 0;
        /* Protocol 1 has no tree, so it cannot be known which source sent wrong bytes:
         * only one source at a time. */
        if (dl->protocol == 1 && protocol1_busy)
            s->wanted = 0;
        protocol1_busy |= s->wanted > 0;
    }
}

/* The most telling error: that of all sources if it is the same, else NO_SOURCE. */
static enum p2p_err
summary(const struct p2p_download *dl)
{
    enum p2p_err err = dl->source_count > 0 ? dl->sources[0].error : P2P_OK;

    for (size_t i = 1; i < dl->source_count; i++)
        if (dl->sources[i].error != err)
            return P2P_ERR_NO_SOURCE;
    return err != P2P_OK ? err : P2P_ERR_NO_SOURCE;
}

enum p2p_err
p2p_dl_hopeless(struct p2p_download *dl)
{
    p2p_dl_fill_places(dl);
    if (dl->waiting_count > 0)
        return P2P_OK;
    for (size_t i = 0; i < dl->source_count; i++)
        if (p2p_dl_source_is_live(dl, &dl->sources[i]))
            return P2P_OK;
    return summary(dl);
}
