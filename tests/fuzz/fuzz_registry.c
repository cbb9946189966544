// uses tests/fuzz/fake_clock.c p2p-discovery
/*
 * The registry compared with a plain model: an array of peers with their files. The
 * first byte chooses the limits; then each step is a byte that chooses the operation,
 * and a few more with its arguments. After each step, the result equals that of the
 * model, bytes and counts equal a recount, every peer is listed once, and the limits
 * hold. At the end, a second registry imports everything and is equal.
 */
#include <string.h>

#include "discovery/index/fold.h"
#include "discovery/registry/registry_internal.h"
#include "discovery/registry/search.h"
#include "fake_clock.h"
#include "fuzz.h"

#define PEERS    12u
#define CONTENTS 5u
#define STEPS    64u
#define TTL_MS   60000u
#define NOBODY   (-1)

static const char *const names[] = {
    "a",       "a.txt",
    "A.TXT",   "\xc3\x89t\xc3\xa9.bin",
    "ete.bin", "folder/b",
    "folder/", "long name of a file with many letters in it.tar.gz",
    "b-a",     "ab",
    "x/a",     "zz"};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* Addresses of peers; the first is this machine, which has no limit. */
static const char *const addresses[] = {"127.0.0.1",     "192.0.2.1",
                                        "192.0.2.2",     "2001:db8::1:1",
                                        "2001:db8::2:9", "2001:db8:0:1::1"};
static const int source_of_address[] = {NOBODY, 0, 1, 2, 2, 3};
#define ADDRESSES (sizeof(addresses) / sizeof(addresses[0]))

struct model_peer {
    bool is_here, is_signed;
    int source;
    uint64_t charge, heard_ms, stamp;
    uint64_t seq, expires_at_s, expires_ms, guard_ms;
    uint64_t tag;           /* seq of the whole signed record; 0: none */
    uint8_t content[NAMES]; /* for each name: 0 if the peer does not have it, otherwise
                               content + 1 */
    uint64_t stone_seq, stone_until_ms; /* when it is not here */
};

struct state {
    const uint8_t *at;
    size_t left;
    struct registry *registry;
    struct registry_options opt;
    struct model_peer peers[PEERS];
    uint64_t now_ms, time_ms;
    bool forgets_stones; /* there is no room for one of each peer */
};

static uint8_t
take(struct state *s)
{
    if (s->left == 0)
        return 0;
    s->left--;
    return *s->at++;
}

static struct p2p_id
id_of(unsigned n)
{
    struct p2p_id id = {{0}};

    /* Some ids share their first bytes: one chain of the table. */
    id.b[0] = (uint8_t)(n < 4 ? 7 : n * 37);
    id.b[31] = (uint8_t)n;
    return id;
}

static unsigned
number_of(const struct p2p_id *id)
{
    MUST(id->b[31] < PEERS);
    return id->b[31];
}

/* ---- what the model knows ---- */

static uint64_t
counts(const struct state *s, uint64_t seq)
{
    return seq > s->time_ms / 1000 * 1000 + REGISTRY_SEQ_AHEAD_MS ? s->time_ms : seq;
}

static uint64_t
guard_of(const struct state *s, uint64_t until_s)
{
    uint64_t now_s = s->time_ms / 1000, left_s = until_s > now_s ? until_s - now_s : 0;

    if (left_s > REGISTRY_SIGNATURE_MAX_S)
        left_s = REGISTRY_SIGNATURE_MAX_S;
    return left_s > 0 ? s->now_ms + left_s * 1000 : 0;
}

static uint64_t
known_seq(const struct state *s, const struct model_peer *p)
{
    if (p->is_here)
        return counts(s, p->seq);
    return p->stone_until_ms > s->now_ms ? counts(s, p->stone_seq) : 0;
}

static void
model_stone(const struct state *s, struct model_peer *p, uint64_t seq,
            uint64_t until_ms)
{
    bool is_old = p->stone_until_ms <= s->now_ms;

    if (is_old || p->stone_seq < seq)
        p->stone_seq = seq;
    if (is_old || p->stone_until_ms < until_ms)
        p->stone_until_ms = until_ms;
}

static void
model_gone(const struct state *s, struct model_peer *p)
{
    struct model_peer old = *p;

    *p = (struct model_peer){.source = NOBODY};
    if (old.seq > 0 && old.guard_ms > s->now_ms)
        model_stone(s, p, old.seq, old.guard_ms);
}

/* Reports of the registry: the model follows them, so the registry has to report all
 * changes. */
static void
on_change(void *arg, const struct p2p_id *id, bool is_gone)
{
    struct state *s = arg;
    struct model_peer *p = &s->peers[number_of(id)];

    if (!is_gone)
        return;
    MUST(p->is_here);
    model_gone(s, p);
}

static uint64_t
cost_of(const uint8_t content[NAMES], bool has_content)
{
    uint64_t charge = PEER_BYTES;

    for (unsigned i = 0; i < NAMES; i++)
        if (content[i] != 0)
            charge += catalogue_cost(strlen(names[i]), has_content);
    return charge;
}

static enum registry_result
model_source(const struct state *s, const struct model_peer *p, int source,
             uint64_t charge)
{
    bool is_counted = p->is_here && p->source == source;
    uint64_t bytes = 0;
    unsigned count = 0;

    if (source == NOBODY)
        return REGISTRY_OK;
    for (unsigned i = 0; i < PEERS; i++)
        if (s->peers[i].is_here && s->peers[i].source == source) {
            count++;
            bytes += &s->peers[i] == p ? 0 : s->peers[i].charge;
        }
    if (s->opt.max_peers_per_ip > 0 && !is_counted && count >= s->opt.max_peers_per_ip)
        return REGISTRY_CROWDED;
    if (s->opt.max_bytes_per_ip > 0 && bytes + charge > s->opt.max_bytes_per_ip &&
        !(is_counted && charge <= p->charge))
        return REGISTRY_HEAVY;
    return REGISTRY_OK;
}

/* The model cannot know whether other peers counted less. */
static bool
is_full(const struct state *s, enum registry_result result, unsigned here)
{
    return (result == REGISTRY_NO_ROOM && s->opt.max_bytes > 0) ||
           (result == REGISTRY_FULL && here >= s->opt.max_peers);
}

static unsigned
count_here(const struct state *s)
{
    unsigned n = 0;

    for (unsigned i = 0; i < PEERS; i++)
        n += s->peers[i].is_here;
    return n;
}

/* ---- records ---- */

static struct p2p_reg_entry
entry_of(unsigned name, unsigned content, bool has_content)
{
    struct p2p_reg_entry e = {.name = {names[name], strlen(names[name])}};

    if (!has_content)
        return e;
    /* 1 and 3 have the same root and different sizes; 4 has no SHA-256. */
    e.size = content * 10;
    memset(e.root.b, content == 3 ? 2 : (int)content + 1, sizeof(e.root.b));
    if (content != 4)
        memset(e.sha256.b, (int)content / 2 + 1, sizeof(e.sha256.b));
    return e;
}

/* Two bytes choose the names, one the content; sorted, as a record has to be. */
static uint32_t
take_entries(struct state *s, bool has_content, uint8_t content[NAMES],
             struct p2p_reg_entry out[NAMES])
{
    unsigned which = take(s) | (unsigned)take(s) << 8, salt = take(s);
    uint32_t count = 0;

    memset(content, 0, NAMES);
    for (unsigned i = 0; i < NAMES; i++) {
        unsigned c = has_content ? (salt + i * (salt >> 4)) % CONTENTS : 0;

        if ((which >> i & 1) == 0 || names[i][strlen(names[i]) - 1] == '/')
            continue;
        content[i] = (uint8_t)(c + 1);
        out[count++] = entry_of(i, c, has_content);
    }
    qsort(out, count, sizeof(*out), record_compare_entries);
    return count;
}

/* Near the clock, near a known seq, or far ahead. */
static uint64_t
take_seq(struct state *s, const struct model_peer *p)
{
    uint8_t how = take(s);

    switch (how % 4) {
    case 0:
        return s->time_ms + how;
    case 1:
        return p->seq + how / 4 + 1;
    case 2:
        return known_seq(s, p) + how / 4;
    default:
        return s->time_ms + (uint64_t)how * 1000 * 1000;
    }
}

/* ---- steps ---- */

static const struct p2p_spki *
a_key(void)
{
    static struct p2p_spki key;

    if (key.b[0] == 0) {
        struct p2p_rsa *rsa = fuzz_key("client");
        key = *p2p_rsa_spki(rsa);
        p2p_rsa_free(rsa);
    }
    return &key;
}

static void
take_back_stone(struct state *s, struct model_peer *p)
{
    if (p->stone_until_ms > s->now_ms) {
        if (p->guard_ms < p->stone_until_ms)
            p->guard_ms = p->stone_until_ms;
        if (p->seq < counts(s, p->stone_seq))
            p->seq = counts(s, p->stone_seq);
    }
    p->stone_seq = p->stone_until_ms = 0;
}

static void
model_put(struct state *s, struct model_peer *p, const struct record *rec, int source,
          const uint8_t content[NAMES], uint64_t tag)
{
    struct model_peer old = *p;

    *p = (struct model_peer){.is_here = true,
                             .is_signed = rec->is_signed,
                             .source = source,
                             .heard_ms = s->now_ms,
                             .seq = old.is_here ? old.seq : 0,
                             .guard_ms = old.is_here ? old.guard_ms : 0,
                             .stone_seq = old.stone_seq,
                             .stone_until_ms = old.stone_until_ms,
                             .tag = tag};
    memcpy(p->content, content, NAMES);
    p->charge = cost_of(content, rec->has_content);
    p->stamp = peer_at(s->registry, registry_find(s->registry, &rec->id))->stamp;
    if (rec->is_signed) {
        p->seq = rec->seq;
        p->expires_at_s = rec->expires_at_s;
        p->expires_ms = guard_of(s, rec->expires_at_s);
        if (p->guard_ms < p->expires_ms)
            p->guard_ms = p->expires_ms;
    }
    take_back_stone(s, p);
}

/* The result that the registry must return; OK also for the same record again. */
static enum registry_result
expect_put(const struct state *s, const struct model_peer *p, const struct record *rec,
           int source, uint64_t charge, uint64_t tag, bool *is_repeated)
{
    *is_repeated = false;
    if (p->is_here && p->is_signed && !rec->is_signed)
        return REGISTRY_SIGNED;
    if (p->is_here && !rec->is_signed && rec->stamp != 0 && rec->stamp <= p->stamp) {
        *is_repeated = rec->stamp == p->stamp;
        return *is_repeated ? REGISTRY_OK : REGISTRY_STALE;
    }
    if (rec->is_signed && known_seq(s, p) >= rec->seq) {
        *is_repeated =
            p->is_here && p->is_signed && p->seq == rec->seq && p->tag == tag;
        return *is_repeated ? REGISTRY_OK : REGISTRY_STALE;
    }
    return model_source(s, p, source, charge);
}

static uint64_t
tag_of(const struct record *rec)
{
    uint8_t *bytes;
    size_t len;
    uint64_t tag;

    if (!rec->is_signed)
        return 0;
    MUST(record_encode(rec, &bytes, &len) == P2P_OK);
    tag = table_hash(bytes, len);
    free(bytes);
    return tag;
}

static void
put(struct state *s, bool is_signed)
{
    unsigned n = take(s) % PEERS, how = take(s), address = how % ADDRESSES;
    int source = how & 0x80 ? NOBODY : source_of_address[address];
    struct model_peer *p = &s->peers[n];
    struct p2p_reg_entry entries[NAMES];
    uint8_t content[NAMES];
    struct record rec = {.id = id_of(n), .port = (uint16_t)(how + 1), .protocols = 1};
    unsigned here = count_here(s);
    enum registry_result want, got;
    bool is_repeated;
    uint64_t seq;

    rec.is_signed = is_signed;
    rec.has_content = is_signed || (how & 0x40) != 0;
    strcpy(rec.ip, addresses[address]);
    if (!(how & 0x80)) /* otherwise it comes from another registry or a snapshot */
        strcpy(rec.from, addresses[address]);
    if (is_signed) {
        rec.seq = take_seq(s, p);
        rec.expires_at_s = s->time_ms / 1000 + take(s) * 40u;
        rec.key = *a_key();
    } else if (how & 0x20) {
        rec.stamp = p->stamp + take(s) % 3;
    }
    rec.count = take_entries(s, rec.has_content, content, entries);
    rec.entries = entries;
    uint64_t tag = tag_of(&rec), known = known_seq(s, p);
    uint64_t charge = cost_of(content, rec.has_content);

    want = expect_put(s, p, &rec, source, charge, tag, &is_repeated);
    got = registry_put(s->registry, &rec, 0, &seq);
    if (got != want)
        MUST(want == REGISTRY_OK && !is_repeated && is_full(s, got, here));
    MUST(seq == known || (s->forgets_stones && seq <= known));
    if (got == REGISTRY_OK && is_repeated)
        p->heard_ms = s->now_ms;
    else if (got == REGISTRY_OK)
        model_put(s, p, &rec, source, content, tag);
}

static void
delta(struct state *s)
{
    unsigned n = take(s) % PEERS, which;
    struct model_peer *p = &s->peers[n];
    struct registry_delta d = {.id = id_of(n)};
    struct p2p_reg_entry add[NAMES];
    struct p2p_text removed[NAMES];
    uint8_t content[NAMES], now[NAMES];
    enum registry_result want = REGISTRY_OK, got;
    unsigned here = count_here(s);
    uint64_t seq, known = known_seq(s, p);

    d.base = p->seq + (take(s) % 16 == 15);
    d.seq = take_seq(s, p);
    d.add = add;
    d.n_add = take_entries(s, true, content, add);
    which = take(s) | (unsigned)take(s) << 8;
    for (unsigned i = 0; i < NAMES; i++)
        if (which >> i & 1)
            removed[d.n_remove++] = (struct p2p_text){names[i], strlen(names[i])};
    qsort(removed, d.n_remove, sizeof(*removed), record_compare_texts);
    d.remove = removed;
    for (unsigned i = 0; i < NAMES; i++)
        now[i] = content[i] != 0 ? content[i] : which >> i & 1 ? 0 : p->content[i];
    if (!p->is_here || !p->is_signed)
        want = REGISTRY_UNKNOWN;
    else if (d.base != p->seq || d.seq <= known)
        want = REGISTRY_STALE;
    else
        want = model_source(s, p, p->source, cost_of(now, true));
    got = registry_apply_delta(s->registry, &d, &seq);
    if (got != want)
        MUST(want == REGISTRY_OK && is_full(s, got, here));
    if (got != REGISTRY_OK)
        return;
    memcpy(p->content, now, NAMES);
    p->charge = cost_of(now, true);
    p->seq = d.seq;
    p->heard_ms = s->now_ms;
    p->tag = 0;
}

static void
leave(struct state *s)
{
    unsigned n = take(s) % PEERS;
    struct model_peer *p = &s->peers[n];
    uint64_t seq = take_seq(s, p), known;
    struct p2p_id id = id_of(n);
    enum registry_result want = REGISTRY_OK;

    if (!p->is_here || !p->is_signed)
        want = REGISTRY_UNKNOWN;
    else if (seq <= known_seq(s, p))
        want = REGISTRY_STALE;
    if (want == REGISTRY_OK)
        p->seq = seq;
    MUST(registry_leave(s->registry, &id, seq, &known) == want);
    MUST(want != REGISTRY_OK || !p->is_here);
}

static void
remember(struct state *s)
{
    unsigned n = take(s) % PEERS;
    struct model_peer *p = &s->peers[n];
    uint64_t seq = take_seq(s, p), until_s = s->time_ms / 1000 + take(s) * 40u;
    uint64_t until_ms = guard_of(s, until_s);
    struct p2p_id id = id_of(n);

    registry_remember(s->registry, &id, seq, until_s);
    if (until_ms == 0)
        return;
    if (!p->is_here) {
        model_stone(s, p, seq, until_ms);
        return;
    }
    if (p->seq < seq)
        p->seq = seq;
    if (p->guard_ms < until_ms)
        p->guard_ms = until_ms;
}

static bool
is_due(const struct state *s, const struct model_peer *p)
{
    return p->heard_ms + s->opt.ttl_ms <= s->now_ms ||
           (p->is_signed &&
            (p->expires_ms <= s->now_ms || p->expires_at_s <= s->time_ms / 1000));
}

/* Peers that are due are removed, and no others; the result is the time of the next
 * one. */
static void
expire(struct state *s)
{
    bool should_go[PEERS];
    uint64_t next_ms = UINT64_MAX;

    for (unsigned i = 0; i < PEERS; i++)
        should_go[i] = s->peers[i].is_here && is_due(s, &s->peers[i]);
    for (unsigned i = 0; i < PEERS; i++) {
        const struct model_peer *p = &s->peers[i];
        uint64_t due_ms = p->heard_ms + s->opt.ttl_ms;

        if (!p->is_here || should_go[i])
            continue;
        if (p->is_signed && p->expires_ms < due_ms)
            due_ms = p->expires_ms;
        next_ms = due_ms < next_ms ? due_ms : next_ms;
    }
    MUST(registry_expire(s->registry, s->now_ms) == next_ms);
    for (unsigned i = 0; i < PEERS; i++)
        MUST(!should_go[i] || !s->peers[i].is_here);
}

static void
move_clock(struct state *s)
{
    unsigned how = take(s), n = take(s);

    if (how % 8 < 6) { /* as time goes */
        uint64_t ms = how % 8 < 4 ? n * 100u : n * 60000u;
        s->now_ms += ms;
        s->time_ms += ms;
    } else if (how % 8 == 6) { /* somebody sets it */
        s->time_ms += n * 3600000ull;
    } else if (s->time_ms > (REGISTRY_CLOCK_SET_S + 1000000ull) * 1000) {
        s->time_ms -= n * 3600000ull;
    }
    fake_clock_set(s->now_ms, s->time_ms);
}

static void
beat(struct state *s)
{
    unsigned n = take(s) % PEERS;
    struct p2p_id id = id_of(n);

    MUST(registry_heartbeat(s->registry, &id, 0) == s->peers[n].is_here);
    s->peers[n].heard_ms = s->now_ms;
}

/* ---- search ---- */

#define CONTENT_GROUPS \
    (CONTENTS + NAMES) /* each name without a content counts separately */

static unsigned
group_of_result(const struct search_result *r)
{
    if (!r->has_content) {
        for (unsigned i = 0; i < NAMES; i++)
            if (strcmp(names[i], r->name) == 0)
                return CONTENTS + i;
        MUST(r == NULL); /* a name that no peer has registered */
    }
    for (unsigned c = 0; c < CONTENTS; c++) {
        struct p2p_reg_entry e = entry_of(0, c, true);
        if (r->size == e.size && memcmp(&r->root, &e.root, 32) == 0 &&
            memcmp(&r->sha256, &e.sha256, 32) == 0)
            return c;
    }
    MUST(r == NULL); /* a content that no peer has registered */
    return 0;
}

static bool
has_content(const struct state *s, unsigned peer)
{
    struct p2p_id id = id_of(peer);
    uint32_t at = registry_find(s->registry, &id);

    return at != SLAB_NONE && peer_at(s->registry, at)->has_content;
}

static void
search(struct state *s)
{
    static const enum match_mode modes[] = {MATCH_EXACT, MATCH_PREFIX, MATCH_SUBSTRING};
    const char *name = names[take(s) % NAMES];
    unsigned how = take(s), want[CONTENT_GROUPS] = {0}, found[CONTENT_GROUPS] = {0};
    enum match_mode mode = modes[how % 3];
    char query[256], cursor[SEARCH_CURSOR_MAX] = "", text[64];

    snprintf(text, sizeof(text), "%s", name);
    if (mode != MATCH_EXACT && how & 8)
        text[(unsigned char)text[0] < 0x80 ? 1 : 2] = '\0';
    fold_text(text, strlen(text), query);
    for (unsigned i = 0; i < NAMES; i++) {
        char folded[256];
        const char *hit;

        fold_text(names[i], strlen(names[i]), folded);
        hit = strstr(folded, query);
        if (hit == NULL || (mode != MATCH_SUBSTRING && hit != folded) ||
            (mode == MATCH_EXACT && strcmp(folded, query) != 0))
            continue;
        for (unsigned p = 0; p < PEERS; p++)
            if (s->peers[p].content[i] != 0 && s->peers[p].is_here)
                want[has_content(s, p) ? s->peers[p].content[i] - 1u : CONTENTS + i]++;
    }
    for (unsigned pages = 0; pages == 0 || cursor[0] != '\0'; pages++) {
        struct search_query q = {text, mode, how / 16 + 1, pages > 0 ? cursor : NULL};
        struct search_results results;

        MUST(pages <= CONTENT_GROUPS);
        MUST(search_run(s->registry, &q, &results) == P2P_OK);
        for (uint32_t i = 0; i < results.count; i++) {
            unsigned group = group_of_result(&results.at[i]);

            MUST(found[group] == 0); /* nothing is shown twice */
            found[group] = results.at[i].sources;
        }
        strcpy(cursor, results.next);
        search_results_clear(&results);
    }
    MUST(memcmp(want, found, sizeof(want)) == 0);
}

/* ---- lists ---- */

struct seen {
    struct state *s;
    unsigned count[PEERS];
    struct p2p_id last;
    bool has_last;
};

static bool
on_listed(void *arg, const struct registry_peer *view)
{
    struct seen *seen = arg;
    unsigned n = number_of(&view->id), files = 0;
    const struct model_peer *p = &seen->s->peers[n];

    seen->count[n]++;
    MUST(!seen->has_last || memcmp(seen->last.b, view->id.b, 32) < 0);
    seen->last = view->id;
    seen->has_last = true;
    MUST(p->is_here && view->is_signed == p->is_signed);
    MUST(view->seq == p->seq);
    MUST(view->heard_ms == p->heard_ms);
    for (unsigned i = 0; i < NAMES; i++)
        files += p->content[i] != 0;
    MUST(view->file_count == files);
    for (uint32_t i = 0; i < view->file_count; i++) {
        const struct file *f = catalogue_file(view->catalogue, view->files[i]);
        const char *name =
            fold_spelling(catalogue_name(view->catalogue, f->name)->text);
        unsigned k = 0;

        while (k < NAMES && strcmp(names[k], name) != 0)
            k++;
        MUST(k < NAMES && p->content[k] != 0);
        MUST(view->has_content == (f->content != SLAB_NONE));
        if (view->has_content)
            MUST(catalogue_content(view->catalogue, f->content)->size ==
                 (p->content[k] - 1u) * 10u);
    }
    return true;
}

static void
check_list(struct state *s)
{
    struct seen seen = {.s = s};
    struct registry_filter all = {0};

    registry_visit_peers(s->registry, &all, NULL, on_listed, &seen);
    for (unsigned i = 0; i < PEERS; i++)
        MUST(seen.count[i] == s->peers[i].is_here);
}

/* Peers with this name, root or SHA-256, beginning at some id. */
static void
list(struct state *s)
{
    unsigned how = take(s), which = take(s);
    struct p2p_reg_entry e = entry_of(which % NAMES, which % CONTENTS, true);
    struct registry_filter filter = {0};
    struct p2p_id after = id_of(take(s) % PEERS);
    struct seen seen = {.s = s};
    bool by_name = how % 3 == 0;

    if (by_name)
        filter.file = names[which % NAMES];
    else if (how % 3 == 1)
        filter.root = &e.root;
    else
        filter.sha256 = &e.sha256;
    registry_visit_peers(s->registry, &filter, how & 8 ? &after : NULL, on_listed,
                         &seen);
    if (how % 3 == 2 && which % CONTENTS == 4)
        return; /* without a SHA-256 nothing is found by it */
    for (unsigned i = 0; i < PEERS; i++) {
        const struct model_peer *p = &s->peers[i];
        struct p2p_id id = id_of(i);
        bool fits = false;

        for (unsigned k = 0; k < NAMES && p->is_here; k++) {
            struct p2p_reg_entry has;

            if (p->content[k] == 0)
                continue;
            has = entry_of(k, p->content[k] - 1u, has_content(s, i));
            fits |= by_name        ? k == which % NAMES
                    : how % 3 == 1 ? memcmp(&has.root, &e.root, 32) == 0
                                   : memcmp(&has.sha256, &e.sha256, 32) == 0;
        }
        if (how & 8 && memcmp(id.b, after.b, 32) <= 0)
            fits = false;
        MUST(seen.count[i] == fits);
    }
}

/* ---- recount ---- */

static uint64_t
cost_of_name(const char *text)
{
    size_t folded = strlen(text), spelling = strlen(text + folded + 1);

    return catalogue_cost(folded, false) - sizeof(struct file) - 2 * sizeof(uint32_t) +
           2 * spelling - 2 * folded;
}

static void
recount_catalogue(const struct catalogue *c)
{
    uint64_t content_bytes = catalogue_cost(1, true) - catalogue_cost(1, false);
    uint64_t bytes = c->contents.live * content_bytes, dead = 0, postings = 0;
    uint32_t files = 0;

    for (uint32_t i = 0; i < c->names.used; i++) {
        const struct name *n = catalogue_name(c, i);
        uint32_t last = SLAB_NONE;

        if (n->text == NULL)
            continue;
        *(n->first_file == SLAB_NONE ? &dead : &bytes) += cost_of_name(n->text);
        for (uint32_t f = n->first_file; f != SLAB_NONE;
             f = catalogue_file(c, f)->next_of_name) {
            MUST(catalogue_file(c, f)->name == i && catalogue_file(c, f)->count > 0);
            MUST(catalogue_file(c, f)->prev_of_name == last);
            last = f;
            bytes += sizeof(struct file) + catalogue_file(c, f)->cap * sizeof(uint32_t);
            postings += catalogue_file(c, f)->count;
            files++;
        }
    }
    MUST(files == c->files.live && postings == c->postings);
    MUST(bytes == c->bytes && dead == c->dead_bytes);
}

static void
recount_sources(const struct state *s)
{
    const struct registry *r = s->registry;
    uint64_t lists = 0, charges = 0, counted = 0;
    uint32_t live = 0, live_signed = 0, peers = 0, stones = 0;

    for (uint32_t i = 0; i < r->peers.used; i++) {
        const struct peer *p = peer_at(r, i);

        if (!p->is_used)
            continue;
        live++;
        live_signed += p->key != NULL;
        lists += (uint64_t)p->count * sizeof(uint32_t);
        charges += p->source != SLAB_NONE ? p->charge : 0;
        peers += p->source != SLAB_NONE;
        MUST(p->charge == s->peers[number_of(&p->id)].charge);
    }
    MUST(live == r->peers.live && live_signed == r->live_signed &&
         lists == r->list_bytes);
    for (unsigned k = 0; k < ADDRESSES; k++) {
        uint8_t from[16];
        uint32_t at;

        record_read_ip(addresses[k], from);
        if (k == 4 || k == 0)
            continue; /* the /64 of the one before; nobody */
        if (k >= 3)
            memset(from + 8, 0, 8);
        if ((at = sources_find(&r->sources, from)) == SLAB_NONE)
            continue;
        const struct source *src = source_at(&r->sources, at);
        counted += src->bytes;
        peers -= src->peers;
        stones += src->tombstones;
        MUST(src->peers > 0 || src->tombstones > 0);
        MUST(s->opt.max_peers_per_ip == 0 || src->peers <= s->opt.max_peers_per_ip);
        MUST(src->tombstones <= r->tombstones.max_per_source);
    }
    MUST(counted == charges && peers == 0);
    MUST(stones <= r->tombstones.slab.live);
    MUST(r->tombstones.slab.live <= r->tombstones.max);
}

static uint64_t
limit_of(const struct state *s)
{
    return s->opt.max_bytes - s->opt.max_bytes / REGISTRY_STONES_PART;
}

/* `before`: the bytes stored when the step began, which a lower limit does not remove. */
static void
check(struct state *s, uint64_t before)
{
    struct registry *r = s->registry;
    uint64_t most = before > limit_of(s) ? before : limit_of(s);

    p2p_read_lock(&r->lock);
    recount_catalogue(&r->catalogue);
    recount_sources(s);
    /* A peer and its list come after the last look at the limit. */
    if (s->opt.max_bytes > 0)
        MUST(registry_bytes(r) <= most + PEER_BYTES + NAMES * 16);
    MUST(r->peers.live <= s->opt.max_peers);
    p2p_rw_unlock(&r->lock);
    check_list(s);
}

/* ---- export ---- */

static bool
on_exported(void *arg, const struct registry_exported *e)
{
    struct registry *copy = arg;
    struct record rec;
    uint64_t seq;

    if (e->bytes == NULL) {
        registry_remember(copy, &e->id, e->seq, e->seq_until_s);
        return true;
    }
    MUST(record_decode(e->bytes, e->len, &rec) == P2P_OK);
    MUST(p2p_id_equal(&rec.id, &e->id));
    MUST(registry_put(copy, &rec, e->heard_ms, &seq) == REGISTRY_OK);
    registry_remember(copy, &e->id, e->seq, e->seq_until_s);
    record_clear(&rec);
    return true;
}

static void
check_export(struct state *s)
{
    struct registry_options opt = {.ttl_ms = TTL_MS, .max_peers = 1000};
    struct registry *own = s->registry, *copy;

    MUST(registry_open(&opt, &copy) == P2P_OK);
    MUST(registry_export(own, on_exported, copy));
    s->registry = copy;
    check_list(s);
    for (unsigned i = 0; i < PEERS; i++) {
        struct p2p_id id = id_of(i);
        uint32_t stone = tombstones_find(&copy->tombstones, &id);
        uint64_t until_ms = s->peers[i].stone_until_ms;

        if (s->forgets_stones || s->peers[i].is_here || until_ms <= s->now_ms)
            continue;
        MUST(stone != SLAB_NONE);
        MUST(tombstone_at(&copy->tombstones, stone)->seq == s->peers[i].stone_seq);
    }
    s->registry = own;
    registry_close(copy);
}

/* ---- the target ---- */

static void
step(struct state *s)
{
    struct p2p_id id;
    unsigned n;

    switch (take(s) % 16) {
    case 0:
    case 1:
    case 2:
        put(s, false);
        break;
    case 3:
    case 4:
    case 5:
    case 6:
        put(s, true);
        break;
    case 7:
    case 8:
        delta(s);
        break;
    case 9:
        leave(s);
        break;
    case 10:
        expire(s);
        break;
    case 11:
        move_clock(s);
        break;
    case 12:
        n = take(s) % PEERS;
        if (n % 2 == 0) {
            beat(s);
            break;
        }
        id = id_of(n);
        registry_remove(s->registry, &id);
        MUST(!s->peers[n].is_here);
        break;
    case 13:
        remember(s);
        break;
    case 14:
        search(s);
        break;
    default:
        list(s);
        registry_tidy(s->registry);
    }
}

static void
choose_limits(struct state *s)
{
    unsigned how = take(s);

    s->opt = (struct registry_options){.ttl_ms = TTL_MS,
                                       .max_peers = how & 1 ? 5 : 1000,
                                       .max_peers_per_ip = how & 2 ? 3 : 0,
                                       .max_bytes_per_ip = how & 4 ? 12000 : 0,
                                       .max_bytes = how & 8 ? 30000 : 0,
                                       .on_change = on_change,
                                       .arg = s};
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct state s = {
        .at = data, .left = size, .now_ms = 1000000, .time_ms = 1800000000000ull};

    MUST(p2p_crypto_init() == P2P_OK);
    fake_clock_set(s.now_ms, s.time_ms);
    choose_limits(&s);
    for (unsigned i = 0; i < PEERS; i++)
        s.peers[i].source = NOBODY;
    MUST(registry_open(&s.opt, &s.registry) == P2P_OK);
    s.forgets_stones = s.registry->tombstones.max < PEERS ||
                       s.registry->tombstones.max_per_source < PEERS;
    for (unsigned i = 0; i < STEPS && s.left > 0; i++) {
        uint64_t before = registry_bytes(s.registry);

        step(&s);
        check(&s, before);
    }
    check_export(&s);
    registry_close(s.registry);
    return 0;
}
