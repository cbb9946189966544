/* Opening and closing an identity. */
#include "p2p/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "core/trust/identity_internal.h"
#include "p2p/bytes.h"
#include "p2p/io.h"
#include "p2p/lock.h"
#include "p2p/log.h"

#define CLAIM_FILE "peer.lock" /* held by the running p2p-peer */

static enum p2p_err
derive_public_half(struct p2p_identity *identity)
{
    const struct p2p_spki *spki = p2p_rsa_spki(identity->rsa);
    enum p2p_err err = p2p_spki_id(spki, &identity->id);

    if (err)
        return err;
    p2p_spki_to_pem(spki, identity->public_pem);
    p2p_hex_format(identity->id.b, sizeof(identity->id.b), identity->id_hex);
    return P2P_OK;
}

/* The public key file is for people and other programs; nothing here reads it. A
 * failure to write it (a read-only directory) is therefore no error. */
static void
write_public_key(const struct p2p_identity *identity)
{
    int dir = p2p_root_fd(identity->dir);
    char found[P2P_PEM_LEN + 1] = "";
    int fd = p2p_path_open_beneath(dir, P2P_PUBLIC_KEY_FILE, O_RDONLY | O_NONBLOCK, 0);

    if (fd >= 0) {
        ssize_t n = read(fd, found, P2P_PEM_LEN);
        close(fd);
        if (n == P2P_PEM_LEN && strcmp(found, identity->public_pem) == 0)
            return;
    }
    if (p2p_path_replace(dir, P2P_PUBLIC_KEY_FILE, identity->public_pem, P2P_PEM_LEN))
        p2p_log_debug("cannot write " P2P_PUBLIC_KEY_FILE);
}

enum p2p_err
p2p_identity_open(const char *keys_dir, bool create, p2p_passphrase_fn *passphrase,
                  void *arg, struct p2p_identity **out, char *why, size_t cap)
{
    struct p2p_key_request request = {keys_dir, create, passphrase, arg, why, cap};
    struct p2p_identity *identity = calloc(1, sizeof(*identity));
    enum p2p_err err = P2P_ERR_NOMEM;

    *out = NULL;
    if (why && cap > 0)
        why[0] = '\0';
    if (!identity)
        return err;
    p2p_mutex_init(&identity->lock);
    err = p2p_root_open(keys_dir, create, 0700, &identity->dir);
    if (err && why)
        snprintf(why, cap, "cannot open the keys directory %s: %s", keys_dir,
                 p2p_err_text(err));
    if (!err)
        err = p2p_keys_obtain(identity, &request);
    if (!err)
        err = derive_public_half(identity);
    if (err) {
        p2p_identity_close(identity);
        return err;
    }
    write_public_key(identity);
    *out = identity;
    return P2P_OK;
}

void
p2p_identity_close(struct p2p_identity *identity)
{
    if (!identity)
        return;
    p2p_rsa_free(identity->rsa);
    p2p_root_close(identity->dir);
    p2p_known_clear(&identity->known);
    p2p_mutex_clear(&identity->lock);
    free(identity);
}

enum p2p_err
p2p_keys_claim(const char *keys_dir, int *fd)
{
    struct p2p_root *dir;
    enum p2p_err err = p2p_root_open(keys_dir, false, 0700, &dir);

    *fd = -1;
    if (err != P2P_OK)
        return err;
    *fd = openat(p2p_root_fd(dir), CLAIM_FILE,
                 O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (*fd < 0 || flock(*fd, LOCK_EX | LOCK_NB) != 0)
        err = errno == EWOULDBLOCK ? P2P_ERR_BUSY : p2p_err_from_errno(errno);
    if (err != P2P_OK)
        p2p_fd_close(fd);
    p2p_root_close(dir);
    return err;
}

bool
p2p_keys_are_claimed(const char *keys_dir)
{
    struct p2p_root *dir;
    bool is_claimed;
    int fd;

    if (p2p_root_open(keys_dir, false, 0700, &dir) != P2P_OK)
        return false;
    fd = openat(p2p_root_fd(dir), CLAIM_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    p2p_root_close(dir);
    is_claimed = fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    p2p_fd_close(&fd);
    return is_claimed;
}

const struct p2p_rsa *
p2p_identity_key(const struct p2p_identity *identity)
{
    return identity->rsa;
}

const struct p2p_id *
p2p_identity_id(const struct p2p_identity *identity)
{
    return &identity->id;
}

const char *
p2p_identity_id_hex(const struct p2p_identity *identity)
{
    return identity->id_hex;
}

void
p2p_identity_set_about(struct p2p_identity *identity, const struct p2p_about *about)
{
    p2p_lock(&identity->lock);
    identity->about = *about;
    p2p_unlock(&identity->lock);
}

void
p2p_identity_get_about(struct p2p_identity *identity, struct p2p_about *out)
{
    p2p_lock(&identity->lock);
    *out = identity->about;
    p2p_unlock(&identity->lock);
}

const char *
p2p_identity_public_pem(const struct p2p_identity *identity)
{
    return identity->public_pem;
}
