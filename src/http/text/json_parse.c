/* Checks before and after cJSON, for input that cJSON accepts and that is not safe. */
#include "http/text/json.h"

#include <string.h>

#include <cjson/cJSON.h>

#include "http/text/decode.h"

/*
 * One pass before memory is allocated checks the depth, the number of values, and NULs
 * written as escapes. Values are counted by their separators, which is exact for valid
 * JSON.
 */
static const char *
scan(const char *text, size_t len)
{
    size_t depth = 0, values = 1;
    bool in_string = false;

    for (size_t i = 0; i < len; i++) {
        char c = text[i];

        if (in_string) {
            if (c == '"')
                in_string = false;
            else if (c == '\\') {
                if (len - i >= 6 && memcmp(text + i, "\\u0000", 6) == 0)
                    return "a string contains a NUL character";
                i++;
            } else if ((unsigned char)c < 0x20)
                return "a string contains a control character";
            continue;
        }
        if (c == '"')
            in_string = true;
        else if ((c == '[' || c == '{') && ++depth > HTTP_JSON_MAX_DEPTH)
            return "objects or lists are nested too deeply";
        else if ((c == ']' || c == '}') && depth > 0)
            depth--;
        values += c == '[' || c == '{' || c == ',';
        if (values > HTTP_JSON_MAX_VALUES)
            return "too many values";
    }
    return NULL;
}

static bool
has_doubled_key(const cJSON *object)
{
    unsigned n = 0;

    for (const cJSON *a = object->child; a != NULL; a = a->next) {
        if (++n > HTTP_JSON_MAX_KEYS)
            return true;
        for (const cJSON *b = a->next; b != NULL; b = b->next)
            if (strcmp(a->string, b->string) == 0)
                return true;
    }
    return false;
}

/* scan() has limited the depth. */
static bool
is_unambiguous(const cJSON *value)
{
    if (cJSON_IsObject(value) && has_doubled_key(value))
        return false;
    for (const cJSON *c = value->child; c != NULL; c = c->next)
        if (c->child != NULL && !is_unambiguous(c))
            return false;
    return true;
}

static bool
is_blank(const char *text, const char *end)
{
    while (text < end && strchr(" \t\r\n", *text) != NULL)
        text++;
    return text == end;
}

struct cJSON *
http_json_parse(const char *text, size_t len, const char **why)
{
    const char *end = NULL;
    cJSON *json = NULL;

    *why = "empty";
    if (text == NULL || len == 0)
        return NULL;
    *why = "not UTF-8";
    if (!http_is_utf8(text, len))
        return NULL;
    if ((*why = scan(text, len)) != NULL)
        return NULL;
    *why = "syntax";
    if ((json = cJSON_ParseWithLengthOpts(text, len, &end, false)) == NULL)
        return NULL;
    if (!is_blank(end, text + len))
        *why = "text follows the end of the value";
    else if (!is_unambiguous(json))
        *why = "an object contains the same key twice, or too many keys";
    else
        return json;
    cJSON_Delete(json);
    return NULL;
}

const char *
http_json_string(const struct cJSON *object, const char *name)
{
    return cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
}

bool
http_json_u64(const struct cJSON *object, const char *name, uint64_t min, uint64_t max,
              uint64_t *out)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    double d;

    *out = 0;
    if (!cJSON_IsNumber(item))
        return false;
    d = item->valuedouble;
    /* cJSON stores doubles: from 2^53 on, a number may differ from the one that was
     * sent. */
    if (!(d >= 0 && d < 9007199254740992.0) || d != (double)(uint64_t)d)
        return false;
    *out = (uint64_t)d;
    return *out >= min && *out <= max;
}
