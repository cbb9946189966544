#include "http/sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/internal.h"
#include "p2p/lock.h"

#define BLOCK_SIZE 4096u

struct event {
    char *text; /* in the form that is sent */
    size_t len;
};

struct client {
    struct client *prev, *next;
    struct http_sse *sse;
    struct MHD_Connection *mhd;
    uint64_t next_id; /* the next event to send */
    struct event now; /* its own copy of the event that is being sent */
    size_t sent;      /* of it */
    uint64_t last_sent_ms;
    bool is_suspended;
};

P2P_MUTEX_KIND(http_sse_lock);
struct http_sse {
    struct http_ticker ticker; /* must be the first member: a pointer to it is a pointer
                                * to the stream */
    struct http_server *server;
    struct http_sse_lock lock;
    struct client *clients P2P_GUARDED_BY(http_sse_lock);
    size_t n_clients P2P_GUARDED_BY(http_sse_lock), max_clients;
    /* Events in the ring: [first_id, next_id). */
    uint64_t first_id P2P_GUARDED_BY(http_sse_lock);
    uint64_t next_id P2P_GUARDED_BY(http_sse_lock);
    size_t capacity;
    struct event ring[];
};

static struct event *
event_at(struct http_sse *sse, uint64_t id)
{
    return &sse->ring[id % sse->capacity];
}

static void
resume(struct client *c)
{
    if (!c->is_suspended)
        return;
    c->is_suspended = false;
    MHD_resume_connection(c->mhd);
}

static uint64_t
on_tick(struct http_ticker *self, uint64_t now_ms)
{
    struct http_sse *sse = (struct http_sse *)self;
    uint64_t next = HTTP_NO_DEADLINE;

    p2p_lock(&sse->lock);
    for (struct client *c = sse->clients; c != NULL; c = c->next) {
        uint64_t due = c->last_sent_ms + HTTP_SSE_HEARTBEAT_MS;

        if (due <= now_ms) {
            resume(c);
            due = now_ms + HTTP_SSE_HEARTBEAT_MS;
        }
        if (due < next)
            next = due;
    }
    p2p_unlock(&sse->lock);
    return next;
}

static void
on_stop(struct http_ticker *self)
{
    struct http_sse *sse = (struct http_sse *)self;

    p2p_lock(&sse->lock);
    for (struct client *c = sse->clients; c != NULL; c = c->next)
        resume(c);
    p2p_unlock(&sse->lock);
}

static uint64_t
now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct http_sse *
http_sse_new(struct http_server *s, size_t capacity, size_t max_clients)
{
    struct http_sse *sse = calloc(1, sizeof(*sse) + capacity * sizeof(sse->ring[0]));

    if (sse == NULL)
        return NULL;
    p2p_mutex_init(&sse->lock);
    sse->server = s;
    sse->capacity = capacity;
    sse->max_clients = max_clients;
    /* Starts from the time of day in microseconds, so that ids of an earlier run are
     * always below those in the ring, even if that run sent a thousand events and ended
     * at once. */
    sse->first_id = sse->next_id = now_us();
    sse->ticker.tick = on_tick;
    sse->ticker.stop = on_stop;
    http_clock_add(s, &sse->ticker);
    return sse;
}

void
http_sse_free(struct http_sse *sse)
{
    if (sse == NULL)
        return;
    for (size_t i = 0; i < sse->capacity; i++)
        free(sse->ring[i].text);
    p2p_mutex_clear(&sse->lock);
    free(sse);
}

uint64_t
http_sse_publish(struct http_sse *sse, const char *name, const char *data,
                 size_t data_len)
{
    char head[96];
    struct event e;
    uint64_t id;
    int n;

    p2p_lock(&sse->lock);
    id = sse->next_id;
    n = snprintf(head, sizeof(head),
                 "id: %llu\nevent: %.32s\ndata: ", (unsigned long long)id, name);
    e.len = (size_t)n + data_len + 2;
    if ((e.text = malloc(e.len)) != NULL) {
        memcpy(e.text, head, (size_t)n);
        memcpy(e.text + n, data, data_len);
        memcpy(e.text + n + data_len, "\n\n", 2);
        if (id - sse->first_id == sse->capacity)
            sse->first_id++;
        free(event_at(sse, id)->text);
        *event_at(sse, id) = e;
        sse->next_id++;
        for (struct client *c = sse->clients; c != NULL; c = c->next)
            resume(c);
    }
    p2p_unlock(&sse->lock);
    return id;
}

/* ---- one client ---- */

/*
 * Copies the next event for the client, because the ring may change while it is being
 * sent. False if there is none.
 */
static bool
take_next(struct client *c, uint64_t now_ms) P2P_REQUIRES(http_sse_lock)
{
    struct http_sse *sse = c->sse;
    char text[96] = "";

    free(c->now.text);
    c->now = (struct event){0};
    c->sent = 0;
    if (c->next_id < sse->first_id || c->next_id > sse->next_id) {
        c->next_id = sse->next_id;
        snprintf(text, sizeof(text),
                 "retry: 2000\nid: %llu\nevent: resync\ndata: {}\n\n",
                 (unsigned long long)(sse->next_id - 1));
    } else if (c->next_id == sse->next_id) {
        if (now_ms < c->last_sent_ms + HTTP_SSE_HEARTBEAT_MS)
            return false;
        strcpy(text, ":\n\n");
    } else {
        const struct event *e = event_at(sse, c->next_id++);

        c->now.text = malloc(e->len);
        c->now.len = e->len;
        if (c->now.text != NULL)
            memcpy(c->now.text, e->text, e->len);
        return c->now.text != NULL;
    }
    c->now.text = strdup(text);
    c->now.len = strlen(text);
    return c->now.text != NULL;
}

static ssize_t
on_read(void *arg, uint64_t pos, char *out, size_t max)
{
    struct client *c = arg;
    ssize_t n = 0;

    (void)pos;
    p2p_lock(&c->sse->lock);
    if (c->sse->server->is_stopping)
        n = MHD_CONTENT_READER_END_OF_STREAM;
    else if (c->sent < c->now.len || take_next(c, p2p_now_ms())) {
        size_t left = c->now.len - c->sent;

        n = (ssize_t)(left < max ? left : max);
        memcpy(out, c->now.text + c->sent, (size_t)n);
        c->sent += (size_t)n;
        c->last_sent_ms = p2p_now_ms();
    } else {
        c->is_suspended = true;
        MHD_suspend_connection(c->mhd);
    }
    p2p_unlock(&c->sse->lock);
    return n;
}

static void
on_free(void *arg)
{
    struct client *c = arg;
    struct http_sse *sse = c->sse;

    p2p_lock(&sse->lock);
    if (c->prev != NULL)
        c->prev->next = c->next;
    else
        sse->clients = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    sse->n_clients--;
    p2p_unlock(&sse->lock);
    free(c->now.text);
    free(c);
}

static struct client *
client_new(struct http_sse *sse, struct http_request *req)
{
    const char *last = http_header(req, "Last-Event-ID");
    struct client *c = calloc(1, sizeof(*c));

    if (c == NULL)
        return NULL;
    c->sse = sse;
    c->mhd = req->mhd;
    /* Due at once: the first bytes tell the browser that the stream is open. */
    c->last_sent_ms = 0;
    p2p_lock(&sse->lock);
    /* 0 is never in the ring, so the first event is a resync. Its id is what the client
     * sends when it comes back. A client without an id would look like a new one after
     * a restart, and would miss the events in between. */
    c->next_id = last != NULL ? strtoull(last, NULL, 10) + 1 : 0;
    if (sse->n_clients == sse->max_clients) {
        p2p_unlock(&sse->lock);
        free(c);
        return NULL;
    }
    c->next = sse->clients;
    if (c->next != NULL)
        c->next->prev = c;
    sse->clients = c;
    sse->n_clients++;
    p2p_unlock(&sse->lock);
    return c;
}

void
http_sse_follow(struct http_sse *sse, struct http_request *req)
{
    struct client *c = client_new(sse, req);
    struct MHD_Response *r;

    if (c == NULL) {
        http_set_header(req, "Retry-After", "15");
        http_fail(req, 503, "too_many_streams", "too many event streams are open");
        return;
    }
    r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_SIZE, on_read, c,
                                          on_free);
    if (r == NULL) {
        on_free(c);
        return;
    }
    MHD_add_response_header(r, "Content-Type", "text/event-stream");
    MHD_add_response_header(r, "Cache-Control", "no-store");
    MHD_add_response_header(r, "X-Accel-Buffering", "no");
    http_answer(req, 200, r);
    http_clock_at(sse->server, p2p_now_ms() + HTTP_SSE_HEARTBEAT_MS);
}

size_t
http_sse_count(struct http_sse *sse)
{
    size_t n;

    p2p_lock(&sse->lock);
    n = sse->n_clients;
    p2p_unlock(&sse->lock);
    return n;
}
