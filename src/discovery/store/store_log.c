#include "discovery/store/store_log.h"

#include <string.h>

#include "p2p/bytes.h"
#include "p2p/log.h"
#include "p2p/net.h"

static const char *const type_names[] = {
    [STORE_PUT] = "put", [STORE_LEFT] = "left", [STORE_BEAT] = "beat"};

const char *
store_type_name(enum store_type type)
{
    return type_names[type];
}

static bool
apply_put(struct registry *r, const void *bytes, size_t len)
{
    struct record rec;
    uint64_t known_seq;

    if (record_decode(bytes, len, &rec) != P2P_OK)
        return false;
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
store_log_apply(struct registry *r, const char *type, const void *bytes, size_t len)
{
    bool ok = true;

    if (strcmp(type, type_names[STORE_PUT]) == 0)
        ok = apply_put(r, bytes, len);
    else if (strcmp(type, type_names[STORE_LEFT]) == 0)
        ok = apply_left(r, bytes, len);
    else if (strcmp(type, type_names[STORE_BEAT]) == 0)
        ok = apply_beats(r, bytes, len);
    /* Unknown types come from newer versions and are skipped. */
    if (!ok)
        p2p_log_warn("store: ignored a malformed entry type=%s bytes=%zu", type, len);
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
