// uses tests/fuzz/liar.c
/*
 * The whole download engine with peers that lie (liar.h). First byte: with or without
 * a root, an announced size, a second liar; the rest is their script. Whatever they
 * send, the stored file has the requested root, or nothing is stored.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "liar.h"
#include "p2p/io.h"
#include "p2p/log.h"
#include "p2p/tree.h"

#define SIZE  (2 * P2P_CHUNK_SIZE_MIN + 777)
#define NAME  "film.mkv"
#define LIARS 2u

static uint8_t content[SIZE];
static struct liar_file file;
static struct p2p_rsa *keys[LIARS];
static struct p2p_identity *identity;
static char folder[64];

/* Layer and root of bytes, as the tree has them; the layer is owned. */
static struct p2p_digest
root_of(const uint8_t *data, uint64_t size, struct p2p_chunks *g,
        struct p2p_digest **layer)
{
    struct p2p_digest root;

    MUST(p2p_chunks_init(g, size, P2P_CHUNK_SIZE_MIN) == P2P_OK);
    *layer = calloc(g->count + 1, sizeof(**layer));
    MUST(*layer != NULL);
    for (uint64_t i = 0; i < g->count; i++)
        MUST(p2p_tree_chunk(g, data + p2p_chunk_offset(g, i), p2p_chunk_length(g, i),
                            &(*layer)[i]) == P2P_OK);
    MUST(p2p_tree_root(g, *layer, &root) == P2P_OK);
    return root;
}

static void
remove_all(void)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", folder);
    (void)!system(command);
}

static void
set_up(void)
{
    char path[96], why[200];

    MUST(p2p_crypto_init() == P2P_OK);
    p2p_log_init("fuzz", P2P_LOG_ERROR);
    snprintf(folder, sizeof(folder), "%s/p2p-liar-%d",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (int)getpid());
    MUST(mkdir(folder, 0700) == 0);
    atexit(remove_all);
    snprintf(path, sizeof(path), "%s/keys", folder);
    MUST(p2p_identity_open(path, true, NULL, NULL, &identity, why, sizeof(why)) ==
         P2P_OK);
    keys[0] = fuzz_key("server");
    keys[1] = fuzz_key("stranger");
    for (unsigned i = 0; i < SIZE; i++)
        content[i] = (uint8_t)(i * 7 + i / 251);
    file.name = NAME;
    file.data = content;
    file.root = root_of(content, SIZE, &file.geometry, &file.layer);
    MUST(p2p_sha256(content, SIZE, &file.sha256) == P2P_OK);
}

/* The stored file matches its root; if a root was requested, it is the file. */
static void
check_stored(const struct p2p_root *root, const struct p2p_download_status *status,
             bool by_root)
{
    struct p2p_digest *layer, got;
    struct p2p_chunks g;
    struct stat st;
    uint8_t *data;
    int fd = openat(p2p_root_fd(root), status->stored, O_RDONLY | O_CLOEXEC);

    MUST(fd >= 0 && fstat(fd, &st) == 0);
    MUST((uint64_t)st.st_size == status->size && st.st_size < 1 << 26);
    data = malloc((size_t)st.st_size + 1);
    MUST(data != NULL);
    MUST(p2p_pread_full(fd, data, (size_t)st.st_size, 0) == P2P_OK);
    close(fd);
    got = root_of(data, (uint64_t)st.st_size, &g, &layer);
    MUST(status->root_known && memcmp(&got, &status->root, sizeof(got)) == 0);
    if (by_root)
        MUST(st.st_size == SIZE && memcmp(data, content, SIZE) == 0);
    if (status->sha256_known) {
        MUST(p2p_sha256(data, (size_t)st.st_size, &got) == P2P_OK);
        MUST(memcmp(&got, &status->sha256, sizeof(got)) == 0);
    }
    free(layer);
    free(data);
}

static void
ignore(void *arg, const struct p2p_download_status *status)
{
    (void)arg;
    MUST(memchr(status->message, '\0', sizeof(status->message)) != NULL);
}

static void
download(const struct p2p_download_options *opt)
{
    struct p2p_download_status *status = malloc(sizeof(*status));
    struct p2p_download *dl;

    MUST(status != NULL);
    MUST(p2p_download_start(opt, ignore, NULL, &dl) == P2P_OK);
    enum p2p_err err = p2p_download_wait(dl);
    p2p_download_status(dl, status);
    p2p_download_free(dl);
    if (err == P2P_OK) {
        MUST(status->state == P2P_DL_COMPLETED);
        check_stored(opt->downloads, status, opt->root != NULL);
    } else {
        struct stat st;

        MUST(fstatat(p2p_root_fd(opt->downloads), NAME, &st, 0) != 0);
    }
    free(status);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct liar_script script = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct p2p_source_spec specs[LIARS];
    struct liar liars[LIARS];
    struct p2p_download_options opt = {.name = NAME,
                                       .sources = specs,
                                       .timeout_ms = 300,
                                       .retries = 1,
                                       .connections = 1};
    struct p2p_root *root;
    char path[96], command[128];
    unsigned how;

    if (size < 1)
        return 0;
    if (identity == NULL)
        set_up();
    how = data[0];
    script.at = data + 1;
    script.left = size - 1;
    opt.identity = identity;
    opt.root = how & 1 ? &file.root : NULL;
    opt.size_announced = (how & 2) != 0;
    opt.announced_size = SIZE;
    opt.source_count = how & 4 ? 2 : 1;
    opt.verify = how & 8 ? P2P_VERIFY_TREE : P2P_VERIFY_FULL;
    snprintf(path, sizeof(path), "%s/downloads", folder);
    MUST(p2p_root_open(path, true, 0700, &root) == P2P_OK);
    opt.downloads = root;
    for (unsigned i = 0; i < opt.source_count; i++) {
        liar_start(&liars[i], keys[i], &file, &script);
        specs[i] = liar_spec(&liars[i]);
    }
    download(&opt);
    for (unsigned i = 0; i < opt.source_count; i++)
        liar_stop(&liars[i]);
    p2p_root_close(root);
    snprintf(command, sizeof(command), "rm -rf '%s'", path);
    MUST(system(command) == 0);
    return 0;
}
