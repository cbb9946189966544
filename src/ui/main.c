/* p2p-ui: web API and dashboard. app.c says what it consists of, routes.c what it
 * answers. */
#include <stdio.h>
#include <unistd.h>

#include "p2p/log.h"
#include "p2p/service.h"
#include "ui/access/access.h"
#include "ui/app.h"

/* Who can reach it, and what that takes; on the terminal, for the one who started it.
 */
static void
say_who_may_call(struct ui_app *app)
{
    bool is_terminal = isatty(STDERR_FILENO);

    if (!app->opt.pairing)
        fprintf(stderr,
                "%sp2p-ui: WARNING: --no-pairing: everybody who reaches this port may "
                "share, "
                "download and delete files without pairing%s\n",
                is_terminal ? "\033[1;31m" : "", is_terminal ? "\033[0m" : "");
    ui_access_show_start(app);
}

int
main(int argc, char **argv)
{
    static struct ui_app app;
    enum p2p_err err;

    p2p_service_begin();
    p2p_log_init("p2p-ui", P2P_LOG_INFO);
    err = ui_options_parse(&app.opt, argc, argv);
    if (err != P2P_OK) {
        ui_options_clear(&app.opt);
        return err == P2P_ERR_CANCELLED ? 0 : 2;
    }
    if ((err = ui_app_open(&app)) == P2P_OK) {
        say_who_may_call(&app);
        p2p_service_ready("p2p-ui", "port=%u", http_server_port(app.http));
        p2p_service_wait();
        p2p_log_info("stopping");
    }
    ui_app_close(&app);
    ui_options_clear(&app.opt);
    return err == P2P_OK ? 0 : 1;
}
