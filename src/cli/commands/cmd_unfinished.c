/* p2p unfinished: lists or removes interrupted downloads. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "p2p/array.h"
#include "p2p/bytes.h"
#include "p2p/journal.h"
#include "p2p/path.h"

struct unfinished_options {
    struct cli_common common;
    const char *output_dir;
};
static const struct p2p_option options[] = {
    {"output-dir", P2P_OPT_TEXT, offsetof(struct unfinished_options, output_dir), 0, 0,
     "DIR", "folder where downloads are stored"},
    CLI_OPTION_JSON(struct unfinished_options),
};
static const struct p2p_option_set set = {
    "p2p unfinished", "[options] [remove NAME|ROOT|all]",
    "Lists interrupted downloads, or removes them. They use disk space until you "
    "resume them (p2p get NAME, or the dashboard) or remove them.",
    options, sizeof(options) / sizeof(options[0])};

struct list {
    struct p2p_unfinished *at;
    size_t count, room;
    bool is_short; /* out of memory */
};

static void
add(void *arg, const struct p2p_unfinished *unfinished)
{
    struct list *list = arg;

    void *at = p2p_array_room(list->at, list->count, &list->room, sizeof(*list->at));
    list->is_short |= at == NULL;
    if (at == NULL)
        return;
    list->at = at;
    list->at[list->count++] = *unfinished;
}

static int
by_age(const void *a, const void *b)
{
    uint64_t x = ((const struct p2p_unfinished *)a)->used_s;
    uint64_t y = ((const struct p2p_unfinished *)b)->used_s;

    return (x > y) - (x < y);
}

static void
print_json(const struct list *list)
{
    cJSON *object = cli_object(), *array = cli_put_array(object, "unfinished");

    for (size_t i = 0; i < list->count; i++) {
        const struct p2p_unfinished *u = &list->at[i];
        cJSON *item = cli_add_object(array);
        cli_put_text(item, "name", u->is_known ? u->info.name : NULL);
        cli_put_hex(item, "root", u->info.root.b, true);
        if (u->is_known)
            cli_put_number(item, "size", u->info.geometry.size);
        cli_put_number(item, "done", u->done_bytes);
        cli_put_number(item, "disk", u->disk_bytes);
        cli_put_number(item, "last_used", u->used_s);
        cli_put_bool(item, "running", u->is_running);
    }
    cli_print_json(object);
}

static void
print_one(const struct p2p_unfinished *u)
{
    char name[CLI_TEXT], disk[CLI_SHORT], used[CLI_SHORT], root[17];
    uint64_t size = u->info.geometry.size;
    unsigned percent = size > 0 ? (unsigned)(u->done_bytes * 100 / size) : 0;

    p2p_hex_format(u->info.root.b, 8, root);
    printf("%s  %s  %10s  %3u %%  %s%s\n", root, cli_time(u->used_s, used),
           cli_size(u->disk_bytes, disk), percent,
           u->is_known ? cli_text(u->info.name, name) : "(unknown)",
           u->is_running ? "  (running)" : "");
}

static bool
is_meant(const struct p2p_unfinished *u, const char *what)
{
    char root[2 * P2P_DIGEST_LEN + 1];
    size_t len = strlen(what);

    p2p_hex_format(u->info.root.b, P2P_DIGEST_LEN, root);
    return strcmp(what, "all") == 0 ||
           (u->is_known && strcmp(u->info.name, what) == 0) ||
           (len >= 16 && strncmp(root, what, len) == 0);
}

static int
remove_meant(const struct p2p_root *downloads, const struct list *list,
             const char *what)
{
    char name[CLI_TEXT];
    size_t found = 0;

    for (size_t i = 0; i < list->count; i++) {
        const struct p2p_unfinished *u = &list->at[i];
        if (!is_meant(u, what))
            continue;
        enum p2p_err err = p2p_journal_replace(downloads, &u->info.root, NULL);
        cli_text(u->is_known ? u->info.name : "(unknown)", name);
        if (err == P2P_ERR_BUSY)
            return cli_fail(err, "%s is being downloaded now", name);
        if (err != P2P_OK)
            return cli_fail(err, "%s: %s", name, p2p_err_text(err));
        cli_say("removed the unfinished download of %s", name);
        found++;
    }
    if (found == 0 && strcmp(what, "all") != 0)
        return cli_fail(P2P_ERR_NOT_FOUND, "there is no unfinished download of %s",
                        cli_text(what, name));
    return 0;
}

static int
act(const struct unfinished_options *opt, const struct p2p_root *downloads, int argc,
    char **argv)
{
    struct list list = {.at = NULL};
    enum p2p_err err = p2p_journal_each(downloads, add, &list);
    int status = 0;

    if (err == P2P_OK && list.is_short)
        err = P2P_ERR_NOMEM;
    if (list.count > 0)
        qsort(list.at, list.count, sizeof(*list.at), by_age);
    if (err != P2P_OK)
        status = cli_fail(err, "%s: %s", opt->output_dir, p2p_err_text(err));
    else if (argc == 2 && strcmp(argv[1], "remove") == 0)
        status = remove_meant(downloads, &list, argv[2]);
    else if (argc != 0)
        status =
            cli_fail(P2P_ERR_USAGE, "usage: p2p unfinished [remove NAME|ROOT|all]");
    else if (opt->common.json)
        print_json(&list);
    else if (list.count == 0)
        cli_say("there are no unfinished downloads");
    else
        for (size_t i = 0; i < list.count; i++)
            print_one(&list.at[i]);
    free(list.at);
    return status;
}

int
cmd_unfinished(int argc, char **argv)
{
    struct unfinished_options opt = {.common = CLI_DEFAULTS, .output_dir = "downloads"};
    struct p2p_root *downloads = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    err = p2p_root_open(opt.output_dir, false, 0755, &downloads);
    if (err == P2P_OK)
        status = act(&opt, downloads, arguments, argv);
    else
        status = cli_fail(err, "%s: %s", opt.output_dir, p2p_err_text(err));
    p2p_root_close(downloads);
    return status;
}
