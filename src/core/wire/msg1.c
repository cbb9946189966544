/* Messages of protocol 1: words and fields, separated by '|'. */
#include <stdio.h>
#include <string.h>

#include "p2p/limits.h"
#include "p2p/msg.h"

static void
put_number(struct p2p_wr *wr, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "|%llu", (unsigned long long)value);
    p2p_wr_put_text(wr, text);
}

static void
put_meta(struct p2p_wr *wr, const struct p2p_msg1 *msg)
{
    char hex[2 * P2P_DIGEST_LEN + 1];

    p2p_hex_format(msg->sha256.b, sizeof(msg->sha256.b), hex);
    p2p_wr_put_text(wr, "META|");
    p2p_wr_put_bytes(wr, msg->name.at, msg->name.len);
    put_number(wr, msg->size);
    put_number(wr, msg->chunk_size);
    put_number(wr, msg->chunks);
    p2p_wr_put_text(wr, "|");
    p2p_wr_put_text(wr, hex);
}

size_t
p2p_msg1_chunk_prefix(uint64_t index, char out[32])
{
    return (size_t)snprintf(out, 32, "CHUNK|%llu|", (unsigned long long)index);
}

void
p2p_msg1_put(struct p2p_wr *wr, const struct p2p_msg1 *msg)
{
    char prefix[32];

    switch (msg->type) {
    case P2P_MSG1_META_GET:
        p2p_wr_put_text(wr, "META|");
        p2p_wr_put_bytes(wr, msg->name.at, msg->name.len);
        break;
    case P2P_MSG1_META:
        put_meta(wr, msg);
        break;
    case P2P_MSG1_GET:
        p2p_wr_put_text(wr, "GET|");
        p2p_wr_put_bytes(wr, msg->name.at, msg->name.len);
        put_number(wr, msg->index);
        break;
    case P2P_MSG1_CHUNK:
        p2p_wr_put_bytes(wr, prefix, p2p_msg1_chunk_prefix(msg->index, prefix));
        p2p_wr_put_bytes(wr, msg->bytes, msg->len);
        break;
    case P2P_MSG1_ERROR:
        p2p_wr_put_text(wr, "ERROR|");
        p2p_wr_put_bytes(wr, msg->name.at, msg->name.len);
        break;
    case P2P_MSG1_DONE:
        p2p_wr_put_text(wr, "DONE");
        break;
    }
}

/* Removes `word` from the beginning of the text, if it is there. */
static bool
take_word(struct p2p_text *text, const char *word)
{
    size_t len = strlen(word);

    if (text->len < len || memcmp(text->at, word, len) != 0)
        return false;
    text->at += len;
    text->len -= len;
    return true;
}

/* Cuts off the last field; a name before it may contain '|'. */
static bool
cut_last(struct p2p_text *text, struct p2p_text *field)
{
    const char *bar = text->len > 0 ? memrchr(text->at, '|', text->len) : NULL;

    if (bar == NULL)
        return false;
    field->at = bar + 1;
    field->len = (size_t)(text->at + text->len - field->at);
    text->len = (size_t)(bar - text->at);
    return true;
}

static bool
cut_number(struct p2p_text *text, uint64_t max, uint64_t *value)
{
    struct p2p_text field;

    return cut_last(text, &field) &&
           p2p_decimal_parse(field.at, field.len, max, value) == P2P_OK;
}

static enum p2p_err
parse_get(struct p2p_text rest, struct p2p_msg1 *msg)
{
    msg->type = P2P_MSG1_GET;
    if (!cut_number(&rest, UINT64_MAX, &msg->index) || rest.len == 0)
        return P2P_ERR_MALFORMED;
    msg->name = rest;
    return P2P_OK;
}

static enum p2p_err
parse_meta(struct p2p_text rest, struct p2p_msg1 *msg)
{
    struct p2p_text field;
    char hex[2 * P2P_DIGEST_LEN + 1] = "";

    msg->type = P2P_MSG1_META;
    if (!cut_last(&rest, &field) || field.len != sizeof(hex) - 1)
        return P2P_ERR_MALFORMED;
    memcpy(hex, field.at, field.len);
    if (p2p_hex_parse(hex, msg->sha256.b, sizeof(msg->sha256.b)) != P2P_OK ||
        !cut_number(&rest, UINT64_MAX, &msg->chunks) ||
        !cut_number(&rest, P2P_CHUNK_SIZE_MAX, &msg->chunk_size) ||
        !cut_number(&rest, P2P_FILE_SIZE_MAX, &msg->size) || rest.len == 0)
        return P2P_ERR_MALFORMED;
    msg->name = rest;
    return P2P_OK;
}

/* CHUNK is parsed from the left, because its data may contain any byte. */
static enum p2p_err
parse_chunk(struct p2p_text rest, struct p2p_msg1 *msg)
{
    const char *bar = rest.len > 0 ? memchr(rest.at, '|', rest.len) : NULL;

    msg->type = P2P_MSG1_CHUNK;
    if (bar == NULL || p2p_decimal_parse(rest.at, (size_t)(bar - rest.at), UINT64_MAX,
                                         &msg->index) != P2P_OK)
        return P2P_ERR_MALFORMED;
    msg->bytes = (const uint8_t *)bar + 1;
    msg->len = (size_t)(rest.at + rest.len - (bar + 1));
    return P2P_OK;
}

enum p2p_err
p2p_msg1_parse_request(const void *plain, size_t len, struct p2p_msg1 *msg)
{
    struct p2p_text rest = {plain, len};

    *msg = (struct p2p_msg1){0};
    if (take_word(&rest, "GET|"))
        return parse_get(rest, msg);
    if (take_word(&rest, "META|")) {
        msg->type = P2P_MSG1_META_GET;
        msg->name = rest;
        return rest.len > 0 ? P2P_OK : P2P_ERR_MALFORMED;
    }
    if (take_word(&rest, "DONE")) {
        msg->type = P2P_MSG1_DONE;
        return rest.len == 0 ? P2P_OK : P2P_ERR_MALFORMED;
    }
    return P2P_ERR_PROTOCOL;
}

enum p2p_err
p2p_msg1_parse_answer(const void *plain, size_t len, struct p2p_msg1 *msg)
{
    struct p2p_text rest = {plain, len};

    *msg = (struct p2p_msg1){0};
    if (take_word(&rest, "CHUNK|"))
        return parse_chunk(rest, msg);
    if (take_word(&rest, "META|"))
        return parse_meta(rest, msg);
    if (take_word(&rest, "ERROR|")) {
        msg->type = P2P_MSG1_ERROR;
        msg->name = rest;
        return P2P_OK;
    }
    return P2P_ERR_PROTOCOL;
}
