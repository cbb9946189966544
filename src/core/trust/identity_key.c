/* The key files: checks, reads, creates, protects and replaces them. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "core/trust/identity_internal.h"
#include "p2p/log.h"
#include "p2p/vault.h"

#define LOCK_FILE    ".lock"
#define KEY_FILE_MAX (64 * 1024)

/* A text of the vault. */
struct secret_text {
    char *text;
    size_t len;
};

static void
secret_free(struct secret_text *secret)
{
    p2p_vault_free(secret->text);
    *secret = (struct secret_text){NULL, 0};
}

__attribute__((format(printf, 3, 4))) static enum p2p_err
refuse(const struct p2p_key_request *request, enum p2p_err err, const char *format, ...)
{
    va_list ap;

    if (request->why) {
        va_start(ap, format);
        vsnprintf(request->why, request->cap, format, ap);
        va_end(ap);
    }
    return err;
}

enum p2p_err
p2p_keys_lock(int dir, int *lock)
{
    int fd = openat(dir, LOCK_FILE, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    *lock = -1;
    if (fd < 0)
        return p2p_err_from_errno(errno);
    while (flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR)
            continue;
        enum p2p_err err = p2p_err_from_errno(errno);
        close(fd);
        return err;
    }
    *lock = fd;
    return P2P_OK;
}

/* ---- Who else may look ---- */

static enum p2p_err
check_directory(int dir, const struct p2p_key_request *request)
{
    struct stat st;

    if (fstat(dir, &st) != 0)
        return p2p_err_from_errno(errno);
    if (st.st_mode & 022)
        return refuse(
            request, P2P_ERR_KEY_FILE,
            "others could replace the keys in %s (mode %04o): run chmod 700 %s",
            request->keys_dir, (unsigned)st.st_mode & 07777, request->keys_dir);
    return P2P_OK;
}

static enum p2p_err
check_file(const struct stat *st, const struct p2p_key_request *request)
{
    const char *dir = request->keys_dir;

    if (!S_ISREG(st->st_mode) || st->st_size > KEY_FILE_MAX)
        return refuse(request, P2P_ERR_KEY_FILE,
                      "%s/" P2P_PRIVATE_KEY_FILE " is not a key file", dir);
    if (st->st_uid != geteuid() && st->st_uid != 0 && geteuid() != 0)
        return refuse(request, P2P_ERR_KEY_FILE,
                      "%s/" P2P_PRIVATE_KEY_FILE " belongs to another user", dir);
    if (st->st_mode & 077)
        return refuse(request, P2P_ERR_KEY_FILE,
                      "%s/" P2P_PRIVATE_KEY_FILE
                      " can be read by others (mode %04o): run chmod 600 "
                      "%s/" P2P_PRIVATE_KEY_FILE,
                      dir, (unsigned)st->st_mode & 07777, dir);
    return P2P_OK;
}

/* A directory that is empty (except for a placeholder whose name begins with a dot) was
 * created for us with any mode: make it private before the key is stored in it. */
static void
close_fresh_directory(int dir)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *listing = fd >= 0 ? fdopendir(fd) : NULL;
    bool fresh = listing != NULL;
    struct dirent *entry;

    if (!listing) {
        if (fd >= 0)
            close(fd);
        return;
    }
    while (fresh && (entry = readdir(listing)))
        fresh = entry->d_name[0] == '.';
    closedir(listing);
    if (fresh && fchmod(dir, 0700) != 0)
        p2p_log_debug("cannot make the keys directory private");
}

/* ---- Reading ---- */

static enum p2p_err
read_whole(int fd, size_t size, struct secret_text *out)
{
    out->text = p2p_vault_new(size + 1);
    if (!out->text)
        return P2P_ERR_NOMEM;
    while (out->len < size) {
        ssize_t n = read(fd, out->text + out->len, size - out->len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return p2p_err_from_errno(errno);
        if (n == 0)
            break;
        out->len += (size_t)n;
    }
    return P2P_OK;
}

/* Reads and checks the key file. NOT_FOUND when there is none. Links are followed,
 * because the directory belongs to the operator and secret stores put links there. */
static enum p2p_err
read_key_file(int dir, const struct p2p_key_request *request, struct stat *st,
              struct secret_text *pem)
{
    int fd = openat(dir, P2P_PRIVATE_KEY_FILE, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    enum p2p_err err;

    if (fd < 0) {
        err = p2p_err_from_errno(errno);
        return refuse(request, err == P2P_ERR_NOT_FOUND ? err : P2P_ERR_KEY_FILE,
                      "cannot read %s/" P2P_PRIVATE_KEY_FILE ": %s", request->keys_dir,
                      p2p_err_text(err));
    }
    err = fstat(fd, st) != 0 ? p2p_err_from_errno(errno) : check_file(st, request);
    if (!err)
        err = read_whole(fd, (size_t)st->st_size, pem);
    close(fd);
    return err;
}

/* Asks for the passphrase of the key; NULL if the request provides none. */
static struct secret_text
obtain_phrase(const struct p2p_key_request *request)
{
    char prompt[300];
    struct secret_text phrase = {NULL, 0};

    snprintf(prompt, sizeof(prompt), "Passphrase of %s/" P2P_PRIVATE_KEY_FILE ": ",
             request->keys_dir);
    if (request->passphrase)
        phrase.text = request->passphrase(request->arg, prompt);
    if (phrase.text)
        phrase.len = strlen(phrase.text);
    return phrase;
}

static enum p2p_err
parse_protected(const struct p2p_key_request *request, const struct secret_text *pem,
                struct p2p_rsa **rsa)
{
    struct secret_text phrase = obtain_phrase(request);

    if (!phrase.text)
        return refuse(request, P2P_ERR_PASSPHRASE,
                      "%s/" P2P_PRIVATE_KEY_FILE
                      " has a passphrase: give it in P2P_PASSPHRASE_FILE, "
                      "P2P_PASSPHRASE_FD or on a terminal",
                      request->keys_dir);
    enum p2p_err err = p2p_rsa_parse_pem(pem->text, pem->len, phrase.text, rsa);
    secret_free(&phrase);
    if (err == P2P_ERR_PASSPHRASE)
        return refuse(request, err, "wrong passphrase for %s/" P2P_PRIVATE_KEY_FILE,
                      request->keys_dir);
    return err;
}

static enum p2p_err
load_key(struct p2p_identity *identity, const struct p2p_key_request *request)
{
    struct secret_text pem = {NULL, 0};
    enum p2p_err err =
        read_key_file(p2p_root_fd(identity->dir), request, &identity->key_file, &pem);

    if (!err && p2p_rsa_pem_is_encrypted(pem.text, pem.len))
        err = parse_protected(request, &pem, &identity->rsa);
    else if (!err)
        err = p2p_rsa_parse_pem(pem.text, pem.len, NULL, &identity->rsa);
    secret_free(&pem);
    if (err == P2P_ERR_KEY_FILE && request->why && !request->why[0])
        return refuse(request, err,
                      "%s/" P2P_PRIVATE_KEY_FILE
                      " is not an RSA-2048 private key (PKCS#8 PEM); move it away to "
                      "get a new key",
                      request->keys_dir);
    return err;
}

/* ---- Writing ---- */

typedef enum p2p_err write_file(int dir, const char *name, const void *data,
                                size_t len);

static enum p2p_err
store_key(int dir, const struct p2p_rsa *rsa, const char *passphrase, write_file *write)
{
    struct secret_text pem = {NULL, 0};
    enum p2p_err err = p2p_rsa_format_pem(rsa, passphrase, &pem.text, &pem.len);

    if (!err)
        err = write(dir, P2P_PRIVATE_KEY_FILE, pem.text, pem.len);
    secret_free(&pem);
    return err;
}

/* Keeps the passphrase for the key that was just stored, because its source may give it
 * only once. */
static char *
repeat_phrase(void *arg, const char *prompt)
{
    const struct secret_text *phrase = arg;
    char *text = phrase->text ? p2p_vault_new(phrase->len + 1) : NULL;

    (void)prompt;
    return text ? memcpy(text, phrase->text, phrase->len) : NULL;
}

/* Generates the key pair, stores it, and loads it again as every later start does. If a
 * passphrase is configured, the new key gets it; nobody is asked for one. */
static enum p2p_err
make_first_key(struct p2p_identity *identity, const struct p2p_key_request *request)
{
    struct p2p_key_request again = *request;
    struct secret_text phrase = {NULL, 0};
    struct p2p_rsa *rsa = NULL;
    enum p2p_err err;

    if (request->passphrase &&
        p2p_passphrase_source() != P2P_PASSPHRASE_FROM_TERMINAL) {
        phrase = obtain_phrase(request);
        if (!phrase.text)
            return refuse(request, P2P_ERR_PASSPHRASE,
                          "cannot read the passphrase of the new key: check "
                          "P2P_PASSPHRASE_FILE and P2P_PASSPHRASE_FD");
    }
    err = p2p_rsa_generate(&rsa);
    if (!err)
        err = store_key(p2p_root_fd(identity->dir), rsa, phrase.text, p2p_path_create);
    p2p_rsa_free(rsa);
    again.passphrase = repeat_phrase;
    again.arg = &phrase;
    if (!err)
        err = load_key(identity, &again);
    secret_free(&phrase);
    return err;
}

/* Runs under the lock: if two programs start at the same time, one creates the key pair
 * and the other one finds it. */
static enum p2p_err
make_key(struct p2p_identity *identity, const struct p2p_key_request *request)
{
    int dir = p2p_root_fd(identity->dir), lock;
    enum p2p_err err;

    close_fresh_directory(dir);
    err = check_directory(dir, request);
    if (err)
        return err;
    err = p2p_keys_lock(dir, &lock);
    if (err)
        return refuse(request, err, "cannot write to the keys directory %s: %s",
                      request->keys_dir, p2p_err_text(err));
    err = load_key(identity, request);
    if (err == P2P_ERR_NOT_FOUND) {
        if (request->why && request->cap > 0)
            request->why[0] = '\0';
        err = make_first_key(identity, request);
    }
    close(lock);
    return err;
}

enum p2p_err
p2p_keys_obtain(struct p2p_identity *identity, const struct p2p_key_request *request)
{
    enum p2p_err err = load_key(identity, request);

    if (err == P2P_ERR_NOT_FOUND && request->create) {
        if (request->why && request->cap > 0)
            request->why[0] = '\0';
        return make_key(identity, request);
    }
    return err ? err : check_directory(p2p_root_fd(identity->dir), request);
}

enum p2p_err
p2p_identity_protect(struct p2p_identity *identity, const char *passphrase)
{
    int dir = p2p_root_fd(identity->dir), lock;
    struct stat now;
    enum p2p_err err = p2p_keys_lock(dir, &lock);

    if (err)
        return err;
    /* Another program may have rotated the key: do not replace it with the old one. */
    if (fstatat(dir, P2P_PRIVATE_KEY_FILE, &now, 0) != 0)
        err = p2p_err_from_errno(errno);
    else if (now.st_ino != identity->key_file.st_ino)
        err = P2P_ERR_BUSY;
    else
        err = store_key(dir, identity->rsa, passphrase, p2p_path_replace);
    if (!err && fstatat(dir, P2P_PRIVATE_KEY_FILE, &identity->key_file, 0) != 0)
        err = p2p_err_from_errno(errno);
    close(lock);
    return err;
}

/* Keeps the key in use under a second name, so that there is no moment without a
 * key. */
static enum p2p_err
keep_old_key(int dir)
{
    char kept[64];

    for (int64_t t = time(NULL), last = t + 60; t < last; t++) {
        snprintf(kept, sizeof(kept), "private_key.%lld.pem", (long long)t);
        if (linkat(dir, P2P_PRIVATE_KEY_FILE, dir, kept, 0) == 0)
            return P2P_OK;
        if (errno != EEXIST)
            return p2p_err_from_errno(errno);
    }
    return P2P_ERR_EXISTS;
}

/* PASSPHRASE if the key in use has a passphrase, NOT_FOUND if there is no key. */
static enum p2p_err
check_is_clear(const char *keys_dir, int dir)
{
    const struct p2p_key_request request = {.keys_dir = keys_dir};
    struct secret_text pem = {NULL, 0};
    struct stat st;
    enum p2p_err err = read_key_file(dir, &request, &st, &pem);

    if (!err && p2p_rsa_pem_is_encrypted(pem.text, pem.len))
        err = P2P_ERR_PASSPHRASE;
    secret_free(&pem);
    return err;
}

enum p2p_err
p2p_identity_rotate(const char *keys_dir, const char *passphrase, bool may_clear,
                    struct p2p_id *id)
{
    struct p2p_root *root = NULL;
    struct p2p_rsa *rsa = NULL;
    char pem[P2P_PEM_LEN + 1];
    int lock = -1;
    enum p2p_err err = p2p_root_open(keys_dir, false, 0700, &root);

    if (err)
        return err;
    err = p2p_keys_lock(p2p_root_fd(root), &lock);
    if (!err && !passphrase && !may_clear)
        err = check_is_clear(keys_dir, p2p_root_fd(root));
    if (!err)
        err = p2p_rsa_generate(&rsa);
    if (!err)
        err = p2p_spki_id(p2p_rsa_spki(rsa), id);
    if (!err)
        err = keep_old_key(p2p_root_fd(root));
    if (!err)
        err = store_key(p2p_root_fd(root), rsa, passphrase, p2p_path_replace);
    if (!err) {
        p2p_spki_to_pem(p2p_rsa_spki(rsa), pem);
        err =
            p2p_path_replace(p2p_root_fd(root), P2P_PUBLIC_KEY_FILE, pem, P2P_PEM_LEN);
    }
    if (lock >= 0)
        close(lock);
    p2p_rsa_free(rsa);
    p2p_root_close(root);
    return err;
}
