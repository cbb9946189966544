#include "http/given.h"

enum p2p_err
http_check_list(const char *program, const struct p2p_options_text *text,
                const struct p2p_option_list *list,
                enum p2p_err (*check)(const char *const *list, char *why, size_t size))
{
    char why[256];

    for (size_t i = 0; i < list->count; i++) {
        const char *const one[] = {list->at[i], NULL};
        if (check(one, why, sizeof(why)) != P2P_OK)
            return p2p_options_refuse(program, "%s %s",
                                      p2p_options_place(text, list->at[i]), why);
    }
    return P2P_OK;
}

enum p2p_err
http_check_tls(const char *program, const struct p2p_options_text *text,
               const struct http_tls_options *tls)
{
    const char *given = tls->cert != NULL ? tls->cert : tls->key;
    char why[256];

    if (http_tls_options_check(tls, why, sizeof(why)) == P2P_OK)
        return P2P_OK;
    return p2p_options_refuse(program, "%s: %s", p2p_options_place(text, given), why);
}
