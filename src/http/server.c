#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "http/internal.h"
#include "http/tls_internal.h"
#include "p2p/lock.h"
#include "p2p/log.h"

/* TLS 1.2 and 1.3, without broken algorithms. */
#define TLS_PRIORITIES "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2"
#define LISTEN_BACKLOG 1024
#define LIMITER_SLOTS  16384

static bool
means_every_address(const char *host)
{
    return host == NULL || strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ||
           strcmp(host, "*") == 0;
}

static enum p2p_err
bind_and_listen(int family, const struct sockaddr *sa, socklen_t len, int *result)
{
    enum p2p_err err = P2P_OK;
    int yes = 1, no = 0;
    int fd;

    *result = -1;
    fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return p2p_err_from_errno(errno);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));
    if (bind(fd, sa, len) != 0 || listen(fd, LISTEN_BACKLOG) != 0) {
        err = p2p_err_from_errno(errno);
        close(fd);
        return err;
    }
    *result = fd;
    return P2P_OK;
}

static enum p2p_err
listen_at(const char *host, uint16_t port, int *result)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICSERV | AI_PASSIVE,
                             .ai_socktype = SOCK_STREAM};
    struct addrinfo *ai;
    enum p2p_err err;
    char service[8];

    *result = -1;
    snprintf(service, sizeof(service), "%u", port);
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (getaddrinfo(host, service, &hints, &ai) != 0)
        return P2P_ERR_NO_HOST;
    err = bind_and_listen(ai->ai_family, ai->ai_addr, ai->ai_addrlen, result);
    freeaddrinfo(ai);
    return err;
}

/* Opens one dual-stack socket; plain IPv4 if the machine has no IPv6. */
enum p2p_err
http_listen(const char *host, uint16_t port, int *fd)
{
    char inner[256];
    size_t len = strlen(host);
    enum p2p_err err;

    if (host[0] == '[' && len > 2 && host[len - 1] == ']' && len < sizeof(inner)) {
        memcpy(inner, host + 1, len - 2); /* as in a URL */
        inner[len - 2] = '\0';
        host = inner;
    }
    if (!means_every_address(host))
        return listen_at(host, port, fd);
    err = listen_at("::", port, fd);
    if (err == P2P_OK || err == P2P_ERR_IN_USE || err == P2P_ERR_PERMISSION)
        return err;
    return listen_at("0.0.0.0", port, fd);
}

static uint16_t
bound_port(int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) != 0)
        return 0;
    /* sin_port and sin6_port have the same position. */
    return ntohs(((struct sockaddr_in *)(void *)&sa)->sin_port);
}

static void
fill_defaults(struct http_options *opt)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (opt->threads == 0)
        opt->threads = cores > 2 ? (unsigned)cores : 2;
    if (opt->pool_threads == 0)
        opt->pool_threads = 2;
    if (opt->max_connections == 0)
        opt->max_connections = HTTP_MAX_CONNECTIONS;
    if (opt->connection_memory == 0)
        opt->connection_memory = HTTP_CONNECTION_MEMORY;
    if (opt->header_timeout_ms == 0)
        opt->header_timeout_ms = 10000;
    if (opt->idle_timeout_ms == 0)
        opt->idle_timeout_ms = 60000;
    if (opt->body_timeout_ms == 0)
        opt->body_timeout_ms = 5000;
    if (opt->answer_timeout_ms == 0)
        opt->answer_timeout_ms = 30000;
    if (opt->answer_min_rate == 0)
        opt->answer_min_rate = 16 * 1024;
    if (opt->body_budget == 0)
        opt->body_budget = HTTP_BODY_BUDGET;
    if (opt->answer_budget == 0)
        opt->answer_budget = HTTP_ANSWER_BUDGET;
    if (opt->burst <= 0)
        opt->burst = opt->rate * 2;
}

static size_t
keep_escapes(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls, (void)mhd;
    return strlen(s); /* decode.c knows when a %2F or %00 may be decoded */
}

static void __attribute__((format(printf, 2, 0)))
log_library(void *cls, const char *format, va_list args)
{
    char line[256];

    (void)cls;
    vsnprintf(line, sizeof(line), format, args);
    line[strcspn(line, "\r\n")] = '\0';
    p2p_log_debug("http: %s", line);
}

static struct MHD_Daemon *
start_daemon(struct http_server *s)
{
    const struct http_options *opt = &s->opt;
    /* The library divides its limit among its threads and stops accepting at it. Our
     * limit (places.c) must be reached first, even if one thread has all
     * connections. */
    size_t limit = ((size_t)opt->max_connections * 2 + 64) * opt->threads;
    struct MHD_OptionItem items[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)log_library, NULL},
        {MHD_OPTION_LISTEN_SOCKET, s->listen_fd, NULL},
        {MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)opt->threads, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, (intptr_t)limit, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)opt->connection_memory, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, 1024, NULL},
        /* This time-out only affects clients that read answers; senders have their own
         * deadlines (conn.c). */
        {MHD_OPTION_CONNECTION_TIMEOUT, (intptr_t)(opt->idle_timeout_ms / 500 + 1),
         NULL},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)http_conn_notify, s},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)http_on_completed, s},
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)http_on_uri, s},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)keep_escapes, NULL},
#ifdef P2P_WITH_GNUTLS
        {opt->tls.cert != NULL ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END, 0,
         (void *)(uintptr_t)http_tls_retrieve},
        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)TLS_PRIORITIES},
#endif
        {MHD_OPTION_END, 0, NULL},
    };

    return MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ERROR_LOG |
                                MHD_ALLOW_SUSPEND_RESUME | MHD_USE_TURBO |
                                (opt->tls.cert != NULL ? MHD_USE_TLS : 0u),
                            0, http_place_asked, s, http_on_request, s,
                            MHD_OPTION_ARRAY, items, MHD_OPTION_END);
}

enum p2p_err
http_server_open(const struct http_options *opt, struct http_server **result)
{
    struct http_server *s = NULL;
    enum p2p_err err = P2P_ERR_NOMEM;
    char why[256];

    *result = NULL;
    if (!http_route_table_is_valid(opt->routes))
        return P2P_ERR_USAGE;
    if ((s = calloc(1, sizeof(*s))) == NULL)
        return P2P_ERR_NOMEM;
    s->opt = *opt;
    s->listen_fd = -1;
    fill_defaults(&s->opt);
    p2p_mutex_init(&s->lock);
    http_sources_init(&s->sources);
    if ((err = http_networks_parse(opt->trusted_proxies, &s->proxies, why,
                                   sizeof(why))) != P2P_OK ||
        (err = http_hosts_parse(opt->guard.allow_hosts, &s->hosts, why, sizeof(why))) !=
            P2P_OK)
        goto out;
    http_hosts_add_machine(&s->hosts);
    err = P2P_ERR_NOMEM;
    if (s->opt.rate > 0 && (s->limiter = http_ratelimit_new(s->opt.rate, s->opt.burst,
                                                            LIMITER_SLOTS)) == NULL)
        goto out;
    if (opt->has_listener)
        s->listen_fd = opt->listener;
    else if ((err = http_listen(opt->host, opt->port, &s->listen_fd)) != P2P_OK)
        goto out;
    s->port = bound_port(s->listen_fd);
    if ((err = http_clock_start(s)) != P2P_OK ||
        (err = http_pool_start(s->opt.pool_threads, http_request_run, &s->pool)) !=
            P2P_OK)
        goto out;
    if (!opt->starts_later && (err = http_server_start(s)) != P2P_OK)
        goto out;
    *result = s;
    s = NULL;
out:
    http_server_close(s);
    return err;
}

static enum p2p_err
start_tls(struct http_server *s)
{
#ifdef P2P_WITH_GNUTLS
    enum p2p_err err;

    if (s->opt.tls.cert == NULL)
        return P2P_OK;
    err = http_tls_start(&s->opt.tls);
    s->has_tls = err == P2P_OK;
    return err;
#else
    return s->opt.tls.cert == NULL ? P2P_OK : P2P_ERR_UNSUPPORTED;
#endif
}

static void
stop_tls(struct http_server *s)
{
#ifdef P2P_WITH_GNUTLS
    if (s->has_tls)
        http_tls_stop();
#endif
    s->has_tls = false;
}

enum p2p_err
http_server_start(struct http_server *s)
{
    enum p2p_err err = start_tls(s);

    if (err != P2P_OK)
        return err;
    s->daemon = start_daemon(s);
    return s->daemon != NULL ? P2P_OK : P2P_ERR_SYS;
}

uint16_t
http_server_port(const struct http_server *s)
{
    return s->port;
}

/*
 * Stopping libmicrohttpd with a suspended connection is undefined. So the order is:
 * accept no new connections, end all streams and waits and begin no others, then stop
 * the library.
 */
void
http_server_close(struct http_server *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->is_stopping, true);
    if (s->daemon != NULL) {
        MHD_quiesce_daemon(s->daemon);
        p2p_lock(&s->lock);
        for (struct http_ticker *t = s->tickers; t != NULL; t = t->next)
            t->stop(t);
        p2p_unlock(&s->lock);
        http_clock_stop(s);
        http_pool_stop(s->pool);
        MHD_stop_daemon(s->daemon);
    }
    stop_tls(s);
    http_clock_stop(s);
    if (s->listen_fd >= 0)
        close(s->listen_fd);
    http_pool_free(s->pool);
    http_ratelimit_free(s->limiter);
    http_sources_clear(&s->sources);
    http_hosts_clear(&s->hosts);
    p2p_mutex_clear(&s->lock);
    free(s);
}

void
http_server_counters(struct http_server *s, struct http_counters *out)
{
    *out = (struct http_counters){
        .connections = s->n_connections,
        .requests = s->n_requests,
        .refused = s->n_refused,
        .limited = s->n_limited,
        .timed_out = s->n_timed_out,
        .given_up = s->n_given_up,
        .turned_away = s->n_turned_away,
    };
    for (size_t i = 0; i < 6; i++)
        out->by_class[i] = s->n_by_class[i];
}
