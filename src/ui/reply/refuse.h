/* Helpers for handlers: names from requests, and refusals with the codes of the API. */
#ifndef P2P_UI_ANSWER_H
#define P2P_UI_ANSWER_H

#include "http/http.h"

struct cJSON;

/* Answers an error of the core with the status and `code` of docs/openapi.yaml.
 * `detail` NULL: its text. */
void ui_fail(struct http_request *req, enum p2p_err err, const char *detail);

/* The parameter {filename} when it may be used as a name; else answers 400 and returns
 * NULL. */
const char *ui_param_name(struct http_request *req);
/* The same for a text from elsewhere (NULL is refused too). */
bool ui_check_name(struct http_request *req, const char *name);

/* 400 `bad_name`: why this name may not be used (`reason`), and one near it that may
 * (under `member`). */
void ui_fail_name(struct http_request *req, const char *name, bool allow_folders,
                  const char *member);

/* 422 `invalid_value`: the member and what it should be. */
void ui_fail_value(struct http_request *req, const char *member, const char *right);

#endif
