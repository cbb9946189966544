/* p2p-ui: web API and dashboard. app.c lists its parts, routes.c its routes. The parent
 * process listens, and the child does everything else (p2p/guardian.h). */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "p2p/guardian.h"
#include "p2p/identity.h"
#include "p2p/log.h"
#include "p2p/mirror.h"
#include "p2p/service.h"
#include "ui/access/access.h"
#include "ui/app.h"
#include "ui/pictures/helper.h"
#include "ui/state/config.h"
#include "ui/state/store.h"

/* Prints on the terminal which devices can reach the dashboard, and how. */
static void
say_who_may_call(struct ui_app *app)
{
    bool colored =
        isatty(STDERR_FILENO) && p2p_options_log_format(app->opt.text) == P2P_LOG_TEXT;

    if (!app->opt.pairing)
        p2p_log_notice(P2P_LOG_WARN,
                       "%sWARNING: --no-pairing: anyone who can reach this port can "
                       "share, download and delete files without pairing%s",
                       colored ? "\033[1;31m" : "", colored ? "\033[0m" : "");
    ui_access_show_start(&app->access);
}

static enum p2p_err
open_listener(struct ui_app *app)
{
    const struct ui_options *opt = &app->opt;
    enum p2p_err err;

    if (!p2p_service_has_descriptors())
        return P2P_ERR_SYS;
    err = http_listen(opt->host, (uint16_t)opt->port, &app->listener);

    if (err != P2P_OK)
        p2p_service_say_no_listener(err, opt->host, (unsigned)opt->port);
    return err;
}

/* A folder that had files is not created again when it is missing. */
static enum p2p_err
allow_downloads(struct p2p_sandbox_rules *rules, const struct ui_options *opt)
{
    const char *path = opt->downloads_dir;
    enum p2p_err err =
        ui_downloads_are_missing(opt->keys_dir, path)
            ? p2p_sandbox_allow_away(rules, path, opt->keys_dir)
            : p2p_sandbox_allow_folder(rules, path, 0755, P2P_SANDBOX_WRITE);

    if (err == P2P_OK)
        err = p2p_sandbox_watch(rules, path);
    if (err != P2P_OK)
        p2p_log_error("cannot open %s: %s", path, p2p_err_text(err));
    return err;
}

/* Folders of mirrors outside of the shared ones. For one that is new or comes back,
 * ui_mirrors_tell asks for a new process. */
static void
allow_mirrors(struct p2p_sandbox_rules *rules, const struct ui_options *opt,
              struct ui_mirrors *mirrors)
{
    struct p2p_mirror *jobs;
    size_t count;

    mirrors->allowed_count = 0;
    if (p2p_mirrors_list(opt->keys_dir, &jobs, &count) != P2P_OK)
        return;
    for (size_t i = 0; i < count && i < P2P_MIRRORS_MAX; i++) {
        if (p2p_root_is_missing(jobs[i].base))
            continue;
        if (p2p_sandbox_allow(rules, jobs[i].base, P2P_SANDBOX_WRITE) != P2P_OK)
            p2p_log_warn("cannot use the folder of a mirror folder=%s", jobs[i].base);
        else if (jobs[i].prefix[0] == '\0' &&
                 p2p_sandbox_watch(rules, jobs[i].base) != P2P_OK)
            p2p_log_debug("the folder of a mirror is not watched folder=%s",
                          jobs[i].base);
        memcpy(mirrors->allowed[mirrors->allowed_count++], jobs[i].id,
               sizeof(jobs[i].id));
    }
    free(jobs);
}

/* Adds the paths that the child may use besides the system's files. */
static enum p2p_err
allow(void *arg, struct p2p_sandbox_rules *rules)
{
    struct ui_app *app = arg;
    const struct ui_options *opt = &app->opt;
    const struct p2p_shares_sandbox how = {
        .keys_dir = opt->keys_dir, .program = "p2p-ui", .may_change = true};
    char web[PATH_MAX];
    enum p2p_err err =
        p2p_sandbox_allow_folder(rules, opt->keys_dir, 0700, P2P_SANDBOX_WRITE);

    if (err != P2P_OK)
        p2p_log_error("cannot open %s: %s", opt->keys_dir, p2p_err_text(err));
    if (err == P2P_OK)
        err = p2p_shares_allow(rules, &opt->folders, &how, &app->shared);
    if (err == P2P_OK)
        err = allow_downloads(rules, opt);
    if (err == P2P_OK)
        allow_mirrors(rules, opt, &app->mirrors);
    if (err == P2P_OK && ui_options_find_web(opt, web, sizeof(web)) == P2P_OK)
        err = p2p_sandbox_allow(rules, web, P2P_SANDBOX_READ);
    return err;
}

static void
on_hangup(void *arg)
{
    http_tls_look();
    ui_config_read_again(&((struct ui_app *)arg)->config);
}

static int
serve(void *arg)
{
    struct ui_app *app = arg;
    enum p2p_err err = ui_app_open(app);

    if (err == P2P_OK) {
        say_who_may_call(app);
        p2p_service_on_hangup(on_hangup, app);
        p2p_service_ready("p2p-ui", "port=%u", http_server_port(app->http));
        p2p_service_wait();
        p2p_log_info("stopping");
    }
    ui_app_close(app);
    return err == P2P_OK ? 0 : 1;
}

/* ---- Parent and child ---- */

struct command_line {
    int argc;
    char **argv;
};

static enum p2p_err
parse(void *arg, void *fresh, struct p2p_options_text **text)
{
    const struct command_line *line = arg;
    struct ui_options *opt = fresh;
    enum p2p_err err = ui_options_parse(opt, line->argc, line->argv);

    *text = opt->text;
    return err;
}

static void
describe(void *arg, struct p2p_guardian_options *guardian)
{
    const struct ui_options *opt = &((const struct ui_app *)arg)->opt;

    size_t count = opt->folders.count;

    guardian->folders[0] = opt->downloads_dir;
    for (size_t i = 0; i < count; i++)
        guardian->folders[i + 1] = opt->folders.at[i].path;
    guardian->folders[count + 1] = opt->keys_dir;
    guardian->folders[count + 2] = NULL;
    guardian->control_dir = opt->keys_dir;
    guardian->files[0] = opt->tls.cert;
    guardian->files[1] = opt->tls.key;
}

static int
run(struct ui_app *app, struct command_line *line)
{
    struct p2p_reload reload = {
        .set = &ui_option_set,
        .fixed = ui_fixed_options,
        .live = ui_live_options,
        .follow = ui_follow_options,
        .target = &app->opt,
        .size = sizeof(app->opt),
        .text = &app->opt.text,
        .parse = parse,
        .arg = line,
    };
    /* Before the listener, which the helper does not get. */
    int helper =
        ui_helper_start(app->opt.guardian.sandbox && p2p_sandbox_is_possible());
    int kept[2] = {-1, helper}, status = 1;
    const struct p2p_guardian_options guardian = {
        .program = "p2p-ui",
        .settings = app->opt.guardian,
        .describe = describe,
        .reload = &reload,
        .descriptors = kept,
        .descriptor_count = helper >= 0 ? 2 : 1,
        .passphrase = p2p_passphrase_default,
        .caller = p2p_caller_check,
        .avahi = true, /* peers of the local network, from Avahi */
        .allow = allow,
        .serve = serve,
        .arg = app,
    };

    if (open_listener(app) == P2P_OK) {
        kept[0] = app->listener;
        app->pictures = helper;
        status = p2p_guardian_run(&guardian);
    }
    ui_helper_stop(helper);
    return status;
}

int
main(int argc, char **argv)
{
    static struct ui_app app = {.pictures = -1};
    struct command_line line = {argc, argv};
    enum p2p_err err;
    int status = 0; /* --help, --version */

    p2p_service_begin();
    p2p_log_init("p2p-ui", P2P_LOG_INFO);
    err = ui_options_parse(&app.opt, argc, argv);
    if (err != P2P_ERR_CANCELLED)
        status = err == P2P_OK ? run(&app, &line) : 2;
    ui_options_clear(&app.opt);
    return status;
}
