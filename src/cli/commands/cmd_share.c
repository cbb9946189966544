/* p2p share: lists what is not shared of the shared folder, and starts a new scan. */
#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "cli/machine/shared.h"
#include "p2p/path.h"
#include "p2p/share.h"

struct share_options {
    struct cli_common common;
    const char *shared_dir;
    bool problems;
};
static const struct p2p_option options[] = {
    {"shared-dir", P2P_OPT_TEXT, offsetof(struct share_options, shared_dir), 0, 0,
     "DIR", "shared folder (default: the one that p2p-peer shares, or shared)"},
    CLI_OPTION_KEYS(struct share_options),
    {"problems", P2P_OPT_FLAG, offsetof(struct share_options, problems), 0, 0, NULL,
     "with ls: list what is not shared, and why"},
    CLI_OPTION_JSON(struct share_options),
};
static const struct p2p_option_set set = {
    "p2p share", "[options] ls|rescan|confirm [NAME]",
    "Lists the files of the shared folder that are not shared, and why (ls "
    "--problems), starts a new scan of the folder (rescan), or confirms that the files "
    "of an empty folder were deleted (confirm). The folder must be in use by a running "
    "p2p-peer or p2p-ui.",
    options, sizeof(options) / sizeof(options[0])};

/* ---- What is not shared ---- */

static void
print_problem(void *arg, const char *name, const char *reason)
{
    size_t *count = arg;

    (*count)++;
    if (name[0] == '\0')
        printf("... and %s\n", reason);
    else
        printf("%s: %s\n", name, reason);
}

static void
add_problem(void *array, const char *name, const char *reason)
{
    cJSON *item = cli_add_object(array);

    cli_put_text(item, "name", name[0] == '\0' ? NULL : name);
    cli_put_text(item, "reason", reason);
}

static enum p2p_err
show_problems(const struct share_options *opt, const struct p2p_root *root)
{
    size_t count = 0;
    cJSON *object;
    enum p2p_err err;

    if (!opt->common.json) {
        err = p2p_share_problems_at(root, print_problem, &count);
        if (err == P2P_OK && count == 0)
            cli_say("everything in %s is shared", opt->shared_dir);
        return err;
    }
    object = cli_object();
    err = p2p_share_problems_at(root, add_problem, cli_put_array(object, "problems"));
    if (err == P2P_OK)
        cli_print_json(object);
    else
        cJSON_Delete(object);
    return err;
}

/* ---- Commands ---- */

static int
ls(const struct share_options *opt, const struct p2p_root *root)
{
    enum p2p_err err;

    if (!opt->problems)
        return cli_fail(P2P_ERR_USAGE,
                        "missing option: p2p share ls --problems (`p2p ls` "
                        "lists what a peer shares)");
    err = show_problems(opt, root);
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "no program has shared %s yet; start p2p-peer",
                        opt->shared_dir);
    return err == P2P_OK ? 0
                         : cli_fail(err, "cannot read the index of %s: %s",
                                    opt->shared_dir, p2p_err_text(err));
}

static int
rescan(const struct share_options *opt, const struct p2p_root *root)
{
    enum p2p_err err = p2p_share_request_scan(root);

    if (err != P2P_OK)
        return cli_fail(err, "cannot start a scan of %s: %s", opt->shared_dir,
                        p2p_err_text(err));
    cli_say("started a scan of %s", opt->shared_dir);
    return 0;
}

static const char *
last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL && slash[1] != '\0' ? slash + 1 : path;
}

static int
confirm(const struct share_options *opt, const struct p2p_root *root, const char *name)
{
    uint64_t files = 0;
    enum p2p_err err;

    if (name != NULL && strcmp(name, last_part(opt->shared_dir)) != 0)
        return cli_fail(P2P_ERR_NOT_FOUND,
                        "no shared folder is called %s; this one is %s", name,
                        opt->shared_dir);
    err = p2p_share_missing_at(root, &files);
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err, "no program has shared %s yet; start p2p-peer",
                        opt->shared_dir);
    if (err == P2P_OK && files == 0)
        return cli_fail(
            P2P_ERR_NOT_FOUND,
            "nothing to confirm: %s is not an empty folder that had files before",
            opt->shared_dir);
    if (err == P2P_OK)
        err = p2p_share_confirm_at(root);
    if (err != P2P_OK)
        return cli_fail(err, "cannot confirm the deletion in %s: %s", opt->shared_dir,
                        p2p_err_text(err));
    cli_say("confirmed: the %llu file%s of %s %s deleted", (unsigned long long)files,
            files == 1 ? "" : "s", opt->shared_dir, files == 1 ? "was" : "were");
    return 0;
}

static int
act(const struct share_options *opt, const struct p2p_root *root, int argc, char **argv)
{
    if (argc == 1 && strcmp(argv[1], "ls") == 0)
        return ls(opt, root);
    if (argc == 1 && strcmp(argv[1], "rescan") == 0)
        return rescan(opt, root);
    if ((argc == 1 || argc == 2) && strcmp(argv[1], "confirm") == 0)
        return confirm(opt, root, argc == 2 ? argv[2] : NULL);
    return cli_fail(
        P2P_ERR_USAGE,
        "usage: p2p share ls --problems | p2p share rescan | p2p share confirm [NAME]");
}

int
cmd_share(int argc, char **argv)
{
    struct share_options opt = {.common = CLI_DEFAULTS};
    struct cli_shared shared;
    struct p2p_root *root = NULL;
    int arguments, status;
    enum p2p_err err;

    if (!cli_parse(&set, &opt, argc, argv, &arguments, &status))
        return status;
    cli_find_shared(opt.common.keys_dir, opt.shared_dir, &shared);
    opt.shared_dir = shared.dir;
    err = p2p_root_open(opt.shared_dir, false, 0755, &root);
    if (err == P2P_OK)
        status = act(&opt, root, arguments, argv);
    else
        status = cli_fail(err, "cannot open the shared folder %s: %s", opt.shared_dir,
                          p2p_err_text(err));
    p2p_root_close(root);
    return status;
}
