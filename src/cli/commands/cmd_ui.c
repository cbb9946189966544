/* p2p ui: opens this machine's dashboard in the browser, with the owner's rights. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cjson/cJSON.h>

#include "cli/commands/commands.h"
#include "cli/machine/dashboard.h"
#include "p2p/clock.h"
#include "p2p/crypto.h"
#include "p2p/home.h"
#include "p2p/limits.h"
#include "p2p/owner.h"

#define OPENER         "xdg-open"
#define OPENER_WAIT_MS 5000
#define OPENER_STEP_US 20000
#define SERVICE_HOME   "/var/lib/p2p"
#define SERVICE_KEYS   SERVICE_HOME "/keys"

struct ui_command {
    struct cli_common common;
    const char *url, *ca_file;
};
#define AT(field) offsetof(struct ui_command, field)
static const struct p2p_option options[] = {
    {"url", P2P_OPT_TEXT, AT(url), 0, 0, "URL", "address of p2p-ui on this machine"},
    {"ca-file", P2P_OPT_TEXT, AT(ca_file), 0, 0, "FILE",
     "trust the certificates in this file (for a URL that begins with https)"},
    CLI_OPTION_TIMEOUT(struct ui_command),
    CLI_OPTION_KEYS(struct ui_command),
    CLI_OPTION_JSON(struct ui_command),
};
static const struct p2p_option_set set = {
    "p2p ui", "[options]",
    "Opens this machine's dashboard in the browser, with the owner's rights. Prints "
    "the link instead when there is no browser or standard output is not a terminal.",
    options, sizeof(options) / sizeof(options[0])};

/* ---- the browser ---- */

static void
become_opener(const char *url)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
        dup2(null, STDERR_FILENO) < 0)
        _exit(127);
    execlp(OPENER, OPENER, url, (char *)NULL);
    _exit(127);
}

/* The program ends soon, or it has become the browser itself. */
static bool
open_browser(const char *url)
{
    uint64_t deadline = p2p_now_ms() + OPENER_WAIT_MS;
    int status = 0;
    pid_t pid, ended;

    fflush(NULL);
    if ((pid = fork()) == 0)
        become_opener(url);
    if (pid < 0)
        return false;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0 && p2p_now_ms() < deadline)
        usleep(OPENER_STEP_US);
    return ended == 0 ||
           (ended == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- the link ---- */

/* Takes ownership of `answer`, which contains `url`. */
static void
show(const struct ui_command *c, cJSON *answer, const char *url)
{
    if (c->common.json) {
        cli_print_json(answer);
        return;
    }
    if (isatty(STDOUT_FILENO) && open_browser(url))
        cli_say("opening the dashboard in your browser");
    else
        printf("%s\n", url);
    cJSON_Delete(answer);
}

static int
ask_and_show(const struct ui_command *c, const struct cli_dashboard *dashboard)
{
    char answer[1024], why[512] = "";
    cJSON *json;
    const char *url;
    enum p2p_err err = cli_dashboard_post(dashboard, "/api/owner/link", answer,
                                          sizeof(answer), why, sizeof(why));
    int status = 0;

    if (err != P2P_OK)
        return cli_fail(err, "%s", why);
    json = cJSON_Parse(answer);
    url = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "url"));
    if (url != NULL) {
        show(c, json, url);
    } else {
        status = cli_fail(P2P_ERR_MALFORMED, "the program at %s is not p2p-ui", c->url);
        cJSON_Delete(json);
    }
    p2p_wipe(answer, sizeof(answer));
    return status;
}

/* The token of the dashboard that runs as this user, or of the machine's own service
 * (packaging/systemd/system), which only root can read. Changes *keys_dir. */
static enum p2p_err
read_token(const char **keys_dir, char token[P2P_OWNER_TOKEN_LEN + 1], uid_t *uid)
{
    struct p2p_home home;
    enum p2p_err err = p2p_owner_token_read(*keys_dir, token, uid);

    if (err != P2P_ERR_NOT_FOUND || geteuid() != 0 || p2p_home_find(&home) != P2P_OK ||
        strcmp(*keys_dir, home.keys_dir) != 0)
        return err;
    if (p2p_owner_token_read(SERVICE_KEYS, token, uid) != P2P_OK)
        return err;
    *keys_dir = SERVICE_KEYS;
    return P2P_OK;
}

int
cmd_ui(int argc, char **argv)
{
    struct ui_command c = {.common = CLI_DEFAULTS, .url = "http://localhost:8080"};
    struct cli_dashboard dashboard = {0};
    char token[P2P_OWNER_TOKEN_LEN + 1];
    int arguments = 0, status = 0;
    enum p2p_err err;

    if (!cli_parse(&set, &c, argc, argv, &arguments, &status))
        return status;
    if (arguments > 0)
        return cli_fail(P2P_ERR_USAGE,
                        "unexpected argument; p2p ui --help lists the options");
    err = read_token(&c.common.keys_dir, token, &dashboard.uid);
    if (err == P2P_ERR_NOT_FOUND)
        return cli_fail(err,
                        "there is no owner.token in %s: start p2p-ui once to create "
                        "it, or name its keys directory with --keys-dir%s",
                        c.common.keys_dir,
                        access(SERVICE_HOME, F_OK) == 0
                            ? "; for the dashboard of the machine's service, run "
                              "`sudo p2p ui`"
                            : "");
    if (err != P2P_OK)
        return cli_fail(err, "cannot read owner.token in %s: %s", c.common.keys_dir,
                        p2p_err_text(err));
    dashboard.url = c.url;
    dashboard.ca_file = c.ca_file;
    dashboard.token = token;
    dashboard.timeout_ms = c.common.timeout_ms;
    status = ask_and_show(&c, &dashboard);
    p2p_wipe(token, sizeof(token));
    return status;
}
