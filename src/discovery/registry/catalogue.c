/*
 * How a posting is stored. An entry of a peer is a name with a content. Both exist
 * once, however many peers have them, and a *file* stands for the pair. A posting says
 * that a peer has a file: the peer lists the number of the file, and the file the
 * number of the peer. Both lists ascend, so they can be merged and searched by halves.
 * Most files have one or two peers; these fit into the file itself, and only more need
 * a block.
 *
 * Look-ups start from one of three tables: names by their spelling, contents by root
 * and by SHA-256. From a name or a content a chain leads to its files. The chains of
 * files are linked both ways, because one content (the empty file) may have a hundred
 * thousand names that all go at once.
 *
 * The last posting that is removed takes its file with it, and the last file its
 * content. A name stays until the dictionary drops it, since a reader may hold a view
 * with its text; until then its bytes count as dead.
 */
#include "discovery/registry/catalogue.h"

#include <stdlib.h>
#include <string.h>

#include "discovery/index/dict.h"
#include "discovery/index/fold.h"

/* ---- the three tables ---- */

static uint64_t
hash_name(const void *owner, uint32_t id)
{
    const char *spelling = fold_spelling(catalogue_name(owner, id)->text);

    return table_hash(spelling, strlen(spelling));
}

static uint32_t *
next_name(const void *owner, uint32_t id)
{
    return &catalogue_name(owner, id)->next;
}

static uint64_t
hash_root(const void *owner, uint32_t id)
{
    return table_hash(catalogue_content(owner, id)->root.b, P2P_DIGEST_LEN);
}

static uint32_t *
next_root(const void *owner, uint32_t id)
{
    return &catalogue_content(owner, id)->next;
}

static uint32_t *
prev_root(const void *owner, uint32_t id)
{
    return &catalogue_content(owner, id)->prev;
}

static uint64_t
hash_sha256(const void *owner, uint32_t id)
{
    return table_hash(catalogue_content(owner, id)->sha256.b, P2P_DIGEST_LEN);
}

static uint32_t *
next_sha256(const void *owner, uint32_t id)
{
    return &catalogue_content(owner, id)->sha_next;
}

static uint32_t *
prev_sha256(const void *owner, uint32_t id)
{
    return &catalogue_content(owner, id)->sha_prev;
}

static const struct table_items name_items = {hash_name, next_name, NULL};
static const struct table_items root_items = {hash_root, next_root, prev_root};
static const struct table_items sha_items = {hash_sha256, next_sha256, prev_sha256};

enum p2p_err
catalogue_init(struct catalogue *c, struct dict *dict)
{
    enum p2p_err err;

    *c = (struct catalogue){.dict = dict};
    if ((err = slab_init(&c->names, sizeof(struct name), CATALOGUE_NAMES_MAX)) ||
        (err = slab_init(&c->contents, sizeof(struct content), CATALOGUE_NAMES_MAX)) ||
        (err = slab_init(&c->files, sizeof(struct file), CATALOGUE_FILES_MAX)) ||
        (err = table_init(&c->by_name, &name_items, c, CATALOGUE_NAMES_MAX)) ||
        (err = table_init(&c->by_root, &root_items, c, CATALOGUE_NAMES_MAX)) ||
        (err = table_init(&c->by_sha256, &sha_items, c, CATALOGUE_NAMES_MAX)))
        catalogue_clear(c);
    return err;
}

void
catalogue_clear(struct catalogue *c)
{
    for (uint32_t i = 0; i < c->files.used; i++)
        if (catalogue_file(c, i)->cap > 0)
            free(catalogue_file(c, i)->peers.many);
    slab_clear(&c->names);
    slab_clear(&c->contents);
    slab_clear(&c->files);
    table_clear(&c->by_name);
    table_clear(&c->by_root);
    table_clear(&c->by_sha256);
}

/* ---- finding ---- */

uint32_t
catalogue_find_name(const struct catalogue *c, const char *text, size_t len)
{
    uint32_t id = table_chain(&c->by_name, table_hash(text, len));

    for (; id != SLAB_NONE; id = catalogue_name(c, id)->next) {
        const char *spelling = fold_spelling(catalogue_name(c, id)->text);

        if (strncmp(spelling, text, len) == 0 && spelling[len] == '\0')
            break;
    }
    return id;
}

static uint32_t
same_root(const struct catalogue *c, uint32_t id, const struct p2p_digest *root)
{
    while (id != SLAB_NONE &&
           memcmp(catalogue_content(c, id)->root.b, root->b, P2P_DIGEST_LEN) != 0)
        id = catalogue_content(c, id)->next;
    return id;
}

static uint32_t
same_sha256(const struct catalogue *c, uint32_t id, const struct p2p_digest *sha)
{
    while (id != SLAB_NONE &&
           memcmp(catalogue_content(c, id)->sha256.b, sha->b, P2P_DIGEST_LEN) != 0)
        id = *next_sha256(c, id);
    return id;
}

uint32_t
catalogue_find_root(const struct catalogue *c, const struct p2p_digest *root)
{
    return same_root(c, table_chain(&c->by_root, table_hash(root->b, P2P_DIGEST_LEN)),
                     root);
}

uint32_t
catalogue_next_root(const struct catalogue *c, uint32_t content)
{
    const struct content *at = catalogue_content(c, content);

    return same_root(c, at->next, &at->root);
}

uint32_t
catalogue_find_sha256(const struct catalogue *c, const struct p2p_digest *sha)
{
    return same_sha256(
        c, table_chain(&c->by_sha256, table_hash(sha->b, P2P_DIGEST_LEN)), sha);
}

uint32_t
catalogue_next_sha256(const struct catalogue *c, uint32_t content)
{
    return same_sha256(c, *next_sha256(c, content),
                       &catalogue_content(c, content)->sha256);
}

#define SOURCES_LOOKED_AT 16u

uint32_t
catalogue_sources(const struct catalogue *c, uint32_t name)
{
    uint32_t at = catalogue_name(c, name)->first_file, sum = 0;

    for (unsigned i = 0; i < SOURCES_LOOKED_AT && at != SLAB_NONE; i++) {
        sum += catalogue_file(c, at)->count;
        at = catalogue_file(c, at)->next_of_name;
    }
    return sum;
}

/* Numbers up to 15 are exact; from 16 on, the highest bit and the three after it are
 * kept. */
uint8_t
catalogue_weight(uint32_t sources)
{
    unsigned high;

    if (sources < 16)
        return (uint8_t)sources;
    high = 31u - (unsigned)__builtin_clz(sources);
    return (uint8_t)(16 + (high - 4) * 8 + (sources >> (high - 3) & 7));
}

/* ---- bytes ---- */

/* Size of an item with its place in a table. */
#define CONTENT_BYTES (sizeof(struct content) + 2 * sizeof(uint32_t))
#define FILE_BYTES    sizeof(struct file)
/* What a name costs in the search index: its number, its weight, and the position of
 * its text. A trigram costs about 1.6 bytes. While segments are merged, everything
 * exists twice. */
#define NAME_BYTES \
    (sizeof(struct name) + sizeof(uint32_t) + 2 * 9 + sizeof(struct segment_name))

static uint64_t
name_cost(size_t folded_len, size_t spelling_len)
{
    uint64_t stored = folded_len + spelling_len + 2, trigrams = folded_len * 8 / 5;

    return NAME_BYTES + 2 * (stored + trigrams);
}

static uint64_t
cost_of_name(const struct name *n)
{
    const char *text = n->text;
    size_t folded_len = strlen(text);

    return name_cost(folded_len, strlen(text + folded_len + 1));
}

uint64_t
catalogue_cost(size_t name_len, bool has_content)
{
    return name_cost(name_len, name_len) + FILE_BYTES +
           (has_content ? CONTENT_BYTES : 0) + 2 * sizeof(uint32_t);
}

/* ---- making and dropping ---- */

static bool
sha256_is_known(const struct content *c)
{
    static const struct p2p_digest zero;

    return memcmp(c->sha256.b, zero.b, sizeof(zero.b)) != 0;
}

static uint32_t
name_of(struct catalogue *c, const struct p2p_text *text)
{
    uint32_t id = catalogue_find_name(c, text->at, text->len);
    const char *kept;
    struct name *n;

    if (id != SLAB_NONE || (id = slab_take(&c->names)) == SLAB_NONE)
        return id;
    n = catalogue_name(c, id);
    n->first_file = SLAB_NONE;
    if ((kept = dict_add(c->dict, id, text->at, text->len)) == NULL) {
        slab_give_back(&c->names, id);
        return SLAB_NONE;
    }
    n->text = kept;
    c->dead_bytes += cost_of_name(n);
    table_insert(&c->by_name, id);
    return id;
}

static uint32_t
new_content(struct catalogue *c, const struct p2p_reg_entry *e)
{
    uint32_t id = slab_take(&c->contents);
    struct content *n;

    if (id == SLAB_NONE)
        return id;
    n = catalogue_content(c, id);
    n->first_file = SLAB_NONE;
    n->size = e->size;
    n->root = e->root;
    n->sha256 = e->sha256;
    c->bytes += CONTENT_BYTES;
    table_insert(&c->by_root, id);
    if (sha256_is_known(n))
        table_insert(&c->by_sha256, id);
    return id;
}

/* A root has one size and one SHA-256. If peers claim more combinations than this, some
 * of them lie, and it does no harm if the next claim is stored as a new content. */
#define CLAIMS_LOOKED_AT 64u

static uint32_t
content_of(struct catalogue *c, const struct p2p_reg_entry *e)
{
    uint32_t id = catalogue_find_root(c, &e->root), seen = 0;

    for (; id != SLAB_NONE && seen++ < CLAIMS_LOOKED_AT;
         id = catalogue_next_root(c, id)) {
        const struct content *n = catalogue_content(c, id);

        if (n->size == e->size &&
            memcmp(n->sha256.b, e->sha256.b, sizeof(n->sha256.b)) == 0)
            return id;
    }
    return new_content(c, e);
}

static void
drop_content_if_unused(struct catalogue *c, uint32_t id)
{
    if (id == SLAB_NONE || catalogue_content(c, id)->first_file != SLAB_NONE)
        return;
    table_remove(&c->by_root, id);
    if (sha256_is_known(catalogue_content(c, id)))
        table_remove(&c->by_sha256, id);
    c->bytes -= CONTENT_BYTES;
    slab_give_back(&c->contents, id);
}

bool
catalogue_drop_name(struct catalogue *c, uint32_t id)
{
    struct name *n = catalogue_name(c, id);

    if (n->first_file != SLAB_NONE)
        return false;
    table_remove(&c->by_name, id);
    c->dead_bytes -= cost_of_name(n);
    n->text = NULL; /* a search that still has the number sees that the name is gone */
    slab_give_back(&c->names, id);
    return true;
}

static void
link_to_name(struct catalogue *c, uint32_t id, struct name *n)
{
    struct file *f = catalogue_file(c, id);

    if (n->first_file == SLAB_NONE) { /* somebody has it now */
        c->dead_bytes -= cost_of_name(n);
        c->bytes += cost_of_name(n);
    }
    f->prev_of_name = SLAB_NONE;
    f->next_of_name = n->first_file;
    if (f->next_of_name != SLAB_NONE)
        catalogue_file(c, f->next_of_name)->prev_of_name = id;
    n->first_file = id;
}

static void
unlink_from_name(struct catalogue *c, const struct file *f)
{
    const struct name *n = catalogue_name(c, f->name);

    if (f->prev_of_name != SLAB_NONE)
        catalogue_file(c, f->prev_of_name)->next_of_name = f->next_of_name;
    else
        catalogue_name(c, f->name)->first_file = f->next_of_name;
    if (f->next_of_name != SLAB_NONE)
        catalogue_file(c, f->next_of_name)->prev_of_name = f->prev_of_name;
    if (n->first_file == SLAB_NONE) {
        c->bytes -= cost_of_name(n);
        c->dead_bytes += cost_of_name(n);
    }
}

static void
link_to_content(struct catalogue *c, uint32_t id, struct content *n)
{
    struct file *f = catalogue_file(c, id);

    f->prev_of_content = SLAB_NONE;
    f->next_of_content = n->first_file;
    if (f->next_of_content != SLAB_NONE)
        catalogue_file(c, f->next_of_content)->prev_of_content = id;
    n->first_file = id;
}

static void
unlink_from_content(struct catalogue *c, const struct file *f)
{
    if (f->prev_of_content != SLAB_NONE)
        catalogue_file(c, f->prev_of_content)->next_of_content = f->next_of_content;
    else
        catalogue_content(c, f->content)->first_file = f->next_of_content;
    if (f->next_of_content != SLAB_NONE)
        catalogue_file(c, f->next_of_content)->prev_of_content = f->prev_of_content;
}

static uint32_t
new_file(struct catalogue *c, uint32_t name, uint32_t content)
{
    uint32_t id = slab_take(&c->files);
    struct file *f;

    if (id == SLAB_NONE)
        return id;
    f = catalogue_file(c, id);
    c->bytes += FILE_BYTES;
    f->name = name;
    f->content = content;
    f->next_of_content = f->prev_of_content = SLAB_NONE;
    link_to_name(c, id, catalogue_name(c, name));
    if (content != SLAB_NONE)
        link_to_content(c, id, catalogue_content(c, content));
    return id;
}

static void
drop_file(struct catalogue *c, uint32_t id)
{
    struct file *f = catalogue_file(c, id);

    unlink_from_name(c, f);
    if (f->content != SLAB_NONE) {
        unlink_from_content(c, f);
        drop_content_if_unused(c, f->content);
    }
    if (f->cap > 0)
        free(f->peers.many);
    c->bytes -= FILE_BYTES + f->cap * sizeof(uint32_t);
    f->cap = 0;
    f->count = 0;
    slab_give_back(&c->files, id);
}

uint32_t
catalogue_file_of(struct catalogue *c, const struct p2p_reg_entry *e, bool has_content)
{
    uint32_t name = name_of(c, &e->name), content = SLAB_NONE, id;

    if (name == SLAB_NONE)
        return SLAB_NONE;
    if (has_content && (content = content_of(c, e)) == SLAB_NONE)
        return SLAB_NONE;
    id = catalogue_name(c, name)->first_file;
    while (id != SLAB_NONE && catalogue_file(c, id)->content != content)
        id = catalogue_file(c, id)->next_of_name;
    if (id == SLAB_NONE && (id = new_file(c, name, content)) == SLAB_NONE)
        drop_content_if_unused(c, content);
    return id;
}

/* ---- postings ---- */

static uint32_t
lower_bound(const uint32_t *peers, uint32_t count, uint32_t peer)
{
    uint32_t lo = 0, hi = count;

    while (lo < hi) {
        uint32_t mid = lo + (hi - lo) / 2;

        if (peers[mid] < peer)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Makes room for one more, in steps of a quarter, because unused room is memory, too.
 */
static uint32_t *
grow(struct catalogue *c, struct file *f)
{
    uint32_t cap = f->count < 16 ? f->count + 4 : f->count + f->count / 4;
    uint32_t *many;

    if (f->cap == 0 && f->count < 2)
        return f->peers.few;
    if (f->count < f->cap)
        return f->peers.many;
    many = realloc(f->cap > 0 ? f->peers.many : NULL, cap * sizeof(*many));
    if (many == NULL)
        return NULL;
    if (f->cap == 0)
        memcpy(many, f->peers.few, sizeof(f->peers.few));
    f->peers.many = many;
    c->bytes += (cap - f->cap) * sizeof(*many);
    f->cap = cap;
    return many;
}

enum p2p_err
catalogue_post(struct catalogue *c, uint32_t file, uint32_t peer)
{
    struct file *f = catalogue_file(c, file);
    uint32_t at = lower_bound(file_peers(f), f->count, peer);
    uint32_t *peers;

    if (at < f->count && file_peers(f)[at] == peer)
        return P2P_OK;
    if ((peers = grow(c, f)) == NULL) {
        if (f->count == 0)
            drop_file(c, file);
        return P2P_ERR_NOMEM;
    }
    memmove(peers + at + 1, peers + at, (f->count - at) * sizeof(*peers));
    peers[at] = peer;
    f->count++;
    c->changes++;
    c->postings++;
    return P2P_OK;
}

void
catalogue_unpost(struct catalogue *c, uint32_t file, uint32_t peer)
{
    struct file *f = catalogue_file(c, file);
    uint32_t *peers = f->cap == 0 ? f->peers.few : f->peers.many;
    uint32_t at = lower_bound(peers, f->count, peer);

    if (at == f->count || peers[at] != peer)
        return;
    memmove(peers + at, peers + at + 1, (f->count - at - 1) * sizeof(*peers));
    c->changes++;
    c->postings--;
    if (--f->count == 0)
        drop_file(c, file);
}
