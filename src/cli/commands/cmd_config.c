/* p2p config: reads and changes the configuration file of this home. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/commands/commands.h"
#include "p2p/home.h"
#include "p2p/settings.h"

enum { SECTION_MAX = 64 };
#define VERSIONS "versions." /* prefix of the settings of old versions */

struct config_options {
    bool json;
};
static const struct p2p_option options[] = {
    {"json", P2P_OPT_FLAG, offsetof(struct config_options, json), 0, 0, NULL,
     "write JSON to standard output"},
};
static const struct p2p_option_set set = {
    "p2p config", "[options] get NAME | set NAME VALUE... | unset NAME | list | path",
    "Shows or changes settings in p2p.conf. NAME is the name of an option. A setting "
    "such as discovery applies to all programs, and p2p-ui.port applies to one. "
    "versions.KEY is a setting of old versions (p2p versions show), which is stored in "
    "the shared folders. "
    "Running programs read the file again on SIGHUP.",
    options, sizeof(options) / sizeof(options[0])};

struct config_run {
    struct config_options opt;
    struct p2p_home home;
    struct p2p_settings *settings;
    char section[SECTION_MAX];
    const char *name;
};

/* "p2p-ui.port" is [p2p-ui] port. */
static bool
take_name(struct config_run *run, const char *text)
{
    const char *dot = strrchr(text, '.');
    size_t len = dot != NULL ? (size_t)(dot - text) : 0;
    char why[256];

    run->name = dot != NULL ? dot + 1 : text;
    if (len < sizeof(run->section)) {
        memcpy(run->section, text, len);
        run->section[len] = '\0';
        if (p2p_settings_are_known(run->section, run->name, why, sizeof(why)))
            return true;
    } else {
        snprintf(why, sizeof(why),
                 "unknown setting: the part before the dot is too long");
    }
    cli_fail(P2P_ERR_USAGE, "%s", why);
    return false;
}

static int
save(const struct config_run *run)
{
    enum p2p_err err = p2p_settings_save(run->settings);

    if (err != P2P_OK)
        return cli_fail(err, "cannot write %s: %s", run->home.config,
                        p2p_err_text(err));
    cli_say("changed %s; running programs read it again on SIGHUP or at their next "
            "start",
            run->home.config);
    return 0;
}

static int
change(struct config_run *run, const char *const *values, size_t count)
{
    enum p2p_err err;

    if (run->home.kind == P2P_HOME_FOLDER)
        return cli_fail(P2P_ERR_USAGE,
                        "p2p.conf does not name the identity in keys/ here yet; run "
                        "`p2p init --keys-dir keys` first");
    err = p2p_settings_set(run->settings, run->section, run->name, values, count);
    if (err == P2P_ERR_USAGE)
        return cli_fail(err, "invalid value: use one line of text that does not begin "
                             "or end with a space");
    if (err != P2P_OK)
        return cli_fail(err, "%s", p2p_err_text(err));
    return save(run);
}

static int
get(struct config_run *run)
{
    const char *values[P2P_OPTION_LIST_MAX];
    size_t count = p2p_settings_get(run->settings, run->section, run->name, values,
                                    P2P_OPTION_LIST_MAX);
    struct cJSON *object = run->opt.json && count > 0 ? cli_object() : NULL, *array;

    if (count == 0)
        return cli_fail(P2P_ERR_NOT_FOUND, "%s is not set in %s", run->name,
                        run->home.config);
    if (count > P2P_OPTION_LIST_MAX)
        count = P2P_OPTION_LIST_MAX;
    if (object == NULL) {
        for (size_t i = 0; i < count; i++)
            printf("%s\n", values[i]);
        return 0;
    }
    array = cli_put_array(object, "values");
    for (size_t i = 0; i < count; i++)
        cli_put_text(cli_add_object(array), "value", values[i]);
    cli_print_json(object);
    return 0;
}

static void
print_setting(void *arg, const char *section, const char *name, const char *value)
{
    struct cJSON *array = arg, *object;
    char shown[CLI_TEXT];

    if (array == NULL) {
        printf("%s%s%s = %s\n", section, section[0] != '\0' ? "." : "", name,
               cli_text(value, shown));
        return;
    }
    object = cli_add_object(array);
    cli_put_text(object, "section", section[0] != '\0' ? section : NULL);
    cli_put_text(object, "name", name);
    cli_put_text(object, "value", value);
}

static int
list(struct config_run *run)
{
    struct cJSON *object = run->opt.json ? cli_object() : NULL;

    if (object != NULL)
        cli_put_text(object, "path", run->home.config);
    p2p_settings_each(run->settings, print_setting,
                      object != NULL ? cli_put_array(object, "settings") : NULL);
    if (object != NULL)
        cli_print_json(object);
    return 0;
}

static int
print_path(const struct config_run *run)
{
    struct cJSON *object = run->opt.json ? cli_object() : NULL;

    if (object == NULL) {
        printf("%s\n", run->home.config);
        return 0;
    }
    cli_put_text(object, "path", run->home.config);
    cli_print_json(object);
    return 0;
}

/* "versions.space": those of old versions are in the shared folders, and apply at once.
 */
static int
act_on_versions(const struct config_run *run, int argc, char **argv)
{
    const char *key = argv[2] + strlen(VERSIONS);

    if (argv[1][0] == 'g')
        return cli_versions_setting(CLI_SETTING_GET, key, NULL, run->opt.json);
    if (argc > 3)
        return cli_fail(P2P_ERR_USAGE, "%s takes one value: write it in quotes",
                        argv[2]);
    return cli_versions_setting(CLI_SETTING_SET, key, argc == 3 ? argv[3] : NULL,
                                false);
}

static int
act(struct config_run *run, int argc, char **argv)
{
    const char *verb = argc > 0 ? argv[1] : "";

    if (argc == 1 && strcmp(verb, "list") == 0)
        return list(run);
    if (argc == 1 && strcmp(verb, "path") == 0)
        return print_path(run);
    if ((argc == 2 && (strcmp(verb, "get") == 0 || strcmp(verb, "unset") == 0)) ||
        (argc > 2 && strcmp(verb, "set") == 0)) {
        if (strncmp(argv[2], VERSIONS, strlen(VERSIONS)) == 0)
            return act_on_versions(run, argc, argv);
        if (!take_name(run, argv[2]))
            return p2p_err_exit_status(P2P_ERR_USAGE);
        return verb[0] == 'g'
                   ? get(run)
                   : change(run, (const char *const *)argv + 3, (size_t)argc - 2);
    }
    return cli_fail(P2P_ERR_USAGE, "missing or unknown command; use p2p config get "
                                   "NAME, set NAME VALUE, unset NAME, list or path");
}

int
cmd_config(int argc, char **argv)
{
    struct config_run run = {.settings = NULL};
    int arguments, status;

    if (!cli_parse(&set, &run.opt, argc, argv, &arguments, &status))
        return status;
    status = cli_open_settings(&run.home, &run.settings);
    if (status == 0)
        status = act(&run, arguments, argv);
    p2p_settings_close(run.settings);
    return status;
}
