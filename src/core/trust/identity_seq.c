/* The number (seq) of this identity's last registration, in a file beside the key. */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "core/trust/identity_internal.h"
#include "p2p/bytes.h"

#define SEQ_FILE "registration_seq"

static enum p2p_err
read_seq(int dir, uint64_t *seq)
{
    char text[P2P_U64_TEXT_MAX + 1];
    int fd = openat(dir, SEQ_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n;

    *seq = 0;
    if (fd < 0)
        return errno == ENOENT ? P2P_ERR_NOT_FOUND : p2p_err_from_errno(errno);
    n = read(fd, text, sizeof(text));
    close(fd);
    if (n < 0)
        return p2p_err_from_errno(errno);
    if (n == 0 || text[n - 1] != '\n' ||
        p2p_decimal_parse(text, (size_t)n - 1, UINT64_MAX, seq) != P2P_OK) {
        *seq = 0;
        return P2P_ERR_CORRUPT;
    }
    return P2P_OK;
}

enum p2p_err
p2p_identity_load_seq(struct p2p_identity *identity, uint64_t *seq)
{
    return read_seq(p2p_root_fd(identity->dir), seq);
}

enum p2p_err
p2p_identity_store_seq(struct p2p_identity *identity, uint64_t seq, bool may_lower)
{
    char text[P2P_U64_TEXT_MAX + 1];
    int dir = p2p_root_fd(identity->dir), lock;
    enum p2p_err err = p2p_keys_lock(dir, &lock);
    uint64_t there;
    size_t len;

    if (err)
        return err;
    len = p2p_u64_format(seq, text);
    text[len++] = '\n';
    if (may_lower || read_seq(dir, &there) != P2P_OK || there < seq)
        err = p2p_path_replace(dir, SEQ_FILE, text, len);
    close(lock);
    return err;
}
