/* p2p init: the few things a device has to know, asked once. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands/commands.h"
#include "p2p/home.h"
#include "p2p/machine.h"
#include "p2p/path.h"
#include "p2p/settings.h"

struct init_options {
    const char *name, *shared_dir, *downloads_dir, *keys_dir;
    struct p2p_option_list discovery;
    bool json;
};
#define AT(field) offsetof(struct init_options, field)
static const struct p2p_option options[] = {
    {"name", P2P_OPT_TEXT, AT(name), 0, 0, "NAME",
     "this device's name, which people see instead of its id"},
    {"shared-dir", P2P_OPT_TEXT, AT(shared_dir), 0, 0, "DIR", "folder to share"},
    {"downloads-dir", P2P_OPT_TEXT, AT(downloads_dir), 0, 0, "DIR",
     "folder where downloads are stored"},
    {"discovery", P2P_OPT_LIST, AT(discovery), 0, 0, "URL",
     "registry to use, or none; may be repeated"},
    {"keys-dir", P2P_OPT_TEXT, AT(keys_dir), 0, 0, "DIR",
     "use the existing key in this folder"},
    {"json", P2P_OPT_FLAG, AT(json), 0, 0, NULL, "write JSON to standard output"},
};
static const struct p2p_option_set set = {
    "p2p init", "[options]",
    "Sets up this device: writes p2p.conf and creates the device's key. All programs "
    "then use them in every current folder. On a terminal, it asks for each setting "
    "that no option gives. Run it again to change single settings.",
    options, sizeof(options) / sizeof(options[0])};

struct init_run {
    struct init_options opt;
    struct p2p_home home;
    struct p2p_settings *settings;
    char name[P2P_ABOUT_NAME_MAX + 1];
    char shared_dir[PATH_MAX], downloads_dir[PATH_MAX], keys_dir[PATH_MAX];
    char registry[512];
};

/* ---- questions ---- */

/* The answer, or `preset` when there is none. */
static void
ask(const char *question, const char *preset, char *answer, size_t cap)
{
    size_t len;

    fprintf(stderr, "%s [%s]: ", question, preset);
    if (fgets(answer, (int)cap, stdin) == NULL)
        answer[0] = '\0';
    len = strcspn(answer, "\n");
    while (len > 0 && answer[len - 1] == ' ')
        len--;
    answer[len] = '\0';
    if (len == 0)
        snprintf(answer, cap, "%s", preset);
}

static void
ask_for_identity(struct init_run *run)
{
    char answer[8];

    if (run->opt.keys_dir != NULL || run->home.kind != P2P_HOME_FOLDER)
        return;
    ask("There is an identity in keys/ here. Use it in every folder?", "yes", answer,
        sizeof(answer));
    if (answer[0] != 'n' && answer[0] != 'N') {
        run->opt.keys_dir = "keys";
        return;
    }
    snprintf(run->keys_dir, sizeof(run->keys_dir), "%.*s/keys",
             (int)(strrchr(run->home.config, '/') - run->home.config),
             run->home.config);
    run->opt.keys_dir = run->keys_dir;
}

/* The settings of p2p.conf have been read into the options already. */
static void
ask_for_missing(struct init_run *run)
{
    struct p2p_about host;

    ask_for_identity(run);
    if (run->opt.name == NULL) {
        if (p2p_machine_about(NULL, NULL, &host, NULL, 0) != P2P_OK ||
            host.name[0] == '\0')
            snprintf(host.name, sizeof(host.name), "this machine");
        ask("Name of this device", host.name, run->name, sizeof(run->name));
        run->opt.name = run->name;
    }
    if (run->opt.shared_dir == NULL) {
        ask("Folder that you share", run->home.shared_dir, run->shared_dir,
            sizeof(run->shared_dir));
        run->opt.shared_dir = run->shared_dir;
    }
    if (run->opt.discovery.count == 0) {
        ask("Registry (its URL, or none)", P2P_REGISTRY_DEFAULT, run->registry,
            sizeof(run->registry));
        run->opt.discovery.at[run->opt.discovery.count++] = run->registry;
    }
}

/* ---- checks ---- */

/* Folders are kept by their whole path: the file is read in any folder. */
static int
make_absolute(const char *option, const char **path, char out[PATH_MAX], mode_t mode)
{
    struct p2p_root *root = NULL;
    char shown[CLI_TEXT], named[PATH_MAX];
    enum p2p_err err;

    if (*path == NULL)
        return 0;
    snprintf(named, sizeof(named), "%s", *path);
    err = p2p_root_open(named, true, mode, &root);
    p2p_root_close(root);
    if (err != P2P_OK)
        return cli_fail(err, "cannot use the folder %s (--%s): %s",
                        cli_text(named, shown), option, p2p_err_text(err));
    if (realpath(named, out) == NULL)
        return cli_fail(P2P_ERR_SYS, "cannot find the path of the folder %s (--%s)",
                        cli_text(named, shown), option);
    *path = out;
    return 0;
}

static int
check(struct init_run *run)
{
    struct cli_common common = {.discovery = run->opt.discovery, .timeout_ms = 1000};
    struct p2p_discovery *d = NULL;
    struct p2p_about about;
    char why[256];
    int status;

    if (p2p_machine_about(run->opt.name, NULL, &about, why, sizeof(why)) != P2P_OK)
        return cli_fail(P2P_ERR_USAGE, "%s", why);
    if (run->opt.discovery.count > 0) {
        enum p2p_err err = cli_open_discovery(&common, &d);
        p2p_discovery_close(d);
        if (err != P2P_OK)
            return p2p_err_exit_status(err);
    }
    status = make_absolute("keys-dir", &run->opt.keys_dir, run->keys_dir, 0700);
    if (status == 0)
        status =
            make_absolute("shared-dir", &run->opt.shared_dir, run->shared_dir, 0755);
    if (status == 0)
        status = make_absolute("downloads-dir", &run->opt.downloads_dir,
                               run->downloads_dir, 0755);
    return status;
}

/* ---- what is written ---- */

static enum p2p_err
put(struct init_run *run, const char *name, const char *value)
{
    return value != NULL ? p2p_settings_set(run->settings, "", name, &value, 1)
                         : P2P_OK;
}

static int
write_settings(struct init_run *run)
{
    const struct p2p_option_list *registries = &run->opt.discovery;
    enum p2p_err err = put(run, "name", run->opt.name);

    if (err == P2P_OK)
        err = put(run, "shared-dir", run->opt.shared_dir);
    if (err == P2P_OK)
        err = put(run, "downloads-dir", run->opt.downloads_dir);
    if (err == P2P_OK)
        err = put(run, "keys-dir", run->opt.keys_dir);
    if (err == P2P_OK && registries->count > 0)
        err = p2p_settings_set(run->settings, "", "discovery", registries->at,
                               registries->count);
    if (err == P2P_ERR_USAGE)
        return cli_fail(err, "invalid value: a name or path may not contain a line "
                             "break, or begin or end with a space");
    if (err == P2P_OK)
        err = p2p_settings_save(run->settings);
    return err == P2P_OK ? 0
                         : cli_fail(err, "cannot write %s: %s", run->home.config,
                                    p2p_err_text(err));
}

static int
tell(const struct init_run *run, const struct p2p_identity *identity)
{
    struct cJSON *object = run->opt.json ? cli_object() : NULL;
    const char *hex = p2p_identity_id_hex(identity);

    if (object == NULL) {
        printf("%s\n", hex);
        cli_say("this device is ready: its settings are in %s", run->home.config);
        return 0;
    }
    cli_put_text(object, "peer_id", hex);
    cli_put_text(object, "path", run->home.config);
    cli_print_json(object);
    return 0;
}

static int
set_up(struct init_run *run)
{
    struct cli_common common = {.keys_dir = run->home.keys_dir};
    struct p2p_identity *identity = NULL;
    enum p2p_err err;
    int status;

    if (isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
        ask_for_missing(run);
    else if (run->opt.keys_dir == NULL && run->home.kind == P2P_HOME_FOLDER)
        return cli_fail(
            P2P_ERR_USAGE,
            "there is an identity in keys/ here: give --keys-dir keys to use it in "
            "every folder, or --keys-dir with another folder to create a new one");
    status = check(run);
    if (status != 0)
        return status;
    if (run->opt.keys_dir != NULL)
        common.keys_dir = run->opt.keys_dir;
    /* Creates the identity first: settings that name an unusable one would be useless.
     */
    err = cli_open_identity(&common, &identity);
    if (err != P2P_OK)
        return p2p_err_exit_status(err);
    status = write_settings(run);
    if (status == 0)
        status = tell(run, identity);
    p2p_identity_close(identity);
    return status;
}

int
cmd_init(int argc, char **argv)
{
    struct init_run run = {.settings = NULL};
    int arguments, status;

    if (!cli_parse(&set, &run.opt, argc, argv, &arguments, &status))
        return status;
    if (arguments > 0)
        return cli_fail(P2P_ERR_USAGE, "p2p init takes options only; see --help");
    status = cli_open_settings(&run.home, &run.settings);
    if (status == 0)
        status = set_up(&run);
    p2p_settings_close(run.settings);
    return status;
}
