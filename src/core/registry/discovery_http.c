/* HTTP with libcurl: several calls at once, limited in time and size. */
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/log.h"
#include "p2p/net.h"

enum { CONNECT_TIMEOUT_MS = 5000, WAIT_MAX_MS = 60000 };
/* A Retry-After above this counts as this: a wrong one must not hide a peer. */
enum { RETRY_AFTER_MAX_S = 300 };

/* One call under way. */
struct transfer {
    struct p2p_http_call *call;
    CURL *easy;
    struct curl_slist *headers;
    size_t cap;
    bool too_large;
    char error[CURL_ERROR_SIZE];
};

static void
global_init(void)
{
    /* Fails only when out of memory; then every handle is NULL and each call reports
     * it. */
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

void
p2p_http_global_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, global_init);
}

static bool
grow(struct transfer *t, size_t need)
{
    size_t cap = t->cap < 4096 ? 4096 : t->cap;
    char *bigger;

    while (cap < need)
        cap *= 2;
    if (cap == t->cap)
        return true;
    bigger = realloc(t->call->answer, cap);
    if (bigger == NULL)
        return false;
    t->call->answer = bigger;
    t->cap = cap;
    return true;
}

static size_t
on_bytes(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *t = arg;
    size_t len = size * count; /* size is always 1 (libcurl's documentation) */
    size_t max = t->call->answer_max > 0 ? t->call->answer_max : P2P_HTTP_ANSWER_MAX;

    if (len > max - t->call->len) {
        t->too_large = true;
        return 0;
    }
    if (!grow(t, t->call->len + len + 1))
        return 0;
    memcpy(t->call->answer + t->call->len, data, len);
    t->call->len += len;
    t->call->answer[t->call->len] = '\0';
    return len;
}

static bool
add_header(struct transfer *t, const char *line)
{
    struct curl_slist *more = curl_slist_append(t->headers, line);

    if (more == NULL)
        return false;
    t->headers = more;
    return curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers) == CURLE_OK;
}

static bool
set_body(struct transfer *t)
{
    /* The second one disables Expect: 100-continue, which costs up to a second. */
    return add_header(t, "Content-Type: application/json") &&
           add_header(t, "Expect:") &&
           curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                            (curl_off_t)strlen(t->call->body)) == CURLE_OK &&
           curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->call->body) == CURLE_OK;
}

/* For https: the system's certificates, or those of a file that the usual environment
 * variable names. */
static bool
trust_authorities(CURL *e)
{
    const char *file = getenv("SSL_CERT_FILE");

    return file == NULL || *file == '\0' ||
           curl_easy_setopt(e, CURLOPT_CAINFO, file) == CURLE_OK;
}

/* Connects directly to the registry: no proxy, no redirect, no other protocol, no
 * signals. */
static bool
set_up(struct transfer *t, uint64_t timeout_ms)
{
    CURL *e = t->easy = curl_easy_init();
    long ms = (long)timeout_ms;

    if (e == NULL || t->call->url == NULL)
        return false;
    return trust_authorities(e) &&
           curl_easy_setopt(e, CURLOPT_URL, t->call->url) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, ms) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                            ms < CONNECT_TIMEOUT_MS ? ms : (long)CONNECT_TIMEOUT_MS) ==
               CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_USERAGENT, "p2p/" P2P_VERSION) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_bytes) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_WRITEDATA, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_PRIVATE, t) == CURLE_OK &&
           curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error) == CURLE_OK &&
           (t->call->header == NULL || add_header(t, t->call->header)) &&
           (t->call->body == NULL || set_body(t)) &&
           curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, t->call->method) == CURLE_OK;
}

static enum p2p_err
from_curl(const struct transfer *t, CURLcode code)
{
    if (t->too_large)
        return P2P_ERR_TOO_LARGE;
    switch (code) {
    case CURLE_OK:
        return P2P_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return P2P_ERR_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        return P2P_ERR_NO_HOST;
    case CURLE_COULDNT_CONNECT:
    case CURLE_INTERFACE_FAILED:
        return P2P_ERR_UNREACHABLE;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
        return P2P_ERR_AUTH;
    case CURLE_SSL_CONNECT_ERROR:
        return P2P_ERR_TLS;
    case CURLE_UNSUPPORTED_PROTOCOL: /* not HTTP, or HTTP/0.9 */
    case CURLE_WEIRD_SERVER_REPLY:
        return P2P_ERR_NOT_REGISTRY;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return P2P_ERR_CLOSED;
    case CURLE_OUT_OF_MEMORY:
    case CURLE_WRITE_ERROR:
        return P2P_ERR_NOMEM;
    default:
        return P2P_ERR_MALFORMED;
    }
}

/* The registry's clock. If ours is wrong, signatures may expire before they are
 * valid. */
static int64_t
date_of(CURL *easy)
{
    struct curl_header *date;

    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &date) != CURLHE_OK)
        return 0;
    time_t at = curl_getdate(date->value, NULL);
    return at > 0 ? at : 0;
}

/* Understands seconds and dates, as RFC 9110, section 10.2.3. */
static uint64_t
retry_after_ms(CURL *easy)
{
    curl_off_t s = 0;

    if (curl_easy_getinfo(easy, CURLINFO_RETRY_AFTER, &s) != CURLE_OK || s <= 0)
        return 0;
    return (uint64_t)(s < RETRY_AFTER_MAX_S ? s : RETRY_AFTER_MAX_S) * 1000;
}

static void
copy_header(CURL *easy, const char *name, const char *end, char *out, size_t cap)
{
    struct curl_header *header;

    out[0] = '\0';
    if (curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
        p2p_log_escape(header->value, strcspn(header->value, end), out, cap);
}

/* Details that explain to a person why this is not an answer of a registry. */
static void
note_answer(struct transfer *t, CURLcode code)
{
    struct p2p_http_call *call = t->call;

    copy_header(t->easy, "Content-Type", "; ", call->type, sizeof(call->type));
    copy_header(t->easy, "Location", "", call->where, sizeof(call->where));
    if (code == CURLE_SSL_CONNECT_ERROR || code == CURLE_PEER_FAILED_VERIFICATION ||
        code == CURLE_SSL_CACERT_BADFILE)
        p2p_log_escape(t->error, strlen(t->error), call->where, sizeof(call->where));
}

/* True if one of the calls has an answer. */
static bool
take_results(CURLM *multi)
{
    bool is_answered = false;
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(multi, &left)) != NULL) {
        struct transfer *t = NULL;
        if (msg->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &t);
        curl_easy_getinfo(msg->easy_handle, CURLINFO_RESPONSE_CODE, &t->call->status);
        t->call->err = from_curl(t, msg->data.result);
        t->call->date_s = date_of(msg->easy_handle);
        t->call->retry_after_ms = retry_after_ms(msg->easy_handle);
        note_answer(t, msg->data.result);
        is_answered = is_answered || t->call->err == P2P_OK;
    }
    return is_answered;
}

/* Each transfer has a time limit, so this loop ends. */
static void
drive(CURLM *multi, uint64_t patience_ms, const struct p2p_stop *stop)
{
    struct curl_waitfd stopped = {.fd = p2p_stop_fd(stop), .events = CURL_WAIT_POLLIN};
    uint64_t until = UINT64_MAX, now;
    int running = 1;

    while (running > 0) {
        if (curl_multi_perform(multi, &running) != CURLM_OK)
            return;
        now = p2p_now_ms();
        if (take_results(multi) && until == UINT64_MAX)
            until = now + patience_ms;
        if (running == 0 || now >= until || p2p_stop_is_set(stop))
            return;
        if (curl_multi_poll(multi, &stopped, stop != NULL,
                            until - now < WAIT_MAX_MS ? (int)(until - now)
                                                      : WAIT_MAX_MS,
                            NULL) != CURLM_OK)
            return;
    }
}

void
p2p_http_run(struct p2p_http_call *calls, size_t count, uint64_t timeout_ms,
             uint64_t patience_ms, const struct p2p_stop *stop)
{
    struct transfer *transfers = calloc(count, sizeof(*transfers));
    CURLM *multi = curl_multi_init();

    for (size_t i = 0; i < count; i++) {
        calls[i].err = P2P_ERR_NOMEM;
        if (transfers == NULL || multi == NULL)
            continue;
        transfers[i].call = &calls[i];
        if (set_up(&transfers[i], timeout_ms) &&
            curl_multi_add_handle(multi, transfers[i].easy) == CURLM_OK)
            calls[i].err = P2P_ERR_TIMEOUT; /* until its result is taken */
    }
    if (transfers != NULL && multi != NULL)
        drive(multi, patience_ms, stop);
    for (size_t i = 0; i < count && transfers != NULL; i++) {
        if (transfers[i].easy != NULL && multi != NULL)
            curl_multi_remove_handle(multi, transfers[i].easy);
        curl_easy_cleanup(transfers[i].easy);
        curl_slist_free_all(transfers[i].headers);
    }
    curl_multi_cleanup(multi);
    free(transfers);
}

void
p2p_http_call_clear(struct p2p_http_call *call)
{
    free(call->url);
    free(call->body);
    free(call->header);
    free(call->answer);
    *call = (struct p2p_http_call){0};
}

enum p2p_err
p2p_http_status_err(long status)
{
    if (status >= 200 && status < 300)
        return P2P_OK;
    if (status >= 300 && status < 400)
        return P2P_ERR_MOVED;
    switch (status) {
    case 401:
    case 403:
        return P2P_ERR_NOT_ALLOWED;
    case 404:
        return P2P_ERR_NOT_FOUND;
    case 409:
        return P2P_ERR_EXISTS;
    case 413:
        return P2P_ERR_TOO_LARGE;
    case 429:
        return P2P_ERR_RATE_LIMITED;
    case 503:
        return P2P_ERR_BUSY;
    default:
        return P2P_ERR_REMOTE;
    }
}

/* Percent-encodes all characters except the unreserved ones of RFC 3986; returns the
 * end. */
static char *
encode(char *out, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789-._~";

    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (strchr(plain, c) != NULL) {
            *out++ = (char)c;
        } else {
            *out++ = '%';
            *out++ = digits[c >> 4];
            *out++ = digits[c & 15];
        }
    }
    return out;
}

char *
p2p_http_url(const char *base, const char *path, const char *const *arguments,
             size_t count)
{
    size_t cap = strlen(base) + strlen(path) + 1, next = 0;
    char *url, *out;

    for (size_t i = 0; i < count; i++)
        cap += 3 * strlen(arguments[i]);
    url = malloc(cap);
    if (url == NULL)
        return NULL;
    out = stpcpy(url, base);
    while (*path != '\0') {
        if (path[0] == '%' && path[1] == 's' && next < count) {
            out = encode(out, arguments[next++]);
            path += 2;
        } else {
            *out++ = *path++;
        }
    }
    *out = '\0';
    return url;
}
