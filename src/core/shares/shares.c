/*
 * Several shares as one. The names of a named folder all begin with "Name/", so they
 * stand together in the order of all names; only those of the bare folder are before,
 * between and behind them. A page of the list is made of such stretches in turn.
 */
#include "core/shares/shares_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/share/served.h"
#include "p2p/siphash.h"

typedef enum p2p_err list_fn(struct p2p_share *share, const char *after,
                             struct p2p_share_entry *out, size_t max, size_t *count);

/* ---- Life ---- */

/* The record of the bare folder has the program's name alone, as before there were
 * several. A record's name has room for a few characters only. */
static void
name_record(const char *program, const char *folder, char out[64])
{
    static const uint64_t key[2] = {0, 0}; /* only to make the name short */
    uint64_t sum = p2p_siphash24(key, folder, strlen(folder));

    if (folder[0] == '\0')
        snprintf(out, 64, "%s", program);
    else
        snprintf(out, 64, "%.9s-%06x", program, (unsigned)(sum & 0xffffff));
}

static enum p2p_err
open_one(struct p2p_shares *shares, const struct p2p_share_options *opt, size_t i)
{
    struct p2p_share_options one = *opt;
    char program[64];

    one.directory = shares->folders.at[i].path;
    if (opt->program != NULL) {
        name_record(opt->program, shares->folders.at[i].name, program);
        one.program = program;
    }
    return p2p_share_open(&one, &shares->at[i]);
}

bool
p2p_shares_is_missing(const struct p2p_shares_folders *folders, size_t i,
                      const char *keys_dir, const char *program)
{
    char record[64];

    name_record(program, folders->at[i].name, record);
    return p2p_share_is_missing(keys_dir, record, folders->at[i].path);
}

enum p2p_err
p2p_shares_open(const struct p2p_shares_folders *folders,
                const struct p2p_share_options *opt, struct p2p_shares **out,
                size_t *failed)
{
    struct p2p_shares *shares = calloc(1, sizeof(*shares));
    enum p2p_err err = shares != NULL ? P2P_OK : P2P_ERR_NOMEM;
    size_t i = 0;

    *out = NULL;
    if (shares != NULL)
        shares->folders = *folders;
    for (; i < folders->count && err == P2P_OK; i++)
        err = open_one(shares, opt, i);
    *failed = i > 0 ? i - 1 : 0;
    if (err != P2P_OK) {
        p2p_shares_close(shares);
        return err;
    }
    *out = shares;
    return P2P_OK;
}

void
p2p_shares_close(struct p2p_shares *shares)
{
    if (shares == NULL)
        return;
    for (size_t i = 0; i < shares->folders.count; i++)
        p2p_share_close(shares->at[i]);
    free(shares);
}

const struct p2p_shares_folders *
p2p_shares_folders(const struct p2p_shares *shares)
{
    return &shares->folders;
}

struct p2p_share *
p2p_shares_at(const struct p2p_shares *shares, size_t i)
{
    return shares->at[i];
}

/* ---- Names ---- */

/* The rest of `name` behind "Name/"; NULL if it does not begin so. */
static const char *
behind(const struct p2p_shares_folder *folder, const char *name)
{
    size_t len = strlen(folder->name);

    return len > 0 && strncmp(name, folder->name, len) == 0 && name[len] == '/'
               ? name + len + 1
               : NULL;
}

size_t
p2p_shares_find(const struct p2p_shares *shares, const char *name, const char **inner)
{
    size_t bare = SIZE_MAX;

    for (size_t i = 0; i < shares->folders.count; i++) {
        if ((*inner = behind(&shares->folders.at[i], name)) != NULL)
            return i;
        if (shares->folders.at[i].name[0] == '\0')
            bare = i;
    }
    *inner = name;
    return bare;
}

struct p2p_share *
p2p_shares_of(const struct p2p_shares *shares, const char *name, const char **inner)
{
    size_t i = p2p_shares_find(shares, name, inner);

    return i != SIZE_MAX ? shares->at[i] : NULL;
}

bool
p2p_shares_put_name(const struct p2p_shares_folder *folder, char name[P2P_NAME_MAX + 1])
{
    size_t head = strlen(folder->name), len = strlen(name);

    if (head == 0)
        return true;
    if (head + 1 + len > P2P_NAME_MAX)
        return false;
    memmove(name + head + 1, name, len + 1);
    memcpy(name, folder->name, head);
    name[head] = '/';
    return true;
}

enum p2p_err
p2p_shares_find_name(struct p2p_shares *shares, const char *name,
                     struct p2p_share_entry *out)
{
    const char *inner;
    size_t i = p2p_shares_find(shares, name, &inner);
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    if (i != SIZE_MAX)
        err = p2p_share_find_name(shares->at[i], inner, out);
    if (err == P2P_OK && !p2p_shares_put_name(&shares->folders.at[i], out->name))
        err = P2P_ERR_NOT_FOUND;
    return err;
}

/* ---- Contents: any folder that has it ---- */

/* True if the answer of one folder is better than to ask the next one. */
static bool
is_final(enum p2p_err err)
{
    return err != P2P_ERR_NOT_FOUND && err != P2P_ERR_FILE_CHANGED &&
           err != P2P_ERR_BUSY;
}

bool
p2p_shares_is_hidden(const struct p2p_shares *shares, size_t i, const char *name)
{
    const char *inner;

    return shares->folders.at[i].name[0] == '\0' &&
           p2p_shares_find(shares, name, &inner) != i;
}

/* What the caller of find_root_if allows, asked about names of one folder. */
struct inner_allows {
    const struct p2p_shares *shares;
    size_t folder;
    p2p_share_allows *allows;
    void *arg;
};

static bool
allow_inner(void *arg, const char *name)
{
    const struct inner_allows *in = arg;
    char whole[P2P_NAME_MAX + 1];

    if (p2p_shares_is_hidden(in->shares, in->folder, name))
        return false;
    snprintf(whole, sizeof(whole), "%s", name);
    return p2p_shares_put_name(&in->shares->folders.at[in->folder], whole) &&
           in->allows(in->arg, whole);
}

enum p2p_err
p2p_shares_find_root_if(struct p2p_shares *shares, const struct p2p_digest *root,
                        p2p_share_allows *allows, void *arg,
                        struct p2p_share_entry *out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    for (size_t i = 0; i < shares->folders.count && !is_final(err); i++) {
        struct inner_allows in = {shares, i, allows, arg};
        enum p2p_err one =
            p2p_share_find_root_if(shares->at[i], root, allow_inner, &in, out);
        if (one == P2P_OK && !p2p_shares_put_name(&shares->folders.at[i], out->name))
            one = P2P_ERR_NOT_FOUND;
        if (one != P2P_ERR_NOT_FOUND)
            err = one;
    }
    return err;
}

static bool
allow_any(void *arg, const char *name)
{
    (void)arg, (void)name;
    return true;
}

enum p2p_err
p2p_shares_find_root(struct p2p_shares *shares, const struct p2p_digest *root,
                     struct p2p_share_entry *out)
{
    return p2p_shares_find_root_if(shares, root, allow_any, NULL, out);
}

enum p2p_err
p2p_shares_layer(struct p2p_shares *shares, const struct p2p_digest *root,
                 uint64_t first, uint32_t count, struct p2p_digest *out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    for (size_t i = 0; i < shares->folders.count && !is_final(err); i++) {
        enum p2p_err one = p2p_share_layer(shares->at[i], root, first, count, out);
        if (one != P2P_ERR_NOT_FOUND)
            err = one;
    }
    return err;
}

enum p2p_err
p2p_shares_file_open(struct p2p_shares *shares, const struct p2p_digest *root,
                     struct p2p_share_file **out)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    *out = NULL;
    for (size_t i = 0; i < shares->folders.count && !is_final(err); i++) {
        enum p2p_err one = p2p_share_file_open(shares->at[i], root, out);
        if (one != P2P_ERR_NOT_FOUND)
            err = one;
    }
    return err;
}

const char *
p2p_shares_file_name(const struct p2p_shares *shares, const struct p2p_share_file *file,
                     char *out)
{
    const struct p2p_share *share = p2p_share_file_share(file);
    size_t i = 0;

    while (i < shares->folders.count && shares->at[i] != share)
        i++;
    snprintf(out, P2P_NAME_MAX + 1, "%s", p2p_share_file_name(file));
    if (i < shares->folders.count)
        (void)p2p_shares_put_name(&shares->folders.at[i], out);
    return out;
}

/* ---- The list ---- */

struct pager {
    struct p2p_shares *shares;
    list_fn *list;
    struct p2p_share_entry *out;
    size_t max, count;
    char after[P2P_SHARES_NAME_MAX + P2P_NAME_MAX + 4];
};

/* The named folder whose stretch contains `after` or comes next; SIZE_MAX: none. The
 * order is that of "Name/", not that of the names. */
static size_t
next_folder(const struct pager *p)
{
    const struct p2p_shares_folders *folders = &p->shares->folders;
    char best_end[P2P_SHARES_NAME_MAX + 3] = "";
    size_t best = SIZE_MAX;

    for (size_t i = 0; i < folders->count; i++) {
        char end[P2P_SHARES_NAME_MAX + 3];
        snprintf(end, sizeof(end), "%s/\xff", folders->at[i].name);
        if (folders->at[i].name[0] == '\0' || strcmp(end, p->after) <= 0 ||
            (best != SIZE_MAX && strcmp(end, best_end) >= 0))
            continue;
        best = i;
        strcpy(best_end, end);
    }
    return best;
}

/* True if a name of the bare folder comes before the stretch of a named one. */
static bool
comes_before(const struct p2p_shares *shares, size_t folder, const char *name)
{
    char head[P2P_SHARES_NAME_MAX + 2];

    if (folder == SIZE_MAX)
        return true;
    snprintf(head, sizeof(head), "%s/", shares->folders.at[folder].name);
    return strcmp(name, head) < 0;
}

/* Adds names of the bare folder up to the stretch of `folder`. */
static enum p2p_err
add_bare(struct pager *p, size_t bare, size_t folder)
{
    size_t wanted = p->max - p->count, got = 0, kept = 0;
    enum p2p_err err = P2P_OK;

    if (bare != SIZE_MAX)
        err = p->list(p->shares->at[bare], p->after, p->out + p->count, wanted, &got);
    while (err == P2P_OK && kept < got &&
           comes_before(p->shares, folder, p->out[p->count + kept].name))
        kept++;
    p->count += kept;
    if (kept == wanted)
        return err; /* the page is full */
    if (folder == SIZE_MAX)
        p->max = p->count; /* the end */
    else
        snprintf(p->after, sizeof(p->after), "%s/", p->shares->folders.at[folder].name);
    return err;
}

/* Adds names of the stretch of `folder`, behind `after`, which is in it. */
static enum p2p_err
add_named(struct pager *p, size_t folder, const char *inner)
{
    size_t wanted = p->max - p->count, got = 0;
    const struct p2p_shares_folder *f = &p->shares->folders.at[folder];
    struct p2p_share_entry *out = p->out + p->count;
    enum p2p_err err = p->list(p->shares->at[folder], inner, out, wanted, &got);

    if (err != P2P_OK)
        return err;
    if (got < wanted)
        snprintf(p->after, sizeof(p->after), "%s/\xff", f->name);
    else
        snprintf(p->after, sizeof(p->after), "%s/%s", f->name, out[got - 1].name);
    for (size_t i = 0; i < got; i++) {
        if (!p2p_shares_put_name(f, out[i].name))
            continue;
        if (&p->out[p->count] != &out[i])
            p->out[p->count] = out[i];
        p->count++;
    }
    return P2P_OK;
}

static enum p2p_err
list(struct p2p_shares *shares, list_fn *fn, const char *after,
     struct p2p_share_entry *out, size_t max, size_t *count)
{
    struct pager p = {.shares = shares, .list = fn, .out = out, .max = max};
    size_t bare = SIZE_MAX;
    enum p2p_err err = P2P_OK;

    *count = 0;
    if (strlen(after) > P2P_NAME_MAX)
        return P2P_ERR_NAME;
    strcpy(p.after, after);
    for (size_t i = 0; i < shares->folders.count; i++)
        if (shares->folders.at[i].name[0] == '\0')
            bare = i;
    while (err == P2P_OK && p.count < p.max) {
        size_t next = next_folder(&p);
        const char *inner =
            next != SIZE_MAX ? behind(&shares->folders.at[next], p.after) : NULL;
        err = inner != NULL ? add_named(&p, next, inner) : add_bare(&p, bare, next);
    }
    if (err == P2P_OK)
        *count = p.count;
    return err;
}

enum p2p_err
p2p_shares_list(struct p2p_shares *shares, const char *after,
                struct p2p_share_entry *out, size_t max, size_t *count)
{
    return list(shares, p2p_share_list, after, out, max, count);
}

enum p2p_err
p2p_shares_list_all(struct p2p_shares *shares, const char *after,
                    struct p2p_share_entry *out, size_t max, size_t *count)
{
    return list(shares, p2p_share_list_all, after, out, max, count);
}

void
p2p_shares_totals(struct p2p_shares *shares, struct p2p_share_totals *out)
{
    *out = (struct p2p_share_totals){0};
    for (size_t i = 0; i < shares->folders.count; i++) {
        struct p2p_share_totals one;
        p2p_share_totals(shares->at[i], &one);
        out->files += one.files;
        out->bytes += one.bytes;
        out->hashing_files += one.hashing_files;
        out->hashing_bytes += one.hashing_bytes;
        out->hashed_bytes += one.hashed_bytes;
        out->generation += one.generation;
        out->missing_files += one.missing_files;
        out->away_files += one.away_files;
        out->is_away = out->is_away || one.is_away;
    }
}
