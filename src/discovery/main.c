/* p2p-discovery: the registry of peers. The parent listens, the child does all the rest
 * (p2p/guardian.h). */
#include <libgen.h>
#include <limits.h>
#include <stdio.h>

#include "discovery/discovery.h"
#include "p2p/guardian.h"
#include "p2p/log.h"
#include "p2p/service.h"

#define PROGRAM "p2p-discovery"

static enum p2p_err
open_listener(struct discovery *d)
{
    const struct discovery_options *o = &d->opt;
    enum p2p_err err;

    if (!p2p_service_has_descriptors())
        return P2P_ERR_SYS;
    err = http_listen(o->host, (uint16_t)o->port, &d->listener);

    if (err != P2P_OK) {
        p2p_service_say_no_listener(err, o->host, (unsigned)o->port);
        return err;
    }
    d->descriptors[d->descriptor_count++] = d->listener;
    for (unsigned i = 0; i < STUN_PORTS; i++)
        d->stun[i] = -1;
    if (o->stun && stun_server_listen(d->listener, d->stun) < STUN_PORTS)
        p2p_log_warn("cannot listen for STUN at UDP port %u and the next one: clients "
                     "cannot find out their outside address here",
                     (unsigned)o->port);
    for (unsigned i = 0; i < STUN_PORTS; i++)
        if (d->stun[i] >= 0)
            d->descriptors[d->descriptor_count++] = d->stun[i];
    return P2P_OK;
}

/* The folder of the snapshot. The child needs all of it, because it writes a temporary
 * file and renames it. */
static const char *
snapshot_folder(const struct discovery *d, char path[PATH_MAX])
{
    if (d->opt.snapshot == NULL)
        return NULL;
    snprintf(path, PATH_MAX, "%s", d->opt.snapshot);
    return dirname(path);
}

/* Adds the paths that the child may use besides the system's files. */
static enum p2p_err
allow(void *arg, struct p2p_sandbox_rules *rules)
{
    char path[PATH_MAX];
    const char *folder = snapshot_folder(arg, path);

    return folder != NULL ? p2p_sandbox_allow(rules, folder, P2P_SANDBOX_WRITE)
                          : P2P_OK;
}

static void
on_hangup(void *unused)
{
    (void)unused;
    http_tls_look();
}

static int
serve(void *arg)
{
    struct discovery *d = arg;
    enum p2p_err err = discovery_open(d);

    if (err == P2P_OK) {
        p2p_service_on_hangup(on_hangup, NULL);
        p2p_service_ready(PROGRAM, "port=%u", http_server_port(d->app.server));
        p2p_service_wait();
    }
    discovery_close(d);
    return p2p_service_exit_status(err);
}

static enum p2p_err
parse(void *arg, void *fresh, struct p2p_options_text **text)
{
    const struct discovery *d = arg;

    return discovery_options_parse(fresh, d->argc, d->argv, text);
}

static void
describe(void *arg, struct p2p_guardian_options *guardian)
{
    static char path[PATH_MAX];
    const struct discovery *d = arg;
    const char *const files[] = {d->opt.tls.cert, d->opt.tls.key,
                                 d->opt.relay_secret_file, d->opt.turn_secret_file};
    size_t count = 0;

    guardian->folders[0] = snapshot_folder(d, path);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i] != NULL)
            guardian->files[count++] = files[i];
    guardian->files[count] = NULL;
}

static int
run(struct discovery *d)
{
    struct p2p_reload reload = {
        .set = &discovery_option_set,
        .fixed = discovery_fixed_options,
        .target = &d->opt,
        .size = sizeof(d->opt),
        .text = &d->text,
        .parse = parse,
        .arg = d,
    };
    enum p2p_err err = open_listener(d);
    const struct p2p_guardian_options guardian = {
        .program = PROGRAM,
        .settings = d->opt.guardian,
        .describe = describe,
        .reload = &reload,
        .keeps_state = true,
        .descriptors = d->descriptors,
        .descriptor_count = d->descriptor_count,
        .allow = allow,
        .serve = serve,
        .arg = d,
    };

    return err == P2P_OK ? p2p_guardian_run(&guardian) : p2p_service_exit_status(err);
}

int
main(int argc, char **argv)
{
    static struct discovery d;
    enum p2p_err err;
    int status = 0; /* --help, --version */

    p2p_service_begin();
    p2p_log_init(PROGRAM, P2P_LOG_INFO);
    d.argc = argc;
    d.argv = argv;
    err = discovery_options_parse(&d.opt, argc, argv, &d.text);
    if (err != P2P_ERR_CANCELLED)
        status = err == P2P_OK ? run(&d) : p2p_service_exit_status(err);
    p2p_options_free(d.text);
    return status;
}
