/*
 * Which peer has which file: names, contents, files (a name with a content) and, for
 * each file, the peers that have it. Everything is a number into a slab, so that one
 * posting costs four bytes on each side. It knows nothing of records, time or requests.
 * The registry's lock guards it: one writer at a time, or several readers. The texts of
 * names belong to the dictionary (dict.h).
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
    uint32_t first_file; /* files with this name; SLAB_NONE: no peer has it now */
    /* See fold.h: folded text, then the spelling. It may move while others read. */
    const char *_Atomic text;
};

/* The content of a file, as its peers state it. Files with the same content share
 * it. */
struct content {
    uint32_t next, prev;         /* links of the hash chains: contents with the same
                                  * root, and with */
    uint32_t sha_next, sha_prev; /* the same SHA-256; a lying peer can make them long */
    uint32_t first_file;
    uint64_t size;
    struct p2p_digest root;
    struct p2p_digest sha256; /* zero: not known */
};

struct file {
    uint32_t next_of_name, prev_of_name; /* linked both ways: a hundred thousand empty
                                          * files */
    uint32_t next_of_content,
        prev_of_content; /* have the same content, and may be removed at once */
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
    struct dict *dict; /* borrowed: receives new names */
    uint64_t postings;
    uint64_t changes; /* postings added and removed so far */
    /* Bytes of everything here and in the dictionary; and bytes of names that no peer
     * has any longer, until the dictionary drops them. */
    uint64_t bytes, dead_bytes;
};

/* What one entry costs if no other peer has its name or its content. */
uint64_t catalogue_cost(size_t name_len, bool has_content);

/* Starts empty. Borrows `dict` until clear. */
P2P_MUST_CHECK enum p2p_err catalogue_init(struct catalogue *c, struct dict *dict);
/* Frees everything. */
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

/* How many peers have this name; for a name with very many contents, only a part is
 * counted. */
uint32_t catalogue_sources(const struct catalogue *c, uint32_t name);
/* The number of sources in eight bits, in steps of an eighth. */
uint8_t catalogue_weight(uint32_t sources);

/* Finds the name with exactly this spelling, or SLAB_NONE. */
uint32_t catalogue_find_name(const struct catalogue *c, const char *text, size_t len);

/* The first content with this root (or SHA-256) and the one after it, or SLAB_NONE. */
uint32_t catalogue_find_root(const struct catalogue *c, const struct p2p_digest *root);
uint32_t catalogue_next_root(const struct catalogue *c, uint32_t content);
uint32_t catalogue_find_sha256(const struct catalogue *c, const struct p2p_digest *sha);
uint32_t catalogue_next_sha256(const struct catalogue *c, uint32_t content);

/*
 * Finds or makes the file of an entry; SLAB_NONE: out of memory. A file without peers
 * must be posted; otherwise it is lost until the same entry comes again.
 */
uint32_t catalogue_file_of(struct catalogue *c, const struct p2p_reg_entry *e,
                           bool has_content);

/* Adds or removes one posting; a file without peers is removed. */
P2P_MUST_CHECK enum p2p_err catalogue_post(struct catalogue *c, uint32_t file,
                                           uint32_t peer);
void catalogue_unpost(struct catalogue *c, uint32_t file, uint32_t peer);

/* Removes a name that no peer has; false if a peer has it. For the dictionary. */
bool catalogue_drop_name(struct catalogue *c, uint32_t name);

#endif
