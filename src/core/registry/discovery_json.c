/* Parses answers of registries. Every value is checked before it is used. */
#include <cjson/cJSON.h>
#include <string.h>

#include "core/registry/discovery_internal.h"
#include "p2p/bytes.h"
#include "p2p/log.h"

enum { VALUES_MAX = 2000000 };
#define DOUBLE_EXACT_MAX ((1ull << 53) - 1)

/* Checks the depth and the number of values before cJSON uses memory for them. */
static bool
is_bounded(const char *text, size_t len)
{
    unsigned depth = 0;
    size_t values = 0;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            in_string = c != '"';
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            values++;
            if (++depth > P2P_JSON_DEPTH_MAX)
                return false;
        } else if (c == ']' || c == '}') {
            depth -= depth > 0;
        } else if (c == ',') {
            values++;
        }
    }
    return values <= VALUES_MAX;
}

struct cJSON *
p2p_json_parse(const char *text, size_t len)
{
    const char *end = NULL;
    cJSON *json;

    if (text == NULL || !is_bounded(text, len))
        return NULL;
    json = cJSON_ParseWithLengthOpts(text, len, &end, false);
    for (; json != NULL && end < text + len; end++) {
        if (strchr(" \t\r\n", *end) == NULL || *end == '\0') {
            cJSON_Delete(json);
            json = NULL;
        }
    }
    return json;
}

const char *
p2p_json_text(const struct cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

bool
p2p_json_u64(const struct cJSON *object, const char *name, uint64_t max, uint64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    double value = cJSON_IsNumber(item) ? item->valuedouble : -1;

    *out = 0;
    /* Also false for NaN. From 2^53 on, a double does not hold every whole number. */
    if (!(value >= 0 && value <= (double)DOUBLE_EXACT_MAX))
        return false;
    if ((double)(uint64_t)value < value || (uint64_t)value > max)
        return false;
    *out = (uint64_t)value;
    return true;
}

bool
p2p_json_bool(const struct cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

bool
p2p_json_digest(const struct cJSON *object, const char *name,
                uint8_t out[P2P_DIGEST_LEN])
{
    const char *text = p2p_json_text(object, name);

    memset(out, 0, P2P_DIGEST_LEN);
    return text != NULL && p2p_hex_parse(text, out, P2P_DIGEST_LEN) == P2P_OK;
}

void
p2p_json_detail(const char *text, size_t len, char *out, size_t cap)
{
    cJSON *json = p2p_json_parse(text, len);
    const char *detail = p2p_json_text(json, "detail");

    if (detail == NULL)
        detail = p2p_json_text(json, "error");
    if (detail == NULL)
        detail = "";
    p2p_log_escape(detail, strlen(detail), out, cap);
    cJSON_Delete(json);
}
