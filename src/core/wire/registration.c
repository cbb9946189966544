/* The bytes that a peer signs when it registers, changes its list, or leaves. */
#include <string.h>

#include "p2p/msg.h"

static const char label_registration[] = "p2p/2 registration"; /* each with its NUL */
static const char label_registration2[] = "p2p/2 registration 2";
static const char label_delta[] = "p2p/2 delta";
static const char label_leave[] = "p2p/2 leave";
_Static_assert(P2P_REG_LEAVE_LEN == sizeof(label_leave) + P2P_DIGEST_LEN + 8, "leave");

enum { ENTRY_FIXED = 2 + 8 + P2P_DIGEST_LEN + P2P_DIGEST_LEN + 4 };

static size_t
entries_size(const struct p2p_reg_entry *entries, uint32_t count)
{
    size_t size = 4 + (size_t)count * ENTRY_FIXED;

    for (uint32_t i = 0; i < count; i++)
        size += entries[i].name.len;
    return size;
}

/* A name that is too long for its length field is an error, so that it is never cut. */
static void
put_name(struct p2p_wr *wr, struct p2p_text name)
{
    if (name.len > UINT16_MAX)
        wr->failed = true;
    p2p_wr_put_u16(wr, (uint16_t)name.len);
    p2p_wr_put_bytes(wr, name.at, name.len);
}

static void
put_entries(struct p2p_wr *wr, const struct p2p_reg_entry *entries, uint32_t count)
{
    p2p_wr_put_u32(wr, count);
    for (uint32_t i = 0; i < count; i++) {
        put_name(wr, entries[i].name);
        p2p_wr_put_u64(wr, entries[i].size);
        p2p_wr_put_bytes(wr, entries[i].root.b, sizeof(entries[i].root.b));
        p2p_wr_put_bytes(wr, entries[i].sha256.b, sizeof(entries[i].sha256.b));
        p2p_wr_put_u32(wr, entries[i].version);
    }
}

static void
put_head(struct p2p_wr *wr, const char *label, const struct p2p_id *id, uint64_t seq)
{
    p2p_wr_put_bytes(wr, label, strlen(label) + 1);
    p2p_wr_put_bytes(wr, id->b, sizeof(id->b));
    p2p_wr_put_u64(wr, seq);
}

static size_t
size_after_label(const struct p2p_registration *reg)
{
    return sizeof(reg->peer_id.b) + 8 + 8 + 1 + reg->ip.len + 2 +
           entries_size(reg->entries, reg->count);
}

static void
put_with_label(struct p2p_wr *wr, const char *label, const struct p2p_registration *reg)
{
    if (reg->ip.len > UINT8_MAX)
        wr->failed = true;
    put_head(wr, label, &reg->peer_id, reg->seq);
    p2p_wr_put_u64(wr, reg->expires_at_s);
    p2p_wr_put_u8(wr, (uint8_t)reg->ip.len);
    p2p_wr_put_bytes(wr, reg->ip.at, reg->ip.len);
    p2p_wr_put_u16(wr, reg->port);
    put_entries(wr, reg->entries, reg->count);
}

size_t
p2p_registration_size(const struct p2p_registration *reg)
{
    return sizeof(label_registration) + size_after_label(reg);
}

void
p2p_registration_put(struct p2p_wr *wr, const struct p2p_registration *reg)
{
    put_with_label(wr, label_registration, reg);
}

size_t
p2p_registration2_size(const struct p2p_registration *reg)
{
    return sizeof(label_registration2) + size_after_label(reg) + 1 + 2 + reg->name.len +
           2 + reg->addresses.len;
}

void
p2p_registration2_put(struct p2p_wr *wr, const struct p2p_registration *reg)
{
    put_with_label(wr, label_registration2, reg);
    p2p_wr_put_u8(wr, reg->kind);
    put_name(wr, reg->name);
    put_name(wr, reg->addresses);
}

size_t
p2p_reg_delta_size(const struct p2p_reg_delta *delta)
{
    size_t size = sizeof(label_delta) + sizeof(delta->peer_id.b) + 8 + 8 + 4 +
                  2 * (size_t)delta->removed_count;

    for (uint32_t i = 0; i < delta->removed_count; i++)
        size += delta->removed[i].len;
    return size + entries_size(delta->added, delta->added_count);
}

void
p2p_reg_delta_put(struct p2p_wr *wr, const struct p2p_reg_delta *delta)
{
    put_head(wr, label_delta, &delta->peer_id, delta->seq);
    p2p_wr_put_u64(wr, delta->base);
    p2p_wr_put_u32(wr, delta->removed_count);
    for (uint32_t i = 0; i < delta->removed_count; i++)
        put_name(wr, delta->removed[i]);
    put_entries(wr, delta->added, delta->added_count);
}

void
p2p_reg_leave_put(struct p2p_wr *wr, const struct p2p_id *peer_id, uint64_t seq)
{
    put_head(wr, label_leave, peer_id, seq);
}
