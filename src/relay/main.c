/* p2p-relay: joins two connections that find no other way. The parent listens, the
 * child does all the rest (p2p/guardian.h). */
#include "p2p/guardian.h"
#include "p2p/log.h"
#include "p2p/net.h"
#include "p2p/service.h"
#include "relay/admin.h"
#include "relay/options.h"

#define PROGRAM "p2p-relay"
enum { BACKLOG = 512, LISTENERS = 2 };

struct program {
    struct relay_settings opt;
    int argc;
    char **argv;
    struct p2p_options_text *text;
    int listeners[LISTENERS]; /* for peers, and for /health and /metrics */
    uint16_t port;            /* the actual one */
    struct relay *relay;
    struct admin admin;
};

static void
on_hangup(void *arg)
{
    struct program *p = arg;
    struct relay_limits limits;

    relay_options_limits(&p->opt, &limits);
    relay_set_limits(p->relay, &limits);
}

static enum p2p_err
start(struct program *p)
{
    struct relay_options opt = {.listener = p->listeners[0]};
    enum p2p_err err = p2p_crypto_init();

    if (err == P2P_OK)
        err = p2p_guardian_relay_key(p->opt.relay_secret_file, &opt.key);
    relay_options_limits(&p->opt, &opt.limits);
    if (err == P2P_OK)
        err = relay_open(&opt, &p->relay);
    p2p_wipe(&opt.key, sizeof(opt.key));
    if (err != P2P_OK)
        return err;
    p->admin.relay = p->relay;
    p2p_service_on_hangup(on_hangup, p);
    return admin_open(&p->admin, p->listeners[1]);
}

static int
serve(void *arg)
{
    struct program *p = arg;
    enum p2p_err err = start(p);

    if (err == P2P_OK) {
        p2p_service_ready(PROGRAM, "port=%u admin_port=%u", p->port,
                          http_server_port(p->admin.server));
        p2p_service_wait();
    }
    p2p_service_on_hangup(NULL, NULL);
    admin_close(&p->admin);
    relay_close(p->relay);
    return p2p_service_exit_status(err);
}

/* ---- Parent and child ---- */

static enum p2p_err
open_listeners(struct program *p)
{
    const struct relay_settings *o = &p->opt;
    enum p2p_err err;

    if (!p2p_service_has_descriptors())
        return P2P_ERR_SYS;
    err = p2p_net_listen(o->host, (uint16_t)o->port, false, BACKLOG, &p->listeners[0],
                         &p->port);
    if (err != P2P_OK) {
        p2p_service_say_no_listener(err, o->host, (unsigned)o->port);
        return err;
    }
    err = http_listen(o->admin_host, (uint16_t)o->admin_port, &p->listeners[1]);
    if (err != P2P_OK)
        p2p_service_say_no_listener(err, o->admin_host, (unsigned)o->admin_port);
    return err;
}

/* Besides the system's files it needs none. */
static enum p2p_err
allow(void *arg, struct p2p_sandbox_rules *rules)
{
    (void)arg, (void)rules;
    return P2P_OK;
}

static enum p2p_err
parse(void *arg, void *fresh, struct p2p_options_text **text)
{
    const struct program *p = arg;

    return relay_options_parse(fresh, p->argc, p->argv, text);
}

static void
describe(void *arg, struct p2p_guardian_options *guardian)
{
    const struct program *p = arg;

    guardian->files[0] = p->opt.relay_secret_file;
}

static int
run(struct program *p)
{
    struct p2p_reload reload = {
        .set = &relay_option_set,
        .fixed = relay_fixed_options,
        .live = relay_live_options,
        .target = &p->opt,
        .size = sizeof(p->opt),
        .text = &p->text,
        .parse = parse,
        .arg = p,
    };
    const struct p2p_guardian_options guardian = {
        .program = PROGRAM,
        .settings = p->opt.guardian,
        .describe = describe,
        .reload = &reload,
        .descriptors = p->listeners,
        .descriptor_count = LISTENERS,
        .allow = allow,
        .serve = serve,
        .arg = p,
    };
    enum p2p_err err = open_listeners(p);

    return err == P2P_OK ? p2p_guardian_run(&guardian) : p2p_service_exit_status(err);
}

int
main(int argc, char **argv)
{
    static struct program p = {.listeners = {-1, -1}};
    enum p2p_err err;
    int status = 0; /* --help, --version */

    p2p_service_begin();
    p2p_log_init(PROGRAM, P2P_LOG_INFO);
    p.argc = argc;
    p.argv = argv;
    err = relay_options_parse(&p.opt, argc, argv, &p.text);
    if (err != P2P_ERR_CANCELLED)
        status = err == P2P_OK ? run(&p) : p2p_service_exit_status(err);
    p2p_options_free(p.text);
    return status;
}
