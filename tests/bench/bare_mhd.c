/*
 * The least a libmicrohttpd server can do: one answer, made once, for every request.
 * What p2p-discovery is measured against, with the same threads and flags.
 *
 *   bare_mhd            prints "ready bare_mhd port=N", ends when it is killed
 */
#include <arpa/inet.h>
#include <microhttpd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static enum MHD_Result
answer(void *response, struct MHD_Connection *connection, const char *url,
       const char *method, const char *version, const char *data, size_t *size,
       void **context)
{
    static int seen;

    (void)url, (void)method, (void)version, (void)data, (void)size;
    if (*context == NULL) { /* the headers; the answer comes with the second call */
        *context = &seen;
        return MHD_YES;
    }
    return MHD_queue_response(connection, MHD_HTTP_OK, response);
}

int
main(void)
{
    static char body[] = "{\"message\":\"heartbeat received\"}";
    struct sockaddr_in any = {.sin_family = AF_INET,
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(body), body, MHD_RESPMEM_PERSISTENT);
    struct MHD_Daemon *daemon;

    MHD_add_response_header(response, "Content-Type", "application/json");
    daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_TURBO, 0, NULL,
                              NULL, answer, response, MHD_OPTION_SOCK_ADDR, &any,
                              MHD_OPTION_THREAD_POOL_SIZE, 2u,
                              MHD_OPTION_CONNECTION_LIMIT, 4096u, MHD_OPTION_END);
    if (daemon == NULL)
        return 1;
    printf("ready bare_mhd port=%u\n",
           MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT)->port);
    fflush(stdout);
    return pause();
}
