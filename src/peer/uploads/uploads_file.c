#include "peer/uploads/uploads_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/bytes.h"
#include "p2p/io.h"

#define FILE_NAME "uploads"
#define NEW_NAME  "uploads.new"
#define HEAD      "uploads 1 "

enum { LINE_MAX_LEN = 160, FILE_MAX = (UPLOADS_PEERS_MAX + 1) * LINE_MAX_LEN };

/* ---- Reading ---- */

static enum p2p_err
read_all(int fd, char *text, size_t *len)
{
    *len = 0;
    while (*len < FILE_MAX) {
        ssize_t n = read(fd, text + *len, FILE_MAX - *len);
        if (n < 0 && errno != EINTR)
            return p2p_err_from_errno(errno);
        if (n == 0)
            return P2P_OK;
        *len += n > 0 ? (size_t)n : 0;
    }
    return P2P_ERR_CORRUPT;
}

/* Reads `count` numbers, each behind a space except the first. */
static bool
take_numbers(const char *text, uint64_t *out, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(text, " ");
        if (p2p_decimal_parse(text, len, UINT64_MAX, &out[i]) != P2P_OK ||
            (text[len] == '\0') != (i + 1 == count))
            return false;
        text += len + 1;
    }
    return true;
}

static bool
take_sums(const char *line, struct uploads_totals *out)
{
    uint64_t n[3];

    if (strncmp(line, HEAD, strlen(HEAD)) != 0 ||
        !take_numbers(line + strlen(HEAD), n, 3))
        return false;
    out->since_s = n[0];
    out->uploads = n[1];
    out->bytes = n[2];
    return true;
}

static bool
take_peer(const char *line, struct upload_peer *out)
{
    char hex[P2P_ID_HEX_LEN + 1];
    uint64_t n[4];

    if (strlen(line) < P2P_ID_HEX_LEN + 2 || line[P2P_ID_HEX_LEN] != ' ')
        return false;
    memcpy(hex, line, P2P_ID_HEX_LEN);
    hex[P2P_ID_HEX_LEN] = '\0';
    if (p2p_hex_parse(hex, out->id.b, sizeof(out->id.b)) != P2P_OK ||
        !take_numbers(line + P2P_ID_HEX_LEN + 1, n, 4) || n[0] > 1)
        return false;
    out->is_proven = n[0] == 1;
    out->uploads = n[1];
    out->bytes = n[2];
    out->last_s = n[3];
    return true;
}

static enum p2p_err
parse(char *text, struct uploads_totals *out)
{
    enum p2p_err err = P2P_OK;
    char *next = text;
    const char *line = strsep(&next, "\n");

    if (!take_sums(line, out))
        return P2P_ERR_CORRUPT;
    while ((line = strsep(&next, "\n")) != NULL && next != NULL) {
        if (out->count == UPLOADS_PEERS_MAX ||
            !take_peer(line, &out->peers[out->count]))
            err = P2P_ERR_CORRUPT;
        else
            out->count++;
    }
    return line != NULL && line[0] != '\0' ? P2P_ERR_CORRUPT : err;
}

enum p2p_err
uploads_load(const char *keys_dir, struct uploads_totals *out)
{
    int dir = open(keys_dir, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    char *text = malloc(FILE_MAX + 1);
    enum p2p_err err = text == NULL ? P2P_ERR_NOMEM : P2P_OK;
    size_t len = 0;

    memset(out, 0, sizeof(*out));
    if (err == P2P_OK && dir >= 0)
        fd = openat(dir, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (err == P2P_OK && fd < 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = read_all(fd, text, &len);
    if (err == P2P_OK) {
        text[len] = '\0';
        err = strlen(text) == len ? parse(text, out) : P2P_ERR_CORRUPT;
    }
    free(text);
    p2p_fd_close(&fd);
    p2p_fd_close(&dir);
    return err;
}

/* ---- Writing ---- */

static size_t
format(const struct uploads_totals *totals, char *text)
{
    size_t len = (size_t)snprintf(text, LINE_MAX_LEN,
                                  HEAD "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                                  totals->since_s, totals->uploads, totals->bytes);

    for (size_t i = 0; i < totals->count; i++) {
        const struct upload_peer *peer = &totals->peers[i];
        char hex[P2P_ID_HEX_LEN + 1];
        p2p_hex_format(peer->id.b, sizeof(peer->id.b), hex);
        len += (size_t)snprintf(
            text + len, LINE_MAX_LEN, "%s %d %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
            hex, peer->is_proven, peer->uploads, peer->bytes, peer->last_s);
    }
    return len;
}

static enum p2p_err
replace(int dir, const char *text, size_t len)
{
    int fd = openat(dir, NEW_NAME,
                    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    enum p2p_err err =
        fd < 0 ? p2p_err_from_errno(errno) : p2p_pwrite_full(fd, text, len, 0);

    if (err == P2P_OK && fsync(fd) != 0)
        err = p2p_err_from_errno(errno);
    p2p_fd_close(&fd);
    if (err == P2P_OK && renameat(dir, NEW_NAME, dir, FILE_NAME) != 0)
        err = p2p_err_from_errno(errno);
    return err;
}

enum p2p_err
uploads_store(const char *keys_dir, const struct uploads_totals *totals)
{
    int dir = open(keys_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    char *text = malloc(FILE_MAX);
    enum p2p_err err = text == NULL ? P2P_ERR_NOMEM : P2P_OK;

    if (err == P2P_OK && dir < 0)
        err = p2p_err_from_errno(errno);
    if (err == P2P_OK)
        err = replace(dir, text, format(totals, text));
    free(text);
    p2p_fd_close(&dir);
    return err;
}
