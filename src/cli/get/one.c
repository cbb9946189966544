#include "cli/get/one.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "p2p/io.h"

static void
on_event(void *arg, const struct p2p_download_status *status)
{
    struct get_one *one = arg;
    uint64_t over = 1;

    if (status->state != P2P_DL_COMPLETED && status->state != P2P_DL_FAILED &&
        status->state != P2P_DL_CANCELLED) {
        get_print_event(&one->print, status);
        return;
    }
    one->last = *status;
    ssize_t n = write(one->over_fd, &over, sizeof(over));
    (void)n;
}

static void
wait_for_end(struct get_one *one, struct p2p_download *dl)
{
    struct pollfd on[] = {{.fd = one->over_fd, .events = POLLIN},
                          {.fd = p2p_stop_fd(one->stop), .events = POLLIN}};
    uint64_t n;

    for (;;) {
        if (poll(on, 2, -1) < 0)
            continue;
        if (on[0].revents != 0 && read(one->over_fd, &n, sizeof(n)) > 0)
            return;
        if (on[1].revents != 0) {
            p2p_download_cancel(dl, true);
            on[1].fd = -1;
        }
    }
}

enum p2p_err
get_one(struct get_one *one, const struct p2p_download_options *download)
{
    struct p2p_download *dl = NULL;
    enum p2p_err err = P2P_ERR_SYS;

    get_print_init(&one->print, one->opt, one->identity);
    if ((one->over_fd = eventfd(0, EFD_CLOEXEC)) >= 0)
        err = p2p_download_start(download, on_event, one, &dl);
    if (err != P2P_OK) {
        cli_say("%s", p2p_err_text(err));
        p2p_fd_close(&one->over_fd);
        return err;
    }
    wait_for_end(one, dl);
    err = p2p_download_wait(dl);
    p2p_download_free(dl);
    if (err == P2P_OK &&
        (err = get_output_write(one->output, one->last.stored)) != P2P_OK)
        err = get_output_fail(err);
    else
        get_print_end(&one->print, &one->last);
    p2p_fd_close(&one->over_fd);
    return err;
}
