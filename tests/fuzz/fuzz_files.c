// uses p2p-discovery
/*
 * Our own files after an attacker changed them: known_peers, a snapshot of the
 * registry, or the journal of a download; the first byte chooses one. Snapshot and
 * journal get correct hashes, so that the code behind the check is reached.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/journal/journal_file.h"
#include "core/trust/identity_internal.h"
#include "discovery/registry/registry.h"
#include "discovery/registry/snapshot.h"
#include "fuzz.h"
#include "p2p/bytes.h"
#include "p2p/log.h"

static int folder = -1;
static char folder_path[64];

static void
make_folder(void)
{
    if (folder >= 0)
        return;
    p2p_log_init("fuzz", P2P_LOG_ERROR);
    snprintf(folder_path, sizeof(folder_path), "%s/p2p-fuzz-%d",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    MUST(mkdir(folder_path, 0700) == 0 || errno == EEXIST);
    folder = open(folder_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    MUST(folder >= 0);
}

static void
remove_folder(void)
{
    static const char *const names[] = {"known_peers", "known_peers.damaged",
                                        "snapshot", "journal", "lock"};

    for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        unlinkat(folder, names[i], 0);
    rmdir(folder_path);
}

static int
write_file(const char *name, const uint8_t *data, size_t size)
{
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    MUST(fd >= 0);
    MUST(p2p_pwrite_full(fd, data, size, 0) == P2P_OK);
    return fd;
}

static int
be_quiet(void)
{
    int loud = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);

    MUST(loud >= 0 && null >= 0 && dup2(null, STDERR_FILENO) >= 0);
    close(null);
    return loud;
}

static void
be_loud(int loud)
{
    MUST(dup2(loud, STDERR_FILENO) >= 0);
    close(loud);
}

/* ---- known_peers ---- */

static void
check_known(const struct p2p_known *known)
{
    MUST(known->count <= P2P_KNOWN_PEERS_MAX);
    for (size_t i = 0; i < known->count; i++) {
        const struct p2p_known_peer *p = &known->peers[i];

        MUST(i == 0 || memcmp(known->peers[i - 1].id.b, p->id.b, 32) < 0);
        MUST(p->trust > P2P_TRUST_UNKNOWN && p->trust <= P2P_TRUST_PENDING);
        MUST(p2p_known_name_is_valid(p->name) && p->min_protocol <= 2);
        for (unsigned k = 0; k < P2P_PEER_ADDRESSES_MAX; k++) {
            char again[P2P_ADDRESS_MAX];

            MUST(p2p_known_address_is_valid(p->addresses[k]));
            p2p_known_canonical(p->addresses[k], again);
            MUST(strcmp(again, p->addresses[k]) == 0);
        }
    }
}

static void
check_same(const struct p2p_known_peer *a, const struct p2p_known_peer *b)
{
    MUST(p2p_id_equal(&a->id, &b->id) && a->trust == b->trust);
    MUST(a->min_protocol == b->min_protocol && strcmp(a->name, b->name) == 0);
    MUST(a->first_seen_s == b->first_seen_s && a->last_seen_s == b->last_seen_s);
    for (unsigned k = 0; k < P2P_PEER_ADDRESSES_MAX; k++)
        MUST(strcmp(a->addresses[k], b->addresses[k]) == 0);
}

/* A list that was read can be written and read again. */
static void
try_known(const uint8_t *data, size_t size)
{
    struct p2p_known known = {0}, again = {0};

    close(write_file("known_peers", data, size));
    int loud = be_quiet(); /* a damaged file causes a log line */
    enum p2p_err err = p2p_known_load(folder, &known);
    be_loud(loud);
    if (err != P2P_OK)
        return;
    check_known(&known);
    loud = be_quiet();
    err = p2p_known_save(folder, &known);
    be_loud(loud);
    MUST(err == P2P_OK);
    MUST(p2p_known_load(folder, &again) == P2P_OK);
    MUST(again.damaged == 0 && again.count == known.count);
    for (size_t i = 0; i < known.count; i++)
        check_same(&again.peers[i], &known.peers[i]);
    p2p_known_clear(&known);
    p2p_known_clear(&again);
}

/* ---- snapshot ---- */

static bool
count_one(void *arg, const struct registry_peer *p)
{
    (void)p;
    ++*(uint32_t *)arg;
    return true;
}

static void
try_snapshot(const uint8_t *data, size_t size)
{
    static const char magic[] = "p2p registry 1\n";
    struct registry_options opt = {.ttl_ms = 60000, .max_peers = 50};
    size_t head = sizeof(magic) - 1, len = head + size;
    uint8_t *bytes = malloc(len + P2P_DIGEST_LEN);
    struct registry_filter all = {0};
    uint32_t count, listed = 0;
    struct p2p_digest digest;
    struct registry *r;
    char path[96];

    MUST(bytes != NULL);
    memcpy(bytes, magic, head);
    memcpy(bytes + head, data, size);
    MUST(p2p_sha256(bytes, len, &digest) == P2P_OK);
    memcpy(bytes + len, digest.b, sizeof(digest.b));
    close(write_file("snapshot", bytes, len + sizeof(digest.b)));
    free(bytes);
    snprintf(path, sizeof(path), "%s/snapshot", folder_path);
    MUST(registry_open(&opt, &r) == P2P_OK);
    if (snapshot_load(r, path, opt.ttl_ms, &count) == P2P_OK) {
        registry_visit_peers(r, &all, NULL, count_one, &listed);
        MUST(listed <= count);
        /* Everything that it has now is read back. */
        MUST(snapshot_write(r, path) == P2P_OK);
        registry_close(r);
        MUST(registry_open(&opt, &r) == P2P_OK);
        MUST(snapshot_load(r, path, opt.ttl_ms, &count) == P2P_OK && count == listed);
    }
    registry_close(r);
}

/* ---- journal ---- */

/* As in the file: the SHA-256 of the block's position and of the block. */
static void
seal(uint8_t *block, size_t len, uint64_t place)
{
    struct p2p_sha256 *sha;
    struct p2p_digest sum;
    uint8_t salt[8];

    p2p_store_u64(salt, place);
    MUST(p2p_sha256_new(&sha) == P2P_OK);
    MUST(p2p_sha256_update(sha, salt, sizeof(salt)) == P2P_OK);
    MUST(p2p_sha256_update(sha, block, len - P2P_DIGEST_LEN) == P2P_OK);
    MUST(p2p_sha256_peek(sha, &sum) == P2P_OK);
    p2p_sha256_free(sha);
    memcpy(block + len - P2P_DIGEST_LEN, sum.b, P2P_DIGEST_LEN);
}

/* u8 sectors of the head; then the head; the rest are pages. */
static void
try_journal(const uint8_t *data, size_t size)
{
    size_t head_len = size > 0 ? (data[0] % 8 + 1u) * JOURNAL_SECTOR : 0;
    size_t len = JOURNAL_SECTOR + head_len + 4 * JOURNAL_SECTOR, fill;
    struct p2p_journal_info info = {.keep_free = 0};
    struct p2p_digest *layer = NULL;
    struct journal_stamp stamp;
    struct journal_page page;
    uint8_t *bytes;
    int fd;

    if (size < 2)
        return;
    bytes = calloc(1, len);
    MUST(bytes != NULL);
    memcpy(bytes, "P2PJRNL2", 8);
    p2p_store_u64(bytes + 8 + 16 + 8, head_len);
    seal(bytes, JOURNAL_SECTOR, 0);
    fill = size - 1 < len - JOURNAL_SECTOR ? size - 1 : len - JOURNAL_SECTOR;
    memcpy(bytes + JOURNAL_SECTOR, data + 1, fill);
    seal(bytes + JOURNAL_SECTOR, head_len, 1);
    for (uint64_t i = 0; i < 4; i++)
        seal(bytes + JOURNAL_SECTOR * (1 + i) + head_len, JOURNAL_SECTOR, 2 + i);
    fd = write_file("journal", bytes, len);
    free(bytes);
    MUST(p2p_journal_stamp_read(fd, &stamp) == P2P_OK);
    MUST(stamp.head_len == head_len);
    if (p2p_journal_head_read(fd, &stamp, &info, &layer) == P2P_OK) {
        MUST(strlen(info.name) <= P2P_NAME_MAX);
        MUST(info.geometry.size <= P2P_FILE_SIZE_MAX);
        for (uint64_t i = 0; i < 5; i++)
            (void)!p2p_journal_page_read(fd, &stamp, i, &page);
        if (layer != NULL) /* as many as it says */
            MUST(layer[info.geometry.count - 1].b[31] <= 255);
    }
    free(layer);
    close(fd);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_set_up;

    if (size < 1)
        return 0;
    if (!is_set_up) {
        MUST(p2p_crypto_init() == P2P_OK);
        make_folder();
        atexit(remove_folder);
        is_set_up = true;
    }
    if (data[0] % 3 == 0)
        try_known(data + 1, size - 1);
    else if (data[0] % 3 == 1)
        try_snapshot(data + 1, size - 1);
    else
        try_journal(data + 1, size - 1);
    return 0;
}
