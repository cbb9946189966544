/* p2p mirror: folders that are kept in step with those of peers. p2p keeper: runs them.
 */
#include <cjson/cJSON.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/ask/share_folders.h"
#include "cli/commands/commands.h"
#include "cli/machine/shared.h"
#include "p2p/bytes.h"
#include "p2p/conn.h"
#include "p2p/mirror.h"
#include "p2p/path.h"
#include "p2p/rate.h"
#include "p2p/service.h"

struct mirror_options {
    struct cli_common common;
    struct p2p_option_list shared_dirs;
    const char *to, *address;
    bool deletes, once;
    uint64_t quota;
};
#define AT(field) offsetof(struct mirror_options, field)
static const struct p2p_option mirror_options[] = {
    {"to", P2P_OPT_TEXT, AT(to), 0, 0, "DIR",
     "with add: folder here; it may be in a shared folder"},
    {"delete", P2P_OPT_FLAG, AT(deletes), 0, 0, NULL,
     "with add: also remove files here that were deleted at the peer (they become "
     "versions)"},
    {"quota", P2P_OPT_SIZE, AT(quota), 0, P2P_FILE_SIZE_MAX, "SIZE",
     "with add: wait while the peer's folder is larger than this"},
    {"once", P2P_OPT_FLAG, AT(once), 0, 0, NULL,
     "with add: pause as soon as both folders are in step"},
    {"address", P2P_OPT_TEXT, AT(address), 0, 0, "HOST:PORT",
     "with add: always connect to the peer there"},
    {"shared-dir", P2P_OPT_LIST, AT(shared_dirs), 0, 0, "DIR",
     "shared folder that DIR may be in (default: the shared folders)"},
    CLI_OPTION_DISCOVERY(struct mirror_options),
    CLI_OPTION_TIMEOUT(struct mirror_options),
    CLI_OPTION_KEYS(struct mirror_options),
    CLI_OPTION_MDNS(struct mirror_options),
    CLI_OPTION_JSON(struct mirror_options),
};
static const struct p2p_option_set set = {
    "p2p mirror",
    "[options] add PEER[/FOLDER] --to DIR | list | status ID | pause ID | resume ID | "
    "accept ID | check ID | remove ID",
    "Keeps a folder here in step with a folder of a peer: downloads what is new or "
    "changed there. Old contents become versions. p2p-ui or p2p keeper does the work. "
    "Too many changes at once, or deletions that would empty a folder, wait until you "
    "accept them. remove forgets the mirror; its files stay.",
    mirror_options, sizeof(mirror_options) / sizeof(mirror_options[0])};

struct keeper_options {
    struct cli_common common;
    const char *limit_rate;
    uint64_t every_ms;
};
#define KEEPER_AT(field) offsetof(struct keeper_options, field)
static const struct p2p_option keeper_options[] = {
    {"every", P2P_OPT_DURATION, KEEPER_AT(every_ms), 1000, 86400000, "TIME",
     "how often to look for changes at the peers"},
    {"limit-rate", P2P_OPT_TEXT, KEEPER_AT(limit_rate), 0, 0, "RATE",
     "bytes per second: 2M, or off"},
    CLI_OPTION_DISCOVERY(struct keeper_options),
    CLI_OPTIONS_NAME(struct keeper_options),
    CLI_OPTION_KEYS(struct keeper_options),
};
static const struct p2p_option_set keeper_set = {
    "p2p keeper", "[options]",
    "Runs the mirrors of this device (p2p mirror) until it is stopped. p2p-ui does the "
    "same; this is for machines without it.",
    keeper_options, sizeof(keeper_options) / sizeof(keeper_options[0])};

/* ---- list, status ---- */

static void
put_job(cJSON *item, const struct p2p_mirror *job)
{
    char path[PATH_MAX + P2P_NAME_MAX + 2];

    snprintf(path, sizeof(path), "%s%s%s", job->base, job->prefix[0] != '\0' ? "/" : "",
             job->prefix);
    cli_put_text(item, "id", job->id);
    cli_put_hex(item, "peer_id", job->peer.b, true);
    cli_put_text(item, "folder", job->folder);
    cli_put_text(item, "target", path);
    cli_put_bool(item, "delete", job->deletes);
    cli_put_text(item, "state",
                 job->is_paused ? "paused" : p2p_mirror_state_name(job->state));
    cli_put_text(item, "error", job->error != P2P_OK ? p2p_err_name(job->error) : "");
    cli_put_text(item, "message", job->message);
    cli_put_number(item, "files", job->files);
    cli_put_number(item, "bytes", job->bytes);
    cli_put_number(item, "todo", job->todo);
    cli_put_number(item, "held_changes", job->held_changes);
    cli_put_number(item, "held_removals", job->held_removals);
    cli_put_number(item, "in_step_since", job->in_step_s);
    cli_put_number(item, "checked_at", job->checked_s);
}

#define HELD_SHOWN 10

static void
print_held(void *arg, const char *name, bool is_removal)
{
    char shown[CLI_TEXT];

    (void)arg;
    printf("          waits: %s %s\n", is_removal ? "delete" : "replace",
           cli_text(name, shown));
}

/* The first names of what waits. */
static void
show_held(const struct p2p_mirror *job)
{
    uint64_t count = job->held_changes + job->held_removals;

    if (count > 0 && p2p_mirror_held(job, HELD_SHOWN, print_held, NULL) != P2P_OK)
        cli_say("cannot list the changes that wait: the folder is missing");
    else if (count > HELD_SHOWN)
        printf("          and %llu more\n", (unsigned long long)(count - HELD_SHOWN));
}

static void
print_job(struct p2p_identity *identity, const struct p2p_mirror *job)
{
    char called[P2P_CALLED_MAX], size[CLI_SHORT], folder[CLI_TEXT], base[CLI_TEXT];
    char prefix[CLI_TEXT], message[CLI_TEXT];

    p2p_peer_called(identity, &job->peer, NULL, called);
    printf("%s  %s/%s -> %s%s%s  %s  %llu file%s, %s%s\n", job->id, called,
           cli_text(job->folder, folder), cli_text(job->base, base),
           job->prefix[0] != '\0' ? "/" : "", cli_text(job->prefix, prefix),
           job->is_paused ? "paused" : p2p_mirror_state_name(job->state),
           (unsigned long long)job->files, job->files == 1 ? "" : "s",
           cli_size(job->bytes, size), job->deletes ? ", follows deletions" : "");
    if (job->message[0] != '\0' && !job->is_paused)
        printf("          %s\n", cli_text(job->message, message));
}

static int
list(const struct mirror_options *opt, struct p2p_identity *identity, const char *id)
{
    struct p2p_mirror *jobs;
    size_t count, shown = 0;
    enum p2p_err err = p2p_mirrors_list(opt->common.keys_dir, &jobs, &count);
    cJSON *object = NULL, *array = NULL;
    char text[CLI_TEXT];

    if (err != P2P_OK)
        return cli_fail(err, "cannot read keep.db in the keys folder: %s",
                        p2p_err_text(err));
    if (opt->common.json) {
        object = cli_object();
        array = id == NULL ? cli_put_array(object, "mirrors") : NULL;
    }
    for (size_t i = 0; i < count; i++) {
        if (id != NULL && strcmp(id, jobs[i].id) != 0)
            continue;
        shown++;
        if (object != NULL)
            put_job(array != NULL ? cli_add_object(array) : object, &jobs[i]);
        else {
            print_job(identity, &jobs[i]);
            if (id != NULL)
                show_held(&jobs[i]);
        }
    }
    free(jobs);
    cli_print_json_if(shown > 0 || id == NULL, object);
    if (id != NULL && shown == 0)
        return cli_fail(P2P_ERR_NOT_FOUND,
                        "there is no mirror %s; `p2p mirror list` lists them",
                        cli_text(id, text));
    if (shown == 0 && !opt->common.json)
        cli_say("there are no mirrors");
    return 0;
}

/* ---- add ---- */

/* A place in a shared folder belongs to that folder: its versions are there. */
static int
find_target(const struct mirror_options *opt, struct p2p_mirror *job)
{
    struct cli_shared shared;
    struct cli_folders_memory memory = {.shared = &shared};
    struct p2p_shares_folders folders = {.count = 0};
    char target[PATH_MAX], folder[PATH_MAX], shown[CLI_TEXT];
    enum p2p_err err;

    if (opt->to == NULL)
        return cli_fail(P2P_ERR_USAGE, "missing --to: name the folder here");
    err = p2p_root_resolve(opt->to, target);
    if (err != P2P_OK)
        return cli_fail(err, "cannot use --to %s: %s", cli_text(opt->to, shown),
                        p2p_err_text(err));
    snprintf(job->base, sizeof(job->base), "%s", target);
    int status = cli_find_folders(&opt->common, &opt->shared_dirs, &memory, &folders);
    for (size_t i = 0; status == 0 && i < folders.count; i++) {
        if (p2p_root_resolve(folders.at[i].path, folder) != P2P_OK)
            continue;
        size_t len = strlen(folder);
        const char *inner = target + len + 1;
        if (strncmp(target, folder, len) != 0 || target[len] != '/' ||
            p2p_name_check(inner, strlen(inner), true) != P2P_OK)
            continue;
        snprintf(job->base, sizeof(job->base), "%s", folder);
        snprintf(job->prefix, sizeof(job->prefix), "%s", inner);
    }
    cJSON_Delete(memory.status);
    return status;
}

/* HOST:PORT is a peer whose id it tells itself. */
static enum p2p_err
meet(const struct mirror_options *opt, struct p2p_identity *identity,
     const struct p2p_addr *addr, struct p2p_id *id)
{
    const struct p2p_conn_options options = {.identity = identity,
                                             .addr = *addr,
                                             .protocol = 2,
                                             .timeout_ms = opt->common.timeout_ms};
    struct p2p_conn *conn = NULL;
    enum p2p_err err = p2p_conn_open(&options, &conn);

    if (err == P2P_OK) {
        *id = *p2p_conn_peer(conn);
        p2p_conn_remember(conn);
    } else
        cli_say("cannot connect to the peer: %s", p2p_err_text(err));
    p2p_conn_close(conn);
    return err;
}

static enum p2p_err
find_peer(const struct mirror_options *opt, struct p2p_identity *identity,
          const char *text, struct p2p_mirror *job)
{
    struct p2p_addr addr;

    if (opt->address != NULL) {
        if (p2p_addr_parse(opt->address, 0, &addr) != P2P_OK ||
            strlen(opt->address) >= sizeof(job->address)) {
            cli_say("invalid --address: use HOST:PORT");
            return P2P_ERR_USAGE;
        }
        snprintf(job->address, sizeof(job->address), "%s", opt->address);
    }
    if (p2p_addr_parse(text, 0, &addr) != P2P_OK)
        return cli_resolve_id(&opt->common, identity, text, &job->peer);
    if (job->address[0] == '\0' && strlen(text) < sizeof(job->address))
        memcpy(job->address, text, strlen(text) + 1);
    return meet(opt, identity, &addr, &job->peer);
}

static int
say_added(const struct mirror_options *opt, const struct p2p_mirror *job)
{
    if (opt->common.json) {
        cJSON *object = cli_object();
        put_job(object, job);
        cli_print_json(object);
    } else
        cli_say("added mirror %s; p2p-ui or p2p keeper downloads it", job->id);
    return 0;
}

static int
add(const struct mirror_options *opt, struct p2p_identity *identity, const char *what)
{
    struct p2p_mirror *job = calloc(1, sizeof(*job));
    char peer[P2P_NAME_MAX + 1], shown[CLI_TEXT];
    size_t len = strcspn(what, "/"), rest = strlen(what + len);
    int status = job != NULL ? 0 : cli_fail(P2P_ERR_NOMEM, "out of memory");
    enum p2p_err err;

    while (rest > 0 && what[len + rest - 1] == '/')
        rest--;
    if (status == 0 &&
        (len >= sizeof(peer) ||
         (rest > 1 && p2p_name_check(what + len + 1, rest - 1, true) != P2P_OK)))
        status = cli_fail(P2P_ERR_NAME, "invalid folder in %s", cli_text(what, shown));
    if (status == 0)
        status = find_target(opt, job);
    if (status == 0) {
        snprintf(peer, sizeof(peer), "%.*s", (int)len, what);
        if (rest > 1)
            snprintf(job->folder, sizeof(job->folder), "%.*s", (int)rest - 1,
                     what + len + 1);
        job->deletes = opt->deletes;
        job->once = opt->once;
        job->quota = opt->quota;
        err = find_peer(opt, identity, peer, job);
        if (err != P2P_OK)
            status = p2p_err_exit_status(err);
    }
    if (status == 0) {
        err = p2p_mirrors_add(opt->common.keys_dir, job);
        if (err == P2P_ERR_EXISTS)
            status = cli_fail(err, "another mirror writes into this folder, into one "
                                   "above it, or into one inside of it");
        else if (err != P2P_OK)
            status = cli_fail(err, "cannot add the mirror: %s", p2p_err_text(err));
        else
            status = say_added(opt, job);
    }
    free(job);
    return status;
}

/* ---- The others ---- */

static int
change(const struct mirror_options *opt, const char *verb, const char *id)
{
    const char *keys = opt->common.keys_dir;
    char shown[CLI_TEXT];
    enum p2p_err err;

    if (strcmp(verb, "remove") == 0)
        err = p2p_mirrors_remove(keys, id);
    else if (strcmp(verb, "accept") == 0)
        err = p2p_mirrors_accept(keys, id);
    else if (strcmp(verb, "check") == 0)
        err = p2p_mirrors_check(keys, id);
    else
        err = p2p_mirrors_pause(keys, id, strcmp(verb, "pause") == 0);
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "there is no mirror %s, or its folder is missing",
                        cli_text(id, shown));
    return err == P2P_OK
               ? 0
               : cli_fail(err, "cannot change the mirror: %s", p2p_err_text(err));
}

static int
run(const struct mirror_options *opt, struct p2p_identity *identity, int argc,
    char **argv)
{
    static const char *const verbs[] = {"pause", "resume", "accept", "check", "remove"};
    const char *verb = argc > 0 ? argv[1] : "";

    if (argc == 1 && strcmp(verb, "list") == 0)
        return list(opt, identity, NULL);
    if (argc == 2 && strcmp(verb, "status") == 0)
        return list(opt, identity, argv[2]);
    if (argc == 2 && strcmp(verb, "add") == 0)
        return add(opt, identity, argv[2]);
    for (size_t i = 0; argc == 2 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if (strcmp(verb, verbs[i]) == 0)
            return change(opt, verb, argv[2]);
    return cli_fail(P2P_ERR_USAGE,
                    "usage: p2p mirror add PEER[/FOLDER] --to DIR | list | status ID | "
                    "pause|resume|accept|check|remove ID");
}

int
cmd_mirror(int argc, char **argv)
{
    struct mirror_options opt = {.common = CLI_DEFAULTS};
    struct p2p_identity *identity = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    err = cli_open_identity(&opt.common, &identity);
    status =
        err == P2P_OK ? run(&opt, identity, arguments, argv) : p2p_err_exit_status(err);
    p2p_identity_close(identity);
    return status;
}

/* ---- p2p keeper ---- */

static int
keep(const struct keeper_options *opt, struct p2p_identity *identity,
     struct p2p_discovery *discovery, struct p2p_rate *rate)
{
    const struct p2p_reach reach = {
        .identity = identity, .discovery = discovery, .wish = P2P_WISH_AUTO};
    const struct p2p_keeper_options options = {.keys_dir = opt->common.keys_dir,
                                               .identity = identity,
                                               .reach = &reach,
                                               .rate = rate,
                                               .every_ms = opt->every_ms};
    struct p2p_keeper *keeper = NULL;
    enum p2p_err err = p2p_keeper_start(&options, &keeper);

    if (err != P2P_OK)
        return cli_fail(err, "cannot start: %s", p2p_err_text(err));
    p2p_service_ready("p2p-keeper", "peer_id=%s", p2p_identity_id_hex(identity));
    p2p_service_wait();
    p2p_keeper_stop(keeper);
    return 0;
}

int
cmd_keeper(int argc, char **argv)
{
    struct keeper_options opt = {
        .common = CLI_DEFAULTS, .limit_rate = "off", .every_ms = 30000};
    struct p2p_identity *identity = NULL;
    struct p2p_discovery *discovery = NULL;
    struct p2p_timetable rates;
    struct p2p_rate rate;
    int arguments, status;
    enum p2p_err err;

    p2p_service_begin();
    if (!cli_parse(&keeper_set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments > 0)
        return cli_fail(P2P_ERR_USAGE, "usage: p2p keeper [options]");
    if (p2p_timetable_parse(opt.limit_rate, &rates) != P2P_OK)
        return cli_fail(P2P_ERR_USAGE, "invalid --limit-rate: use a rate such as 2M");
    p2p_rate_init(&rate, p2p_timetable_rate(&rates, 0), p2p_now_us());
    err = cli_open_identity(&opt.common, &identity);
    if (err == P2P_OK)
        err = cli_open_discovery(&opt.common, &discovery);
    status = err == P2P_OK ? keep(&opt, identity, discovery, &rate)
                           : p2p_err_exit_status(err);
    p2p_discovery_close(discovery);
    p2p_identity_close(identity);
    p2p_rate_clear(&rate);
    return status;
}
