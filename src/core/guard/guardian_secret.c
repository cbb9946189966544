/* A secret that a relay and its registries share. */
#include <errno.h>
#include <unistd.h>

#include "p2p/guardian.h"
#include "p2p/io.h"
#include "p2p/log.h"

enum p2p_err
p2p_guardian_relay_key(const char *path, struct p2p_secret *key)
{
    char secret[P2P_RELAY_SECRET_MAX];
    ssize_t n = -1;
    int fd = -1;
    enum p2p_err err = p2p_guardian_open(path, &fd);

    if (err == P2P_OK && (n = read(fd, secret, sizeof(secret))) < 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = p2p_relay_key(secret, (size_t)n, key);
    if (err == P2P_ERR_USAGE)
        p2p_log_error("--relay-secret-file %s: a secret needs at least %d characters",
                      path, P2P_RELAY_SECRET_MIN);
    else if (err != P2P_OK)
        p2p_log_error("cannot read --relay-secret-file %s: %s", path,
                      p2p_err_text(err));
    p2p_wipe(secret, sizeof(secret));
    p2p_fd_close(&fd);
    return err;
}
