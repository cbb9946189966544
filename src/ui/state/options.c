#include "ui/state/options.h"

#include <limits.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "http/given.h"
#include "p2p/limits.h"
#include "p2p/machine.h"
#include "p2p/rate.h"

#define AT(field) offsetof(struct ui_options, field)

static const struct p2p_option table[] = {
    {"host", P2P_OPT_TEXT, AT(host), 0, 0, "ADDRESS", "address to listen on"},
    {"port", P2P_OPT_NUMBER, AT(port), 0, 65535, "PORT",
     "port to listen on; 0: any free port"},
    {"shared-dir", P2P_OPT_LIST, AT(shared_dirs), 0, 0, "DIR",
     "folder to share, or NAME=DIR"},
    {"downloads-dir", P2P_OPT_TEXT, AT(downloads_dir), 0, 0, "DIR",
     "folder where downloads are stored"},
    {"keys-dir", P2P_OPT_TEXT, AT(keys_dir), 0, 0, "DIR",
     "keys directory; use the same one as p2p-peer"},
    {"discovery", P2P_OPT_LIST, AT(discovery), 0, 0, "URL",
     "registry to use; may be repeated; 'none': use no registry"},
    {"peer-port", P2P_OPT_NUMBER, AT(peer_port), 1, 65535, "PORT", "port of p2p-peer"},
    {"web-dir", P2P_OPT_TEXT, AT(web_dir), 0, 0, "DIR",
     "folder with the dashboard's pages"},
    {"name", P2P_OPT_TEXT, AT(name), 0, 0, "NAME",
     "name of this device, shown to others (default: the host name)"},
    {"device-kind", P2P_OPT_TEXT, AT(device_kind), 0, 0, "KIND",
     "kind of this device: laptop, desktop, phone, server, tablet or unknown (default: "
     "from the hardware)"},
    {"connections", P2P_OPT_NUMBER, AT(connections), 1, P2P_DOWNLOAD_CONNECTIONS_MAX,
     "N", "connections of one download to each peer at the start"},
    {"timeout", P2P_OPT_DURATION, AT(timeout_ms), 1000, 600000, "TIME",
     "give up on a peer that is silent for this long"},
    {"max-running", P2P_OPT_NUMBER, AT(max_running), 1, 64, "N",
     "downloads that run at the same time"},
    {"limit-rate", P2P_OPT_TEXT, AT(limit_rate), 0, 0, "RATE",
     "bytes per second for all downloads together: 2M, off, or a timetable \"08:00,2M "
     "23:00,off\""},
    {"reach", P2P_OPT_FLAG, AT(reach), 0, 0, NULL,
     "ask peers that no address leads to, through the registries, for a way over UDP "
     "or through a relay"},
    {"keep-free", P2P_OPT_SIZE, AT(keep_free), 0, P2P_FILE_SIZE_MAX, "SIZE",
     "disk space that downloads leave free (never more than 5 % of the disk)"},
    {"verify", P2P_OPT_TEXT, AT(verify), 0, 0, "HOW",
     "full: every chunk and the whole file's SHA-256; tree: every chunk"},
    {"max-upload", P2P_OPT_SIZE, AT(max_upload), 0, P2P_FILE_SIZE_MAX, "SIZE",
     "largest upload; 0: no limit"},
    {"pairing", P2P_OPT_FLAG, AT(pairing), 0, 0, NULL,
     "require other devices to pair before they can use the dashboard"},
    {"require-pairing", P2P_OPT_FLAG, AT(require_pairing), 0, 0, NULL,
     "also require this machine's own browsers and programs to pair, or to use a link "
     "or a token"},
    {"allow-host", P2P_OPT_LIST, AT(allow_host), 0, 0, "NAME",
     "also answer to this host name, for example files.example; without a port; may be "
     "repeated"},
    {"published", P2P_OPT_TEXT, AT(published), 0, 0, "HOST:PORT",
     "name and port at which browsers reach this dashboard, if they differ from its "
     "own (the published port of a container): links use it, and requests for it "
     "are accepted"},
    {"trusted-proxy", P2P_OPT_LIST, AT(trusted_proxy), 0, 0, "ADDRESS",
     "trust this reverse proxy to name the client's address, host and scheme "
     "(Forwarded or X-Forwarded-For, -Host and -Proto headers): an address or a "
     "network such as 172.18.0.0/16; may be repeated or separated by commas"},
    {"tls-cert", P2P_OPT_TEXT, AT(tls.cert), 0, 0, "FILE",
     "serve HTTPS with this certificate (PEM, with its chain); a changed file is "
     "loaded automatically"},
    {"tls-key", P2P_OPT_TEXT, AT(tls.key), 0, 0, "FILE",
     "private key of --tls-cert (PEM, without a passphrase)"},
    {"max-connections", P2P_OPT_NUMBER, AT(max_connections), 8, 100000, "N",
     "open connections in total"},
    {"max-connections-per-address", P2P_OPT_NUMBER, AT(max_connections_per_address), 1,
     100000, "N", "open connections from one address (IPv6: /64)"},
    {"max-body-memory", P2P_OPT_SIZE, AT(max_body_memory), 1048576, 1099511627776,
     "SIZE", "memory for the request bodies of all clients while they arrive"},
    {"requests-per-second", P2P_OPT_NUMBER, AT(requests_per_second), 0, 100000, "N",
     "requests per second from one address; this machine is exempt; 0: no limit"},
    P2P_GUARDIAN_OPTIONS(AT(guardian)),
};

/* The parent has the socket and the user. */
const char *const ui_fixed_options[] = {"host",        "port",    "user",
                                        "run-as-root", "sandbox", NULL};
const char *const ui_live_options[] = {"name",        "limit-rate", "connections",
                                       "max-running", "verify",     NULL};
/* `p2p share add` and `p2p share rm` change the file. */
const char *const ui_follow_options[] = {"shared-dir", NULL};

const struct p2p_option_set ui_option_set = {
    .program = "p2p-ui",
    .usage = "[options]",
    .summary = "Serves the dashboard and its web API, and runs downloads.",
    .options = table,
    .count = sizeof(table) / sizeof(table[0]),
};

static const struct ui_options defaults = {
    .host = "0.0.0.0",
    .port = 8080,
    .shared_dirs = {{"shared"}, 1},
    .downloads_dir = "downloads",
    .keys_dir = "keys",
    .peer_port = 9000,
    .connections = P2P_DOWNLOAD_CONNECTIONS,
    .timeout_ms = P2P_TIMEOUT_MS,
    .max_running = 3,
    .limit_rate = "off",
    .keep_free = P2P_KEEP_FREE,
    .reach = true,
    .verify = "full",
    .pairing = true,
    .max_connections = 512,
    .max_connections_per_address = 64,
    .max_body_memory = HTTP_BODY_BUDGET,
    .requests_per_second = 50,
    .guardian = {.sandbox = true},
};

static enum p2p_err
refuse(const struct ui_options *opt, const char *value, const char *right)
{
    return p2p_options_refuse(ui_option_set.program, "invalid %s %s: use %s",
                              p2p_options_place(opt->text, value), value, right);
}

void
ui_options_host(const struct ui_options *opt, struct p2p_addr *out)
{
    if (opt->host[0] != '[' || p2p_addr_parse(opt->host, 1, out) != P2P_OK)
        snprintf(out->host, sizeof(out->host), "%s", opt->host);
    out->port = 0;
}

static enum p2p_err
take_published(struct ui_options *opt)
{
    const char *const one[] = {opt->published_at.host, NULL};
    char why[256];

    if (p2p_addr_parse(opt->published, 80, &opt->published_at) != P2P_OK ||
        http_hosts_check(one, why, sizeof(why)) != P2P_OK)
        return refuse(opt, opt->published, "HOST:PORT, such as nas.local:8080");
    return P2P_OK;
}

static enum p2p_err
check(struct ui_options *opt)
{
    const char *program = ui_option_set.program;
    struct p2p_timetable rates;
    enum p2p_err err;
    char why[256];

    if (p2p_machine_about(opt->name, opt->device_kind, &opt->about, why, sizeof(why)) !=
        P2P_OK)
        return p2p_options_refuse(program, "%s", why);
    if (p2p_shares_parse(opt->shared_dirs.at, opt->shared_dirs.count, &opt->folders,
                         why, sizeof(why)) != P2P_OK)
        return p2p_options_refuse(program, "invalid --shared-dir %s", why);
    opt->shared_dir = opt->folders.at[0].path;
    for (size_t i = 0; i < opt->folders.count; i++)
        if (opt->folders.at[i].name[0] == '\0')
            opt->shared_dir = opt->folders.at[i].path;
    if (strcmp(opt->verify, "full") != 0 && strcmp(opt->verify, "tree") != 0)
        return refuse(opt, opt->verify, "full or tree");
    if (p2p_timetable_parse(opt->limit_rate, &rates) != P2P_OK)
        return refuse(opt, opt->limit_rate,
                      "a rate (2M), off, or a timetable (\"08:00,2M 23:00,off\")");
    if (opt->published != NULL && (err = take_published(opt)) != P2P_OK)
        return err;
    if ((err = http_check_list(program, opt->text, &opt->allow_host,
                               http_hosts_check)) != P2P_OK ||
        (err = http_check_list(program, opt->text, &opt->trusted_proxy,
                               http_proxies_check)) != P2P_OK ||
        (err = http_check_tls(program, opt->text, &opt->tls)) != P2P_OK)
        return err;
    if (!opt->pairing && opt->require_pairing)
        return p2p_options_refuse(
            ui_option_set.program,
            "invalid --require-pairing with --no-pairing: use one "
            "of the two");
    return P2P_OK;
}

enum p2p_err
ui_options_parse(struct ui_options *opt, int argc, char **argv)
{
    int arguments = 0;
    enum p2p_err err;

    *opt = defaults;
    err = p2p_options_parse(&ui_option_set, opt, argc, argv, &arguments, &opt->text);
    if (err != P2P_OK)
        return err;
    if (opt->discovery.count == 0)
        opt->discovery.at[opt->discovery.count++] = P2P_REGISTRY_DEFAULT;
    else if (opt->discovery.count == 1 && strcmp(opt->discovery.at[0], "none") == 0)
        opt->discovery.count = 0;
    if (arguments > 0)
        err = p2p_options_refuse(ui_option_set.program,
                                 "unexpected argument %s; --help lists the options",
                                 argv[1]);
    else
        err = check(opt);
    if (err != P2P_OK)
        ui_options_clear(opt);
    return err;
}

void
ui_options_clear(struct ui_options *opt)
{
    p2p_options_free(opt->text);
    opt->text = NULL;
}

static enum p2p_err
copy_if_folder(const char *path, char *out, size_t cap)
{
    char index[PATH_MAX];

    if (snprintf(index, sizeof(index), "%s/index.html", path) >= (int)sizeof(index) ||
        access(index, R_OK) != 0)
        return P2P_ERR_NOT_FOUND;
    return snprintf(out, cap, "%s", path) < (int)cap ? P2P_OK : P2P_ERR_NAME;
}

enum p2p_err
ui_options_find_web(const struct ui_options *opt, char *out, size_t cap)
{
    static const char *const places[] = {"../web", "../share/p2p/web", "../../../web"};
    char program[PATH_MAX], path[PATH_MAX + 32];
    ssize_t n;
    char *slash;

    *out = '\0';
    if (opt->web_dir != NULL)
        return copy_if_folder(opt->web_dir, out, cap);
    n = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (n <= 0)
        return P2P_ERR_NOT_FOUND;
    program[n] = '\0';
    if ((slash = strrchr(program, '/')) != NULL)
        *slash = '\0';
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", program, places[i]);
        if (copy_if_folder(path, out, cap) == P2P_OK)
            return P2P_OK;
    }
    return P2P_ERR_NOT_FOUND;
}
