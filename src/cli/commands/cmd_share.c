/* p2p share: the shared folders, what of them is not shared, and new scans. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/ask/share_folders.h"
#include "cli/machine/shared.h"
#include "p2p/path.h"
#include "p2p/share.h"

struct share_options {
    struct cli_common common;
    struct p2p_option_list shared_dirs;
    bool problems;
};
static const struct p2p_option options[] = {
    {"shared-dir", P2P_OPT_LIST, offsetof(struct share_options, shared_dirs), 0, 0,
     "DIR", "shared folder (default: those that p2p-peer shares, or shared)"},
    CLI_OPTION_KEYS(struct share_options),
    {"problems", P2P_OPT_FLAG, offsetof(struct share_options, problems), 0, 0, NULL,
     "with ls: list what is not shared, and why"},
    CLI_OPTION_JSON(struct share_options),
};
static const struct p2p_option_set set = {
    "p2p share", "[options] ls|add DIR|rm NAME|rescan|confirm [NAME]",
    "Lists the shared folders (ls) and what of them is not shared, with the reasons "
    "(ls "
    "--problems), adds a folder (add DIR or NAME=DIR) or removes one (rm, by its name "
    "or "
    "path; its files stay), starts a new scan of all of them (rescan), or confirms "
    "that the files of an empty folder, or of a disk that is not mounted in it, were "
    "deleted (confirm).",
    options, sizeof(options) / sizeof(options[0])};

/* ---- What is not shared ---- */

struct problems {
    const struct p2p_shares_folder *folder;
    const char *keys_dir;
    cJSON *array; /* NULL: printed as text */
    size_t count;
};

static void
show_problem(void *arg, const char *name, const char *reason)
{
    struct problems *p = arg;
    char whole[CLI_TEXT];
    cJSON *item;

    p->count++;
    snprintf(whole, sizeof(whole), "%s%s%s", p->folder->name,
             p->folder->name[0] != '\0' ? "/" : "", name);
    if (p->array != NULL) {
        item = cli_add_object(p->array);
        cli_put_text(item, "name", name[0] == '\0' ? NULL : whole);
        cli_put_text(item, "reason", reason);
    } else if (name[0] == '\0')
        printf("... and %s\n", reason);
    else
        printf("%s: %s\n", whole, reason);
}

/* Opens a folder that should be in use; returns 0 or the exit status. */
static int
open_folder(const struct p2p_shares_folder *folder, struct p2p_root **root)
{
    enum p2p_err err = p2p_root_open(folder->path, false, 0755, root);

    return err == P2P_OK ? 0
                         : cli_fail(err, "cannot open the shared folder %s: %s",
                                    folder->path, p2p_err_text(err));
}

static int
show_problems_of(struct problems *p)
{
    struct p2p_root *root = NULL;
    int status = open_folder(p->folder, &root);
    enum p2p_err err;

    if (status == 0 &&
        (err = p2p_share_problems_at(root, p->keys_dir, show_problem, p)) != P2P_OK)
        status = err == P2P_ERR_NOT_FOUND
                     ? cli_fail(err, "no program has shared %s yet; start p2p-peer",
                                p->folder->path)
                     : cli_fail(err, "cannot read the index of %s: %s", p->folder->path,
                                p2p_err_text(err));
    p2p_root_close(root);
    return status;
}

/* A folder that cannot be read does not hide the others. */
static int
show_problems(const struct share_options *opt, const struct p2p_shares_folders *folders)
{
    cJSON *object = opt->common.json ? cli_object() : NULL;
    cJSON *array = object != NULL ? cli_put_array(object, "problems") : NULL;
    int status = 0;

    for (size_t i = 0; i < folders->count; i++) {
        struct problems p = {.folder = &folders->at[i],
                             .keys_dir = opt->common.keys_dir,
                             .array = array};
        int one = show_problems_of(&p);
        if (one != 0)
            status = one;
        else if (array == NULL && p.count == 0)
            cli_say("everything in %s is shared", p.folder->path);
    }
    cli_print_json_if(status == 0, object);
    return status;
}

/* ---- Commands ---- */

static int
rescan(const struct p2p_shares_folders *folders, const char *keys_dir)
{
    int status = 0;

    for (size_t i = 0; i < folders->count; i++) {
        const char *path = folders->at[i].path;
        struct p2p_root *root = NULL;
        int one = open_folder(&folders->at[i], &root);
        enum p2p_err err = P2P_OK;
        if (one == 0 && (err = p2p_share_request_scan_at(root, keys_dir)) != P2P_OK)
            one =
                cli_fail(err, "cannot start a scan of %s: %s", path, p2p_err_text(err));
        else if (one == 0)
            cli_say("started a scan of %s", path);
        status = one != 0 ? one : status;
        p2p_root_close(root);
    }
    return status;
}

static const char *
last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static int
confirm_missing(const char *path, const struct p2p_root *root, const char *keys_dir)
{
    uint64_t files = 0;
    enum p2p_err err = cli_away_files(root, keys_dir, &files);

    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "no program has shared %s yet; start p2p-peer", path);
    if (err == P2P_OK && files == 0)
        return cli_fail(P2P_ERR_NOT_FOUND,
                        "nothing to confirm: %s is not an empty folder that had files "
                        "before, and no disk is missing there",
                        path);
    if (err == P2P_OK)
        err = p2p_share_confirm_at(root, keys_dir);
    if (err != P2P_OK)
        return cli_fail(err, "cannot confirm the deletion in %s: %s", path,
                        p2p_err_text(err));
    cli_say("confirmed: the %llu file%s of %s %s deleted", (unsigned long long)files,
            files == 1 ? "" : "s", path, files == 1 ? "was" : "were");
    return 0;
}

/* A person who has several folders has to name the one that is empty. */
static int
confirm(const struct p2p_shares_folders *folders, const char *name,
        const char *keys_dir)
{
    struct p2p_root *root = NULL;
    size_t i = 0;
    int status;

    if (name == NULL && folders->count > 1)
        return cli_fail(P2P_ERR_USAGE,
                        "several folders are shared: p2p share confirm NAME");
    while (name != NULL && i < folders->count &&
           strcmp(name, folders->at[i].name) != 0 &&
           strcmp(name, last_part(folders->at[i].path)) != 0)
        i++;
    if (i == folders->count)
        return cli_fail(P2P_ERR_NOT_FOUND,
                        "no shared folder is called %s; this one is %s", name,
                        folders->at[0].path);
    if ((status = open_folder(&folders->at[i], &root)) == 0)
        status = confirm_missing(folders->at[i].path, root, keys_dir);
    p2p_root_close(root);
    return status;
}

static int
act(const struct share_options *opt, const struct p2p_shares_folders *folders, int argc,
    char **argv)
{
    const char *verb = argc > 0 ? argv[1] : "";

    if (argc == 1 && strcmp(verb, "ls") == 0)
        return opt->problems ? show_problems(opt, folders)
                             : cli_list_folders(&opt->common, folders);
    if (argc == 1 && strcmp(verb, "rescan") == 0)
        return rescan(folders, opt->common.keys_dir);
    if ((argc == 1 || argc == 2) && strcmp(verb, "confirm") == 0)
        return confirm(folders, argc == 2 ? argv[2] : NULL, opt->common.keys_dir);
    return cli_fail(P2P_ERR_USAGE, "usage: p2p share ls [--problems] | add DIR | "
                                   "rm NAME | rescan | confirm [NAME]");
}

static int
act_on_folders(const struct share_options *opt, int argc, char **argv)
{
    struct cli_shared shared;
    struct cli_folders_memory memory = {.shared = &shared};
    struct p2p_shares_folders folders;
    int status = cli_find_folders(&opt->common, &opt->shared_dirs, &memory, &folders);

    if (status == 0)
        status = act(opt, &folders, argc, argv);
    cJSON_Delete(memory.status);
    return status;
}

int
cmd_share(int argc, char **argv)
{
    struct share_options opt = {.common = CLI_DEFAULTS};
    int arguments, status;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    if (arguments == 2 && strcmp(argv[1], "add") == 0)
        return cli_add_folder(&opt.common, argv[2]);
    if (arguments == 2 && strcmp(argv[1], "rm") == 0)
        return cli_remove_folder(&opt.common, argv[2]);
    return act_on_folders(&opt, arguments, argv);
}
