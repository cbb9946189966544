#include "cli/ask/share_folders.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cli/ask/running.h"
#include "cli/machine/shared.h"
#include "p2p/clock.h"
#include "p2p/grants.h"
#include "p2p/home.h"
#include "p2p/settings.h"

#define SETTING "shared-dir"

enum { APPLY_MS = 20000, LOOK_MS = 100 };

/* ---- Which folders ---- */

static const cJSON *
member(const cJSON *object, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(object, name);
}

static void
take_running(const cJSON *status, struct p2p_shares_folders *out)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, member(status, "folders"))
    {
        const char *name = cJSON_GetStringValue(member(item, "name"));
        const char *path = cJSON_GetStringValue(member(item, "path"));
        struct p2p_shares_folder *folder = &out->at[out->count];
        if (path == NULL || out->count == P2P_SHARES_MAX)
            continue;
        snprintf(folder->name, sizeof(folder->name), "%s", name != NULL ? name : "");
        folder->path = path;
        out->count++;
    }
}

int
cli_find_folders(const struct cli_common *common, const struct p2p_option_list *named,
                 struct cli_folders_memory *memory, struct p2p_shares_folders *out)
{
    char why[512];
    enum p2p_err err;

    out->count = 0;
    if (named->count > 0) {
        err = p2p_shares_parse(named->at, named->count, out, why, sizeof(why));
        return err == P2P_OK ? 0 : cli_fail(err, "invalid --shared-dir %s", why);
    }
    memory->status = cli_ask_running(common->keys_dir, "status", &err);
    take_running(memory->status, out);
    if (out->count > 0)
        return 0;
    cli_find_shared(common->keys_dir, NULL, memory->shared);
    out->at[0] = (struct p2p_shares_folder){.path = memory->shared->dir};
    out->count = 1;
    return 0;
}

/* ---- ls ---- */

static const cJSON *
find_running(const cJSON *status, const struct p2p_shares_folder *folder)
{
    const cJSON *item;

    cJSON_ArrayForEach(item, member(status, "folders"))
    {
        const char *name = cJSON_GetStringValue(member(item, "name"));
        if (strcmp(name != NULL ? name : "", folder->name) == 0)
            return item;
    }
    return NULL;
}

static uint64_t
number(const cJSON *object, const char *name)
{
    const cJSON *item = member(object, name);

    return cJSON_IsNumber(item) && item->valuedouble > 0 ? (uint64_t)item->valuedouble
                                                         : 0;
}

/* The rule for a whole shared folder, if it is private: that of the longest folder. */
static const struct p2p_grant *
find_private(const struct p2p_shares_folder *folder, const struct p2p_grant *grants,
             size_t count)
{
    const struct p2p_grant *found = NULL;
    char name[P2P_NAME_MAX + 2];

    snprintf(name, sizeof(name), "%s%s", folder->name,
             folder->name[0] != '\0' ? "/" : "");
    for (size_t i = 0; i < count; i++)
        if ((grants[i].folder[0] == '\0' || strcmp(grants[i].folder, name) == 0) &&
            (found == NULL || grants[i].folder[0] != '\0'))
            found = &grants[i];
    return found != NULL && !found->everyone ? found : NULL;
}

static void
print_lock(const struct p2p_grant *rule)
{
    if (rule != NULL && rule->peer_count == 0)
        printf("  [private: no other device]");
    else if (rule != NULL)
        printf("  [private: %zu device%s]", rule->peer_count,
               rule->peer_count == 1 ? "" : "s");
}

static void
print_folder(const struct p2p_shares_folder *folder, const cJSON *running,
             const struct p2p_grant *rule)
{
    const char *state = cJSON_GetStringValue(member(running, "state"));
    char size[CLI_SHORT], name[CLI_TEXT], path[CLI_TEXT];

    printf("%s%s%s", folder->name[0] != '\0' ? cli_text(folder->name, name) : "",
           folder->name[0] != '\0' ? "/  " : "", cli_text(folder->path, path));
    print_lock(rule);
    if (state == NULL)
        printf("  (not in use by a running p2p-peer)\n");
    else
        printf("  %llu file%s, %s%s", (unsigned long long)number(running, "files"),
               number(running, "files") == 1 ? "" : "s",
               cli_size(number(running, "bytes"), size),
               strcmp(state, "ok") == 0 ? "" : "  (away)");
    if (state != NULL && number(running, "not_shared") > 0)
        printf("  (%llu not shared: p2p share ls --problems)",
               (unsigned long long)number(running, "not_shared"));
    if (state != NULL)
        printf("\n");
}

static void
put_folder(cJSON *array, const struct p2p_shares_folder *folder, const cJSON *running,
           const struct p2p_grant *rule)
{
    const char *state = cJSON_GetStringValue(member(running, "state"));
    cJSON *object = cli_add_object(array);

    cli_put_text(object, "name", folder->name[0] != '\0' ? folder->name : NULL);
    cli_put_text(object, "path", folder->path);
    cli_put_text(object, "state", state != NULL ? state : "not_in_use");
    cli_put_number(object, "files", number(running, "files"));
    cli_put_number(object, "bytes", number(running, "bytes"));
    cli_put_number(object, "not_shared", number(running, "not_shared"));
    cli_put_number(object, "missing_files", number(running, "missing_files"));
    cli_put_bool(object, "private", rule != NULL);
}

int
cli_list_folders(const struct cli_common *common,
                 const struct p2p_shares_folders *folders)
{
    enum p2p_err err;
    cJSON *status = cli_ask_running(common->keys_dir, "status", &err);
    cJSON *object = common->json ? cli_object() : NULL;
    cJSON *array = object != NULL ? cli_put_array(object, "folders") : NULL;
    struct p2p_grant *grants = NULL;
    size_t count = 0;

    if ((err = p2p_grants_list(common->keys_dir, &grants, &count)) != P2P_OK)
        cli_say("cannot read " P2P_GRANTS_FILE " in the keys folder: %s",
                p2p_err_text(err));
    for (size_t i = 0; i < folders->count; i++) {
        const struct p2p_shares_folder *folder = &folders->at[i];
        const cJSON *running = find_running(status, folder);
        const struct p2p_grant *rule = find_private(folder, grants, count);
        if (object != NULL)
            put_folder(array, folder, running, rule);
        else
            print_folder(folder, running, rule);
    }
    free(grants);
    if (object != NULL)
        cli_print_json(object);
    cJSON_Delete(status);
    return 0;
}

/* ---- add, rm ---- */

struct change {
    const struct cli_common *common;
    struct p2p_home home;
    struct p2p_settings *settings;
    char *texts[P2P_SHARES_MAX + 1]; /* what the setting will be, owned */
    size_t count;
    struct p2p_shares_folders folders; /* the same, read */
    bool adds;
    char name[P2P_SHARES_NAME_MAX + 1]; /* of the folder that comes or goes */
};

/* The settings are changed while these texts are in use, so they are copies. */
static int
put_text(struct change *c, const char *text)
{
    if (c->count == P2P_SHARES_MAX)
        return cli_fail(P2P_ERR_USAGE, "at most %d folders can be shared",
                        P2P_SHARES_MAX);
    if ((c->texts[c->count] = strdup(text)) == NULL)
        return cli_fail(P2P_ERR_NOMEM, "%s", p2p_err_text(P2P_ERR_NOMEM));
    c->count++;
    return 0;
}

static void
end(struct change *c)
{
    for (size_t i = 0; i < c->count; i++)
        free(c->texts[i]);
    p2p_settings_close(c->settings);
    free(c);
}

/* Reads the present list. Without a setting it is the folder of the home. */
static int
begin(struct change *c)
{
    const char *values[P2P_SHARES_MAX + 1];
    int status = cli_open_settings(&c->home, &c->settings);
    size_t count;

    if (status != 0)
        return status;
    if (c->home.kind == P2P_HOME_FOLDER)
        return cli_fail(P2P_ERR_USAGE,
                        "p2p.conf does not name the identity in keys/ "
                        "here yet; run `p2p init --keys-dir keys` first");
    if (p2p_settings_get(c->settings, "p2p-peer", SETTING, values, 1) > 0)
        return cli_fail(P2P_ERR_USAGE,
                        "%s has " SETTING " in its section [p2p-peer]; change it there",
                        c->home.config);
    count = p2p_settings_get(c->settings, "", SETTING, values, P2P_SHARES_MAX + 1);
    if (count > P2P_SHARES_MAX)
        return cli_fail(P2P_ERR_USAGE, "%s has more than %d shared folders",
                        c->home.config, P2P_SHARES_MAX);
    if (count == 0)
        return put_text(c, c->home.shared_dir);
    for (size_t i = 0; i < count && status == 0; i++)
        status = put_text(c, values[i]);
    return status;
}

static int
check(struct change *c)
{
    char why[1024];
    enum p2p_err err = p2p_shares_parse((const char *const *)c->texts, c->count,
                                        &c->folders, why, sizeof(why));

    if (err == P2P_OK)
        err = p2p_shares_check(&c->folders, why, sizeof(why));
    return err == P2P_OK ? 0 : cli_fail(err, "%s", why);
}

/* True when the running peer has the folder, or has it no longer. */
static bool
is_applied(const struct change *c)
{
    const struct p2p_shares_folder folder = {.path = NULL};
    struct p2p_shares_folder wanted = folder;
    enum p2p_err err;
    cJSON *status = cli_ask_running(c->common->keys_dir, "status", &err);
    bool is_there;

    strcpy(wanted.name, c->name);
    is_there = find_running(status, &wanted) != NULL;
    cJSON_Delete(status);
    return err == P2P_OK && is_there == c->adds;
}

/* Tells the running peer. False: it has not changed. */
static bool
apply(const struct change *c, bool *runs)
{
    uint64_t deadline_ms = p2p_now_ms() + APPLY_MS;
    const struct timespec pause = {0, LOOK_MS * 1000000L};
    enum p2p_err err;
    cJSON *answer = cli_ask_running(c->common->keys_dir, "reload", &err);
    bool done = false;

    cJSON_Delete(answer);
    *runs = err != P2P_ERR_NOT_FOUND && err != P2P_ERR_UNREACHABLE;
    while (*runs && !(done = is_applied(c)) && p2p_now_ms() < deadline_ms)
        nanosleep(&pause, NULL);
    return done;
}

static void
tell(const struct change *c, bool runs, bool done)
{
    cJSON *object, *array;

    if (runs && !done)
        cli_say("changed %s, but the running p2p-peer does not use it: it was started "
                "with --shared-dir, or its log says why",
                c->home.config);
    if (!c->common->json) {
        if (!runs)
            cli_say("changed %s; p2p-peer uses it when it starts", c->home.config);
        else if (done)
            cli_say("%s", c->adds ? "added; p2p-peer shares it now"
                                  : "removed; p2p-peer does not share it any longer");
        return;
    }
    object = cli_object();
    cli_put_text(object, "config", c->home.config);
    cli_put_bool(object, "applied", done);
    array = cli_put_array(object, "folders");
    for (size_t i = 0; i < c->folders.count; i++) {
        cJSON *item = cli_add_object(array);
        const char *name = c->folders.at[i].name;
        cli_put_text(item, "name", name[0] != '\0' ? name : NULL);
        cli_put_text(item, "path", c->folders.at[i].path);
    }
    cli_print_json(object);
}

static int
save(struct change *c)
{
    enum p2p_err err = p2p_settings_set(c->settings, "", SETTING,
                                        (const char *const *)c->texts, c->count);
    bool runs, done;

    if (err == P2P_ERR_USAGE)
        return cli_fail(err, "this path cannot be written to %s", c->home.config);
    if (err == P2P_OK)
        err = p2p_settings_save(c->settings);
    if (err != P2P_OK)
        return cli_fail(err, "cannot write %s: %s", c->home.config, p2p_err_text(err));
    done = apply(c, &runs);
    tell(c, runs, done);
    return runs && !done ? p2p_err_exit_status(P2P_ERR_BUSY) : 0;
}

/* The folder as NAME=/absolute/path. */
static int
complete(const char *text, char out[PATH_MAX + P2P_SHARES_NAME_MAX + 2])
{
    char path[PATH_MAX];
    size_t name_len;
    const char *given = p2p_shares_path(text, &name_len), *name = text;
    struct stat st;

    if (realpath(given, path) == NULL)
        return cli_fail(p2p_err_from_errno(errno), "cannot share %s: %s", given,
                        strerror(errno));
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
        return cli_fail(P2P_ERR_USAGE, "cannot share %s: it is not a folder", given);
    if (name_len == 0) {
        name = strrchr(path, '/') + 1;
        name_len = strlen(name);
    }
    if (name_len == 0 || name_len > P2P_SHARES_NAME_MAX)
        return cli_fail(P2P_ERR_USAGE, "cannot share %s: give it a name (NAME=PATH)",
                        given);
    snprintf(out, PATH_MAX + P2P_SHARES_NAME_MAX + 2, "%.*s=%s", (int)name_len, name,
             path);
    return 0;
}

int
cli_add_folder(const struct cli_common *common, const char *text)
{
    struct change *c = calloc(1, sizeof(*c));
    char added[PATH_MAX + P2P_SHARES_NAME_MAX + 2];
    int status;

    if (c == NULL)
        return cli_fail(P2P_ERR_NOMEM, "%s", p2p_err_text(P2P_ERR_NOMEM));
    c->common = common;
    c->adds = true;
    if ((status = complete(text, added)) == 0 && (status = begin(c)) == 0 &&
        (status = put_text(c, added)) == 0)
        status = check(c);
    if (status == 0) {
        strcpy(c->name, c->folders.at[c->count - 1].name);
        status = save(c);
    }
    end(c);
    return status;
}

static bool
is_meant(const struct p2p_shares_folder *folder, const char *text)
{
    char path[PATH_MAX];

    return (folder->name[0] != '\0' && strcmp(folder->name, text) == 0) ||
           strcmp(folder->path, text) == 0 ||
           (realpath(text, path) != NULL && strcmp(folder->path, path) == 0);
}

int
cli_remove_folder(const struct cli_common *common, const char *text)
{
    struct change *c = calloc(1, sizeof(*c));
    size_t i = 0;
    int status;

    if (c == NULL)
        return cli_fail(P2P_ERR_NOMEM, "%s", p2p_err_text(P2P_ERR_NOMEM));
    c->common = common;
    if ((status = begin(c)) == 0 && (status = check(c)) == 0) {
        while (i < c->folders.count && !is_meant(&c->folders.at[i], text))
            i++;
        if (i == c->folders.count)
            status = cli_fail(P2P_ERR_NOT_FOUND,
                              "no shared folder has the name or path %s; `p2p share "
                              "ls` lists them",
                              text);
        else if (c->count == 1)
            status = cli_fail(P2P_ERR_USAGE,
                              "this is the only shared folder; add another one first");
    }
    if (status == 0) {
        strcpy(c->name, c->folders.at[i].name);
        free(c->texts[i]);
        memmove(&c->texts[i], &c->texts[i + 1],
                (c->count - i - 1) * sizeof(c->texts[0]));
        c->count--;
        if ((status = check(c)) == 0)
            status = save(c);
    }
    end(c);
    return status;
}
