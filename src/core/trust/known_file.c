/*
 * The file known_peers. A line a peer, fields between single spaces:
 *
 *     <id> <trust> <lowest protocol> <first seen> <last seen> <addresses or -> [<name>]
 *
 * Times are Unix seconds; addresses stand between commas, the last one met first; the
 * name is the rest of the line. '#' begins a comment line. What a peer says of itself
 * stands in a line of its own after that of the peer:
 *
 *     #@ <id> <kind> <name>
 *
 * Programs that know nothing of it take it for a comment; when they write the file, it
 * is gone until the peer says it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/trust/identity_internal.h"
#include "p2p/bytes.h"
#include "p2p/io.h"
#include "p2p/log.h"

#define KNOWN_FILE    "known_peers"
#define DAMAGED_FILE  "known_peers.damaged"
#define LINE_MAX_LEN  512
#define CLAIM_MAX_LEN 160
#define PEER_MAX_LEN  (LINE_MAX_LEN + CLAIM_MAX_LEN)
#define FILE_SIZE_MAX ((off_t)P2P_KNOWN_PEERS_MAX * PEER_MAX_LEN)
#define CLAIM_MARK    "#@"
#define TIME_MAX      (1ull << 40)

static const char heading[] =
    "# Known peers: id, trust, lowest protocol, first seen, last seen, addresses, "
    "name.\n# Change them with \"p2p peers\".\n";

bool
p2p_known_address_is_valid(const char *address)
{
    size_t len = strlen(address);

    for (size_t i = 0; i < len; i++)
        if (address[i] <= ' ' || address[i] > '~' || address[i] == ',')
            return false;
    return len < P2P_ADDRESS_MAX;
}

bool
p2p_known_name_is_valid(const char *name)
{
    const uint8_t *at = (const uint8_t *)name;
    size_t left = strlen(name);

    if (left > P2P_PEER_NAME_MAX || name[0] == ' ')
        return false;
    while (left > 0) {
        uint32_t cp;
        size_t n = p2p_utf8_next(at, left, &cp);
        if (n == 0 || cp < 0x20 || (cp >= 0x7f && cp <= 0x9f) ||
            p2p_utf8_is_invisible(cp))
            return false;
        at += n;
        left -= n;
    }
    return true;
}

/* ---- One line ---- */

/* Cuts off the next field of `*rest` and ends it with a NUL; "" when nothing is
 * left. */
static char *
next_field(char **rest)
{
    char *field = *rest, *space = strchr(field, ' ');

    if (space) {
        *space = '\0';
        *rest = space + 1;
    } else {
        *rest = field + strlen(field);
    }
    return field;
}

static bool
parse_trust(const char *text, enum p2p_trust *trust)
{
    for (int t = P2P_TRUST_SEEN; t <= P2P_TRUST_PENDING; t++)
        if (strcmp(text, p2p_trust_name((enum p2p_trust)t)) == 0) {
            *trust = (enum p2p_trust)t;
            return true;
        }
    return false;
}

static bool
parse_number(const char *text, uint64_t max, uint64_t *value)
{
    return p2p_decimal_parse(text, strlen(text), max, value) == P2P_OK;
}

/* Modifies `text`. Addresses beyond the available room are ignored. */
static bool
parse_addresses(char *text, struct p2p_known_peer *peer)
{
    size_t count = 0;

    if (!text[0])
        return false;
    for (char *rest = text; rest;) {
        const char *address = strsep(&rest, ",");
        if (!address[0] || !p2p_known_address_is_valid(address))
            return false;
        char canonical[P2P_ADDRESS_MAX];
        p2p_known_canonical(address, canonical);
        if (strcmp(address, "-") != 0 && count < P2P_PEER_ADDRESSES_MAX &&
            !p2p_known_has_address(peer, canonical))
            memcpy(peer->addresses[count++], canonical, sizeof(canonical));
    }
    return true;
}

/* `line` is changed. */
static bool
parse_line(char *line, struct p2p_known_peer *peer)
{
    uint64_t protocol;

    memset(peer, 0, sizeof(*peer));
    if (p2p_hex_parse(next_field(&line), peer->id.b, sizeof(peer->id.b)) != P2P_OK ||
        !parse_trust(next_field(&line), &peer->trust) ||
        !parse_number(next_field(&line), 2, &protocol) ||
        !parse_number(next_field(&line), TIME_MAX, &peer->first_seen_s) ||
        !parse_number(next_field(&line), TIME_MAX, &peer->last_seen_s) ||
        !parse_addresses(next_field(&line), peer) || !p2p_known_name_is_valid(line))
        return false;
    peer->min_protocol = (uint8_t)protocol;
    snprintf(peer->name, sizeof(peer->name), "%s", line);
    return true;
}

static size_t
format_line(const struct p2p_known_peer *peer, char out[LINE_MAX_LEN])
{
    char id[P2P_ID_HEX_LEN + 1], addresses[sizeof(peer->addresses)] = "-";
    size_t len = 0;

    for (size_t i = 0; i < P2P_PEER_ADDRESSES_MAX && peer->addresses[i][0]; i++)
        len += (size_t)snprintf(addresses + len, sizeof(addresses) - len, "%s%s",
                                len > 0 ? "," : "", peer->addresses[i]);
    p2p_hex_format(peer->id.b, sizeof(peer->id.b), id);
    return (size_t)snprintf(out, LINE_MAX_LEN, "%s %s %u %llu %llu %s%s%s\n", id,
                            p2p_trust_name(peer->trust), peer->min_protocol,
                            (unsigned long long)peer->first_seen_s,
                            (unsigned long long)peer->last_seen_s, addresses,
                            peer->name[0] ? " " : "", peer->name);
}

static size_t
format_claim(const struct p2p_known_peer *peer, char out[CLAIM_MAX_LEN])
{
    char id[P2P_ID_HEX_LEN + 1];

    if (peer->claim.name[0] == '\0' && peer->claim.kind == P2P_ABOUT_UNKNOWN)
        return 0;
    p2p_hex_format(peer->id.b, sizeof(peer->id.b), id);
    return (size_t)snprintf(out, CLAIM_MAX_LEN, CLAIM_MARK " %s %s %s\n", id,
                            p2p_about_kind_name(peer->claim.kind), peer->claim.name);
}

/* A claim that cannot be read, or of a peer that is not there, is passed over: it is
 * no loss. `line` is changed. */
static void
take_claim(const struct p2p_known *known, char *line)
{
    struct p2p_about claim;
    struct p2p_known_peer *peer;
    struct p2p_id id;

    (void)next_field(&line);
    if (p2p_hex_parse(next_field(&line), id.b, sizeof(id.b)) != P2P_OK ||
        (peer = p2p_known_peer_of(known, &id)) == NULL ||
        p2p_about_kind_parse(next_field(&line), &claim.kind) != P2P_OK)
        return;
    (void)p2p_about_set_name(&claim, line, strlen(line));
    peer->claim = claim;
}

/* ---- The file ---- */

/* Reads the whole file: text (owned), length and state; empty if there is no file. */
static enum p2p_err
read_file(int dir, char **text, size_t *len, struct stat *st)
{
    int fd = p2p_path_open_beneath(dir, KNOWN_FILE, O_RDONLY | O_NONBLOCK, 0);
    enum p2p_err err = P2P_OK;

    *text = NULL;
    *len = 0;
    memset(st, 0, sizeof(*st));
    if (fd < 0)
        return errno == ENOENT ? P2P_OK : p2p_err_from_errno(errno);
    if (fstat(fd, st) != 0)
        err = p2p_err_from_errno(errno);
    else if (!S_ISREG(st->st_mode) || st->st_size > FILE_SIZE_MAX)
        err = P2P_ERR_CORRUPT;
    else if (!(*text = malloc((size_t)st->st_size + 1)))
        err = P2P_ERR_NOMEM;
    while (!err && *len < (size_t)st->st_size) {
        ssize_t n = read(fd, *text + *len, (size_t)st->st_size - *len);
        if (n < 0 && errno != EINTR)
            err = p2p_err_from_errno(errno);
        else if (n == 0)
            break;
        else if (n > 0)
            *len += (size_t)n;
    }
    if (*text)
        (*text)[*len] = '\0';
    close(fd);
    return err;
}

/* Unreadable lines are counted and skipped, as are second lines for a peer. */
static enum p2p_err
add_line(struct p2p_known *known, char *line, size_t len)
{
    struct p2p_known_peer peer, *slot;
    bool found = false;

    if (strncmp(line, CLAIM_MARK " ", sizeof(CLAIM_MARK)) == 0 && strlen(line) == len)
        take_claim(known, line);
    if (len == 0 || line[0] == '#')
        return P2P_OK;
    if (len >= LINE_MAX_LEN || strlen(line) != len || !parse_line(line, &peer) ||
        known->count >= P2P_KNOWN_PEERS_MAX) {
        known->damaged++;
        return P2P_OK;
    }
    p2p_known_index(known, &peer.id, &found);
    if (found) {
        known->damaged++;
        return P2P_OK;
    }
    enum p2p_err err = p2p_known_insert(known, &peer.id, &slot);
    if (!err)
        *slot = peer;
    return err;
}

static enum p2p_err
add_lines(struct p2p_known *known, char *text, size_t len)
{
    enum p2p_err err = P2P_OK;

    while (len > 0 && !err) {
        char *end = memchr(text, '\n', len);
        size_t line = end ? (size_t)(end - text) : len;
        text[line] = '\0'; /* a line feed in the text, or the NUL at its end */
        err = add_line(known, text, line);
        text += line + (end != NULL);
        len -= line + (end != NULL);
    }
    return err;
}

void
p2p_known_clear(struct p2p_known *known)
{
    free(known->peers);
    memset(known, 0, sizeof(*known));
}

enum p2p_err
p2p_known_load(int dir, struct p2p_known *known)
{
    struct p2p_known fresh = {.count = 0};
    struct stat st = {.st_ino = 0};
    char *text;
    size_t len;
    enum p2p_err err;

    if (fstatat(dir, KNOWN_FILE, &st, AT_SYMLINK_NOFOLLOW) != 0 && errno != ENOENT)
        return p2p_err_from_errno(errno);
    if (p2p_stat_is_unchanged(&st, &known->file))
        return P2P_OK;
    err = read_file(dir, &text, &len, &fresh.file);
    if (!err)
        err = add_lines(&fresh, text, len);
    free(text);
    if (err) {
        p2p_known_clear(&fresh);
        return err;
    }
    if (fresh.damaged > 0)
        p2p_log_error("known_peers is damaged: the peers in unreadable lines are "
                      "forgotten lines=%zu",
                      fresh.damaged);
    p2p_known_clear(known);
    *known = fresh;
    return P2P_OK;
}

/* Keeps a copy of the file before it is written without its damaged lines. */
static enum p2p_err
keep_damaged(int dir)
{
    struct stat st;
    char *text;
    size_t len;
    enum p2p_err err = read_file(dir, &text, &len, &st);

    if (!err)
        err = p2p_path_replace(dir, DAMAGED_FILE, text, len);
    free(text);
    if (!err)
        p2p_log_error("the damaged known_peers file was renamed to " DAMAGED_FILE);
    return err;
}

enum p2p_err
p2p_known_save(int dir, struct p2p_known *known)
{
    char *text = malloc(sizeof(heading) + known->count * PEER_MAX_LEN);
    size_t len = sizeof(heading) - 1;
    enum p2p_err err = text ? P2P_OK : P2P_ERR_NOMEM;

    if (!err && known->damaged > 0)
        err = keep_damaged(dir);
    if (err)
        goto out;
    memcpy(text, heading, len);
    for (size_t i = 0; i < known->count; i++) {
        len += format_line(&known->peers[i], text + len);
        len += format_claim(&known->peers[i], text + len);
    }
    err = p2p_path_replace(dir, KNOWN_FILE, text, len);
    if (err)
        goto out;
    known->damaged = 0;
    if (fstatat(dir, KNOWN_FILE, &known->file, AT_SYMLINK_NOFOLLOW) != 0)
        memset(&known->file, 0, sizeof(known->file)); /* read it again next time */
out:
    free(text);
    return err;
}
