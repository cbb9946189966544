/* p2p get: downloads a file or folder from all peers that have it. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands/commands.h"
#include "cli/get/get.h"
#include "p2p/bytes.h"
#include "p2p/service.h"
#include "p2p/versions.h"

enum { WAKE_SIGNAL = SIGUSR1, TIMETABLE_S = 30 };

#define AT(field) offsetof(struct get_options, field)
static const struct p2p_option options[] = {
    CLI_OPTION_DISCOVERY(struct get_options),
    {"from", P2P_OPT_LIST, AT(from), 0, 0, "HOST:PORT",
     "download from this peer without asking a registry"},
    {"peer", P2P_OPT_TEXT, AT(peer), 0, 0, "PEER",
     "download only from this peer: its name or id"},
    {"root", P2P_OPT_TEXT, AT(root), 0, 0, "HEX",
     "download only the content with this root; the first 8 digits are enough to "
     "choose between several files of the same name"},
    {"version", P2P_OPT_NUMBER, AT(version), 1, UINT32_MAX, "N",
     "with --peer or --from: download this old version (p2p history --peer)"},
    {"any", P2P_OPT_FLAG, AT(any), 0, 0, NULL,
     "when different files have this name, take the one from the best known peers, "
     "without asking"},
    {"output", P2P_OPT_TEXT, AT(output), 0, 0, "PATH",
     "file or folder to write; - writes the files to standard output, one after the "
     "other"},
    {"output-dir", P2P_OPT_TEXT, AT(output_dir), 0, 0, "DIR", "folder for the file"},
    {"save-as", P2P_OPT_TEXT, AT(save_as), 0, 0, "NAME",
     "store the file under this name"},
    {"on-conflict", P2P_OPT_TEXT, AT(on_conflict), 0, 0, "HOW",
     "what to do when another file has this name: rename (add a number), version (keep "
     "the old content, see p2p history), overwrite (keep it if there is room), or "
     "skip"},
    {"connections", P2P_OPT_NUMBER, AT(connections), 1, P2P_DOWNLOAD_CONNECTIONS_MAX,
     "N", "connections to each peer at the start"},
    {"limit-rate", P2P_OPT_TEXT, AT(limit_rate), 0, 0, "RATE",
     "bytes per second: 2M, off, or a timetable \"08:00,2M 23:00,off\""},
    {"keep-free", P2P_OPT_SIZE, AT(keep_free), 0, P2P_FILE_SIZE_MAX, "SIZE",
     "disk space that downloads leave free (never more than 5 % of the disk)"},
    {"verify", P2P_OPT_TEXT, AT(verify), 0, 0, "HOW",
     "full: every chunk and the whole file's SHA-256; tree: every chunk"},
    {"path", P2P_OPT_TEXT, AT(path), 0, 0, "WAY",
     "how to connect: auto (if no address works, over UDP through the routers, or else "
     "through a relay), direct, channel (only over UDP), or relay"},
    {"reach", P2P_OPT_FLAG, AT(reach), 0, 0, NULL,
     "ask peers, through the registries, for a way over UDP or through a relay"},
    {"protocol", P2P_OPT_NUMBER, AT(protocol), 1, 2, "2|1",
     "use 1 only for old programs: it does not prove who the peer is"},
    {"quiet", P2P_OPT_FLAG, AT(quiet), 0, 0, NULL, "print only errors"},
    CLI_OPTION_TIMEOUT(struct get_options),
    CLI_OPTIONS_NAME(struct get_options),
    CLI_OPTION_KEYS(struct get_options),
    CLI_OPTION_MDNS(struct get_options),
    CLI_OPTION_JSON(struct get_options),
};
static const struct p2p_option_set set = {
    "p2p get", "[options] NAME...",
    "Downloads files or folders (NAME/), one after the other, each from all peers that "
    "have it. Run the same command again to resume an interrupted download. If "
    "different files have a name and the command cannot ask which one you want, it "
    "exits with status 9. If a name fails, the others are still downloaded, and the "
    "exit status is that of the first failure.",
    options, sizeof(options) / sizeof(options[0])};

struct get {
    struct get_options opt;
    char *const *names;
    size_t count;
    const char *name; /* the one that is downloaded now */
    struct get_output output;
    struct p2p_identity *identity;
    struct p2p_discovery *discovery;
    struct p2p_reach reach;
    struct p2p_root *downloads;
    struct p2p_timetable rates;
    struct p2p_rate rate;
    uint64_t bytes_per_s; /* of `rate` */
    struct get_sources sources;
    struct get_print print;
    pthread_t main_thread;
    atomic_bool over;
    struct p2p_download_status last; /* written before `over` */
};

/* ---- Checking what was asked for ---- */

static bool
is_name(const char *name)
{
    size_t len = strlen(name);

    if (len > 1 && name[len - 1] == '/') /* a folder */
        len--;
    return p2p_name_check(name, len, true) == P2P_OK;
}

/* Checks each name, and the options that fit only one. Returns 0 or the exit status. */
static int
check_names(const struct get *get)
{
    const struct get_options *opt = &get->opt;
    char shown[CLI_TEXT];

    if (get->count == 0)
        return cli_fail(P2P_ERR_USAGE,
                        "missing file name; usage: p2p get [options] NAME...");
    for (size_t i = 0; i < get->count; i++) {
        const char *name = get->names[i];
        if (!is_name(name))
            return cli_fail(P2P_ERR_NAME, "invalid file name \"%s\"",
                            cli_text(name, shown));
        if (name[strlen(name) - 1] != '/')
            continue;
        if (opt->protocol == 1)
            return cli_fail(P2P_ERR_USAGE, "a folder needs protocol 2");
        if (opt->output != NULL && strcmp(opt->output, "-") == 0)
            return cli_fail(P2P_ERR_USAGE, "a folder cannot be written to standard "
                                           "output; name a folder with --output-dir");
    }
    if (get->count > 1 && (opt->save_as != NULL || opt->root != NULL))
        return cli_fail(P2P_ERR_USAGE, "%s works with one name only",
                        opt->root != NULL ? "--root" : "--save-as");
    if (opt->save_as != NULL && !is_name(opt->save_as))
        return cli_fail(P2P_ERR_NAME,
                        "invalid --save-as \"%s\": give a file name; --output-dir "
                        "chooses the folder",
                        cli_text(opt->save_as, shown));
    if (opt->save_as != NULL && opt->save_as[strlen(opt->save_as) - 1] == '/' &&
        get->names[0][strlen(get->names[0]) - 1] != '/')
        return cli_fail(P2P_ERR_NAME,
                        "invalid --save-as \"%s\" for a file: remove the / at its end",
                        cli_text(opt->save_as, shown));
    return 0;
}

/* Returns 0 or the exit status. */
static int
check(struct get *get)
{
    struct get_options *opt = &get->opt;
    int status = check_names(get);

    if (status != 0)
        return status;
    if (strcmp(opt->verify, "full") != 0 && strcmp(opt->verify, "tree") != 0)
        return cli_fail(P2P_ERR_USAGE, "invalid --verify: use full or tree");
    if (p2p_path_wish_parse(opt->path, &opt->wish) != P2P_OK)
        return cli_fail(P2P_ERR_USAGE,
                        "invalid --path: use auto, direct, channel or relay");
    if ((opt->wish == P2P_WISH_RELAY || opt->wish == P2P_WISH_CHANNEL) &&
        (!opt->reach || opt->from.count > 0))
        return cli_fail(P2P_ERR_USAGE,
                        "--path %s does not work with %s, because peers are asked "
                        "through the registries",
                        opt->path, opt->reach ? "--from" : "--no-reach");
    if (!get_parse_conflict(opt))
        return cli_fail(
            P2P_ERR_USAGE,
            "invalid --on-conflict: use rename, version, overwrite or skip");
    if (p2p_timetable_parse(opt->limit_rate, &get->rates) != P2P_OK)
        return cli_fail(P2P_ERR_USAGE,
                        "invalid --limit-rate: use a rate such as 2M, off, or a "
                        "timetable such as \"08:00,2M 23:00,off\"");
    if (opt->root != NULL && !get_parse_root(opt))
        return cli_fail(P2P_ERR_USAGE, "invalid --root: give the 64 hex digits of a "
                                       "root, or at least its first 8");
    if (opt->root != NULL && !opt->root_is_whole &&
        (opt->peer != NULL || opt->from.count > 0))
        return cli_fail(
            P2P_ERR_USAGE,
            "--root needs all 64 hex digits together with --peer or --from");
    if (opt->version > 0 && ((opt->peer == NULL && opt->from.count != 1) ||
                             get->count > 1 || opt->root != NULL || opt->protocol == 1))
        return cli_fail(P2P_ERR_USAGE, "--version needs --peer or one --from, one file "
                                       "name, and no --root");
    if (opt->protocol == 1 && opt->root != NULL)
        return cli_fail(P2P_ERR_USAGE, "--root needs protocol 2");
    if (opt->protocol == 1)
        cli_say("warning: protocol 1 does not prove who the peer is; anyone who "
                "records this download and later gets this device's key can read it; "
                "an interrupted download starts from the beginning");
    return 0;
}

static int
acquire(struct get *get)
{
    struct get_options *opt = &get->opt;
    char shown[CLI_TEXT];
    enum p2p_err err = cli_open_identity(&opt->common, &get->identity);

    if (err == P2P_OK && opt->peer != NULL)
        err = cli_resolve_id(&opt->common, get->identity, opt->peer, &get->opt.peer_id);
    if (err == P2P_OK && opt->from.count == 0)
        err = cli_open_discovery(&opt->common, &get->discovery);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    get->reach = (struct p2p_reach){.identity = get->identity,
                                    .discovery = get->discovery,
                                    .wish = opt->reach ? opt->wish : P2P_WISH_DIRECT};
    err = p2p_root_open(opt->output_dir, true, 0755, &get->downloads);
    if (err != P2P_OK)
        return cli_fail(p2p_err_class(err) == P2P_CLASS_LOCAL ? err : P2P_ERR_SYS,
                        "cannot create or open --output-dir %s: %s; choose a folder "
                        "you can write to",
                        cli_text(opt->output_dir, shown), p2p_err_text(err));
    return 0;
}

/* ---- Running ---- */

static bool
is_final(enum p2p_download_state state)
{
    return state == P2P_DL_COMPLETED || state == P2P_DL_FAILED ||
           state == P2P_DL_CANCELLED;
}

static void
on_event(void *arg, const struct p2p_download_status *status)
{
    struct get *get = arg;

    if (!is_final(status->state)) {
        get_print_event(&get->print, status);
        return;
    }
    get->last = *status;
    atomic_store(&get->over, true);
    pthread_kill(get->main_thread, WAKE_SIGNAL);
}

static void
follow_timetable(struct get *get)
{
    time_t now = time(NULL);
    struct tm local;
    uint64_t rate;

    localtime_r(&now, &local);
    rate =
        p2p_timetable_rate(&get->rates, (unsigned)(local.tm_hour * 60 + local.tm_min));
    if (rate == get->bytes_per_s)
        return;
    get->bytes_per_s = rate;
    p2p_rate_set(&get->rate, rate, p2p_now_us());
}

/* Waits for the end. A signal stops the download and keeps its data; a second signal
 * ends the program at once. */
static void
wait_for_end(struct get *get, struct p2p_download *dl)
{
    const struct timespec pause = {TIMETABLE_S, 0};
    sigset_t set_of_three, ending;

    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    set_of_three = ending;
    sigaddset(&set_of_three, WAKE_SIGNAL);
    while (!atomic_load(&get->over)) {
        int signum = sigtimedwait(&set_of_three, NULL, &pause);
        if (signum == SIGINT || signum == SIGTERM) {
            p2p_service_end_at_next(&ending);
            sigdelset(&set_of_three, SIGINT);
            sigdelset(&set_of_three, SIGTERM);
            p2p_download_cancel(dl, true);
        }
        follow_timetable(get);
    }
}

/* A folder's new name may be given with or without the '/' at its end. */
static const char *
target_name(const struct get *get, char target[P2P_NAME_MAX + 2])
{
    const char *save_as = get->opt.save_as;
    bool is_folder = get->name[strlen(get->name) - 1] == '/';

    if (save_as == NULL || !is_folder || save_as[strlen(save_as) - 1] == '/')
        return save_as;
    snprintf(target, P2P_NAME_MAX + 2, "%s/", save_as);
    return target;
}

static enum p2p_err
run_once(struct get *get)
{
    char target[P2P_NAME_MAX + 2];
    struct p2p_download_options dl_options = {
        .identity = get->identity,
        .downloads = get->downloads,
        .name = get->name,
        /* Protocol 1 requests files by name only. */
        .root = get->sources.root_known && get->opt.protocol != 1 ? &get->sources.root
                                                                  : NULL,
        .save_as = target_name(get, target),
        .conflict = get->opt.conflict,
        .sources = get->sources.at,
        .source_count = get->sources.count,
        .discovery = get->opt.peer == NULL ? get->discovery : NULL,
        .reach = &get->reach,
        .connections = (unsigned)get->opt.connections,
        .timeout_ms = get->opt.common.timeout_ms,
        .rate = &get->rate,
        .verify = get->opt.verify[0] == 't' ? P2P_VERIFY_TREE : P2P_VERIFY_FULL,
        .protocol = (int)get->opt.protocol,
        .size_announced = get->sources.size_known,
        .announced_size = get->sources.size,
        .keep_free = get->opt.keep_free,
    };
    struct p2p_download *dl = NULL;
    enum p2p_err err;

    atomic_store(&get->over, false);
    err = p2p_download_start(&dl_options, on_event, get, &dl);
    if (err != P2P_OK) {
        cli_say("%s", p2p_err_text(err));
        return err;
    }
    wait_for_end(get, dl);
    err = p2p_download_wait(dl);
    p2p_download_free(dl);
    return err;
}

/* The registries' information about the content may be old: tries once more without
 * it. */
static bool
is_worth_another_try(const struct get *get, enum p2p_err err)
{
    return get->sources.root_known && !get->sources.root_from_user &&
           get->sources.claimed > 0 && get->last.received == 0 &&
           get->last.verified == 0 &&
           (err == P2P_ERR_NOT_FOUND || err == P2P_ERR_NO_SOURCE);
}

/* One of the names. */
static int
run(struct get *get)
{
    char shown[CLI_TEXT];
    enum p2p_err err;
    int status = get_find_sources(&get->opt, get->name, get->discovery, get->identity,
                                  &get->sources);

    if (status == 0 && get->opt.version > 0)
        status = get_find_version(&get->opt, get->name, get->identity, &get->reach,
                                  &get->sources);
    if (status != 0)
        return status;
    get_print_init(&get->print, &get->opt, get->identity);
    err = run_once(get);
    /* Only the peers that shared this content: a peer that does not state its content
     * could answer with a different file. */
    if (is_worth_another_try(get, err)) {
        get->sources.root_known = get->sources.size_known = false;
        get->sources.count = get->sources.claimed;
        memset(get->print.told, 0, sizeof(get->print.told));
        err = run_once(get);
    }
    if (err == P2P_OK) {
        err = get_output_write(&get->output, get->last.stored);
        if (err != P2P_OK)
            return p2p_err_exit_status(get_output_fail(err));
    }
    if (is_final(get->last.state))
        get_print_end(&get->print, &get->last);
    if (err == P2P_ERR_CANCELLED && get->last.received == 0 && get->last.verified == 0)
        cli_say("stopped; nothing was downloaded yet");
    else if (err == P2P_ERR_CANCELLED)
        cli_say("stopped; the downloaded part is kept: `p2p get \"%s\"` resumes",
                cli_text(get->name, shown));
    return p2p_err_exit_status(err);
}

/* Downloads one name after the other. A failure does not stop the rest, but a signal
 * does, and so does an output that would lack a part. */
static int
run_all(struct get *get)
{
    int first = 0;

    for (size_t i = 0; i < get->count; i++) {
        int status;

        get->name = get->names[i];
        memset(&get->last, 0, sizeof(get->last));
        status = run(get);
        cli_outcome_end_part(get->name, status);
        if (first == 0)
            first = status;
        if (status != 0 &&
            (get->output.is_stdout || status == p2p_err_exit_status(P2P_ERR_CANCELLED)))
            break;
    }
    return first;
}

/* Files that the downloads replaced become versions. */
static void
record_versions(const struct get *get)
{
    struct p2p_versions *v = NULL;

    if (get->downloads == NULL || (get->opt.conflict != P2P_CONFLICT_VERSION &&
                                   get->opt.conflict != P2P_CONFLICT_OVERWRITE))
        return;
    if (p2p_versions_open_existing(get->downloads, &v) == P2P_OK &&
        p2p_versions_tend(v) != P2P_OK)
        cli_say("cannot record the old versions; p2p history tries again");
    p2p_versions_close(v);
}

int
cmd_get(int argc, char **argv)
{
    static struct get get = {
        .opt = {.common = CLI_DEFAULTS,
                .output_dir = "downloads",
                .on_conflict = "rename",
                .limit_rate = "off",
                .keep_free = P2P_KEEP_FREE,
                .verify = "full",
                .path = "auto",
                .reach = true,
                .connections = P2P_DOWNLOAD_CONNECTIONS,
                .protocol = 2},
    };
    sigset_t wake;
    int arguments, status;

    p2p_service_begin();
    sigemptyset(&wake);
    sigaddset(&wake, WAKE_SIGNAL);
    pthread_sigmask(SIG_BLOCK, &wake, NULL);
    get.main_thread = pthread_self();
    if (!cli_parse(&set, &get.opt, argc, argv, &arguments, &status))
        return status;
    get.names = argv + 1;
    get.count = (size_t)arguments;
    status = check(&get);
    if (status == 0)
        status = get_output_open(&get.opt, get.count, &get.output);
    p2p_rate_init(&get.rate, 0, p2p_now_us());
    if (status == 0) {
        follow_timetable(&get);
        status = acquire(&get);
    }
    if (status == 0)
        status = run_all(&get);
    record_versions(&get);
    p2p_root_close(get.downloads);
    get_output_close(&get.output);
    p2p_discovery_close(get.discovery);
    p2p_identity_close(get.identity);
    p2p_rate_clear(&get.rate);
    return status;
}
