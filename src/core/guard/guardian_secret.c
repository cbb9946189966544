/* Secrets that a relay, or a TURN server, and its registries share. */
#include <errno.h>
#include <unistd.h>

#include "p2p/guardian.h"
#include "p2p/io.h"
#include "p2p/log.h"

/* The beginning of the file: `*len` bytes. */
static enum p2p_err
read_secret(const char *path, char *secret, size_t cap, size_t *len)
{
    ssize_t n = -1;
    int fd = -1;
    enum p2p_err err = p2p_guardian_open(path, &fd);

    if (err == P2P_OK && (n = read(fd, secret, cap)) < 0)
        err = p2p_err_from_errno(errno);
    *len = n > 0 ? (size_t)n : 0;
    p2p_fd_close(&fd);
    return err;
}

static void
say(enum p2p_err err, const char *option, const char *path, int min)
{
    if (err == P2P_ERR_USAGE)
        p2p_log_error("%s %s: a secret needs at least %d characters, in one line",
                      option, path, min);
    else if (err != P2P_OK)
        p2p_log_error("cannot read %s %s: %s", option, path, p2p_err_text(err));
}

enum p2p_err
p2p_guardian_relay_key(const char *path, struct p2p_secret *key)
{
    char secret[P2P_RELAY_SECRET_MAX];
    size_t len;
    enum p2p_err err = read_secret(path, secret, sizeof(secret), &len);

    if (err == P2P_OK)
        err = p2p_relay_key(secret, len, key);
    say(err, "--relay-secret-file", path, P2P_RELAY_SECRET_MIN);
    p2p_wipe(secret, sizeof(secret));
    return err;
}

enum p2p_err
p2p_guardian_turn_secret(const char *path, struct p2p_turn_secret *out)
{
    char secret[P2P_TURN_SECRET_MAX + 3];
    size_t len;
    enum p2p_err err = read_secret(path, secret, sizeof(secret), &len);

    if (err == P2P_OK)
        err = p2p_turn_secret(secret, len, out);
    say(err, "--turn-secret-file", path, P2P_TURN_SECRET_MIN);
    p2p_wipe(secret, sizeof(secret));
    return err;
}
