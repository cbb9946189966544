#include "http/tls.h"

#include <stdio.h>

#ifdef P2P_WITH_GNUTLS
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <gnutls/abstract.h>

#include "http/tls_internal.h"
#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"

#define FILE_MAX      (256u * 1024)
#define CHAIN_MAX     16u
#define LOOK_EVERY_MS 1000u
/* Longer than a handshake may take; until then a handshake may still use the former
 * pair. */
#define KEEP_FORMER_MS 120000u

/* A certificate with its chain, and its private key. */
struct pair {
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned count;
    gnutls_privkey_t key;
    struct stat cert_stat, key_stat;
    struct pair *former;
    uint64_t until_ms; /* for a former pair: freed after this time */
};

P2P_MUTEX_KIND(http_tls_lock);
/* libmicrohttpd passes no argument to its callback, so only one server of a program can
 * use TLS. */
static struct {
    struct http_tls_lock lock;
    struct http_tls_options opt;
    struct pair *pair P2P_GUARDED_BY(http_tls_lock);
    uint64_t look_at_ms P2P_GUARDED_BY(http_tls_lock);
} store = {.lock = P2P_MUTEX_INITIALIZER};

static enum p2p_err
open_path(const char *path, int *fd)
{
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    return *fd >= 0 ? P2P_OK : p2p_err_from_errno(errno);
}

static enum p2p_err
open_one(const struct http_tls_options *opt, const char *path, int *fd, struct stat *st)
{
    enum p2p_err err =
        opt->open_file != NULL ? opt->open_file(path, fd) : open_path(path, fd);

    if (err == P2P_OK && fstat(*fd, st) != 0)
        err = p2p_err_from_errno(errno);
    return err;
}

static enum p2p_err
read_one(const struct http_tls_options *opt, const char *path, struct stat *st,
         gnutls_datum_t *out)
{
    int fd = -1;
    enum p2p_err err = open_one(opt, path, &fd, st);

    *out = (gnutls_datum_t){NULL, 0};
    if (err == P2P_OK && (st->st_size <= 0 || st->st_size > (off_t)FILE_MAX))
        err = P2P_ERR_CORRUPT;
    if (err == P2P_OK && (out->data = malloc((size_t)st->st_size)) == NULL)
        err = P2P_ERR_NOMEM;
    if (err == P2P_OK) {
        out->size = (unsigned)st->st_size;
        err = p2p_pread_full(fd, out->data, out->size, 0);
    }
    p2p_fd_close(&fd);
    return err;
}

static void
wipe_one(gnutls_datum_t *text)
{
    if (text->data != NULL)
        p2p_wipe(text->data, text->size);
    free(text->data);
}

static void
free_pair(struct pair *p)
{
    if (p == NULL)
        return;
    for (unsigned i = 0; i < p->count; i++)
        gnutls_pcert_deinit(&p->chain[i]);
    if (p->key != NULL)
        gnutls_privkey_deinit(p->key);
    free(p);
}

/* True if the key belongs to the certificate. */
static bool
fits(const struct pair *p)
{
    unsigned char a[64], b[64];
    size_t a_len = sizeof(a), b_len = sizeof(b);
    gnutls_pubkey_t of_key = NULL;
    bool same =
        gnutls_pubkey_init(&of_key) == 0 &&
        gnutls_pubkey_import_privkey(of_key, p->key, 0, 0) == 0 &&
        gnutls_pubkey_get_key_id(of_key, GNUTLS_KEYID_USE_SHA256, a, &a_len) == 0 &&
        gnutls_pubkey_get_key_id(p->chain[0].pubkey, GNUTLS_KEYID_USE_SHA256, b,
                                 &b_len) == 0 &&
        a_len == b_len && memcmp(a, b, a_len) == 0;

    if (of_key != NULL)
        gnutls_pubkey_deinit(of_key);
    return same;
}

static enum p2p_err
import(struct pair *p, const struct http_tls_options *opt, const gnutls_datum_t *cert,
       const gnutls_datum_t *key, char *why, size_t size)
{
    int code;

    p->count = CHAIN_MAX;
    code = gnutls_pcert_list_import_x509_raw(p->chain, &p->count, cert,
                                             GNUTLS_X509_FMT_PEM, 0);
    if (code < 0 || p->count == 0) {
        p->count = 0;
        snprintf(why, size, "\"%s\" contains no valid certificate in PEM format: %s",
                 opt->cert, gnutls_strerror(code));
        return P2P_ERR_CORRUPT;
    }
    if ((code = gnutls_privkey_init(&p->key)) < 0 ||
        (code = gnutls_privkey_import_x509_raw(p->key, key, GNUTLS_X509_FMT_PEM, NULL,
                                               0)) < 0) {
        snprintf(why, size, "\"%s\" contains no valid private key in PEM format: %s",
                 opt->key, gnutls_strerror(code));
        return P2P_ERR_KEY_FILE;
    }
    if (fits(p))
        return P2P_OK;
    snprintf(why, size,
             "the private key in \"%s\" does not belong to the certificate in \"%s\"",
             opt->key, opt->cert);
    return P2P_ERR_KEY_FILE;
}

static enum p2p_err
load(const struct http_tls_options *opt, struct pair **out, char *why, size_t size)
{
    gnutls_datum_t cert = {NULL, 0}, key = {NULL, 0};
    struct pair *p = calloc(1, sizeof(*p));
    const char *path = opt->cert;
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (p != NULL && (err = read_one(opt, path, &p->cert_stat, &cert)) == P2P_OK) {
        path = opt->key;
        err = read_one(opt, path, &p->key_stat, &key);
    }
    if (err != P2P_OK)
        snprintf(why, size, "cannot read \"%s\": %s", path, p2p_err_text(err));
    else if ((err = import(p, opt, &cert, &key, why, size)) == P2P_OK) {
        *out = p;
        p = NULL;
    }
    free_pair(p);
    wipe_one(&cert);
    wipe_one(&key);
    return err;
}

/* ---- while the server runs ---- */

static bool
is_same_file(const char *path, const struct stat *then)
{
    struct stat now;
    int fd = -1;
    bool same = open_one(&store.opt, path, &fd, &now) == P2P_OK &&
                p2p_stat_is_same_file(&now, then) && now.st_size == then->st_size &&
                now.st_mtim.tv_sec == then->st_mtim.tv_sec &&
                now.st_mtim.tv_nsec == then->st_mtim.tv_nsec;

    p2p_fd_close(&fd);
    return same;
}

static void
drop_former(uint64_t now_ms) P2P_REQUIRES(http_tls_lock)
{
    struct pair **at = &store.pair->former;

    while (*at != NULL) {
        struct pair *p = *at;

        if (now_ms < p->until_ms) {
            at = &p->former;
            continue;
        }
        *at = p->former;
        free_pair(p);
    }
}

static void
look(uint64_t now_ms) P2P_REQUIRES(http_tls_lock)
{
    struct pair *fresh = NULL;
    char why[512];

    if (now_ms < store.look_at_ms)
        return;
    store.look_at_ms = now_ms + LOOK_EVERY_MS;
    drop_former(now_ms);
    if (is_same_file(store.opt.cert, &store.pair->cert_stat) &&
        is_same_file(store.opt.key, &store.pair->key_stat))
        return;
    if (load(&store.opt, &fresh, why, sizeof(why)) != P2P_OK) {
        /* The first of the two files was renewed and the second was not yet; or an
         * error that stays. */
        p2p_log_warn(
            "tls: cannot load the new certificate, the old one stays in use: %s", why);
        store.look_at_ms = now_ms + 5 * LOOK_EVERY_MS;
        return;
    }
    store.pair->until_ms = now_ms + KEEP_FORMER_MS;
    fresh->former = store.pair;
    store.pair = fresh;
    p2p_log_info("tls: loaded the new certificate");
}

int
http_tls_retrieve(gnutls_session_t session, const gnutls_datum_t *authorities,
                  int count, const gnutls_pk_algorithm_t *algorithms,
                  int algorithm_count, gnutls_pcert_st **chain, unsigned *chain_len,
                  gnutls_privkey_t *key)
{
    (void)session, (void)authorities, (void)count, (void)algorithms;
    (void)algorithm_count;
    p2p_lock(&store.lock);
    look(p2p_now_ms());
    *chain = store.pair->chain;
    *chain_len = store.pair->count;
    *key = store.pair->key;
    p2p_unlock(&store.lock);
    return 0;
}

enum p2p_err
http_tls_start(const struct http_tls_options *opt)
{
    char why[512];
    enum p2p_err err;

    p2p_lock(&store.lock);
    store.opt = *opt;
    err = store.pair != NULL ? P2P_ERR_IN_USE
                             : load(&store.opt, &store.pair, why, sizeof(why));
    p2p_unlock(&store.lock);
    return err;
}

void
http_tls_look(void)
{
    p2p_lock(&store.lock);
    store.look_at_ms = 0;
    if (store.pair != NULL)
        look(p2p_now_ms());
    p2p_unlock(&store.lock);
}

void
http_tls_stop(void)
{
    p2p_lock(&store.lock);
    while (store.pair != NULL) {
        struct pair *p = store.pair;

        store.pair = p->former;
        free_pair(p);
    }
    p2p_unlock(&store.lock);
}

enum p2p_err
http_tls_check(const struct http_tls_options *opt, char *why, size_t size)
{
    struct pair *p = NULL;
    enum p2p_err err = load(opt, &p, why, size);

    free_pair(p);
    return err;
}

#else

enum p2p_err
http_tls_check(const struct http_tls_options *opt, char *why, size_t size)
{
    (void)opt;
    snprintf(why, size, "this program was built without GnuTLS");
    return P2P_ERR_UNSUPPORTED;
}

void
http_tls_look(void)
{
}
#endif

enum p2p_err
http_tls_options_check(const struct http_tls_options *opt, char *why, size_t size)
{
    if (opt->cert == NULL && opt->key == NULL)
        return P2P_OK;
    if (opt->cert == NULL || opt->key == NULL) {
        snprintf(why, size, "give both --tls-cert and --tls-key, or neither");
        return P2P_ERR_USAGE;
    }
    return http_tls_check(opt, why, size);
}
