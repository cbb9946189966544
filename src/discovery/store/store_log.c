#include "discovery/store/store_log.h"

#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/net.h"

static const char *const type_names[] = {[STORE_PUT] = "put",
                                         [STORE_LEFT] = "left",
                                         [STORE_BEAT] = "beat",
                                         [STORE_NEWS] = "news"};

const char *
store_type_name(enum store_type type)
{
    return type_names[type];
}

size_t
store_log_put_claims(uint8_t out[STORE_CLAIMS_MAX],
                     const struct registry_exported *peer)
{
    struct p2p_wr wr;
    size_t len;

    if (!registry_has_claims(peer))
        return 0;
    p2p_wr_init(&wr, out, STORE_CLAIMS_MAX);
    p2p_wr_put_u64(&wr, peer->seq);
    record_put_claims(&wr, &peer->about, peer->addresses);
    return p2p_wr_end(&wr, &len) == P2P_OK ? len : 0;
}

/* Claims beside a record that has no seq, or has another one, are left over from an
 * older record. */
void
store_log_take_claims(struct record *rec, const void *claims, size_t len)
{
    char addresses[RECORD_ADDRESSES_MAX + 1];
    struct p2p_about about;
    struct p2p_rd rd;

    if (len == 0 || !rec->is_signed)
        return;
    p2p_rd_init(&rd, claims, len);
    if (p2p_rd_get_u64(&rd) != rec->seq ||
        record_get_claims(&rd, &about, addresses) != P2P_OK ||
        p2p_rd_end(&rd) != P2P_OK)
        return;
    rec->has_claims = true;
    rec->about = about;
    memcpy(rec->addresses, addresses, sizeof(addresses));
}

static bool
apply_put(struct registry *r, const struct store_entry *entry)
{
    struct record rec;
    uint64_t known_seq;

    if (record_decode(entry->bytes, entry->len, &rec) != P2P_OK)
        return false;
    store_log_take_claims(&rec, entry->claims, entry->claims_len);
    /* A refused entry is older than ours, or all registries refuse it by the same
     * rules: nothing to report. */
    if (registry_put(r, &rec, 0, &known_seq) == REGISTRY_OK)
        registry_mark_told(r, &rec.id);
    record_clear(&rec);
    return true;
}

static bool
apply_left(struct registry *r, const void *bytes, size_t len)
{
    struct p2p_id id;
    struct p2p_rd rd;
    uint64_t seq, until_s, known_seq;

    p2p_rd_init(&rd, bytes, len);
    p2p_rd_get_bytes(&rd, id.b, sizeof(id.b));
    seq = p2p_rd_get_u64(&rd);
    until_s = p2p_rd_get_u64(&rd);
    if (p2p_rd_end(&rd) != P2P_OK)
        return false;
    (void)registry_leave(r, &id, seq, &known_seq);
    registry_remember(r, &id, seq, until_s);
    return true;
}

static bool
apply_beats(struct registry *r, const void *bytes, size_t len)
{
    uint64_t now_ms = p2p_now_ms();
    struct p2p_id id;
    struct p2p_rd rd;

    p2p_rd_init(&rd, bytes, len);
    while (rd.left >= STORE_BEAT_LEN) {
        uint32_t age_ms;

        p2p_rd_get_bytes(&rd, id.b, sizeof(id.b));
        age_ms = p2p_rd_get_u32(&rd);
        if (age_ms < now_ms)
            registry_heard_elsewhere(r, &id, now_ms - age_ms);
    }
    return p2p_rd_end(&rd) == P2P_OK;
}

void
store_log_apply(struct registry *r, const struct store_entry *entry)
{
    const char *type = entry->type;
    bool ok = true;

    if (strcmp(type, type_names[STORE_PUT]) == 0)
        ok = apply_put(r, entry);
    else if (strcmp(type, type_names[STORE_LEFT]) == 0)
        ok = apply_left(r, entry->bytes, entry->len);
    else if (strcmp(type, type_names[STORE_BEAT]) == 0)
        ok = apply_beats(r, entry->bytes, entry->len);
    /* Unknown types come from newer versions and are skipped. */
    if (!ok)
        p2p_log_warn("store: ignored a malformed entry type=%s bytes=%zu", type,
                     entry->len);
}

void
store_log_put_left(uint8_t out[STORE_LEFT_LEN], const struct p2p_id *id, uint64_t seq,
                   uint64_t until_s)
{
    memcpy(out, id->b, sizeof(id->b));
    p2p_store_u64(out + 32, seq);
    p2p_store_u64(out + 40, until_s);
}

void
store_log_put_beat(uint8_t out[STORE_BEAT_LEN], const struct registry_beat *beat,
                   uint64_t now_ms)
{
    uint64_t age = now_ms > beat->heard_ms ? now_ms - beat->heard_ms : 0;

    memcpy(out, beat->id.b, sizeof(beat->id.b));
    p2p_store_u32(out + 32, age < UINT32_MAX ? (uint32_t)age : UINT32_MAX);
}
