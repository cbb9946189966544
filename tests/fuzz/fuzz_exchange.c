/*
 * The text of a code, and the messages that its two sides get through a registry. The
 * first byte chooses: a code, or the side to which each line is given. Whatever comes,
 * nobody proves words that he does not know, and one guess is all.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "p2p/exchange.h"

static void
try_code(const char *text)
{
    char why[256], shown[P2P_CODE_TEXT], again_shown[P2P_CODE_TEXT];
    struct p2p_code code, again;

    (void)p2p_code_is_meant(text);
    if (p2p_code_parse(text, &code, why, sizeof(why)) != P2P_OK)
        return;
    p2p_code_format(&code, shown);
    MUST(p2p_code_parse(shown, &again, why, sizeof(why)) == P2P_OK);
    MUST(again.number == code.number);
    MUST(memcmp(again.words, code.words, sizeof(code.words)) == 0);
    MUST(strcmp(p2p_code_format(&again, again_shown), shown) == 0);
}

static void
try_messages(enum p2p_exchange_side side, const char *text, size_t len)
{
    static const struct p2p_code code = {.number = 7, .words = {1, 2}};
    const struct p2p_box_number box = {{1}}, reply = {{2}};
    struct p2p_exchange x;
    unsigned shares = 0;

    MUST(p2p_exchange_begin(&x, side, &code, &box, &reply) == P2P_OK);
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line = end != NULL ? (size_t)(end - text) : len;
        char *answer, *inner;
        enum p2p_exchange_news news =
            p2p_exchange_take(&x, text, line, "{}", &answer, &inner);
        shares += news == P2P_EXCHANGE_SHARE;
        MUST(news != P2P_EXCHANGE_PROVEN && news != P2P_EXCHANGE_DONE);
        MUST(inner == NULL && x.state != P2P_EXCHANGE_AGREED);
        MUST((news == P2P_EXCHANGE_SHARE) <= (answer != NULL));
        free(answer);
        line += end != NULL;
        text += line;
        len -= line;
    }
    MUST(shares <= 1);
    p2p_exchange_clear(&x);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);

    MUST(text != NULL && p2p_crypto_init() == P2P_OK);
    if (size > 0)
        memcpy(text, data, size);
    text[size] = '\0';
    if (size > 0 && data[0] == 'c')
        try_code(text + 1);
    else if (size > 0)
        try_messages(data[0] == 's' ? P2P_EXCHANGE_SENDER : P2P_EXCHANGE_RECEIVER,
                     text + 1, size - 1);
    free(text);
    return 0;
}
