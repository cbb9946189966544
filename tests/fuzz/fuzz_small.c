// uses p2p-discovery
/*
 * Small parsers of text from outside, and the guardian's handling of requests of an
 * untrusted child. The first byte chooses one; texts end at a NUL.
 */
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/guard/guardian_parent.h"
#include "discovery/registry/record.h"
#include "fuzz.h"
#include "http/file.h"
#include "http/guard.h"
#include "http/internal.h"
#include "http/source/forwarded.h"
#include "http/text/decode.h"
#include "p2p/addr.h"
#include "p2p/bytes.h"
#include "p2p/log.h"

static const uint8_t *input;
static size_t input_left;

static uint8_t
take_byte(void)
{
    if (input_left == 0)
        return 0;
    input_left--;
    return *input++;
}

/* The next text up to a NUL or the end, in a block of its exact size. */
static char *
take_text(void)
{
    const uint8_t *end = input_left > 0 ? memchr(input, '\0', input_left) : NULL;
    size_t len = end != NULL ? (size_t)(end - input) : input_left;
    char *text = malloc(len + 1);

    MUST(text != NULL);
    if (len > 0)
        memcpy(text, input, len);
    text[len] = '\0';
    input += len;
    input_left -= len;
    if (input_left > 0) {
        input++;
        input_left--;
    }
    return text;
}

/* ---- Host and Origin ---- */

static void
try_host(void)
{
    static const char *const allowed[] = {"nas.example", NULL};
    char *host = take_text(), name[256], small[8];

    if (http_host_parse(host, name, sizeof(name))) {
        MUST(name[0] != '\0' && strlen(name) <= strlen(host));
        for (const char *p = name; *p != '\0'; p++)
            MUST((unsigned char)*p > ' ' && strchr("/@\\#?\"'", *p) == NULL &&
                 (*p < 'A' || *p > 'Z'));
    }
    if (http_host_parse(host, small, sizeof(small)))
        MUST(strlen(small) < sizeof(small));
    /* Only these names, in any spelling, are accepted. */
    if (http_host_is_own(host, "192.0.2.1", allowed))
        MUST(strcasestr(host, "localhost") != NULL || strstr(host, "127.0.0.1") ||
             strstr(host, "192.0.2.1") || strcasestr(host, "nas.example") ||
             host[0] == '[' || strchr(host, ':') != NULL);
    free(host);
}

static void
try_origin(void)
{
    char *origin = take_text(), *host = take_text(), *site = take_text();
    struct http_origin_headers h = {.origin = origin, .host = host, .scheme = "http"};

    if (http_origin_is_own(&h)) {
        /* The host is the part after the scheme, without a default port. */
        const char *at = strstr(origin, "://");
        size_t len = strcspn(host, ":");

        MUST(at != NULL && (host[0] == '[' || strncasecmp(at + 3, host, len) == 0));
    }
    h.fetch_site = site;
    if (http_origin_is_own(&h))
        MUST(strcmp(site, "cross-site") != 0 && strcmp(site, "same-site") != 0);
    h.host = NULL;
    h.fetch_site = NULL;
    MUST(!http_origin_is_own(&h));
    free(origin);
    free(host);
    free(site);
}

/* ---- Range, disposition, percent, cookie ---- */

static void
try_range(void)
{
    static const uint64_t sizes[] = {0, 1, 500, 1ull << 50};
    uint64_t size = sizes[take_byte() % 4], first, len;
    char *value = take_text();

    switch (http_range_parse(value, size, &first, &len)) {
    case HTTP_RANGE_PART:
        MUST(len > 0 && len <= size && first <= size - len);
        break;
    case HTTP_RANGE_NONE:
        MUST(first == 0 && len == size);
        break;
    case HTTP_RANGE_BAD:
        break;
    }
    free(value);
}

static void
try_disposition(void)
{
    size_t cap = take_byte() % 64 + 1u;
    char *name = take_text(), *cut = malloc(cap), whole[4096];
    unsigned quotes = 0;

    MUST(cut != NULL);
    http_disposition("attachment", name, cut, cap);
    MUST(memchr(cut, '\0', cap) != NULL);
    http_disposition("attachment", name, whole, sizeof(whole));
    for (const char *p = whole; *p != '\0'; p++) {
        MUST(*p >= ' ' && *p < 0x7f && *p != '\\');
        quotes += *p == '"';
    }
    MUST(quotes == 2 && strncmp(whole, "attachment; filename=\"", 22) == 0);
    free(cut);
    free(name);
}

static void
try_percent(void)
{
    size_t n = input_left, len, again;
    char *out = malloc(n + 1), *place = malloc(n + 1);
    bool ok, ok_in_place;

    MUST(out != NULL && place != NULL);
    if (n > 0)
        memcpy(place, input, n);
    ok = http_percent_decode((const char *)input, n, out, &len);
    ok_in_place = http_percent_decode(place, n, place, &again);
    MUST(ok == ok_in_place);
    if (ok)
        MUST(len == again && len <= n && strlen(out) == len &&
             memcmp(out, place, len) == 0 && p2p_utf8_is_valid(out, len));
    free(out);
    free(place);
}

static const char *cookie_header;

/* Replaces the function of libmicrohttpd. */
const char *
MHD_lookup_connection_value(struct MHD_Connection *mhd, enum MHD_ValueKind kind,
                            const char *name)
{
    (void)mhd;
    (void)kind;
    return strcmp(name, "Cookie") == 0 ? cookie_header : NULL;
}

static void
try_cookie(void)
{
    size_t cap = take_byte() + 1u;
    char *header = take_text(), *out = malloc(cap);
    struct http_request req = {.serial = 1};

    MUST(out != NULL);
    cookie_header = header;
    if (http_cookie(&req, "p2p_0123456789abcdef", out, cap))
        MUST(strlen(out) < cap && strchr(out, ';') == NULL &&
             strstr(header, "p2p_0123456789abcdef=") != NULL);
    free(out);
    free(header);
}

/* ---- Forwarded ---- */

/* Text that a client writes to the left of the proxy's entry changes nothing. */
static void
try_forwarded(void)
{
    static const char *const proxies[] = {"10.0.0.0/8", "fd00::/8", NULL};
    enum http_forwarded_kind kind =
        take_byte() & 1 ? HTTP_FORWARDED : HTTP_X_FORWARDED_FOR;
    struct http_address got, client = {{0}}, zero = {{0}};
    struct http_networks trusted;
    const char *lines[4];
    char *texts[4], why[128];
    size_t count = 0;

    MUST(http_networks_parse(proxies, &trusted, why, sizeof(why)) == P2P_OK);
    MUST(http_address_parse("203.0.113.9", 11, &client));
    while (count < 3 && input_left > 0) {
        texts[count] = take_text();
        lines[count] = texts[count];
        count++;
    }
    got = zero;
    if (!http_forwarded_client(kind, lines, count, &trusted, &got))
        MUST(memcmp(&got, &zero, sizeof(got)) == 0);
    lines[count] = kind == HTTP_FORWARDED ? "for=203.0.113.9" : "203.0.113.9";
    MUST(http_forwarded_client(kind, lines, count + 1, &trusted, &got));
    MUST(memcmp(&got, &client, sizeof(got)) == 0);
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(texts[i]) + 32;
        char *joined = malloc(size);

        MUST(joined != NULL);
        snprintf(joined, size, "%s, %s", texts[i], lines[count]);
        lines[0] = joined;
        got = zero;
        /* Refused, or the address from the proxy; never one from the client. */
        if (http_forwarded_client(kind, lines, 1, &trusted, &got))
            MUST(memcmp(&got, &client, sizeof(got)) == 0);
        MUST(strlen(http_forwarded_last(joined)) <= strlen(joined));
        free(joined);
        lines[0] = texts[0];
    }
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
}

/* ---- addresses ---- */

static void
try_address(void)
{
    char *text = take_text(), out[P2P_ADDR_TEXT], ip[RECORD_IP_MAX + 1];
    char host[P2P_HOST_MAX + 1], host2[P2P_HOST_MAX + 1], plain[HTTP_ADDRESS_TEXT];
    struct http_address a, b;
    struct p2p_addr addr, again;
    uint8_t bytes[16];

    if (p2p_addr_parse(text, 0, &addr) == P2P_OK) {
        MUST(addr.port != 0 && addr.host[0] != '\0');
        MUST(strlen(p2p_addr_format(&addr, out, sizeof(out))) < sizeof(out) - 1);
        MUST(p2p_addr_parse(out, 0, &again) == P2P_OK);
        MUST(p2p_addr_equal(&addr, &again));
    }
    if (p2p_host_canonical(text, strlen(text), host) == P2P_OK) {
        MUST(p2p_host_canonical(host, strlen(host), host2) == P2P_OK);
        MUST(strcmp(host, host2) == 0);
    }
    if (http_address_parse(text, strlen(text), &a)) {
        http_address_format(&a, plain);
        MUST(http_address_parse(plain, strlen(plain), &b));
        MUST(memcmp(&a, &b, sizeof(a)) == 0);
        a = http_address_source(&a);
        b = http_address_source(&a);
        MUST(memcmp(&a, &b, sizeof(a)) == 0);
    }
    if (record_parse_ip(text, ip) == P2P_OK) {
        char back[RECORD_IP_MAX + 1];

        record_read_ip(ip, bytes);
        record_format_ip(bytes, back);
        MUST(strcmp(ip, back) == 0);
        MUST(!record_ip_is_claimed(ip, ip));
    }
    free(text);
}

static void
try_networks(void)
{
    char *text = take_text(), *one = take_text(), why[64] = "";
    const char *const list[] = {text, NULL};
    struct http_networks n;
    struct http_address a;

    if (http_networks_parse(list, &n, why, sizeof(why)) == P2P_OK) {
        MUST(n.count > 0 && n.count <= HTTP_NETWORKS_MAX);
        for (unsigned i = 0; i < n.count; i++)
            MUST(n.at[i].bits <= 128 && http_networks_contain(&n, &n.at[i].base));
        if (http_address_parse(one, strlen(one), &a))
            (void)http_networks_contain(&n, &a);
    } else {
        MUST(memchr(why, '\0', sizeof(why)) != NULL && why[0] != '\0');
    }
    free(text);
    free(one);
}

static void
try_hosts(void)
{
    char *text = take_text(), why[64] = "";
    const char *const list[] = {text, NULL};
    struct http_hosts hosts;

    if (http_hosts_parse(list, &hosts, why, sizeof(why)) == P2P_OK)
        for (unsigned i = 0; i < hosts.count; i++)
            MUST(hosts.at[i] != NULL && hosts.at[i][0] != '\0');
    else
        MUST(why[0] != '\0');
    http_hosts_clear(&hosts);
    free(text);
}

/* ---- the log ---- */

static void
try_escape(void)
{
    size_t cap = take_byte();
    char *out = malloc(cap > 0 ? cap : 1);
    const char *got;

    MUST(out != NULL);
    got = p2p_log_escape(input, input_left, out, cap);
    MUST(cap == 0 || strlen(got) < cap);
    MUST(p2p_utf8_is_valid(got, strlen(got)));
    for (const char *p = got; *p != '\0'; p++)
        MUST((unsigned char)*p >= ' ' && *p != 0x7f && *p != '"' &&
             (*p != '\\' || p[1] == 'x'));
    free(out);
}

/* ---- the guardian ---- */

static enum p2p_caller
caller(const struct sockaddr *ours, const struct sockaddr *theirs, char *reason,
       size_t cap)
{
    snprintf(reason, cap, "%d", ours->sa_family);
    MUST(ours->sa_family == AF_INET || ours->sa_family == AF_INET6);
    MUST(theirs->sa_family == AF_INET || theirs->sa_family == AF_INET6);
    return P2P_CALLER_SAME_USER;
}

#define LISTED "/dev/null"

static void
send_raw(int sock, const uint8_t *data, size_t size, bool with_descriptor)
{
    union {
        struct cmsghdr head;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    int fd = STDIN_FILENO;

    if (with_descriptor) {
        msg.msg_control = control.space;
        msg.msg_controllen = sizeof(control.space);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(&control.head), &fd, sizeof(fd));
    }
    (void)!sendmsg(sock, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static void
read_answer(int sock, uint32_t verb, const char *asked)
{
    struct p2p_guardian_message answer;
    int fd = -1;

    MUST(p2p_guardian_take(sock, &answer, &fd));
    if (verb == P2P_GUARDIAN_OPEN && strcmp(asked, LISTED) == 0)
        MUST(answer.verb == P2P_OK && fd >= 0);
    else
        MUST(fd < 0 && (answer.verb != P2P_OK || verb == P2P_GUARDIAN_CALLER));
    if (fd >= 0)
        close(fd);
}

/* u8 address, u8 verb, u16 stated length of the text, text; or raw bytes. */
static void
say(struct guardian *g, int orders, int requests)
{
    struct p2p_guardian_message said = {.verb = 0};
    unsigned how = take_byte();
    bool is_request = how & 1, has_descriptor = how & 2;
    size_t head = offsetof(struct p2p_guardian_message, text), size;
    bool was_sealed = g->is_sealed;
    size_t watched = g->watched_count;
    char *text;

    said.verb = take_byte() % 16;
    text = take_text();
    said.len = (uint32_t)strlen(text);
    if (said.len > P2P_GUARDIAN_TEXT_MAX)
        said.len = P2P_GUARDIAN_TEXT_MAX;
    memcpy(said.text, text, said.len);
    size = head + said.len;
    free(text);
    if (how & 4) /* a wrong length */
        said.len += take_byte() - 128u;
    if (how & 8) /* cut in the middle, and never empty, because that would be the end */
        size = take_byte() % size + 1;
    send_raw(is_request ? requests : orders, (const void *)&said, size, has_descriptor);
    if (is_request && g->requests >= 0) {
        guardian_on_request(g);
        if (g->requests >= 0)
            read_answer(requests, said.verb, said.text);
    } else if (!is_request && g->orders >= 0) {
        (void)guardian_on_order(g);
    }
    MUST(g->watched_count <= P2P_SANDBOX_WATCHED_MAX);
    MUST(!was_sealed || g->watched_count == watched);
}

static void
try_guardian(void)
{
    static struct p2p_guardian_options opt = {
        .program = "fuzz", .files = {LISTED}, .caller = caller};
    struct guardian g = {.opt = &opt, .is_ready = true};
    int orders[2], requests[2];

    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, orders) == 0);
    MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, requests) == 0);
    g.orders = orders[0];
    g.requests = requests[0];
    for (unsigned i = 0; i < 12 && input_left > 0; i++)
        say(&g, orders[1], requests[1]);
    (void)guardian_look(&g);
    guardian_forget_watched(&g);
    guardian_forget_secrets(&g);
    if (g.orders >= 0)
        close(g.orders);
    if (g.requests >= 0)
        close(g.requests);
    close(orders[1]);
    close(requests[1]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(void) = {try_host,        try_origin,  try_range,
                                          try_disposition, try_percent, try_cookie,
                                          try_forwarded,   try_address, try_networks,
                                          try_hosts,       try_escape,  try_guardian};

    if (size < 1)
        return 0;
    p2p_log_init("fuzz", P2P_LOG_ERROR);
    input = data + 1;
    input_left = size - 1;
    tries[data[0] % (sizeof(tries) / sizeof(tries[0]))]();
    return 0;
}
