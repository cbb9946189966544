/*
 * Who has what: names, contents, files (a name with a content) and, per file, the peers
 * that have it. Everything is a number into a slab, so that one posting costs four
 * bytes on each side.
 *
 * Knows nothing of records, time or requests. The registry's lock guards it: writers
 * alone, readers together. Names' texts belong to the dictionary (dict.h).
 */
#ifndef P2P_DISCOVERY_CATALOGUE_H
#define P2P_DISCOVERY_CATALOGUE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "discovery/index/table.h"
#include "p2p/msg.h"

#define CATALOGUE_NAMES_MAX (64u * 1024 * 1024)
#define CATALOGUE_FILES_MAX (128u * 1024 * 1024)

struct dict;

struct name {
    uint32_t next;       /* of the hash chain */
    uint32_t first_file; /* files of this name, SLAB_NONE: nobody has it now */
    /* See fold.h: folded text, then the spelling. Moves while others read. */
    const char *_Atomic text;
};

/* What bytes a file has, as far as its peers say. Files of one content share it. */
struct content {
    uint32_t next, prev;         /* of the hash chains: contents of one root, and of */
    uint32_t sha_next, sha_prev; /* one SHA-256, may be as many as somebody lies */
    uint32_t first_file;
    uint64_t size;
    struct p2p_digest root;
    struct p2p_digest sha256; /* zero: not known */
};

struct file {
    uint32_t next_of_name, prev_of_name; /* both ways: a hundred thousand empty files */
    uint32_t next_of_content, prev_of_content; /* are one content, and may go at once */
    uint32_t name;
    uint32_t content; /* SLAB_NONE: an unsigned registration gave only the name */
    uint32_t count;   /* peers, ascending */
    uint32_t cap;     /* 0: up to two are kept in `few` */
    union {
        uint32_t few[2];
        uint32_t *many;
    } peers;
};

struct catalogue {
    struct slab names, contents, files;
    struct table by_name, by_root, by_sha256;
    struct dict *dict; /* borrowed: is told of new names */
    uint64_t postings;
    uint64_t changes; /* postings added and removed so far */
    /* Of everything here and in the dictionary; and of names that nobody has any more,
     * until the dictionary drops them. */
    uint64_t bytes, dead_bytes;
};

/* What one entry costs when nobody else has its name or its content. */
uint64_t catalogue_cost(size_t name_len, bool has_content);

P2P_MUST_CHECK enum p2p_err catalogue_init(struct catalogue *c, struct dict *dict);
void catalogue_clear(struct catalogue *c);

static inline struct name *
catalogue_name(const struct catalogue *c, uint32_t id)
{
    return slab_at(&c->names, id);
}

static inline struct content *
catalogue_content(const struct catalogue *c, uint32_t id)
{
    return slab_at(&c->contents, id);
}

static inline struct file *
catalogue_file(const struct catalogue *c, uint32_t id)
{
    return slab_at(&c->files, id);
}

static inline const uint32_t *
file_peers(const struct file *f)
{
    return f->cap == 0 ? f->peers.few : f->peers.many;
}

/* How many times a name is posted; of one with a great many contents a part of it. */
uint32_t catalogue_sources(const struct catalogue *c, uint32_t name);
/* A number of sources in eight bits, an eighth apart. */
uint8_t catalogue_weight(uint32_t sources);

/* The name spelled exactly so, or SLAB_NONE. */
uint32_t catalogue_find_name(const struct catalogue *c, const char *text, size_t len);

/* The first content with this root (or SHA-256) and the one after it, or SLAB_NONE. */
uint32_t catalogue_find_root(const struct catalogue *c, const struct p2p_digest *root);
uint32_t catalogue_next_root(const struct catalogue *c, uint32_t content);
uint32_t catalogue_find_sha256(const struct catalogue *c, const struct p2p_digest *sha);
uint32_t catalogue_next_sha256(const struct catalogue *c, uint32_t content);

/*
 * The file of an entry, made when it is new; SLAB_NONE: no memory. A file without peers
 * has to be posted or is lost until the same entry comes again.
 */
uint32_t catalogue_file_of(struct catalogue *c, const struct p2p_reg_entry *e,
                           bool has_content);

/* Adds and removes one posting; a file whose last peer goes away goes too. */
P2P_MUST_CHECK enum p2p_err catalogue_post(struct catalogue *c, uint32_t file,
                                           uint32_t peer);
void catalogue_unpost(struct catalogue *c, uint32_t file, uint32_t peer);

/* Forgets a name that nobody has; false when somebody does. For the dictionary. */
bool catalogue_drop_name(struct catalogue *c, uint32_t name);

#endif
