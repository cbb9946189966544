/* `p2p get NAME`, if the name has different contents: the choice between them. */
#include <cjson/cJSON.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/get/get.h"
#include "p2p/bytes.h"

/* Anyone can create many ids and contents, so only as many as fit on a screen are
 * shown. */
enum { SHOWN_MAX = 20, PEERS_SHOWN_MAX = 8, ROOT_SHOWN = 16, PREFIX_MIN = 8 };

bool
get_parse_root(struct get_options *opt)
{
    size_t len = strlen(opt->root);

    opt->root_is_whole =
        p2p_hex_parse(opt->root, opt->wanted_root.b, P2P_DIGEST_LEN) == P2P_OK;
    return opt->root_is_whole || (len >= PREFIX_MIN && len < 2 * P2P_DIGEST_LEN &&
                                  strspn(opt->root, "0123456789abcdefABCDEF") == len);
}

/* ---- Showing ---- */

static void
print_json(const char *name, const struct p2p_contents *contents)
{
    cJSON *object = cli_object(), *array;

    cli_put_text(object, "event", "choice");
    cli_put_text(object, "name", name);
    cli_put_text(object, "error", p2p_err_name(P2P_ERR_AMBIGUOUS));
    cli_put_text(object, "message", p2p_err_text(P2P_ERR_AMBIGUOUS));
    array = cli_put_array(object, "contents");
    for (size_t i = 0; i < contents->count; i++) {
        const struct p2p_content *c = &contents->at[i];
        cJSON *item = cli_add_object(array), *peers;
        cli_put_hex(item, "root", c->root.b, c->root_known);
        cli_put_number(item, "size", c->size);
        for (int rank = P2P_RANK_TRUSTED; rank <= P2P_RANK_NEW; rank++)
            cli_put_number(item, p2p_rank_name((enum p2p_rank)rank), c->ranks[rank]);
        peers = cli_put_array(item, "peers");
        for (size_t k = 0; k < c->peers.count && k < PEERS_SHOWN_MAX; k++) {
            cJSON *peer = cli_add_object(peers);
            char address[CLI_ADDRESS];
            cli_put_hex(peer, "peer_id", c->peers.at[k].id.b, true);
            p2p_addr_format(&c->peers.at[k].addr, address, sizeof(address));
            cli_put_text(peer, "address", address);
        }
    }
    cli_print_json(object);
}

/* The text that distinguishes a content from the others: its root, or the peers that
 * have it. */
static const char *
label_of(const struct p2p_content *c, char out[2 * P2P_DIGEST_LEN + 1])
{
    p2p_hex_format(c->root_known ? c->root.b : c->peers.at[0].id.b, P2P_DIGEST_LEN,
                   out);
    return out;
}

static void
print_list(const char *name, const struct p2p_contents *contents)
{
    bool is_folder = name[strlen(name) - 1] == '/';
    char shown[CLI_TEXT];

    cli_say("%zu different %s are called \"%s\", and it is unclear which one you want:",
            contents->count, is_folder ? "folders" : "files", cli_text(name, shown));
    for (size_t i = 0; i < contents->count && i < SHOWN_MAX; i++) {
        const struct p2p_content *c = &contents->at[i];
        char hex[2 * P2P_DIGEST_LEN + 1], size[CLI_SHORT], who[P2P_CONTENT_WHO];
        fprintf(stderr, "%4zu  %s %.*s  %10s  peers: %s\n", i + 1,
                is_folder ? "of" : "root", ROOT_SHOWN, label_of(c, hex),
                cli_size(c->size, size), p2p_content_who(c, who));
    }
    if (contents->count > SHOWN_MAX)
        fprintf(stderr, "      and %zu more; --json lists all of them\n",
                contents->count - SHOWN_MAX);
}

/* ---- Choosing ---- */

/* Reads the number that the user types; 0: none of them. */
static size_t
ask(size_t count)
{
    char line[32], *end;
    unsigned long number;

    for (;;) {
        fprintf(stderr, "Which one? [1-%zu, Enter for none] ", count);
        if (fgets(line, sizeof(line), stdin) == NULL || line[0] == '\n')
            return 0;
        number = strtoul(line, &end, 10);
        if (isdigit((unsigned char)line[0]) && (*end == '\n' || *end == '\0') &&
            number >= 1 && number <= count)
            return (size_t)number;
    }
}

static int
ask_or_refuse(const struct get_options *opt, const char *name, const char *advice,
              const struct p2p_contents *contents, const struct p2p_content **out)
{
    size_t shown = contents->count < SHOWN_MAX ? contents->count : SHOWN_MAX;
    size_t number = 0;

    if (opt->common.json)
        print_json(name, contents);
    else
        print_list(name, contents);
    if (!opt->common.json && isatty(STDIN_FILENO) && isatty(STDERR_FILENO))
        number = ask(shown);
    if (number > 0) {
        *out = &contents->at[number - 1];
        return 0;
    }
    return cli_fail(P2P_ERR_AMBIGUOUS, "nothing was downloaded; %s", advice);
}

/* Finds the content whose root begins with these digits. */
static int
by_prefix(const char *digits, const char *name, const struct p2p_contents *contents,
          const struct p2p_content **out)
{
    char shown[CLI_TEXT];

    for (size_t i = 0; i < contents->count; i++) {
        char hex[2 * P2P_DIGEST_LEN + 1];
        p2p_hex_format(contents->at[i].root.b, P2P_DIGEST_LEN, hex);
        if (strncasecmp(hex, digits, strlen(digits)) != 0)
            continue;
        if (*out != NULL)
            return cli_fail(P2P_ERR_AMBIGUOUS,
                            "several roots begin with %s; give more digits to --root",
                            digits);
        *out = &contents->at[i];
    }
    if (*out != NULL)
        return 0;
    return cli_fail(P2P_ERR_NOT_FOUND,
                    "no peer shares a file \"%s\" whose root begins with %s",
                    cli_text(name, shown), digits);
}

int
get_choose(const struct get_options *opt, const char *name,
           const struct p2p_contents *contents, const struct p2p_content **out)
{
    enum p2p_err err;

    *out = NULL;
    if (opt->root != NULL)
        return by_prefix(opt->root, name, contents, out);
    err = p2p_contents_choose(contents, out);
    if (err == P2P_OK)
        return 0;
    if (!opt->any)
        return ask_or_refuse(opt, name,
                             "choose one with --root and its root as shown above, or "
                             "take the first one with --any",
                             contents, out);
    *out = &contents->at[0];
    return 0;
}

int
get_choose_folder(const struct get_options *opt, const char *name,
                  const struct p2p_contents *contents, const struct p2p_content **out)
{
    return ask_or_refuse(opt, name,
                         "choose a peer with --peer ID, or take the folder of the best "
                         "known peer with --any",
                         contents, out);
}
