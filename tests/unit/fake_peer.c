#include "fake_peer.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#ifdef P2P_WITH_ZSTD
#include <zstd.h>
#endif

#include <cmocka.h>

#include "p2p/about.h"
#include "p2p/handshake.h"
#include "p2p/msg.h"
#include "p2p/net.h"
#include "p2p/tree.h"
#include "patience.h"
#include "test_keys.h"

#define TIMEOUT_MS 20000

struct link {
    struct fake_peer *peer;
    int fd;
    struct p2p_direction send, receive;
    uint8_t frame[P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX)];
    uint8_t out[P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX)];
    uint64_t sent;
    uint32_t cancelled; /* the last one */
    bool confused;      /* has sent the message that `unasked` asks for */
};

/* Reads all of `len`, unless the test is over. Waits for the first byte first, because
 * bytes that arrived before a timeout must not be lost. */
static bool
read_some(struct link *l, void *out, size_t len)
{
    for (unsigned i = 0; i < patience_ms() / 100; i++) {
        struct pollfd pfd = {.fd = l->fd, .events = POLLIN};
        if (l->peer->stop)
            return false;
        if (poll(&pfd, 1, 100) > 0)
            return p2p_net_read(l->fd, out, len, p2p_now_ms() + TIMEOUT_MS) == P2P_OK;
    }
    return false;
}

static bool
shake(struct link *l)
{
    struct p2p_handshake *hs = NULL;
    struct p2p_handshake_random rnd;
    uint8_t buf[P2P_M4_SIZE];
    size_t len;
    bool ok = p2p_random(&rnd, sizeof(rnd)) == P2P_OK &&
              p2p_handshake_new(P2P_SERVER, l->peer->key, &rnd, &hs) == P2P_OK;

    while (ok) {
        struct p2p_nonce nonce;
        switch (p2p_handshake_next(hs)) {
        case P2P_HS_READ:
            len = p2p_handshake_want(hs);
            ok = read_some(l, buf, len) && p2p_handshake_read(hs, buf, len) == P2P_OK;
            continue;
        case P2P_HS_WRITE:
            ok = p2p_random(&nonce, sizeof(nonce)) == P2P_OK &&
                 p2p_handshake_write(hs, &nonce, buf, &len) == P2P_OK &&
                 p2p_net_write(l->fd, buf, len, p2p_now_ms() + TIMEOUT_MS) == P2P_OK;
            continue;
        case P2P_HS_TRUST:
            ok = p2p_handshake_trust(hs, P2P_OK) == P2P_OK;
            continue;
        case P2P_HS_WORK:
            ok = p2p_handshake_work(hs) == P2P_OK;
            continue;
        case P2P_HS_DONE:
            ok = p2p_handshake_take_session(hs, p2p_time_s(), &l->send, &l->receive) ==
                 P2P_OK;
            break;
        default:
            ok = false;
        }
        break;
    }
    p2p_handshake_free(hs);
    return ok;
}

/* Seals and sends l->out, which holds `len` bytes of plaintext. */
static bool
send_plain(struct link *l, size_t len)
{
    struct p2p_nonce nonce;

    return p2p_random(&nonce, sizeof(nonce)) == P2P_OK &&
           p2p_direction_seal(&l->send, l->out, len, &nonce) == P2P_OK &&
           p2p_net_write(l->fd, l->out, P2P_FRAME_SIZE(len),
                         p2p_now_ms() + TIMEOUT_MS) == P2P_OK;
}

static bool
send_msg(struct link *l, const struct p2p_msg *msg)
{
    struct p2p_wr wr;
    size_t len;

    p2p_wr_init(&wr, l->out + P2P_FRAME_PREFIX, P2P_RECORD_PLAIN_MAX);
    p2p_msg_put(&wr, msg);
    return p2p_wr_end(&wr, &len) == P2P_OK && send_plain(l, len);
}

static bool
refuse(struct link *l, uint32_t req, uint16_t code)
{
    struct p2p_msg msg = {.type = P2P_MSG_ERROR, .req = req};

    msg.error.code = code;
    msg.error.text = (struct p2p_text){"no", 2};
    return send_msg(l, &msg);
}

static const struct fake_file *
find_file(const struct fake_peer *p, const struct p2p_digest *root)
{
    for (size_t i = 0; i < p->file_count; i++)
        if (memcmp(&p->files[i].root, root, sizeof(*root)) == 0)
            return &p->files[i];
    return NULL;
}

static const struct fake_file *
find_name(const struct fake_peer *p, const struct p2p_text *name)
{
    for (size_t i = 0; i < p->file_count; i++)
        if (strlen(p->files[i].name) == name->len &&
            memcmp(p->files[i].name, name->at, name->len) == 0)
            return &p->files[i];
    return NULL;
}

static bool
answer_meta(struct link *l, const struct p2p_msg *q)
{
    const struct fake_manners *m = &l->peer->manners;
    const struct fake_file *file = q->meta_get.by == P2P_META_BY_ROOT
                                       ? find_file(l->peer, &q->meta_get.root)
                                       : find_name(l->peer, &q->meta_get.name);
    struct p2p_msg msg = {.type = P2P_MSG_META, .req = q->req};

    if (file == NULL || m->not_found)
        return refuse(l, q->req, 1);
    msg.meta.root = file->root;
    msg.meta.size = file->geometry.size + (uint64_t)m->size_lie;
    msg.meta.chunk_size = file->geometry.chunk_size;
    msg.meta.mtime_s = 1;
    msg.meta.version = 1;
    msg.meta.flags = m->hide_sha256 ? 0 : P2P_META_SHA256_KNOWN;
    if (!m->hide_sha256)
        msg.meta.sha256 = file->sha256;
    if (m->wrong_sha256)
        msg.meta.sha256.b[5] ^= 1;
    msg.meta.name = (struct p2p_text){file->name, strlen(file->name)};
    return send_msg(l, &msg);
}

static bool
answer_layer(struct link *l, const struct p2p_msg *q)
{
    const struct fake_file *file = find_file(l->peer, &q->layer_get.root);
    struct p2p_digest hashes[P2P_LAYER_HASHES_MAX];
    bool ok = true;

    if (file == NULL)
        return refuse(l, q->req, 1);
    if (q->layer_get.first + q->layer_get.count > file->geometry.count)
        return refuse(l, q->req, 3);
    for (uint32_t at = 0; ok && at < q->layer_get.count;) {
        struct p2p_msg msg = {.type = P2P_MSG_LAYER, .req = q->req};
        msg.layer.first = q->layer_get.first + at;
        msg.layer.count = q->layer_get.count - at;
        if (msg.layer.count > P2P_LAYER_HASHES_MAX)
            msg.layer.count = P2P_LAYER_HASHES_MAX;
        memcpy(hashes, &file->layer[msg.layer.first], msg.layer.count * 32);
        if (l->peer->manners.wrong_layer)
            hashes[0].b[0] ^= 1;
        msg.layer.hashes = hashes[0].b;
        ok = send_msg(l, &msg);
        at += msg.layer.count;
    }
    return ok;
}

/* Sends one DATA record; returns false if the connection must end. */
static bool
send_data(struct link *l, uint32_t req, const uint8_t *bytes, size_t len,
          uint32_t offset, uint8_t flags)
{
    const struct fake_manners *m = &l->peer->manners;
    uint8_t *out = l->out + P2P_FRAME_PREFIX + P2P_DATA_HEADER;
    size_t plain = len;

    memcpy(out, bytes, len);
    if (m->wrong_bytes && offset == 0 && l->sent >= m->honest)
        out[0] ^= 1;
#ifdef P2P_WITH_ZSTD
    if (m->zstd || m->zstd_bomb) {
        static const uint8_t zeros[4 * P2P_DATA_MAX];
        len = m->zstd_bomb ? ZSTD_compress(out, P2P_DATA_MAX, zeros, sizeof(zeros), 1)
                           : ZSTD_compress(out, P2P_DATA_MAX, bytes, len, 1);
        if (ZSTD_isError(len))
            return false;
        flags |= P2P_DATA_ZSTD;
    }
#endif
    p2p_msg_put_data_header(l->out + P2P_FRAME_PREFIX, req, flags, offset);
    if (!send_plain(l, P2P_DATA_HEADER + len))
        return false;
    l->sent += plain;
    unsigned long long all = atomic_fetch_add(&l->peer->sent, plain) + plain;
    uint64_t until_ms = p2p_now_ms();
    if (m->bytes_per_s > 0)
        until_ms += plain * 1000 / m->bytes_per_s;
    if (l->sent == plain)
        until_ms += m->nap_ms;
    while (p2p_now_ms() < until_ms && !l->peer->stop)
        usleep(1000);
    while (m->stall_after > 0 && all > m->stall_after && !l->peer->stop)
        usleep(20000);
    return !(m->die_after > 0 && all > m->die_after) &&
           !(m->drop_every > 0 && l->sent > m->drop_every) && !l->peer->stop;
}

static void
await_tried(const struct fake_peer *p, const struct fake_peer *other)
{
    uint64_t end_ms = patience_end_ms();

    while (!other->was_tried && !p->stop && p2p_now_ms() < end_ms)
        usleep(2000);
}

static bool
answer_get(struct link *l, const struct p2p_msg *q)
{
    const struct fake_manners *m = &l->peer->manners;
    const struct fake_file *file = find_file(l->peer, &q->get.root);
    uint32_t at = 0, length = q->get.length;
    bool ok = true;

    atomic_fetch_add(&l->peer->gets, 1);
    l->peer->was_tried = true;
    for (unsigned i = 0; i < m->together_count; i++)
        await_tried(l->peer, &m->together[i]);
    if (file == NULL)
        return refuse(l, q->req, 1);
    if (m->change_after > 0 && l->peer->sent > m->change_after)
        return refuse(l, q->req, 6);
    if (length == 0 || length > file->geometry.chunk_size ||
        !p2p_chunks_has_range(&file->geometry, q->get.offset, length))
        return refuse(l, q->req, 3);
    if (m->unasked && !l->confused) {
        l->confused = true;
        ok = send_data(l, q->req + 1000, file->data, 1, 0, 0);
    }
    while (ok && at < length) {
        uint32_t n = length - at < P2P_DATA_MAX ? length - at : (uint32_t)P2P_DATA_MAX;
        uint8_t flags = at + n == length ? P2P_DATA_LAST : 0;
        ok = send_data(l, q->req, file->data + q->get.offset + at, n, at, flags);
        if (ok && flags != 0 && m->twice)
            ok = send_data(l, q->req, file->data + q->get.offset + at, n, at, flags);
        at += n;
    }
    return ok;
}

static bool
answer_leaves(struct link *l, const struct p2p_msg *q)
{
    const struct fake_manners *m = &l->peer->manners;
    const struct fake_file *file = find_file(l->peer, &q->leaves_get.root);
    uint64_t first = q->leaves_get.first, count = q->leaves_get.count;
    uint64_t at = first * P2P_BLOCK_SIZE, len = count * P2P_BLOCK_SIZE;
    struct p2p_leaf leaves[P2P_LEAVES_MAX];
    uint8_t out[P2P_LEAVES_MAX * P2P_LEAF_LEN];
    struct p2p_msg msg = {.type = P2P_MSG_LEAVES, .req = q->req};

    atomic_fetch_add(&l->peer->leaves_gets, 1);
    if (m->leaves_refused > 0)
        return refuse(l, q->req, (uint16_t)m->leaves_refused);
    if (file == NULL || count == 0 || count > P2P_LEAVES_MAX ||
        at >= file->geometry.size)
        return refuse(l, q->req, 3);
    if (len > file->geometry.size - at)
        len = file->geometry.size - at;
    if (p2p_leaves_make(file->data + at, len, leaves) != P2P_OK)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        leaves[i].hash.b[0] ^= m->wrong_leaves;
        if (m->equal_sums)
            leaves[i].sum = 0;
        p2p_msg_put_leaf(out + i * P2P_LEAF_LEN, &leaves[i]);
    }
    msg.leaves.first = first;
    msg.leaves.count = (uint16_t)count;
    msg.leaves.leaves = out;
    return send_msg(l, &msg);
}

static bool
answer_list(struct link *l, const struct p2p_msg *q)
{
    size_t i = 0;
    struct p2p_wr wr;
    size_t len;

    /* The cursor is the last name of the previous page. */
    while (q->cursor.len > 0 && i < l->peer->file_count) {
        const char *name = l->peer->files[i++].name;
        if (strlen(name) == q->cursor.len &&
            memcmp(name, q->cursor.at, q->cursor.len) == 0)
            break;
    }
    p2p_wr_init(&wr, l->out + P2P_FRAME_PREFIX, P2P_RECORD_PLAIN_MAX);
    p2p_msg_list_begin(&wr, q->req);
    const char *last = "";
    for (unsigned n = 0; n < 100 && i < l->peer->file_count; n++, i++) {
        const struct fake_file *file = &l->peer->files[i];
        struct p2p_list_entry entry = {.root = file->root,
                                       .size = file->geometry.size,
                                       .name = {file->name, strlen(file->name)}};
        if (!p2p_msg_list_add(&wr, &entry))
            break;
        last = file->name;
    }
    if (i == l->peer->file_count)
        last = "";
    p2p_msg_list_end(&wr, (struct p2p_text){last, strlen(last)});
    if (p2p_wr_end(&wr, &len) != P2P_OK || !send_plain(l, len))
        return false;
    if (last[0] != '\0' && l->peer->manners.on_page != NULL)
        l->peer->manners.on_page(l->peer->manners.page_arg);
    return true;
}

/* Everything that ever changed is in the last change. */
static bool
answer_changes(struct link *l, const struct p2p_msg *q)
{
    const struct fake_manners *m = &l->peer->manners;
    const struct p2p_msg_changes_get *get = &q->changes_get;
    struct p2p_wr wr;
    size_t len;

    if (m->log == 0)
        return refuse(l, q->req, 2); /* like programs from before CHANGES */
    bool is_known = get->log == m->log && get->after <= m->upto && get->after >= m->cut;
    p2p_wr_init(&wr, l->out + P2P_FRAME_PREFIX, P2P_RECORD_PLAIN_MAX);
    p2p_msg_changes_begin(&wr, q->req, m->log);
    for (size_t i = 0; is_known && get->after < m->upto && i < m->gone_count; i++) {
        const struct p2p_change_entry entry = {
            .flags = P2P_CHANGE_GONE,
            .change = m->upto,
            .name = {m->gone[i], strlen(m->gone[i])},
        };
        (void)p2p_msg_changes_add(&wr, &entry);
    }
    for (size_t i = 0; is_known && get->after < m->upto && i < m->here_count; i++) {
        const struct fake_file *file = &l->peer->files[m->here_first + i];
        const struct p2p_change_entry entry = {
            .root = file->root,
            .size = file->geometry.size,
            .version = 2,
            .change = m->upto,
            .name = {file->name, strlen(file->name)},
        };
        (void)p2p_msg_changes_add(&wr, &entry);
    }
    p2p_msg_changes_end(&wr, is_known ? P2P_CHANGES_WHOLE : P2P_CHANGES_ANEW, m->upto);
    return p2p_wr_end(&wr, &len) == P2P_OK && send_plain(l, len);
}

static bool
answer_info(struct link *l, const struct p2p_msg *q)
{
    const char *name = l->peer->manners.name;
    struct p2p_msg msg = {.type = P2P_MSG_INFO, .req = q->req};

    if (l->peer->manners.leaves) {
        msg.info.features = P2P_FEATURE_LEAVES;
        name = "";
    }
    if (name == NULL)
        return refuse(l, q->req, 2); /* like programs from before INFO */
    msg.info.kind = P2P_ABOUT_LAPTOP;
    msg.info.name = (struct p2p_text){name, strlen(name)};
    return send_msg(l, &msg);
}

static bool
answer(struct link *l, const struct p2p_msg *q)
{
    struct p2p_msg msg = {.type = P2P_MSG_PONG};

    switch (q->type) {
    case P2P_MSG_META_GET:
        return answer_meta(l, q);
    case P2P_MSG_LAYER_GET:
        return answer_layer(l, q);
    case P2P_MSG_GET:
        return answer_get(l, q);
    case P2P_MSG_LEAVES_GET:
        return answer_leaves(l, q);
    case P2P_MSG_LIST_GET:
        atomic_fetch_add(&l->peer->lists, 1);
        return answer_list(l, q);
    case P2P_MSG_CHANGES_GET:
        return answer_changes(l, q);
    case P2P_MSG_INFO_GET:
        return answer_info(l, q);
    case P2P_MSG_CANCEL:
        atomic_fetch_add(&l->peer->cancels, 1);
        l->cancelled = q->req;
        return true;
    case P2P_MSG_PING:
        msg.ping = q->ping;
        return send_msg(l, &msg) &&
               (!l->peer->manners.after_cancel || l->cancelled == 0 ||
                send_data(l, l->cancelled, (const uint8_t *)"x", 1, 0, 0));
    default:
        return false; /* CLOSE among them */
    }
}

static bool
serve_one(struct link *l)
{
    struct p2p_msg msg;
    uint8_t *plain;
    size_t size, len;

    if (!read_some(l, l->frame, P2P_FRAME_HEAD) ||
        p2p_direction_peek(l->frame, P2P_FRAME_HEAD, &size) != P2P_ERR_MORE ||
        !read_some(l, l->frame + P2P_FRAME_HEAD, size - P2P_FRAME_HEAD) ||
        p2p_direction_open(&l->receive, l->frame, size, p2p_time_s(), &plain, &len) !=
            P2P_OK)
        return false;
    return len == 0 || (p2p_msg_parse(plain, len, &msg) == P2P_OK && answer(l, &msg));
}

static void *
link_main(void *arg)
{
    struct link *l = arg;
    struct fake_peer *p = l->peer;

    if (p->manners.hello_after != NULL)
        await_tried(p, p->manners.hello_after);
    usleep(p->manners.hello_delay_ms * 1000);
    if (shake(l)) {
        while (!p->stop && serve_one(l)) {
        }
        p->was_tried = true;
    }
    close(l->fd);
    free(l);
    atomic_fetch_sub(&p->running, 1);
    return NULL;
}

static void
accept_one(struct fake_peer *p)
{
    pthread_t thread;
    int fd = accept4(p->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        usleep(1000);
        return;
    }
    if (p->manners.die_after > 0 && p->sent > p->manners.die_after) {
        close(fd);
        return;
    }
    struct link *l = calloc(1, sizeof(*l));
    assert_non_null(l);
    l->peer = p;
    l->fd = fd;
    atomic_fetch_add(&p->connections, 1);
    atomic_fetch_add(&p->running, 1);
    assert_int_equal(pthread_create(&thread, NULL, link_main, l), 0);
    pthread_detach(thread);
}

static void *
listener_main(void *arg)
{
    struct fake_peer *p = arg;

    while (!p->stop)
        accept_one(p);
    return NULL;
}

/* The keys of stopped peers are used again. Peers that run at the same time have
 * different keys. */
enum { KEYS_MAX = TEST_KEYS - 1 }; /* the last one is keys_fixture's */
static struct {
    struct p2p_rsa *key;
    bool is_used;
} keys[KEYS_MAX];

static struct p2p_rsa *
take_key(void)
{
    size_t i = 0;

    while (i < KEYS_MAX && keys[i].is_used)
        i++;
    assert_true(i < KEYS_MAX);
    if (keys[i].key == NULL)
        keys[i].key = test_key((unsigned)i);
    keys[i].is_used = true;
    return keys[i].key;
}

static void
give_key_back(const struct p2p_rsa *key)
{
    for (size_t i = 0; i < KEYS_MAX; i++)
        if (keys[i].key == key)
            keys[i].is_used = false;
}

void
fake_peer_start(struct fake_peer *p)
{
    p->key = take_key();
    assert_int_equal(p2p_spki_id(p2p_rsa_spki(p->key), &p->id), P2P_OK);
    assert_int_equal(p2p_net_listen("127.0.0.1", 0, false, 64, &p->fd, &p->port),
                     P2P_OK);
    if (p->files == NULL)
        p->files = calloc(FAKE_FILES_MAX, sizeof(*p->files));
    assert_int_equal(pthread_create(&p->thread, NULL, listener_main, p), 0);
}

struct fake_file *
fake_peer_add(struct fake_peer *p, const char *name, const uint8_t *data, uint64_t size,
              uint32_t chunk_size)
{
    if (p->files == NULL)
        p->files = calloc(FAKE_FILES_MAX, sizeof(*p->files));
    assert_true(p->file_count < FAKE_FILES_MAX);
    struct fake_file *file = &p->files[p->file_count];
    struct p2p_chunks *g = &file->geometry;

    strncpy(file->name, name, sizeof(file->name) - 1);
    file->data = data;
    assert_int_equal(p2p_chunks_init(g, size, chunk_size), P2P_OK);
    file->layer = calloc(g->count + 1, sizeof(*file->layer));
    assert_non_null(file->layer);
    for (uint64_t i = 0; i < g->count; i++)
        assert_int_equal(p2p_tree_chunk(g, data + p2p_chunk_offset(g, i),
                                        p2p_chunk_length(g, i), &file->layer[i]),
                         P2P_OK);
    assert_int_equal(p2p_tree_root(g, file->layer, &file->root), P2P_OK);
    assert_int_equal(p2p_sha256(data, size, &file->sha256), P2P_OK);
    p->file_count++;
    return file;
}

void
fake_peer_stop(struct fake_peer *p)
{
    p->stop = true;
    pthread_join(p->thread, NULL);
    while (p->running > 0)
        usleep(1000);
    close(p->fd);
    for (size_t i = 0; i < p->file_count; i++)
        free(p->files[i].layer);
    free(p->files);
    give_key_back(p->key);
}

struct p2p_source_spec
fake_peer_spec(const struct fake_peer *p)
{
    struct p2p_source_spec spec = {.id = &p->id};

    strcpy(spec.addr.host, "127.0.0.1");
    spec.addr.port = p->port;
    return spec;
}
