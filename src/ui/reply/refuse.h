/* Helpers for handlers: names from requests, and errors with the codes of the API. */
#ifndef P2P_UI_ANSWER_H
#define P2P_UI_ANSWER_H

#include "http/http.h"

struct cJSON;

/* Answers an error of the core with the status and `code` of docs/openapi.yaml.
 * `detail` NULL: its text. */
void ui_fail(struct http_request *req, enum p2p_err err, const char *detail);

/* The parameter {filename} if it is a valid name; otherwise answers 400 and returns
 * NULL. */
const char *ui_param_name(struct http_request *req);
/* The same for a text from another place (NULL is refused, too). */
bool ui_check_name(struct http_request *req, const char *name);

/* Answers 400 `bad_name` with the reason why the name is invalid (`reason`) and a
 * similar valid name (as `member`). */
void ui_fail_name(struct http_request *req, const char *name, bool allow_folders,
                  const char *member);

/* Answers 422 `invalid_value` with the member and the values that it may have. */
void ui_fail_value(struct http_request *req, const char *member, const char *right);

#endif
