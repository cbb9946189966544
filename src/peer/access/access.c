#include "peer/access/access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/grants.h"
#include "p2p/guardian.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"

enum { IDS_MAX = 100000 };

P2P_MUTEX_KIND(access_lock);
struct access {
    struct access_options opt;
    struct access_lock lock;
    /* State of the file when it was read; st_ino is 0 if it was not * read. */
    struct stat read P2P_GUARDED_BY(access_lock);
    struct p2p_id *ids P2P_GUARDED_BY(access_lock);
    size_t count P2P_GUARDED_BY(access_lock);
    struct p2p_access *rules P2P_GUARDED_BY(access_lock);
};

/* Parses one id, or nothing for an empty line or a comment. */
static enum p2p_err
parse_line(char *line, struct p2p_id *id, bool *found)
{
    char *text = line + strspn(line, " \t");

    text[strcspn(text, "# \t\r\n")] = '\0';
    *found = *text != '\0';
    return *found ? p2p_hex_parse(text, id->b, sizeof(id->b)) : P2P_OK;
}

static enum p2p_err
read_ids(FILE *in, struct p2p_id **ids, size_t *count)
{
    char line[512];

    for (unsigned number = 1; fgets(line, sizeof(line), in) != NULL; number++) {
        struct p2p_id id, *grown;
        bool found;

        if (parse_line(line, &id, &found) != P2P_OK) {
            p2p_log_error("invalid peer id in line %u of the file of --allow-peers: "
                          "use 64 hex digits",
                          number);
            return P2P_ERR_MALFORMED;
        }
        if (!found)
            continue;
        if (*count >= IDS_MAX)
            return P2P_ERR_TOO_LARGE;
        if ((grown = realloc(*ids, (*count + 1) * sizeof(id))) == NULL)
            return P2P_ERR_NOMEM;
        *ids = grown;
        (*ids)[(*count)++] = id;
    }
    return ferror(in) ? P2P_ERR_SYS : P2P_OK;
}

/* The sandbox does not allow to open this file, so the parent process opens it. */
static FILE *
open_list(const char *path)
{
    FILE *in = NULL;
    int fd;

    if (p2p_guardian_open(path, &fd) == P2P_OK && (in = fdopen(fd, "r")) == NULL)
        close(fd);
    return in;
}

static void
set_list(struct access *a, struct p2p_id *ids, size_t count, const struct stat *st)
    P2P_REQUIRES(access_lock)
{
    free(a->ids);
    a->ids = ids;
    a->count = count;
    a->read = *st;
}

/* Is `id` (NULL: nobody) on the list, if the list is that of the file `st`? False: it
 * is not that list. */
static bool
look_up(struct access *a, const struct stat *st, const struct p2p_id *id, bool *found)
{
    p2p_lock(&a->lock);
    bool is_current = p2p_stat_is_unchanged(st, &a->read);
    for (size_t i = 0; is_current && id != NULL && i < a->count && !*found; i++)
        *found = p2p_id_equal(&a->ids[i], id);
    p2p_unlock(&a->lock);
    return is_current;
}

/* Takes `ids`. */
static void
replace_list(struct access *a, struct p2p_id *ids, size_t count, const struct stat *st,
             const struct p2p_id *id, bool *found)
{
    p2p_lock(&a->lock);
    set_list(a, ids, count, st);
    for (size_t i = 0; id != NULL && i < count && !*found; i++)
        *found = p2p_id_equal(&ids[i], id);
    p2p_unlock(&a->lock);
}

/* Is `id` (NULL: nobody) on the list? Reads the list again if it changed, and without
 * the lock, because loops wait for it (access_rules). If two threads read at once, each
 * one decides by what it has read, and the next check finds a list of another file.
 * After any failure the list is empty, so that no peer may download. */
static enum p2p_err
check_list(struct access *a, const struct p2p_id *id, bool *found)
{
    struct stat st, none = {.st_ino = 0};
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct p2p_id *ids = NULL;
    size_t count = 0;
    FILE *in = open_list(a->opt.allow_file);

    *found = false;
    if (in != NULL && fstat(fileno(in), &st) == 0)
        err = P2P_OK;
    if (err == P2P_OK && !look_up(a, &st, id, found) &&
        (err = read_ids(in, &ids, &count)) == P2P_OK)
        replace_list(a, ids, count, &st, id, found);
    if (in != NULL)
        fclose(in);
    if (err != P2P_OK)
        replace_list(a, NULL, 0, &none, NULL, found);
    return err;
}

/* ---- Rules ---- */

struct p2p_access *
access_rules(struct access *a)
{
    struct p2p_access *rules;

    p2p_lock(&a->lock);
    rules = p2p_access_hold(a->rules);
    p2p_unlock(&a->lock);
    return rules;
}

/* Takes `rules`. */
static bool
set_rules(struct access *a, struct p2p_access *rules)
{
    struct p2p_access *former;
    bool is_same;

    p2p_lock(&a->lock);
    former = a->rules;
    a->rules = rules;
    is_same = former != NULL && p2p_access_equal(former, rules);
    p2p_unlock(&a->lock);
    p2p_access_put(former);
    return !is_same;
}

/* Without memory for them, the former rules stay. */
enum p2p_err
access_reload(struct access *a, bool *changed)
{
    static const struct p2p_access_rule nothing = {.folder = ""};
    struct p2p_access *rules;
    enum p2p_err err = p2p_grants_read(a->opt.keys_dir, a->opt.is_public, &rules);

    *changed = false;
    if (err != P2P_OK && p2p_access_new(&nothing, 1, false, &rules) != P2P_OK)
        return err;
    *changed = set_rules(a, rules);
    if (err != P2P_OK && *changed)
        p2p_log_error("cannot read %s/" P2P_GRANTS_FILE
                      ", so no peer sees any file until it can be read: %s",
                      a->opt.keys_dir, p2p_err_text(err));
    return err;
}

/* ---- Life ---- */

enum p2p_err
access_open(const struct access_options *opt, struct access **out)
{
    struct access *a = calloc(1, sizeof(*a));
    enum p2p_err err;
    bool changed, is_listed;

    *out = NULL;
    if (a == NULL)
        return P2P_ERR_NOMEM;
    a->opt = *opt;
    p2p_mutex_init(&a->lock);
    if ((err = access_reload(a, &changed)) != P2P_OK) {
        access_close(a);
        return err;
    }
    if (opt->allow_file != NULL && (err = check_list(a, NULL, &is_listed)) != P2P_OK) {
        p2p_log_error("cannot use --allow-peers %s: %s", opt->allow_file,
                      p2p_err_text(err));
        access_close(a);
        return err;
    }
    *out = a;
    return P2P_OK;
}

void
access_close(struct access *a)
{
    if (a == NULL)
        return;
    p2p_mutex_unshared(&a->lock);
    free(a->ids);
    p2p_access_put(a->rules);
    p2p_mutex_clear(&a->lock);
    free(a);
}

bool
access_needs_proof(const struct access *a)
{
    return a->opt.allow_file != NULL || a->opt.trusted_only;
}

static bool
is_listed(struct access *a, const struct p2p_id *id)
{
    bool found;

    if (a->opt.allow_file == NULL)
        return false;
    if (check_list(a, id, &found) != P2P_OK)
        p2p_log_error("cannot read --allow-peers %s, so no peer may download",
                      a->opt.allow_file);
    return found;
}

/* If the blocked peers cannot be read, every peer could be one of them. */
static enum p2p_trust
trust_of(struct access *a, const struct p2p_id *id)
{
    struct p2p_known_peer known = {.trust = P2P_TRUST_UNKNOWN};
    enum p2p_err err = p2p_known_find(a->opt.identity, id, &known);

    return err == P2P_OK || err == P2P_ERR_NOT_FOUND ? known.trust : P2P_TRUST_BLOCKED;
}

static void
judge(struct access *a, const struct p2p_id *id, enum p2p_trust trust,
      struct access_standing *out)
{
    bool is_listed_here = is_listed(a, id);
    struct p2p_access_caller caller = {
        .id = id,
        .is_outside = true,
        .is_trusted = trust == P2P_TRUST_TRUSTED || is_listed_here,
    };
    struct p2p_access *rules = access_rules(a);

    bool is_blocked = trust == P2P_TRUST_BLOCKED;
    bool is_left_out = access_needs_proof(a) && !is_listed_here &&
                       !(a->opt.trusted_only && trust == P2P_TRUST_TRUSTED);
    bool has_offer = !is_blocked &&
                     (offers_has(a->opt.offers, id) || p2p_access_has_link(rules, id));

    *out = (struct access_standing){
        .is_known = trust == P2P_TRUST_TRUSTED || trust == P2P_TRUST_SEEN || has_offer,
        .is_trusted = caller.is_trusted,
        .refused = is_blocked || (is_left_out && !has_offer),
        .is_guest = is_left_out && has_offer,
    };
    out->refused_outside =
        out->refused || (!has_offer && !p2p_access_may_enter(rules, &caller));
    p2p_access_put(rules);
}

void
access_look(struct access *a, const struct p2p_id *id, struct access_standing *out)
{
    judge(a, id, trust_of(a, id), out);
}

enum p2p_err
access_check(struct access *a, const struct p2p_id *id, bool is_outside,
             struct access_standing *out)
{
    enum p2p_trust trust = trust_of(a, id);

    judge(a, id, trust, out);
    if (!(is_outside ? out->refused_outside : out->refused))
        return P2P_OK;
    if (trust == P2P_TRUST_UNKNOWN &&
        p2p_known_set(a->opt.identity, id, P2P_TRUST_PENDING, NULL, NULL) != P2P_OK)
        p2p_log_warn("cannot save a new peer in the list of known peers");
    return P2P_ERR_NOT_ALLOWED;
}
