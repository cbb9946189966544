/* p2p receive: gets what somebody sends with `p2p send`. */
#include <cjson/cJSON.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands/commands.h"
#include "cli/get/one.h"
#include "cli/send/interrupt.h"
#include "cli/send/pickup.h"
#include "cli/send/take.h"
#include "cli/send/visit.h"
#include "p2p/bytes.h"
#include "p2p/links.h"
#include "p2p/name.h"

enum { ITEMS_MAX = 64, ADDRESSES_MAX = 9, ANSWER_MAX = 16 };

struct receive_options {
    struct get_options get; /* first: its options are those of `p2p get` */
    bool yes;
    const char *pin;
    /* With --link. */
    bool link, keep, insecure_link;
    const char *title;
    uint64_t expires_ms, uses, max_size;
};

/* One file or folder of the offer. */
struct item {
    const char *name; /* borrowed from the offer */
    uint64_t size, files;
    struct p2p_digest root;
    bool is_folder;
};

struct receive_command {
    struct receive_options opt;
    struct get_output output;
    struct p2p_identity *identity;
    struct p2p_stop *stop;
    struct pickup pickup;
    struct visit visit; /* of a link, instead */
    /* The offer. */
    cJSON *offer;
    const char *sender, *text;
    struct item items[ITEMS_MAX];
    size_t count, more; /* more: of a link, beyond these */
    struct p2p_id peer;
    char folder[P2P_NAME_SENT_LEN + 1]; /* of the offer, at the sender */
    struct p2p_source_spec source;
    bool was_known;
    /* One download. */
    struct p2p_discovery *discovery;
    struct p2p_reach reach;
    struct p2p_root *downloads;
};
#define AT(field) offsetof(struct receive_options, field)
static const struct p2p_option options[] = {
    {"output", P2P_OPT_TEXT, AT(get.output), 0, 0, "PATH",
     "file or folder to write; - writes the files to standard output"},
    {"output-dir", P2P_OPT_TEXT, AT(get.output_dir), 0, 0, "DIR",
     "folder for the files"},
    {"pin", P2P_OPT_TEXT, AT(pin), 0, 0, "PIN",
     "PIN of a link; without this option, the terminal asks for it. With --link: ask "
     "those who open it for this PIN"},
    {"link", P2P_OPT_FLAG, AT(link), 0, 0, NULL,
     "make a link by which others put files into a folder of yours (--output-dir)"},
    {"title", P2P_OPT_TEXT, AT(title), 0, 0, "TEXT", "with --link: what guests read"},
    {"expires", P2P_OPT_DURATION, AT(expires_ms), 1000, P2P_LINKS_DEFAULT_S * 1000ull,
     "TIME", "with --link: end after this long"},
    {"uses", P2P_OPT_NUMBER, AT(uses), 1, 1000, "N",
     "with --link: end when this many guests have finished"},
    {"max-size", P2P_OPT_SIZE, AT(max_size), 0, P2P_FILE_SIZE_MAX, "SIZE",
     "with --link: take so many bytes in total (0: what the disk has room for)"},
    {"keep", P2P_OPT_FLAG, AT(keep), 0, 0, NULL,
     "with --link: continue until Ctrl-C, for any number of guests"},
    {"insecure-link", P2P_OPT_FLAG, AT(insecure_link), 0, 0, NULL,
     "with --link: make a link although the registry has no https"},
    {"yes", P2P_OPT_FLAG, AT(yes), 0, 0, NULL, "do not ask before files are written"},
    {"on-conflict", P2P_OPT_TEXT, AT(get.on_conflict), 0, 0, "HOW",
     "what to do when another file has the name: rename (add a number), version (keep "
     "the old content, see p2p history), overwrite (keep it if there is room), or "
     "skip"},
    {"quiet", P2P_OPT_FLAG, AT(get.quiet), 0, 0, NULL, "print only errors"},
    CLI_OPTION_DISCOVERY(struct get_options),
    CLI_OPTION_TIMEOUT(struct get_options),
    CLI_OPTIONS_NAME(struct get_options),
    CLI_OPTION_KEYS(struct get_options),
    CLI_OPTION_JSON(struct get_options),
};
static const struct p2p_option_set set = {
    "p2p receive", "[options] CODE|LINK | --link",
    "Gets what somebody sends with `p2p send`: type the code that was printed there, "
    "such as 7-guitar-tiger; spaces may stand for the hyphens, and three letters are "
    "enough for a word. Or give the link, in quotes: the files arrive as in a browser, "
    "without the page of the registry. Each chunk is verified. Run the same "
    "command again to resume after an interruption. With --link, it is the other way "
    "round: a person who opens the link in a browser puts files into your folder. The "
    "command ends when one guest has finished.",
    options, sizeof(options) / sizeof(options[0])};

/* ---- the offer ---- */

/* Names are checked as any name from outside. */
static bool
read_item(const cJSON *json, struct item *item)
{
    const char *name = cli_text_in(json, "name"), *root = cli_text_in(json, "root");
    size_t len = name != NULL ? strlen(name) : 0;

    if (len == 0)
        return false;
    item->name = name;
    item->size = cli_number_in(json, "size");
    item->files = cli_number_in(json, "files");
    item->is_folder = name[len - 1] == '/';
    if (p2p_name_check(name, item->is_folder ? len - 1 : len, false) != P2P_OK)
        return false;
    return item->is_folder ||
           (root != NULL &&
            p2p_hex_parse(root, item->root.b, sizeof(item->root.b)) == P2P_OK);
}

static bool
read_addresses(struct receive_command *c)
{
    const cJSON *json;
    struct p2p_addr addr;
    bool is_first = true;

    cJSON_ArrayForEach(json, cJSON_GetObjectItemCaseSensitive(c->offer, "addresses"))
    {
        const char *text = cJSON_GetStringValue(json);
        if (text == NULL || p2p_addr_parse(text, 0, &addr) != P2P_OK)
            continue;
        if (is_first)
            c->source.addr = addr;
        else
            (void)p2p_addr_list_add(c->source.others, sizeof(c->source.others), &addr);
        is_first = false;
    }
    c->source.id = &c->peer;
    c->source.by_user = true;
    return !is_first;
}

static bool
read_files(struct receive_command *c)
{
    const cJSON *json, *array = cJSON_GetObjectItemCaseSensitive(c->offer, "items");
    const char *peer = cli_text_in(c->offer, "peer"),
               *number = cli_text_in(c->offer, "offer");
    uint8_t parsed[4];

    cJSON_ArrayForEach(json, array)
    {
        if (c->count == ITEMS_MAX || !read_item(json, &c->items[c->count]))
            return false;
        c->count++;
    }
    if (c->count == 0)
        return true;
    if (peer == NULL || p2p_hex_parse(peer, c->peer.b, sizeof(c->peer.b)) != P2P_OK ||
        number == NULL || p2p_hex_parse(number, parsed, sizeof(parsed)) != P2P_OK)
        return false;
    p2p_name_sent(p2p_load_u32(parsed), c->folder);
    return read_addresses(c);
}

static int
read_offer(struct receive_command *c)
{
    const char *name;

    c->offer = cJSON_Parse(c->pickup.offer);
    name = cli_text_in(c->offer, "name");
    c->text = cli_text_in(c->offer, "text");
    c->sender = name != NULL && p2p_about_name_check(name, strlen(name)) == P2P_OK
                    ? name
                    : "the sender";
    if (cJSON_IsObject(c->offer) && read_files(c) && (c->count > 0 || c->text != NULL))
        return 0;
    return cli_fail(P2P_ERR_PROTOCOL, "the sender offers something that this version "
                                      "cannot read; update p2p");
}

/* ---- asking the user ---- */

static void
print_items(const struct receive_command *c)
{
    char shown[CLI_TEXT], size[CLI_SHORT];

    fprintf(stderr, "%s sends:\n", c->sender);
    for (size_t i = 0; i < c->count; i++) {
        const struct item *item = &c->items[i];
        int len = item->is_folder ? (int)strcspn(cli_text(item->name, shown), "/") + 1
                                  : (int)strlen(cli_text(item->name, shown));
        fprintf(stderr, "  %.*s  %s", len, shown, cli_size(item->size, size));
        if (item->is_folder)
            fprintf(stderr, " in %llu file%s", (unsigned long long)item->files,
                    item->files == 1 ? "" : "s");
        fputc('\n', stderr);
    }
    if (c->more > 0)
        fprintf(stderr, "  and %zu more\n", c->more);
}

/* The names are the sender's choice, so a person sees them before they are written. */
static bool
may_write(const struct receive_command *c)
{
    char answer[ANSWER_MAX] = "", shown[CLI_TEXT];

    if (c->opt.get.quiet || c->opt.get.common.json || c->output.is_stdout)
        return true;
    print_items(c);
    if (c->opt.yes || !isatty(STDIN_FILENO))
        return true;
    fprintf(stderr, "Write %s to %s? [Y/n] ", c->count == 1 ? "it" : "them",
            cli_text(c->opt.get.output_dir, shown));
    fflush(stderr);
    struct pollfd on[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                          {.fd = p2p_stop_fd(c->stop), .events = POLLIN}};
    while (poll(on, 2, -1) < 0 && errno == EINTR)
        continue;
    if (on[1].revents != 0 || fgets(answer, sizeof(answer), stdin) == NULL)
        return false;
    return strchr("\nyYjJ", answer[0]) != NULL;
}

/* On a terminal, a text must not move the cursor or change colors. */
static void
print_text(const char *text)
{
    bool is_terminal = isatty(STDOUT_FILENO);
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)text[i];
        bool is_control = (ch < 0x20 && ch != '\n' && ch != '\t') || ch == 0x7f ||
                          (ch == 0xc2 && (unsigned char)text[i + 1] < 0xa0);
        putchar(is_terminal && is_control ? '?' : ch);
    }
    if (len == 0 || text[len - 1] != '\n')
        putchar('\n');
}

/* ---- links ---- */

/* The first part of a name: a file, or a folder, which counts once. */
static void
add_item(struct receive_command *c, const struct p2p_wanted *file)
{
    size_t len = strcspn(file->save_as, "/");
    bool is_folder = file->save_as[len] == '/';

    for (size_t i = 0; i < c->count && is_folder; i++)
        if (c->items[i].is_folder &&
            strncmp(c->items[i].name, file->save_as, len + 1) == 0) {
            c->items[i].size += file->size;
            c->items[i].files++;
            return;
        }
    if (c->count < ITEMS_MAX)
        c->items[c->count++] = (struct item){.name = file->save_as,
                                             .size = file->size,
                                             .files = 1,
                                             .is_folder = is_folder};
    else
        c->more++;
}

static enum p2p_err
make_folders(const struct receive_command *c)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < c->visit.folder_count && err == P2P_OK; i++)
        err = p2p_root_make_folder(c->downloads, c->visit.folders[i]);
    return err;
}

static enum p2p_err
download_link(struct receive_command *c)
{
    const struct visit *v = &c->visit;
    const struct p2p_wanted *only = v->count == 1 ? &v->files[0] : NULL;
    struct p2p_download_options opt = {
        .identity = c->identity,
        .downloads = c->downloads,
        .name = only != NULL ? only->name : "files/",
        .root = only != NULL ? &only->root : NULL,
        .save_as = only == NULL                 ? NULL
                   : c->opt.get.save_as != NULL ? c->opt.get.save_as
                                                : only->save_as,
        .conflict = c->opt.get.conflict,
        .sources = &c->source,
        .source_count = 1,
        .reach = &v->reach,
        .timeout_ms = c->opt.get.common.timeout_ms,
        .verify = P2P_VERIFY_TREE,
        .size_announced = only != NULL,
        .announced_size = only != NULL ? only->size : 0,
        .list = only == NULL ? v->files : NULL,
        .list_count = only == NULL ? v->count : 0,
        .keep_free = P2P_KEEP_FREE,
    };
    struct get_one one = {.opt = &c->opt.get,
                          .identity = c->identity,
                          .stop = c->stop,
                          .output = &c->output};

    c->source.id = &v->link.keys.guest;
    c->source.addr = (struct p2p_addr){.host = "link", .port = 1};
    return v->count > 0 ? get_one(&one, &opt) : P2P_OK;
}

/* ---- downloading ---- */

static enum p2p_err
download(struct receive_command *c, const struct item *item)
{
    char name[P2P_NAME_MAX + 32];
    struct p2p_download_options opt = {
        .identity = c->identity,
        .downloads = c->downloads,
        .name = name,
        .root = item->is_folder ? NULL : &item->root,
        .save_as = c->opt.get.save_as != NULL ? c->opt.get.save_as : item->name,
        .conflict = c->opt.get.conflict,
        .sources = &c->source,
        .source_count = 1,
        .reach = &c->reach,
        .timeout_ms = c->opt.get.common.timeout_ms,
        .size_announced = !item->is_folder,
        .announced_size = item->size,
        .keep_free = P2P_KEEP_FREE,
    };
    struct get_one one = {.opt = &c->opt.get,
                          .identity = c->identity,
                          .stop = c->stop,
                          .output = &c->output};

    snprintf(name, sizeof(name), "%s%s", c->folder, item->name);
    return get_one(&one, &opt);
}

static int
download_all(struct receive_command *c)
{
    enum p2p_err err = P2P_OK;

    for (size_t i = 0; i < c->count && err == P2P_OK; i++)
        err = download(c, &c->items[i]);
    return cli_download_ended(err);
}

/* A peer that was started only for this transfer is of no use later. */
static void
forget_peer(struct receive_command *c)
{
    struct p2p_known_peer known;

    if (!c->was_known && p2p_known_find(c->identity, &c->peer, &known) == P2P_OK &&
        known.trust == P2P_TRUST_SEEN)
        (void)!p2p_known_forget(c->identity, &c->peer);
}

static int
open_ways(struct receive_command *c)
{
    const char *const urls[] = {c->pickup.url};
    struct p2p_known_peer known;
    char shown[CLI_TEXT];
    enum p2p_err err =
        p2p_discovery_open(urls, 1, c->opt.get.common.timeout_ms, &c->discovery);

    if (err != P2P_OK)
        return cli_fail(err, "invalid registry in the code: %s", p2p_err_text(err));
    c->was_known = p2p_known_find(c->identity, &c->peer, &known) == P2P_OK;
    c->reach = (struct p2p_reach){
        .identity = c->identity, .discovery = c->discovery, .wish = P2P_WISH_AUTO};
    err = p2p_root_open(c->opt.get.output_dir, true, 0755, &c->downloads);
    if (err != P2P_OK)
        return cli_fail(err,
                        "cannot create or open %s: %s; choose another folder with "
                        "--output-dir",
                        cli_text(c->opt.get.output_dir, shown), p2p_err_text(err));
    return 0;
}

static int
receive_files(struct receive_command *c)
{
    int status =
        c->opt.get.save_as != NULL && (c->count > 1 || c->items[0].is_folder)
            ? cli_fail(P2P_ERR_USAGE, "--output names one file, but more is "
                                      "sent; end the path in / to name a folder")
            : 0;

    for (size_t i = 0; i < c->count && status == 0 && c->output.is_stdout; i++)
        if (c->items[i].is_folder)
            status = cli_fail(P2P_ERR_USAGE,
                              "a folder cannot be written to standard output; name a "
                              "folder with --output-dir, and run the command again");
    if (status == 0)
        status = open_ways(c);
    if (status == 0 && !may_write(c))
        return cli_fail(P2P_ERR_CANCELLED, "nothing was written");
    if (status == 0)
        status = download_all(c);
    forget_peer(c);
    return status;
}

static int
run(struct receive_command *c, const struct p2p_code *code)
{
    const struct pickup_options opt = {
        .keys_dir = c->opt.get.common.keys_dir,
        .identity = c->identity,
        .registries = &c->opt.get.common.discovery,
        .timeout_ms = c->opt.get.common.timeout_ms,
        .stop = c->stop,
    };
    int status = pickup_open(&c->pickup, code, &opt);

    if (status == 0)
        status = read_offer(c);
    if (status == 0 && c->text != NULL && !c->opt.get.common.json)
        print_text(c->text);
    if (status == 0 && c->text != NULL && c->opt.get.common.json) {
        cJSON *object = cli_object();
        cli_put_text(object, "event", "text");
        cli_put_text(object, "text", c->text);
        cli_print_json(object);
    }
    if (status == 0 && c->count > 0)
        status = receive_files(c);
    if (status == 0)
        pickup_finish(&c->pickup, &opt);
    return status;
}

static int
receive_from_link(struct receive_command *c)
{
    char shown[CLI_TEXT];
    enum p2p_err err = p2p_root_open(c->opt.get.output_dir, true, 0755, &c->downloads);

    if (err != P2P_OK)
        return cli_fail(err,
                        "cannot create or open %s: %s; choose another folder with "
                        "--output-dir",
                        cli_text(c->opt.get.output_dir, shown), p2p_err_text(err));
    if (!may_write(c))
        return cli_fail(P2P_ERR_CANCELLED, "nothing was written");
    if ((err = make_folders(c)) == P2P_OK)
        err = download_link(c);
    return cli_download_ended(err);
}

static int
run_link(struct receive_command *c, const char *link)
{
    const struct visit_options opt = {.identity = c->identity,
                                      .pin = c->opt.pin,
                                      .timeout_ms = c->opt.get.common.timeout_ms,
                                      .stop = c->stop};
    int status = visit_open(&c->visit, link, &opt);

    if (status != 0)
        return status;
    c->sender = c->visit.welcome.name[0] != '\0' ? c->visit.welcome.name : "the sender";
    for (size_t i = 0; i < c->visit.count; i++)
        add_item(c, &c->visit.files[i]);
    if ((c->opt.get.save_as != NULL || c->output.is_stdout) &&
        c->visit.count + c->visit.folder_count > 1)
        return cli_fail(P2P_ERR_USAGE,
                        "--output names one file, but more is sent; name a folder with "
                        "--output-dir");
    status = receive_from_link(c);
    if (status == 0)
        visit_finish(&c->visit, &opt);
    return status;
}

/* ---- a link that takes files ---- */

static int
run_take(const struct receive_options *opt, int arguments)
{
    const struct take_options take = {
        .common = &opt->get.common,
        .folder = opt->get.output_dir,
        .title = opt->title,
        .pin = opt->pin,
        .expires_ms = opt->expires_ms,
        .uses = opt->keep ? 0 : opt->uses,
        .bytes = opt->max_size,
        .keep = opt->keep,
        .quiet = opt->get.quiet,
        .insecure = opt->insecure_link,
    };

    if (arguments > 0)
        return cli_fail(P2P_ERR_USAGE, "--link makes a link, and takes no argument; to "
                                       "open one, leave --link out");
    if (opt->get.output != NULL)
        return cli_fail(P2P_ERR_USAGE, "with --link, name a folder with --output-dir");
    if (opt->title != NULL &&
        (strlen(opt->title) > P2P_LINKS_TITLE_MAX ||
         !p2p_text_is_displayable(opt->title, strlen(opt->title))))
        return cli_fail(P2P_ERR_USAGE, "invalid --title: it is too long, or cannot be "
                                       "shown");
    return take_run(&take);
}

/* The words may be arguments of their own: `p2p receive 7 guitar tiger`. */
static int
read_code(char **argv, size_t count, struct p2p_code *code)
{
    char text[P2P_CODE_TEXT] = "", why[512] = "";
    size_t len = 0;

    if (count == 0)
        return cli_fail(P2P_ERR_USAGE,
                        "missing code or link; usage: p2p receive CODE|LINK");
    for (size_t i = 0; i < count && len < sizeof(text); i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
                                i > 0 ? "-" : "", argv[i]);
    if (len >= sizeof(text))
        return cli_fail(P2P_ERR_USAGE, "this is too long for a code");
    return p2p_code_parse(text, code, why, sizeof(why)) == P2P_OK
               ? 0
               : cli_fail(P2P_ERR_USAGE, "%s", why);
}

int
cmd_receive(int argc, char **argv)
{
    static struct receive_command c = {
        .opt.get = {.common = CLI_DEFAULTS,
                    .output_dir = "downloads",
                    .on_conflict = "rename",
                    .verify = "full"},
        .opt.expires_ms = TAKE_EXPIRES_MS,
        .opt.uses = 1,
    };
    struct p2p_code code;
    const char *link;
    int arguments, status;

    if (!cli_parse(&set, &c.opt, argc, argv, &arguments, &status))
        return status;
    if (c.opt.link)
        return run_take(&c.opt, arguments);
    link = arguments == 1 && p2p_link_is_meant(argv[1]) ? argv[1] : NULL;
    if (link == NULL)
        status = read_code(argv + 1, (size_t)arguments, &code);
    if (status == 0 && link == NULL && c.opt.pin != NULL)
        status = cli_fail(P2P_ERR_USAGE, "--pin is for links; a code has no PIN");
    if (status == 0 && !get_parse_conflict(&c.opt.get))
        status = cli_fail(P2P_ERR_USAGE, "invalid --on-conflict: use rename, version, "
                                         "overwrite or skip");
    if (status == 0)
        status = get_output_open(&c.opt.get, 1, &c.output);
    if (status == 0 && interrupt_begin(&c.stop) != P2P_OK)
        status = cli_fail(P2P_ERR_SYS, "cannot wait for signals");
    if (status == 0)
        status = p2p_err_exit_status(cli_open_identity(&c.opt.get.common, &c.identity));
    if (status == 0)
        status = link != NULL ? run_link(&c, link) : run(&c, &code);
    get_output_close(&c.output);
    pickup_close(&c.pickup);
    visit_close(&c.visit);
    cJSON_Delete(c.offer);
    p2p_root_close(c.downloads);
    p2p_discovery_close(c.discovery);
    p2p_identity_close(c.identity);
    return status;
}
