#include "peer/access.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/guardian.h"
#include "p2p/log.h"

enum { IDS_MAX = 100000 };

struct access {
    struct p2p_identity *identity;
    const char *file;
    pthread_mutex_t lock;
    struct timespec read_at; /* the file's mtime then */
    struct p2p_id *ids;
    size_t count;
};

/* One id, or nothing for an empty line or a comment. */
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
            p2p_log_error("allow-peers: line %u is not a peer id of 64 hex digits",
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

/* The sandbox does not reach it: the parent opens it. */
static FILE *
open_list(const char *path)
{
    FILE *in = NULL;
    int fd;

    if (p2p_guardian_open(path, &fd) == P2P_OK && (in = fdopen(fd, "r")) == NULL)
        close(fd);
    return in;
}

/* Brings the list up to date; on any failure it is empty: nobody may. */
static enum p2p_err
refresh(struct access *a)
{
    enum p2p_err err = P2P_ERR_NOT_FOUND;
    struct p2p_id *ids = NULL;
    size_t count = 0;
    struct stat st;
    FILE *in = open_list(a->file);

    if (in == NULL || fstat(fileno(in), &st) != 0)
        goto out;
    if (st.st_mtim.tv_sec == a->read_at.tv_sec &&
        st.st_mtim.tv_nsec == a->read_at.tv_nsec) {
        fclose(in);
        return P2P_OK;
    }
    if ((err = read_ids(in, &ids, &count)) == P2P_OK)
        a->read_at = st.st_mtim;
out:
    if (in != NULL)
        fclose(in);
    if (err != P2P_OK) {
        a->read_at = (struct timespec){0};
        free(ids);
        ids = NULL;
        count = 0;
    }
    free(a->ids);
    a->ids = ids;
    a->count = count;
    return err;
}

enum p2p_err
access_open(struct p2p_identity *identity, const char *allow_file, struct access **out)
{
    struct access *a = calloc(1, sizeof(*a));
    enum p2p_err err;

    *out = NULL;
    if (a == NULL)
        return P2P_ERR_NOMEM;
    a->identity = identity;
    a->file = allow_file;
    pthread_mutex_init(&a->lock, NULL);
    if (allow_file != NULL && (err = refresh(a)) != P2P_OK) {
        p2p_log_error("allow-peers: cannot use the file: %s", p2p_err_text(err));
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
    pthread_mutex_destroy(&a->lock);
    free(a->ids);
    free(a);
}

bool
access_needs_proof(const struct access *a)
{
    return a->file != NULL;
}

static bool
is_listed(struct access *a, const struct p2p_id *id)
{
    bool found = false;

    pthread_mutex_lock(&a->lock);
    if (refresh(a) != P2P_OK)
        p2p_log_error("allow-peers: the file cannot be read, nobody may fetch");
    for (size_t i = 0; i < a->count && !found; i++)
        found = p2p_id_equal(&a->ids[i], id);
    pthread_mutex_unlock(&a->lock);
    return found;
}

enum p2p_err
access_check(struct access *a, const struct p2p_id *id)
{
    struct p2p_known_peer known = {.trust = P2P_TRUST_UNKNOWN};
    enum p2p_err err = p2p_known_find(a->identity, id, &known);

    if (err != P2P_OK && err != P2P_ERR_NOT_FOUND)
        return P2P_ERR_NOT_ALLOWED; /* who is blocked cannot be told: nobody in */
    if (known.trust == P2P_TRUST_BLOCKED)
        return P2P_ERR_NOT_ALLOWED;
    if (a->file == NULL || is_listed(a, id))
        return P2P_OK;
    if (known.trust == P2P_TRUST_UNKNOWN &&
        p2p_known_set(a->identity, id, P2P_TRUST_PENDING, NULL, NULL) != P2P_OK)
        p2p_log_warn("known peers: a pending peer could not be noted");
    return P2P_ERR_NOT_ALLOWED;
}
