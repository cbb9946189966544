/* http_fixture - a server with one route of each kind, and a client that uses no HTTP
 * library. */
#include "http_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "http/file.h"
#include "http/offload.h"
#include "http/upload.h"

struct http_server *server;
struct http_waitlist *waiters;
struct http_sse *events;
_Atomic int version, uploads_freed, gate_is_open;
_Atomic uint64_t last_serial, last_ended;
_Atomic int n_ended, n_arrived, arrivals_ended;

static struct http_prepared *prepared;
static int pages_fd = -1;
static char pages_dir[] = "/tmp/p2p-test-http-XXXXXX";

/* ---- the program under test ---- */

static void
get_prepared(struct http_request *req, void *app)
{
    (void)app;
    http_reply_prepared(req, 200, prepared);
}

static void
get_item(struct http_request *req, void *app)
{
    char text[512];

    (void)app;
    snprintf(text, sizeof(text), "%s|%s|%s", http_param(req, "name"),
             http_query(req, "q") ? http_query(req, "q") : "-", http_client_ip(req));
    http_reply(req, 200, "text/plain", text, strlen(text));
}

static void
post_json(struct http_request *req, void *app)
{
    cJSON *json = http_json(req);

    (void)app;
    if (json != NULL)
        http_reply_json(req, 200, cJSON_Duplicate(json, true));
}

static void
get_version(struct http_request *req, void *app)
{
    uint64_t seen = http_waitlist_generation(waiters), since, wait_ms;

    (void)app;
    last_serial = http_serial(req);
    if (!http_query_u64(req, "since", 0, 1000, 0, &since) ||
        !http_query_u64(req, "wait_ms", 0, 10000, 0, &wait_ms))
        return;
    if (version == (int)since && http_wait(req, waiters, seen, (unsigned)wait_ms))
        return;
    http_reply_message(req, 200, "version", version == 0 ? "0" : "1");
}

static void
get_events(struct http_request *req, void *app)
{
    (void)app;
    http_sse_follow(events, req);
}

static void
get_page(struct http_request *req, void *app)
{
    struct http_file file = {.type = "text/html"};
    struct stat st;

    (void)app;
    file.fd = openat(pages_fd, http_param(req, "name"), O_RDONLY | O_CLOEXEC);
    if (file.fd < 0 || fstat(file.fd, &st) != 0) {
        http_fail(req, 404, "not_found", "there is no such file");
        return;
    }
    file.size = (uint64_t)st.st_size;
    http_reply_file(req, &file);
}

/* "0123456789", of which n_arrived bytes are there. */
static enum p2p_err
begin_arrivals(void *arg, uint64_t first)
{
    *(uint64_t *)arg = first;
    return P2P_OK;
}

static ssize_t
read_arrivals(void *arg, void *out, size_t max)
{
    uint64_t *at = arg;

    if (n_arrived < 0)
        return -1;
    if (*at >= (uint64_t)n_arrived || max == 0)
        return 0;
    *(char *)out = "0123456789"[(*at)++];
    return 1;
}

static void
end_arrivals(void *arg)
{
    free(arg);
    arrivals_ended++;
}

static void
get_arrivals(struct http_request *req, void *app)
{
    uint64_t wait_ms;
    struct http_source_of_bytes source = {.begin = begin_arrivals,
                                          .read = read_arrivals,
                                          .end = end_arrivals,
                                          .arg = calloc(1, sizeof(uint64_t)),
                                          .list = waiters};

    (void)app;
    if (source.arg == NULL || !http_query_u64(req, "wait_ms", 0, 60000, 0, &wait_ms))
        return;
    source.wait_ms = (unsigned)wait_ms;
    http_reply_file(req, &(struct http_file){
                             .fd = -1, .source = &source, .size = 10, .etag = "tag"});
}

static void
get_nothing(struct http_request *req, void *app)
{
    (void)req, (void)app;
}

static void
get_long(struct http_request *req, void *app)
{
    (void)app;
    if (http_offload(req))
        return;
    while (!gate_is_open)
        usleep(1000);
    http_reply(req, 200, "text/plain", "long", 4);
}

struct seen {
    char text[256];
};

static enum p2p_err
on_part(void *arg, const char *name, const char *filename)
{
    struct seen *s = arg;

    snprintf(s->text + strlen(s->text), 64, "<%s,%s>", name, filename ? filename : "-");
    return P2P_OK;
}

static enum p2p_err
on_data(void *arg, const void *data, size_t len)
{
    struct seen *s = arg;

    strncat(s->text, data, len < 100 ? len : 100);
    return P2P_OK;
}

static enum p2p_err
on_part_end(void *arg)
{
    strcat(((struct seen *)arg)->text, ";");
    return P2P_OK;
}

static void
on_done(void *arg, struct http_request *req, enum p2p_err err)
{
    if (err != P2P_OK)
        http_fail_err(req, err, NULL);
    else
        http_reply(req, 200, "text/plain", arg, strlen(((struct seen *)arg)->text));
}

static void
on_free(void *arg)
{
    free(arg);
    uploads_freed++;
}

static void
post_upload(struct http_request *req, void *app)
{
    static const struct http_upload_sink sink = {
        {on_part, on_data, on_part_end}, on_done, on_free};

    (void)app;
    http_upload_into(req, &sink, calloc(1, sizeof(struct seen)));
}

static void
on_request_end(uint64_t serial, void *app)
{
    (void)app;
    last_ended = serial;
    n_ended++;
}

static const struct http_route routes[] = {
    {"GET", "/ready", get_prepared, 0, 0, 0},
    {"GET", "/item/{name}", get_item, 0, 0, 0},
    {"GET", "/tree/{name*}", get_item, 0, 0, 0},
    {"POST", "/json", post_json, 1000, 0, 0},
    {"PUT", "/json", post_json, 1000, 0, 0},
    {"GET", "/version", get_version, 0, 0, 0},
    {"GET", "/events", get_events, 0, 0, 0},
    {"GET", "/pages/{name}", get_page, 0, 0, 0},
    {"GET", "/long", get_long, 0, 0, 0},
    {"GET", "/nothing", get_nothing, 0, 0, 0},
    {"GET", "/arrivals", get_arrivals, 0, 0, 0},
    {"POST", "/upload", post_upload, 0, HTTP_MULTIPART, 0},
    {0},
};

static const struct http_header headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {NULL, NULL},
};

unsigned body_timeout_ms = 1000;

int
start_http(void **state)
{
    struct http_options opt = {
        .host = "127.0.0.1",
        .guard = {.check_host = true, .check_origin = true},
        .headers = headers,
        .on_end = on_request_end,
        .routes = routes,
        .header_timeout_ms = 1000,
        .body_timeout_ms = body_timeout_ms,
        .idle_timeout_ms = 2000,
    };
    FILE *f;
    char path[128];

    (void)state;
    if (mkdtemp(pages_dir) == NULL)
        return -1;
    snprintf(path, sizeof(path), "%s/index.html", pages_dir);
    if ((f = fopen(path, "w")) == NULL)
        return -1;
    fputs("0123456789", f);
    fclose(f);
    pages_fd = open(pages_dir, O_DIRECTORY | O_CLOEXEC);
    if (http_server_open(&opt, &server) != P2P_OK)
        return -1;
    waiters = http_waitlist_new(server);
    events = http_sse_new(server, 4, 8);
    prepared = http_prepare(server, "text/plain", "ready", 5);
    return 0;
}

void
stop_serving(void)
{
    http_prepared_free(prepared);
    prepared = NULL;
    http_server_close(server);
    server = NULL;
}

int
stop_http(void **state)
{
    char path[128];

    (void)state;
    stop_serving();
    http_waitlist_free(waiters);
    http_sse_free(events);
    close(pages_fd);
    snprintf(path, sizeof(path), "%s/index.html", pages_dir);
    unlink(path);
    rmdir(pages_dir);
    return 0;
}

/* ---- a client of raw bytes ---- */

int
dial(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 10};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    return fd;
}

void
send_text(int fd, const char *text)
{
    size_t n = strlen(text);

    assert_int_equal(send(fd, text, n, MSG_NOSIGNAL), (ssize_t)n);
}

const char *
receive(int fd, const char *until)
{
    static char buffer[64 * 1024];
    size_t have = 0;

    buffer[0] = '\0';
    while (have < sizeof(buffer) - 1) {
        ssize_t n = recv(fd, buffer + have, sizeof(buffer) - 1 - have, 0);

        if (n <= 0)
            break;
        have += (size_t)n;
        buffer[have] = '\0';
        if (until != NULL && strstr(buffer, until) != NULL)
            break;
    }
    return buffer;
}

const char *
ask(const char *request)
{
    int fd = dial();
    const char *answer;

    send_text(fd, request);
    answer = receive(fd, NULL);
    close(fd);
    return answer;
}

const char *
post(const char *path, const char *extra, const char *body)
{
    static char request[8192];

    snprintf(request, sizeof(request),
             "POST %s HTTP/1.1\r\n" LOCAL "%sContent-Length: %zu\r\n\r\n%s", path,
             extra, strlen(body), body);
    return ask(request);
}
