/* p2p history, p2p restore and p2p versions: old contents of files in a shared folder.
 */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/ask/connect.h"
#include "cli/ask/share_folders.h"
#include "cli/commands/commands.h"
#include "cli/machine/shared.h"
#include "p2p/path.h"
#include "p2p/versions.h"

#define SHOWN_MAX 1000

struct version_options {
    struct cli_common common;
    struct p2p_option_list shared_dirs;
    const char *at, *to, *peer;
    uint64_t version;
    bool deleted, dry_run;
};
#define OPTION_SHARED                                                                 \
    {                                                                                 \
        "shared-dir", P2P_OPT_LIST, offsetof(struct version_options, shared_dirs), 0, \
            0, "DIR", "folder with the files (default: the shared folders)"           \
    }

static const struct p2p_option history_options[] = {
    OPTION_SHARED,
    CLI_OPTION_KEYS(struct version_options),
    {"deleted", P2P_OPT_FLAG, offsetof(struct version_options, deleted), 0, 0, NULL,
     "list deleted files that can be restored"},
    {"peer", P2P_OPT_TEXT, offsetof(struct version_options, peer), 0, 0, "PEER",
     "of a file that this peer shares: its name, id or HOST:PORT"},
    CLI_OPTION_DISCOVERY(struct version_options),
    CLI_OPTION_TIMEOUT(struct version_options),
    CLI_OPTIONS_NAME(struct version_options),
    CLI_OPTION_MDNS(struct version_options),
    CLI_OPTION_JSON(struct version_options),
};
static const struct p2p_option_set history_set = {
    "p2p history", "[options] NAME | --deleted [FOLDER]",
    "Lists the old versions of a file in a shared folder, or the deleted files. With "
    "--peer, the versions of a file of another device, if its owner shows them (p2p "
    "versions set history readers); p2p get --version downloads one.",
    history_options, sizeof(history_options) / sizeof(history_options[0])};

static const struct p2p_option restore_options[] = {
    OPTION_SHARED,
    CLI_OPTION_KEYS(struct version_options),
    {"version", P2P_OPT_NUMBER, offsetof(struct version_options, version), 1,
     UINT32_MAX, "N", "version to restore (default: the newest one that is kept)"},
    {"at", P2P_OPT_TEXT, offsetof(struct version_options, at), 0, 0, "TIME",
     "restore what the file was at this time: 2026-01-31 or \"2026-01-31 23:59\""},
    {"to", P2P_OPT_TEXT, offsetof(struct version_options, to), 0, 0, "NAME",
     "store it under another, free name; the file stays as it is"},
    {"dry-run", P2P_OPT_FLAG, offsetof(struct version_options, dry_run), 0, 0, NULL,
     "with FOLDER/: only list what would be restored"},
    CLI_OPTION_JSON(struct version_options),
};
static const struct p2p_option_set restore_set = {
    "p2p restore", "[options] NAME | FOLDER/ --at TIME",
    "Makes an old version of a file its content again, or brings a deleted file back. "
    "The present content becomes a version itself. With FOLDER/ and --at, every file "
    "in the folder becomes what it was at that time; newer files stay as they are. "
    "The folder / means all files.",
    restore_options, sizeof(restore_options) / sizeof(restore_options[0])};

static const struct p2p_option versions_options[] = {
    OPTION_SHARED,
    CLI_OPTION_KEYS(struct version_options),
    {"version", P2P_OPT_NUMBER, offsetof(struct version_options, version), 1,
     UINT32_MAX, "N", "with purge: only this version"},
    CLI_OPTION_JSON(struct version_options),
};
static const struct p2p_option_set versions_set = {
    "p2p versions", "[options] show | set KEY VALUE | purge NAME",
    "Shows how much space old versions take and the settings (show), changes a setting "
    "(set), or permanently removes old versions of a file (purge).",
    versions_options, sizeof(versions_options) / sizeof(versions_options[0])};

/* ---- The folder that a name leads to ---- */

struct place {
    struct cli_shared shared;
    struct cli_folders_memory memory;
    struct p2p_shares_folders folders;
    struct p2p_root *root;
    struct p2p_versions *versions;
    const char *folder; /* its name; "" for bare names */
    const char *name;   /* in it */
};

static void
close_place(struct place *p)
{
    p2p_versions_close(p->versions);
    p2p_root_close(p->root);
    p->versions = NULL;
    p->root = NULL;
}

/* The folder whose name the text begins with, else the one with bare names. */
static const struct p2p_shares_folder *
folder_of(struct place *p, const char *name)
{
    const struct p2p_shares_folder *bare = NULL;

    p->name = name;
    for (size_t i = 0; i < p->folders.count; i++) {
        const struct p2p_shares_folder *f = &p->folders.at[i];
        size_t len = strlen(f->name);
        if (len == 0)
            bare = f;
        else if (strncmp(name, f->name, len) == 0 && name[len] == '/') {
            p->name = name + len + 1;
            return f;
        }
    }
    return bare;
}

static int
open_versions(struct place *p, const struct p2p_shares_folder *folder)
{
    enum p2p_err err = p2p_root_open(folder->path, false, 0755, &p->root);

    p->folder = folder->name;
    if (err != P2P_OK)
        return cli_fail(err, "cannot open the shared folder %s: %s", folder->path,
                        p2p_err_text(err));
    err = p2p_versions_open(p->root, &p->versions);
    if (err == P2P_OK)
        err = p2p_versions_settle(p->versions, UINT64_MAX);
    return err == P2P_OK ? 0
                         : cli_fail(err, "cannot read the versions in %s: %s",
                                    folder->path, p2p_err_text(err));
}

static int
open_for_name(struct place *p, const char *name)
{
    const struct p2p_shares_folder *folder = folder_of(p, name);
    char shown[CLI_TEXT];

    if (folder == NULL)
        return cli_fail(P2P_ERR_NOT_FOUND, "%s is not in a shared folder",
                        cli_text(name, shown));
    if (p2p_name_check(p->name, strlen(p->name), true) != P2P_OK)
        return cli_fail(P2P_ERR_NAME, "invalid name: %s", cli_text(name, shown));
    return open_versions(p, folder);
}

/* ---- p2p history ---- */

struct listing {
    const struct place *place;
    cJSON *array; /* NULL: printed as text */
    size_t count;
    bool with_name;
};

static void
print_version(void *arg, const struct p2p_version *v)
{
    struct listing *l = arg;
    char name[2 * P2P_NAME_MAX + 2], size[CLI_SHORT], until[CLI_SHORT];

    l->count++;
    snprintf(name, sizeof(name), "%s%s%s", l->place->folder,
             l->place->folder[0] != '\0' ? "/" : "", v->name);
    if (l->array != NULL) {
        cJSON *item = cli_add_object(l->array);
        cli_put_text(item, "name", name);
        cli_put_number(item, "version", v->version);
        cli_put_number(item, "size", v->size);
        cli_put_number(item, "since", v->since_s);
        cli_put_number(item, "until", v->until_s);
        cli_put_text(item, "end",
                     v->end == P2P_MAILBOX_DELETED ? "deleted" : "replaced");
        cli_put_hex(item, "root", v->root.b, true);
        cli_put_bool(item, "kept", v->is_kept);
        if (v->stays_until_s > 0)
            cli_put_number(item, "stays_until", v->stays_until_s);
        return;
    }
    printf("%6u  %10s  %s %s%s", v->version, cli_size(v->size, size),
           v->end == P2P_MAILBOX_DELETED ? "deleted " : "replaced",
           cli_time(v->until_s, until), v->is_kept ? "" : "  (content not kept)");
    if (v->stays_until_s > 0)
        printf("  (stays until %s)", cli_time(v->stays_until_s, until));
    printf("%s%s\n", l->with_name ? "  " : "", l->with_name ? name : "");
}

static int
list_deleted(struct place *p, const char *folder, struct listing *l)
{
    int status = 0;

    for (size_t i = 0; i < p->folders.count && status == 0; i++) {
        const struct p2p_shares_folder *f = &p->folders.at[i];
        enum p2p_err err;
        if (folder[0] != '\0' && folder_of(p, folder) != f)
            continue;
        status = open_versions(p, f);
        if (status == 0 &&
            (err = p2p_versions_deleted(p->versions, folder[0] != '\0' ? p->name : "",
                                        0, SHOWN_MAX, print_version, l)) != P2P_OK)
            status = cli_fail(err, "cannot list deleted files: %s", p2p_err_text(err));
        close_place(p);
    }
    return status;
}

static int
list_versions(struct place *p, const char *name, struct listing *l)
{
    char shown[CLI_TEXT];
    int status = open_for_name(p, name);
    enum p2p_err err;

    if (status == 0 && (err = p2p_versions_of(p->versions, p->name, 0, SHOWN_MAX,
                                              print_version, l)) != P2P_OK)
        status = cli_fail(err, "cannot list versions: %s", p2p_err_text(err));
    if (status == 0 && l->count == 0)
        status = cli_fail(P2P_ERR_NOT_FOUND, "%s has no old versions",
                          cli_text(name, shown));
    return status;
}

static int
history(const struct version_options *opt, struct place *p, int argc, char **argv)
{
    cJSON *object = opt->common.json ? cli_object() : NULL;
    struct listing l = {.place = p,
                        .array =
                            object != NULL ? cli_put_array(object, "versions") : NULL,
                        .with_name = opt->deleted};
    int status = opt->deleted ? list_deleted(p, argc > 0 ? argv[1] : "", &l)
                              : list_versions(p, argv[1], &l);

    cli_print_json_if(status == 0, object);
    if (status == 0 && l.count == 0 && !opt->common.json)
        cli_say("no deleted files can be restored");
    return status;
}

/* ---- p2p history --peer ---- */

struct remote_listing {
    const char *name;
    cJSON *array; /* NULL: printed as text */
};

static void
print_remote(void *arg, const struct p2p_history_entry *v)
{
    struct remote_listing *l = arg;
    bool is_current = (v->flags & P2P_HISTORY_CURRENT) != 0;
    bool is_kept = (v->flags & P2P_HISTORY_KEPT) != 0;
    char size[CLI_SHORT], until[CLI_SHORT];

    if (l->array != NULL) {
        cJSON *item = cli_add_object(l->array);
        cli_put_text(item, "name", l->name);
        cli_put_number(item, "version", v->version);
        cli_put_number(item, "size", v->size);
        cli_put_number(item, "since", v->since_s);
        cli_put_number(item, "until", v->until_s);
        cli_put_text(item, "end", is_current ? "" : "replaced");
        cli_put_hex(item, "root", v->root.b, true);
        cli_put_bool(item, "kept", is_kept);
        return;
    }
    printf("%6u  %10s  %s %s%s\n", v->version, cli_size(v->size, size),
           is_current ? "current " : "replaced",
           is_current ? "" : cli_time(v->until_s, until),
           is_kept ? "" : "  (content not kept)");
}

static enum p2p_err
list_remote(struct p2p_conn *conn, struct remote_listing *l)
{
    uint32_t before = 0;
    enum p2p_err err;

    do
        err = p2p_conn_history(conn, l->name, &before, print_remote, l);
    while (err == P2P_OK && before != 0);
    return err;
}

static int
fail_remote(enum p2p_err err, const char *name, const char *address, const char *own_id)
{
    char shown[CLI_TEXT];

    if (err == P2P_ERR_UNSUPPORTED)
        return cli_fail(
            err, "%s: the program there is too old: it cannot list versions", address);
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err,
                        "%s shows no versions of %s; its owner can show them to all "
                        "who may download the file: p2p versions set history readers",
                        address, cli_text(name, shown));
    return cli_fail_peer(err, address, own_id);
}

static int
ask_remote(const struct version_options *opt, struct p2p_identity *identity,
           struct p2p_discovery *discovery, const char *name)
{
    cJSON *object = opt->common.json ? cli_object() : NULL;
    struct remote_listing l = {
        .name = name,
        .array = object != NULL ? cli_put_array(object, "versions") : NULL};
    char address[CLI_ADDRESS];
    struct p2p_conn *conn = NULL;
    struct cli_peer peer;
    struct p2p_addr at;
    enum p2p_err err = cli_resolve_peer(&opt->common, identity, opt->peer, &peer);

    if (err != P2P_OK) {
        cJSON_Delete(object);
        return p2p_err_exit_status(err);
    }
    err = cli_connect(&opt->common, identity, discovery, &peer, &at, &conn);
    p2p_addr_format(&at, address, sizeof(address));
    if (err == P2P_OK)
        p2p_conn_remember(conn);
    if (err == P2P_OK)
        err = list_remote(conn, &l);
    p2p_conn_close(conn);
    cli_print_json_if(err == P2P_OK, object);
    return err == P2P_OK
               ? 0
               : fail_remote(err, name, address, p2p_identity_id_hex(identity));
}

static int
remote_history(const struct version_options *opt, const char *name)
{
    struct p2p_discovery *discovery = NULL;
    struct p2p_identity *identity = NULL;
    enum p2p_err err = cli_open_identity(&opt->common, &identity);
    int status;

    if (err == P2P_OK)
        err = cli_open_discovery(&opt->common, &discovery);
    status = err == P2P_OK ? ask_remote(opt, identity, discovery, name)
                           : p2p_err_exit_status(err);
    p2p_discovery_close(discovery);
    p2p_identity_close(identity);
    return status;
}

/* ---- p2p restore ---- */

/* Local time: a day, or a day and a time. A day without a time means the end of that
 * day. */
static bool
parse_time(const char *text, uint64_t *out_s)
{
    static const char *const formats[] = {"%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M",
                                          "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M",
                                          "%Y-%m-%d"};

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
        struct tm tm = {.tm_isdst = -1};
        const char *end = strptime(text, formats[i], &tm);
        if (end == NULL || *end != '\0')
            continue;
        if (strlen(text) == 10) {
            tm.tm_hour = 23;
            tm.tm_min = tm.tm_sec = 59;
        }
        tm.tm_isdst = -1;
        time_t t = mktime(&tm);
        *out_s = (uint64_t)t;
        return t >= 0;
    }
    return false;
}

static int
choose(const struct version_options *opt, struct place *p, uint32_t *version)
{
    struct p2p_version found;
    uint64_t at_s;
    char shown[CLI_TEXT];
    enum p2p_err err;

    *version = (uint32_t)opt->version;
    if (opt->at == NULL)
        return 0;
    if (opt->version > 0)
        return cli_fail(P2P_ERR_USAGE, "use either --version or --at");
    if (!parse_time(opt->at, &at_s))
        return cli_fail(P2P_ERR_USAGE,
                        "invalid time: %s; write 2026-01-31 or \"2026-01-31 23:59\"",
                        cli_text(opt->at, shown));
    err = p2p_versions_at(p->versions, p->name, at_s, &found);
    if (err != P2P_OK)
        return cli_fail(err, "%s had no other content at that time",
                        cli_text(p->name, shown));
    *version = found.version;
    return 0;
}

static int
fail_restore(enum p2p_err err, const char *name, const char *to)
{
    char shown[CLI_TEXT];

    cli_text(err == P2P_ERR_EXISTS && to != NULL ? to : name, shown);
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "%s has no such version; see: p2p history", shown);
    if (err == P2P_ERR_GONE)
        return cli_fail(err, "the content of this version of %s is no longer kept",
                        shown);
    if (err == P2P_ERR_HASH_MISMATCH)
        return cli_fail(err, "the kept content of %s is damaged; nothing was changed",
                        shown);
    return cli_fail(err, "cannot restore %s: %s", shown, p2p_err_text(err));
}

static int
restore(const struct version_options *opt, struct place *p, const char *name)
{
    struct p2p_versions_restore how = {.save_as = opt->to};
    char stored[P2P_NAME_MAX + 1];
    int status = open_for_name(p, name);
    enum p2p_err err;

    if (status == 0)
        status = choose(opt, p, &how.version);
    if (status == 0 && opt->to != NULL && folder_of(p, opt->to) != folder_of(p, name))
        status = cli_fail(P2P_ERR_USAGE, "--to needs a name in the same shared folder");
    if (status == 0 && opt->to != NULL) {
        (void)folder_of(p, opt->to);
        how.save_as = p->name;
        (void)folder_of(p, name);
        if (p2p_name_check(how.save_as, strlen(how.save_as), true) != P2P_OK)
            status = cli_fail(P2P_ERR_NAME, "--to is not a valid name");
    }
    if (status != 0)
        return status;
    how.name = p->name;
    if ((err = p2p_versions_restore(p->versions, &how, stored)) != P2P_OK)
        return fail_restore(err, name, opt->to);
    if (opt->common.json) {
        cJSON *object = cli_object();
        cli_put_text(object, "status", "restored");
        cli_put_text(object, "name", opt->to != NULL ? opt->to : name);
        cli_print_json(object);
    } else
        cli_say("restored %s", opt->to != NULL ? opt->to : name);
    return 0;
}

/* ---- p2p restore FOLDER/ ---- */

struct rewinding {
    const struct place *place;
    bool is_trial;
    cJSON *array; /* NULL: printed as text */
    size_t count, failed;
};

static void
print_rewound(void *arg, const struct p2p_version *v, enum p2p_err err)
{
    struct rewinding *r = arg;
    const char *what = err == P2P_ERR_GONE ? "not kept"
                       : err != P2P_OK     ? p2p_err_text(err)
                       : r->is_trial       ? "would be restored"
                                           : "restored";
    char name[2 * P2P_NAME_MAX + 2], shown[CLI_TEXT];

    r->count++;
    r->failed += err != P2P_OK;
    snprintf(name, sizeof(name), "%s%s%s", r->place->folder,
             r->place->folder[0] != '\0' ? "/" : "", v->name);
    if (r->array != NULL) {
        cJSON *item = cli_add_object(r->array);
        cli_put_text(item, "name", name);
        cli_put_number(item, "version", v->version);
        cli_put_text(item, "error", err != P2P_OK ? p2p_err_name(err) : "");
    } else
        printf("%-18s %6u  %s\n", what, v->version, cli_text(name, shown));
}

/* `folder` ends in a slash; "/" is everything in all folders. */
static int
restore_folder(const struct version_options *opt, struct place *p, const char *folder)
{
    cJSON *object = opt->common.json ? cli_object() : NULL;
    struct rewinding r = {.place = p,
                          .is_trial = opt->dry_run,
                          .array =
                              object != NULL ? cli_put_array(object, "files") : NULL};
    struct p2p_versions_rewind how = {
        .is_trial = opt->dry_run, .visit = print_rewound, .arg = &r};
    const struct p2p_shares_folder *only =
        strcmp(folder, "/") == 0 ? NULL : folder_of(p, folder);
    char shown[CLI_TEXT];
    int status = 0;
    enum p2p_err err;

    if (opt->at == NULL || opt->version > 0 || opt->to != NULL)
        status =
            cli_fail(P2P_ERR_USAGE, "a folder needs --at, without --version and --to");
    else if (!parse_time(opt->at, &how.time_s))
        status = cli_fail(P2P_ERR_USAGE,
                          "invalid time: %s; write 2026-01-31 or \"2026-01-31 23:59\"",
                          cli_text(opt->at, shown));
    else if (only == NULL && strcmp(folder, "/") != 0)
        status = cli_fail(P2P_ERR_NOT_FOUND, "%s is not in a shared folder",
                          cli_text(folder, shown));
    for (size_t i = 0; i < p->folders.count && status == 0; i++) {
        if (only != NULL && only != &p->folders.at[i])
            continue;
        how.folder = only != NULL ? p->name : "";
        status = open_versions(p, &p->folders.at[i]);
        if (status == 0 && (err = p2p_versions_rewind(p->versions, &how)) != P2P_OK)
            status = cli_fail(err, "cannot restore the folder: %s", p2p_err_text(err));
        close_place(p);
    }
    cli_print_json_if(status == 0, object);
    if (status == 0 && r.failed > 0)
        status = cli_fail(P2P_ERR_GONE, "%zu of %zu files could not be restored",
                          r.failed, r.count);
    else if (status == 0 && r.count == 0)
        cli_say("every file is the same now as it was then");
    return status;
}

/* ---- p2p versions ---- */

static void
print_status(const struct p2p_shares_folder *folder, struct p2p_versions *v,
             cJSON *array)
{
    struct p2p_versions_status s;
    char used[CLI_SHORT], cap[CLI_SHORT], oldest[CLI_SHORT], value[256];
    const char *key, *meaning;
    cJSON *item;

    if (p2p_versions_status(v, &s) != P2P_OK)
        return;
    if (array != NULL) {
        item = cli_add_object(array);
        cli_put_text(item, "folder", folder->path);
        cli_put_bool(item, "on", s.is_on);
        cli_put_number(item, "versions", s.rows);
        cli_put_number(item, "used", s.used);
        cli_put_number(item, "space", s.cap);
        cli_put_number(item, "oldest", s.oldest_s);
        return;
    }
    printf("%s: %llu old version%s, %s of at most %s", folder->path,
           (unsigned long long)s.rows, s.rows == 1 ? "" : "s", cli_size(s.used, used),
           cli_size(s.cap, cap));
    if (s.oldest_s > 0)
        printf(", oldest %s", cli_time(s.oldest_s, oldest));
    printf("\n");
    for (size_t i = 0; (key = p2p_versions_key(i, &meaning)) != NULL; i++)
        if (p2p_versions_get(v, key, value, sizeof(value)) == P2P_OK)
            printf("  %-8s  %-26s  %s\n", key, value, meaning);
}

static int
set_key(struct p2p_versions *v, const char *key, const char *value)
{
    char shown[CLI_TEXT];
    enum p2p_err err = p2p_versions_set(v, key, value);

    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(P2P_ERR_USAGE,
                        "unknown setting %s; p2p versions show lists them",
                        cli_text(key, shown));
    if (err == P2P_ERR_USAGE)
        return cli_fail(err, "invalid value for %s; see: p2p versions show",
                        cli_text(key, shown));
    return err == P2P_OK
               ? 0
               : cli_fail(err, "cannot store the setting: %s", p2p_err_text(err));
}

/* For all folders: the status, or a setting. */
static int
for_all(const struct version_options *opt, struct place *p, const char *key,
        const char *value)
{
    cJSON *object = opt->common.json && key == NULL ? cli_object() : NULL;
    cJSON *array = object != NULL ? cli_put_array(object, "folders") : NULL;
    int status = 0;

    for (size_t i = 0; i < p->folders.count && status == 0; i++) {
        status = open_versions(p, &p->folders.at[i]);
        if (status == 0 && key != NULL)
            status = set_key(p->versions, key, value);
        else if (status == 0)
            print_status(&p->folders.at[i], p->versions, array);
        close_place(p);
    }
    cli_print_json_if(status == 0, object);
    return status;
}

/* ---- p2p config versions.KEY ---- */

static int
print_key(const struct version_options *opt, struct place *p, const char *key)
{
    cJSON *object = opt->common.json ? cli_object() : NULL;
    cJSON *array = object != NULL ? cli_put_array(object, "values") : NULL;
    char value[256];
    int status = 0;

    for (size_t i = 0; i < p->folders.count && status == 0; i++) {
        status = open_versions(p, &p->folders.at[i]);
        if (status == 0 &&
            p2p_versions_get(p->versions, key, value, sizeof(value)) != P2P_OK)
            status = set_key(p->versions, key, ""); /* says what is wrong */
        else if (status == 0 && array != NULL)
            cli_put_text(cli_add_object(array), "value", value);
        else if (status == 0)
            printf("%s\n", value);
        close_place(p);
    }
    cli_print_json_if(status == 0, object);
    return status;
}

int
cli_versions_setting(enum cli_setting_verb verb, const char *key, const char *value,
                     bool json)
{
    struct version_options opt = {.common = CLI_DEFAULTS};
    struct place p = {.folder = ""};
    int status;

    opt.common.json = json;
    p.memory.shared = &p.shared;
    status = cli_find_folders(&opt.common, &opt.shared_dirs, &p.memory, &p.folders);
    if (status == 0)
        status = verb == CLI_SETTING_GET ? print_key(&opt, &p, key)
                                         : for_all(&opt, &p, key, value);
    close_place(&p);
    cJSON_Delete(p.memory.status);
    return status;
}

static int
purge(const struct version_options *opt, struct place *p, const char *name)
{
    char shown[CLI_TEXT];
    int status = open_for_name(p, name);
    enum p2p_err err;

    if (status != 0)
        return status;
    err = p2p_versions_purge(p->versions, p->name, (uint32_t)opt->version);
    if (err != P2P_OK)
        return fail_restore(err, name, NULL);
    cli_say("removed the old versions of %s permanently", cli_text(name, shown));
    return 0;
}

static int
versions(const struct version_options *opt, struct place *p, int argc, char **argv)
{
    const char *verb = argc > 0 ? argv[1] : "";

    if (argc == 1 && strcmp(verb, "show") == 0)
        return for_all(opt, p, NULL, NULL);
    if (argc == 3 && strcmp(verb, "set") == 0)
        return for_all(opt, p, argv[2], argv[3]);
    if (argc == 2 && strcmp(verb, "purge") == 0)
        return purge(opt, p, argv[2]);
    return cli_fail(P2P_ERR_USAGE, "usage: p2p versions show | set KEY VALUE | "
                                   "purge NAME [--version N]");
}

static int
restore_any(const struct version_options *opt, struct place *p, const char *name)
{
    if (name[0] != '\0' && name[strlen(name) - 1] == '/')
        return restore_folder(opt, p, name);
    if (opt->dry_run)
        return cli_fail(P2P_ERR_USAGE, "--dry-run works only with a folder (FOLDER/)");
    return restore(opt, p, name);
}

/* ---- The commands ---- */

enum what { HISTORY, RESTORE, VERSIONS };

static int
run(enum what what, const struct p2p_option_set *set, int argc, char **argv)
{
    struct version_options opt = {.common = CLI_DEFAULTS};
    struct place p = {.folder = ""};
    int arguments, status;

    if (!cli_parse(set, &opt, argc, argv, &arguments, &status))
        return status;
    if (what == HISTORY && (opt.deleted ? arguments > 1 : arguments != 1))
        return cli_fail(P2P_ERR_USAGE,
                        "usage: p2p history NAME | p2p history --deleted [FOLDER]");
    if (what == RESTORE && arguments != 1)
        return cli_fail(P2P_ERR_USAGE, "usage: p2p restore [options] NAME");
    if (what == HISTORY && opt.peer != NULL)
        return opt.deleted
                   ? cli_fail(P2P_ERR_USAGE, "--deleted lists files of this device "
                                             "only; it cannot be used with --peer")
                   : remote_history(&opt, argv[1]);
    p.memory.shared = &p.shared;
    status = cli_find_folders(&opt.common, &opt.shared_dirs, &p.memory, &p.folders);
    if (status == 0)
        status = what == HISTORY   ? history(&opt, &p, arguments, argv)
                 : what == RESTORE ? restore_any(&opt, &p, argv[1])
                                   : versions(&opt, &p, arguments, argv);
    close_place(&p);
    cJSON_Delete(p.memory.status);
    return status;
}

int
cmd_history(int argc, char **argv)
{
    return run(HISTORY, &history_set, argc, argv);
}

int
cmd_restore(int argc, char **argv)
{
    return run(RESTORE, &restore_set, argc, argv);
}

int
cmd_versions(int argc, char **argv)
{
    return run(VERSIONS, &versions_set, argc, argv);
}
