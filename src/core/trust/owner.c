#include "p2p/owner.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/disk/beneath.h"
#include "p2p/bytes.h"
#include "p2p/crypto.h"
#include "p2p/io.h"

#define SECRET_LEN (P2P_OWNER_TOKEN_LEN / 2)
/* The digits and a line feed. */
#define FILE_LEN (P2P_OWNER_TOKEN_LEN + 1)

static enum p2p_err
open_dir(const char *keys_dir, int *dir)
{
    *dir = open(keys_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return *dir >= 0 ? P2P_OK : p2p_err_from_errno(errno);
}

static bool
is_private(const struct stat *st)
{
    return S_ISREG(st->st_mode) && (st->st_mode & 077) == 0 &&
           (st->st_uid == geteuid() || geteuid() == 0);
}

/* A person may have edited the file: ignore blanks at the end. */
static enum p2p_err
read_token(int dir, char token[P2P_OWNER_TOKEN_LEN + 1], uid_t *uid)
{
    int fd = openat(dir, P2P_OWNER_TOKEN_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    uint8_t secret[SECRET_LEN];
    struct stat st;
    enum p2p_err err = P2P_ERR_CORRUPT;

    memset(token, 0, P2P_OWNER_TOKEN_LEN + 1);
    if (fd < 0)
        return p2p_err_from_errno(errno);
    if (fstat(fd, &st) == 0 && is_private(&st) && st.st_size >= P2P_OWNER_TOKEN_LEN)
        err = p2p_pread_full(fd, token, P2P_OWNER_TOKEN_LEN, 0);
    if (err == P2P_OK && p2p_hex_parse(token, secret, sizeof(secret)) != P2P_OK)
        err = P2P_ERR_CORRUPT;
    if (err == P2P_OK && uid != NULL)
        *uid = st.st_uid;
    p2p_fd_close(&fd);
    p2p_wipe(secret, sizeof(secret));
    if (err != P2P_OK)
        p2p_wipe(token, P2P_OWNER_TOKEN_LEN + 1);
    return err;
}

static enum p2p_err
make_token(int dir, char token[P2P_OWNER_TOKEN_LEN + 1])
{
    uint8_t secret[SECRET_LEN];
    char text[FILE_LEN];
    enum p2p_err err = p2p_random(secret, sizeof(secret));

    if (err == P2P_OK) {
        p2p_hex_format(secret, sizeof(secret), token);
        memcpy(text, token, P2P_OWNER_TOKEN_LEN);
        text[P2P_OWNER_TOKEN_LEN] = '\n';
        err = p2p_path_replace(dir, P2P_OWNER_TOKEN_FILE, text, sizeof(text));
    }
    p2p_wipe(secret, sizeof(secret));
    p2p_wipe(text, sizeof(text));
    if (err != P2P_OK)
        p2p_wipe(token, P2P_OWNER_TOKEN_LEN + 1);
    return err;
}

enum p2p_err
p2p_owner_token_obtain(const char *keys_dir, char token[P2P_OWNER_TOKEN_LEN + 1])
{
    int dir = -1;
    enum p2p_err err;

    memset(token, 0, P2P_OWNER_TOKEN_LEN + 1);
    if ((err = open_dir(keys_dir, &dir)) == P2P_OK &&
        (err = read_token(dir, token, NULL)) != P2P_OK)
        err = make_token(dir, token);
    p2p_fd_close(&dir);
    return err;
}

enum p2p_err
p2p_owner_token_read(const char *keys_dir, char token[P2P_OWNER_TOKEN_LEN + 1],
                     uid_t *uid)
{
    int dir = -1;
    enum p2p_err err;

    memset(token, 0, P2P_OWNER_TOKEN_LEN + 1);
    if ((err = open_dir(keys_dir, &dir)) == P2P_OK)
        err = read_token(dir, token, uid);
    p2p_fd_close(&dir);
    return err;
}
