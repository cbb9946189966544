#include "cli/send/link.h"

#include <cjson/cJSON.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/ask/share_folders.h"
#include "cli/machine/shared.h"
#include "cli/send/place.h"
#include "cli/send/qr.h"
#include "p2p/bytes.h"
#include "p2p/clock.h"
#include "p2p/links.h"

struct link_options {
    struct cli_common common;
    struct p2p_option_list shared_dirs;
    const char *title, *pin;
    uint64_t expires_ms, uses, bytes;
    bool insecure;
};
#define AT(field) offsetof(struct link_options, field)
static const struct p2p_option options[] = {
    {"title", P2P_OPT_TEXT, AT(title), 0, 0, "TEXT", "with new: what guests read"},
    {"expires", P2P_OPT_DURATION, AT(expires_ms), 1000, P2P_LINKS_MAX_S * 1000ull,
     "TIME", "with new: end after this long"},
    {"uses", P2P_OPT_NUMBER, AT(uses), 0, 1000000, "N",
     "with new: end after this many downloads (0: no limit)"},
    {"bytes", P2P_OPT_SIZE, AT(bytes), 0, P2P_FILE_SIZE_MAX, "SIZE",
     "with new: give at most this many bytes in total (0: no limit)"},
    {"pin", P2P_OPT_TEXT, AT(pin), 0, 0, "PIN", "with new: ask guests for this PIN"},
    {"insecure-link", P2P_OPT_FLAG, AT(insecure), 0, 0, NULL,
     "with new: make a link although the registry has no https"},
    {"shared-dir", P2P_OPT_LIST, AT(shared_dirs), 0, 0, "DIR",
     "shared folder with the files (default: the shared folders)"},
    CLI_OPTION_DISCOVERY(struct link_options),
    CLI_OPTION_TIMEOUT(struct link_options),
    CLI_OPTION_KEYS(struct link_options),
    CLI_OPTION_JSON(struct link_options),
};
static const struct p2p_option_set set = {
    "p2p link", "[options] new NAME... | ls | revoke ID",
    "Makes a link to shared files and folders, for people with a browser. p2p-peer "
    "gives them the files directly, encrypted, while it runs. The link is shown only "
    "once. revoke ends a link at once. For other files, use p2p send.",
    options, sizeof(options) / sizeof(options[0])};

/* ---- new ---- */

/* A shared file, or a folder, which gets its slash. */
static bool
find_name(const struct p2p_shares_folders *folders, const char *name,
          char out[P2P_NAME_MAX + 2])
{
    size_t len = strlen(name);
    char path[PATH_MAX];
    struct stat st;

    while (len > 0 && name[len - 1] == '/')
        len--;
    for (size_t i = 0; i < folders->count; i++) {
        const char *folder = folders->at[i].name, *inner = name;
        size_t folder_len = strlen(folder), inner_len = len;

        if (folder_len > 0) {
            if (len < folder_len || strncmp(name, folder, folder_len) != 0 ||
                (len > folder_len && name[folder_len] != '/'))
                continue;
            inner = name + folder_len;
            inner_len = len - folder_len;
        }
        if (len == 0 || len > P2P_NAME_MAX ||
            snprintf(path, sizeof(path), "%s/%.*s", folders->at[i].path, (int)inner_len,
                     inner) >= (int)sizeof(path) ||
            stat(path, &st) != 0)
            continue;
        snprintf(out, P2P_NAME_MAX + 2, "%.*s%s", (int)len, name,
                 S_ISDIR(st.st_mode) ? "/" : "");
        return true;
    }
    return false;
}

static int
read_names(const struct link_options *opt, char *const *names, size_t count,
           struct p2p_links_row *row)
{
    struct cli_shared shared;
    struct cli_folders_memory memory = {.shared = &shared};
    struct p2p_shares_folders folders;
    char name[P2P_NAME_MAX + 2], shown[CLI_TEXT];
    int status = cli_find_folders(&opt->common, &opt->shared_dirs, &memory, &folders);

    for (size_t i = 0; i < count && status == 0; i++) {
        enum p2p_err err = P2P_ERR_NOT_FOUND;
        if (find_name(&folders, names[i], name))
            err = p2p_links_name(row, name);
        if (err != P2P_OK)
            status =
                cli_fail(err, "cannot make a link to %s: %s", cli_text(names[i], shown),
                         err == P2P_ERR_NOT_FOUND
                             ? "there is no such shared file; p2p send sends "
                               "files that are not shared"
                             : p2p_err_text(err));
    }
    cJSON_Delete(memory.status);
    return status;
}

static enum p2p_err
fill(const struct link_options *opt, const struct p2p_link_secret *secret,
     struct p2p_links_row *row)
{
    enum p2p_err err = p2p_link_derive(secret, &row->keys);

    row->created_s = p2p_time_s();
    row->expires_s = row->created_s + (opt->expires_ms + 999) / 1000;
    row->uses_left = opt->uses > 0 ? opt->uses : P2P_LINKS_NO_LIMIT;
    row->bytes_left = opt->bytes > 0 ? opt->bytes : P2P_LINKS_NO_LIMIT;
    row->has_pin = opt->pin != NULL;
    if (err == P2P_OK && opt->pin != NULL)
        err = p2p_link_pin_of(&row->keys, opt->pin, &row->pin);
    return err;
}

static void
say_new(const struct link_options *opt, const struct p2p_links_row *row,
        const char *url)
{
    cJSON *object;

    if (!opt->common.json) {
        cli_say("save the link now, it is not shown again; p2p link revoke %llu ends "
                "it",
                (unsigned long long)row->id);
        printf("%s\n", url);
        return;
    }
    object = cli_object();
    cli_put_number(object, "id", row->id);
    cli_put_text(object, "link", url);
    cli_put_number(object, "expires", row->expires_s);
    cli_print_json(object);
}

static int
make(const struct link_options *opt, char *const *names, size_t count)
{
    struct p2p_link_secret secret;
    struct p2p_links_row *row = calloc(1, sizeof(*row));
    struct place place;
    char url[P2P_LINK_URL];
    const char *why;
    enum p2p_err err;
    int status;

    if (row == NULL)
        return cli_fail(P2P_ERR_NOMEM, "out of memory");
    status = read_names(opt, names, count, row);
    snprintf(row->title, sizeof(row->title), "%s",
             opt->title != NULL ? opt->title
             : count == 1       ? names[0]
                                : "");
    if (status != 0) {
        free(row);
        return status;
    }
    err = place_open(&place, &opt->common.discovery, opt->common.timeout_ms);
    why = err == P2P_OK ? place_against_link(&place) : NULL;
    if (err == P2P_OK && place.helper.pid > 0)
        why = "no registry answers (--discovery)";
    if (err == P2P_OK && why != NULL && !(opt->insecure && place.has_links))
        status = cli_fail(P2P_ERR_UNSUPPORTED, "cannot make a link: %s", why);
    if (err == P2P_OK && status == 0 && (err = p2p_link_make(&secret)) == P2P_OK &&
        (err = fill(opt, &secret, row)) == P2P_OK &&
        (err = p2p_link_url(place.for_others, &secret, url)) == P2P_OK)
        err = p2p_links_add(opt->common.keys_dir, row);
    place_close(&place);
    if (err == P2P_ERR_TOO_LARGE)
        status = cli_fail(err, "there are already %d links; revoke one first",
                          P2P_LINKS_MAX);
    else if (err != P2P_OK)
        status = cli_fail(err, "cannot make a link: %s", p2p_err_text(err));
    else if (status == 0)
        say_new(opt, row, url);
    p2p_wipe(&secret, sizeof(secret));
    p2p_wipe(url, sizeof(url));
    p2p_wipe(row, sizeof(*row));
    free(row);
    return status;
}

/* ---- ls, revoke ---- */

static void
put_limit(cJSON *object, const char *name, uint64_t value)
{
    if (value == P2P_LINKS_NO_LIMIT)
        cJSON_AddNullToObject(object, name);
    else
        cli_put_number(object, name, value);
}

static void
put_row(cJSON *object, const struct p2p_links_row *row)
{
    cli_put_number(object, "id", row->id);
    cli_put_text(object, "title", row->title);
    cli_put_number(object, "created", row->created_s);
    cli_put_number(object, "expires", row->expires_s);
    put_limit(object, "uses_left", row->uses_left);
    put_limit(object, "bytes_left", row->bytes_left);
    cli_put_bool(object, "has_pin", row->has_pin);
    cli_put_text(object, "direction", row->folder[0] != '\0' ? "take" : "give");
    if (row->folder[0] != '\0')
        cli_put_text(object, "folder", row->folder);
    cJSON *names = cli_put_array(object, "files");
    for (const char *at = row->names; *at != '\0';) {
        char name[P2P_NAME_MAX + 2];
        size_t len = strcspn(at, "\n");
        snprintf(name, sizeof(name), "%.*s", (int)len, at);
        cJSON_AddItemToArray(names, cJSON_CreateString(name));
        at += len + (at[len] != '\0');
    }
}

static void
print_row(const struct p2p_links_row *row)
{
    char title[CLI_TEXT], until[CLI_SHORT], uses[CLI_SHORT] = "", folder[CLI_TEXT] = "";

    if (row->uses_left != P2P_LINKS_NO_LIMIT)
        snprintf(uses, sizeof(uses), "%llu uses left",
                 (unsigned long long)row->uses_left);
    cli_time(row->expires_s, until);
    if (row->folder[0] != '\0')
        cli_text(row->folder, folder);
    printf("%-4llu  until %s  %-14s  %s%s%s%s\n", (unsigned long long)row->id, until,
           uses, cli_text(row->title, title), folder[0] != '\0' ? "  into " : "",
           folder, row->has_pin ? "  (with a PIN)" : "");
}

static int
list(const struct link_options *opt)
{
    struct p2p_links_row *rows;
    size_t count;
    cJSON *object = NULL, *array = NULL;
    enum p2p_err err = p2p_links_list(opt->common.keys_dir, &rows, &count);

    if (err != P2P_OK)
        return cli_fail(err, "cannot read grants.db in the keys folder: %s",
                        p2p_err_text(err));
    if (opt->common.json) {
        object = cli_object();
        array = cli_put_array(object, "links");
    }
    for (size_t i = 0; i < count; i++)
        if (array != NULL)
            put_row(cli_add_object(array), &rows[i]);
        else
            print_row(&rows[i]);
    cli_print_json_if(object != NULL, object);
    if (rows != NULL)
        p2p_wipe(rows, count * sizeof(*rows));
    free(rows);
    return 0;
}

static int
revoke(const struct link_options *opt, const char *text)
{
    char shown[CLI_TEXT];
    uint64_t id = 0;
    enum p2p_err err = P2P_ERR_NOT_FOUND;

    if (p2p_decimal_parse(text, strlen(text), INT64_MAX, &id) == P2P_OK)
        err = p2p_links_revoke(opt->common.keys_dir, id);
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "there is no link %s; p2p link ls shows them",
                        cli_text(text, shown));
    if (err != P2P_OK)
        return cli_fail(err, "cannot revoke the link: %s", p2p_err_text(err));
    cli_say("link %llu is revoked", (unsigned long long)id);
    return 0;
}

int
cmd_link(int argc, char **argv)
{
    struct link_options opt = {.common = CLI_DEFAULTS,
                               .expires_ms = P2P_LINKS_DEFAULT_S * 1000ull};
    int arguments, status;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments == 1 && strcmp(argv[1], "ls") == 0)
        return list(&opt);
    if (arguments == 2 && strcmp(argv[1], "revoke") == 0)
        return revoke(&opt, argv[2]);
    if (arguments >= 2 && strcmp(argv[1], "new") == 0)
        return make(&opt, argv + 2, (size_t)arguments - 1);
    return cli_fail(P2P_ERR_USAGE,
                    "usage: p2p link new NAME... | p2p link ls | p2p link revoke ID");
}
