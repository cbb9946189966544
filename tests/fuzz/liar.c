#include "liar.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "p2p/handshake.h"
#include "p2p/msg.h"
#include "p2p/net.h"

#define TIMEOUT_MS 3000
/* More than any honest download of the file needs: from then on it only refuses. */
#define ANSWERS_MAX 200u

struct link {
    struct liar *liar;
    int fd;
    struct p2p_direction send, receive;
    uint8_t frame[P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX)];
    uint8_t out[P2P_FRAME_SIZE(P2P_RECORD_PLAIN_MAX)];
};

/* ---- the script ---- */

static size_t
take(struct liar_script *s, void *out, size_t want)
{
    size_t n;

    pthread_mutex_lock(&s->lock);
    n = want < s->left ? want : s->left;
    if (n > 0)
        memcpy(out, s->at, n);
    s->at += n;
    s->left -= n;
    pthread_mutex_unlock(&s->lock);
    return n;
}

static uint8_t
take_byte(struct link *l)
{
    uint8_t byte = 0;

    take(l->liar->script, &byte, 1);
    return byte;
}

/* A number near 0, near the right one, or of any size. */
static uint64_t
take_number(struct link *l, uint64_t right)
{
    uint8_t how = take_byte(l);

    switch (how % 4) {
    case 0:
        return right + how / 4;
    case 1:
        return right - how / 4;
    case 2:
        return how / 4;
    default:
        return (uint64_t)how << take_byte(l) % 57;
    }
}

/* ---- bytes ---- */

static bool
read_some(struct link *l, void *out, size_t len)
{
    for (int i = 0; i < TIMEOUT_MS / 20 && !l->liar->stop; i++) {
        struct pollfd pfd = {.fd = l->fd, .events = POLLIN};

        if (poll(&pfd, 1, 20) > 0)
            return p2p_net_read(l->fd, out, len, p2p_now_ms() + TIMEOUT_MS) == P2P_OK;
    }
    return false;
}

static bool
write_all(struct link *l, const void *data, size_t len)
{
    return p2p_net_write(l->fd, data, len, p2p_now_ms() + TIMEOUT_MS) == P2P_OK;
}

/* One step of the handshake; false if it is over, successful or not. */
static bool
step(struct link *l, struct p2p_handshake *hs)
{
    uint8_t buf[P2P_M4_SIZE];
    struct p2p_nonce nonce;
    size_t len;

    switch (p2p_handshake_next(hs)) {
    case P2P_HS_READ:
        len = p2p_handshake_want(hs);
        return read_some(l, buf, len) && p2p_handshake_read(hs, buf, len) == P2P_OK;
    case P2P_HS_WRITE:
        return p2p_random(&nonce, sizeof(nonce)) == P2P_OK &&
               p2p_handshake_write(hs, &nonce, buf, &len) == P2P_OK &&
               write_all(l, buf, len);
    case P2P_HS_TRUST:
        return p2p_handshake_trust(hs, P2P_OK) == P2P_OK;
    case P2P_HS_WORK:
        return p2p_handshake_work(hs) == P2P_OK;
    default:
        return false;
    }
}

static bool
shake(struct link *l)
{
    struct p2p_handshake_random rnd;
    struct p2p_handshake *hs = NULL;
    bool ok = p2p_random(&rnd, sizeof(rnd)) == P2P_OK &&
              p2p_handshake_new(P2P_SERVER, l->liar->key, &rnd, &hs) == P2P_OK;

    while (ok && step(l, hs)) {
    }
    ok = ok && p2p_handshake_next(hs) == P2P_HS_DONE &&
         p2p_handshake_take_session(hs, p2p_time_s(), &l->send, &l->receive) == P2P_OK;
    p2p_handshake_free(hs);
    return ok;
}

static bool
send_plain(struct link *l, size_t len)
{
    struct p2p_nonce nonce;

    return p2p_random(&nonce, sizeof(nonce)) == P2P_OK &&
           p2p_direction_seal(&l->send, l->out, len, &nonce) == P2P_OK &&
           write_all(l, l->out, P2P_FRAME_SIZE(len));
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
    msg.error.text = (struct p2p_text){"no\x1b[31m", 7};
    return send_msg(l, &msg);
}

/* ---- answers ---- */

/* The lie that a byte stands for, in the answers that support it. */
enum lie {
    HONEST,
    OTHER_REQUEST,
    TWICE,
    OTHER_NUMBERS,
    OTHER_BYTES,
    TOO_SHORT,
    TOO_LONG,
    OTHER_FLAGS,
    LIES,
};

static bool
send_meta(struct link *l, const struct p2p_msg *q, enum lie lie)
{
    const struct liar_file *f = l->liar->file;
    struct p2p_msg msg = {.type = P2P_MSG_META, .req = q->req};
    struct p2p_msg_meta *m = &msg.meta;

    *m = (struct p2p_msg_meta){.root = f->root,
                               .size = f->geometry.size,
                               .chunk_size = f->geometry.chunk_size,
                               .mtime_s = 1,
                               .version = 1,
                               .flags = P2P_META_SHA256_KNOWN,
                               .sha256 = f->sha256,
                               .name = {f->name, strlen(f->name)}};
    if (lie == OTHER_REQUEST)
        msg.req = (uint32_t)take_number(l, q->req);
    if (lie == OTHER_NUMBERS)
        m->size = take_number(l, m->size);
    if (lie == TOO_LONG)
        m->chunk_size = (uint32_t)take_number(l, m->chunk_size);
    if (lie == OTHER_BYTES)
        m->sha256.b[3] ^= 1;
    if (lie == TOO_SHORT)
        m->root.b[take_byte(l) % 32] ^= 1;
    if (lie == OTHER_FLAGS)
        m->flags = take_byte(l);
    return send_msg(l, &msg) && (lie != TWICE || send_msg(l, &msg));
}

static bool
send_layer(struct link *l, const struct p2p_msg *q, enum lie lie)
{
    const struct liar_file *f = l->liar->file;
    struct p2p_digest hashes[P2P_LAYER_HASHES_MAX] = {{{0}}};
    struct p2p_msg msg = {.type = P2P_MSG_LAYER, .req = q->req};

    msg.layer.first = q->layer_get.first;
    msg.layer.count = q->layer_get.count;
    if (lie == OTHER_REQUEST)
        msg.req = (uint32_t)take_number(l, q->req);
    if (lie == OTHER_NUMBERS)
        msg.layer.first = take_number(l, msg.layer.first);
    if (lie == TOO_LONG || lie == TOO_SHORT)
        msg.layer.count = (uint32_t)take_number(l, msg.layer.count);
    if (msg.layer.count > P2P_LAYER_HASHES_MAX)
        msg.layer.count = P2P_LAYER_HASHES_MAX;
    for (uint64_t i = 0; i < msg.layer.count; i++)
        if (q->layer_get.first < f->geometry.count &&
            i < f->geometry.count - q->layer_get.first)
            hashes[i] = f->layer[q->layer_get.first + i];
    if (lie == OTHER_BYTES)
        hashes[take_byte(l)].b[0] ^= 1;
    msg.layer.hashes = hashes[0].b;
    return send_msg(l, &msg) && (lie != TWICE || send_msg(l, &msg));
}

static bool
send_data(struct link *l, uint32_t req, const uint8_t *bytes, size_t len,
          uint32_t offset, uint8_t flags)
{
    if (len > P2P_DATA_MAX)
        len = P2P_DATA_MAX;
    memcpy(l->out + P2P_FRAME_PREFIX + P2P_DATA_HEADER, bytes, len);
    p2p_msg_put_data_header(l->out + P2P_FRAME_PREFIX, req, flags, offset);
    return send_plain(l, P2P_DATA_HEADER + len);
}

static bool
send_chunk(struct link *l, const struct p2p_msg *q, enum lie lie)
{
    static const uint8_t zeros[P2P_DATA_MAX];
    const struct liar_file *f = l->liar->file;
    uint64_t offset = q->get.offset, size = f->geometry.size;
    size_t len = q->get.length < P2P_DATA_MAX ? q->get.length : P2P_DATA_MAX;
    uint8_t copy[P2P_DATA_MAX], flags = P2P_DATA_LAST;
    uint32_t req = q->req, at = 0;

    if (offset > size || len > size - offset)
        return refuse(l, q->req, 3);
    memcpy(copy, f->data + offset, len);
    if (lie == OTHER_REQUEST)
        req = (uint32_t)take_number(l, req);
    if (lie == OTHER_NUMBERS)
        at = (uint32_t)take_number(l, at);
    if (lie == OTHER_BYTES)
        copy[take_number(l, 0) % (len + 1) % sizeof(copy)] ^= 0x40;
    if (lie == TOO_SHORT)
        len = (size_t)(take_number(l, len) % (len + 1));
    if (lie == TOO_LONG && !send_data(l, req, zeros, sizeof(zeros), at, 0))
        return false;
    if (lie == OTHER_FLAGS)
        flags = take_byte(l);
    return send_data(l, req, copy, len, at, flags) &&
           (lie != TWICE || send_data(l, req, copy, len, at, flags));
}

static bool
answer_honestly(struct link *l, const struct p2p_msg *q, enum lie lie)
{
    struct p2p_msg msg = {.type = P2P_MSG_PONG};

    switch (q->type) {
    case P2P_MSG_META_GET:
        return send_meta(l, q, lie);
    case P2P_MSG_LAYER_GET:
        return send_layer(l, q, lie);
    case P2P_MSG_GET:
        return send_chunk(l, q, lie);
    case P2P_MSG_PING:
        msg.ping = lie == OTHER_NUMBERS ? q->ping + 1 : q->ping;
        return send_msg(l, &msg);
    case P2P_MSG_CANCEL: /* and the cancelled data comes nevertheless */
        return lie == HONEST || send_data(l, q->req, (const uint8_t *)"x", 1, 0, 0);
    case P2P_MSG_CLOSE:
        return false;
    default:
        return refuse(l, q->req, 1);
    }
}

/* A message that was not requested. */
static bool
blurt(struct link *l)
{
    struct p2p_msg q = {.req = (uint32_t)take_number(l, 1)};

    switch (take_byte(l) % 3) {
    case 0:
        return send_meta(l, &q, HONEST);
    case 1:
        q.layer_get.count = 2;
        return send_layer(l, &q, HONEST);
    default:
        q.get.length = 100;
        return send_chunk(l, &q, HONEST);
    }
}

/* A record with any bytes, encrypted correctly. */
static bool
send_raw(struct link *l)
{
    size_t len = take(l->liar->script, l->out + P2P_FRAME_PREFIX, take_byte(l));

    return len == 0 || send_plain(l, len);
}

static bool
answer(struct link *l, const struct p2p_msg *q)
{
    uint8_t how, junk[64];

    if (q->type == P2P_MSG_INFO_GET) /* uses no byte of the script; raw records contain
                                        INFO, too */
        return refuse(l, q->req, 2);
    how = take_byte(l);
    if (atomic_fetch_add(&l->liar->answers, 1) > ANSWERS_MAX)
        return false;
    switch (how % 16) {
    case LIES:
        return refuse(l, q->req, take_byte(l));
    case LIES + 1:
        return send_raw(l) && answer_honestly(l, q, HONEST);
    case LIES + 2:
        return blurt(l) && answer_honestly(l, q, HONEST);
    case LIES + 3:
        return write_all(l, junk, take(l->liar->script, junk, sizeof(junk))) && false;
    case LIES + 4:
        return false;
    case LIES + 5:
        return answer_honestly(l, q, HONEST) && blurt(l);
    case LIES + 6:
    case LIES + 7:
        return answer_honestly(l, q, HONEST);
    default:
        return answer_honestly(l, q, (enum lie)(how % 16));
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

/* ---- life ---- */

static void *
link_main(void *arg)
{
    struct link *l = arg;
    struct liar *liar = l->liar;

    if (shake(l))
        while (!liar->stop && serve_one(l)) {
        }
    close(l->fd);
    free(l);
    atomic_fetch_sub(&liar->running, 1);
    return NULL;
}

static void
accept_one(struct liar *liar)
{
    struct pollfd pfd = {.fd = liar->fd, .events = POLLIN};
    pthread_t thread;
    struct link *l;
    int fd;

    if (poll(&pfd, 1, 10) <= 0)
        return;
    if ((fd = accept4(liar->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) < 0)
        return;
    l = calloc(1, sizeof(*l));
    MUST(l != NULL);
    l->liar = liar;
    l->fd = fd;
    atomic_fetch_add(&liar->running, 1);
    MUST(pthread_create(&thread, NULL, link_main, l) == 0);
    pthread_detach(thread);
}

static void *
listener_main(void *arg)
{
    struct liar *liar = arg;

    while (!liar->stop)
        accept_one(liar);
    return NULL;
}

void
liar_start(struct liar *l, const struct p2p_rsa *key, const struct liar_file *file,
           struct liar_script *script)
{
    *l = (struct liar){.key = key, .file = file, .script = script};
    MUST(p2p_spki_id(p2p_rsa_spki(key), &l->id) == P2P_OK);
    MUST(p2p_net_listen("127.0.0.1", 0, false, 64, &l->fd, &l->port) == P2P_OK);
    MUST(pthread_create(&l->thread, NULL, listener_main, l) == 0);
}

void
liar_stop(struct liar *l)
{
    l->stop = true;
    pthread_join(l->thread, NULL);
    while (l->running > 0)
        usleep(1000);
    close(l->fd);
}

struct p2p_source_spec
liar_spec(const struct liar *l)
{
    struct p2p_source_spec spec = {.id = &l->id};

    strcpy(spec.addr.host, "127.0.0.1");
    spec.addr.port = l->port;
    return spec;
}
