#include "cli/machine/dashboard.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <curl/curl.h>

#include "p2p/caller.h"
#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/io.h"
#include "p2p/net.h"

#define ACCEPT_WAIT_MS 3000
#define ACCEPT_STEP_US 10000

struct conversation {
    const struct cli_dashboard *dashboard;
    char *out;
    size_t len, cap;
    enum p2p_err refusal; /* of what listens there */
};

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
    struct conversation *c = arg;
    size_t n = size * count;

    if (n >= c->cap - c->len)
        return 0;
    memcpy(c->out + c->len, data, n);
    c->len += n;
    c->out[c->len] = '\0';
    return n;
}

static bool
make_sockaddr(const char *ip, int port, struct sockaddr_storage *out)
{
    struct sockaddr_in *v4 = (void *)out;
    struct sockaddr_in6 *v6 = (void *)out;

    memset(out, 0, sizeof(*out));
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    return inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1;
}

static enum p2p_err
check_server(const struct sockaddr_storage *ours, const struct sockaddr_storage *theirs,
             uid_t wanted)
{
    uint64_t deadline = p2p_now_ms() + ACCEPT_WAIT_MS;
    enum p2p_err err;
    uid_t uid;

    while ((err = p2p_caller_find_server((const struct sockaddr *)ours,
                                         (const struct sockaddr *)theirs, &uid)) ==
               P2P_ERR_NOT_FOUND &&
           p2p_now_ms() < deadline)
        usleep(ACCEPT_STEP_US);
    if (err == P2P_OK && uid != wanted)
        err = P2P_ERR_WRONG_PEER;
    return err;
}

bool
cli_dashboard_is_ours(const struct p2p_addr *addr)
{
    struct sockaddr_storage ours, theirs;
    socklen_t ours_len = sizeof(ours), theirs_len = sizeof(theirs);
    int fd = -1;
    bool is_ours =
        p2p_net_connect(addr, p2p_now_ms() + ACCEPT_WAIT_MS, &fd) == P2P_OK &&
        getsockname(fd, (struct sockaddr *)&ours, &ours_len) == 0 &&
        getpeername(fd, (struct sockaddr *)&theirs, &theirs_len) == 0 &&
        check_server(&ours, &theirs, geteuid()) == P2P_OK;

    p2p_fd_close(&fd);
    return is_ours;
}

/* Connected, and nothing sent yet. */
static int
on_connected(void *arg, char *their_ip, char *our_ip, int their_port, int our_port)
{
    struct conversation *c = arg;
    struct sockaddr_storage ours, theirs;

    if (!make_sockaddr(our_ip, our_port, &ours) ||
        !make_sockaddr(their_ip, their_port, &theirs))
        c->refusal = P2P_ERR_MALFORMED;
    else
        c->refusal = check_server(&ours, &theirs, c->dashboard->uid);
    return c->refusal == P2P_OK ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

/* True if the host of the URL is one of this machine's loopback names. */
static bool
is_near(const char *url)
{
    CURLU *parts = curl_url();
    char *host = NULL;
    bool near = parts != NULL &&
                curl_url_set(parts, CURLUPART_URL, url, 0) == CURLUE_OK &&
                curl_url_get(parts, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0 ||
                 strcmp(host, "127.0.0.1") == 0);

    curl_free(host);
    curl_url_cleanup(parts);
    return near;
}

static enum p2p_err
judge(CURL *curl, CURLcode code, const struct conversation *c, const char *curl_text,
      char *why, size_t cap)
{
    const char *url = c->dashboard->url;
    long status = 0;

    if (c->refusal == P2P_ERR_WRONG_PEER) {
        snprintf(why, cap,
                 "the program at %s runs as a different user than the owner of the "
                 "token; nothing was sent to it",
                 url);
        return c->refusal;
    }
    if (c->refusal != P2P_OK) {
        snprintf(why, cap, "cannot check which program answers at %s: %s", url,
                 p2p_err_text(c->refusal));
        return c->refusal;
    }
    if (code != CURLE_OK) {
        snprintf(why, cap,
                 "cannot reach p2p-ui at %s: %s; start it, or name its address with "
                 "--url",
                 url, *curl_text != '\0' ? curl_text : curl_easy_strerror(code));
        return P2P_ERR_UNREACHABLE;
    }
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2)
        return P2P_OK;
    snprintf(why, cap, "p2p-ui at %s refused the request (HTTP status %ld)%s", url,
             status, status == 401 ? "; check that it uses the same --keys-dir" : "");
    return P2P_ERR_REMOTE;
}

enum p2p_err
cli_dashboard_post(const struct cli_dashboard *d, const char *path, char *out,
                   size_t cap, char *why, size_t why_cap)
{
    struct conversation c = {.dashboard = d, .out = out, .cap = cap};
    char url[512], bearer[256], curl_text[CURL_ERROR_SIZE] = "";
    struct curl_slist *headers = NULL;
    enum p2p_err err = P2P_ERR_NOMEM;
    CURL *curl = NULL;

    *out = '\0';
    if (!is_near(d->url) ||
        snprintf(url, sizeof(url), "%.*s%s",
                 (int)(strlen(d->url) - (d->url[strlen(d->url) - 1] == '/')), d->url,
                 path) >= (int)sizeof(url)) {
        snprintf(why, why_cap,
                 "invalid --url %s: use an address of this machine such as "
                 "http://localhost:8080",
                 d->url);
        return P2P_ERR_USAGE;
    }
    snprintf(bearer, sizeof(bearer), "Authorization: Bearer %s", d->token);
    headers = curl_slist_append(NULL, bearer);
    if (headers == NULL || (curl = curl_easy_init()) == NULL) {
        snprintf(why, why_cap, "out of memory");
        goto out;
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)d->timeout_ms);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, curl_text);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &c);
    curl_easy_setopt(curl, CURLOPT_PREREQFUNCTION, on_connected);
    curl_easy_setopt(curl, CURLOPT_PREREQDATA, &c);
    if (d->ca_file != NULL)
        curl_easy_setopt(curl, CURLOPT_CAINFO, d->ca_file);
    err = judge(curl, curl_easy_perform(curl), &c, curl_text, why, why_cap);
out:
    curl_easy_cleanup(curl);
    curl_slist_free_all(headers);
    p2p_wipe(bearer, sizeof(bearer));
    return err;
}
