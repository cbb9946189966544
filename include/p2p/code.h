/*
 * code - the codes by which one person tells another how to get something:
 * `7-guitar-tiger`. The number says where both meet at a registry, and is no secret;
 * the two words are the secret (16 bits, so each code allows one guess only: see
 * exchange.h). `@REGISTRY` behind them names the registry. Here are the text forms and
 * the list of words; no sockets, no clock. Thread-safe.
 */
#ifndef P2P_CODE_H
#define P2P_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "p2p/err.h"
#include "p2p/identity.h"

#pragma GCC visibility push(default)
#ifdef __cplusplus
extern "C" {
#endif

#define P2P_CODE_WORDS        256 /* in the list */
#define P2P_CODE_WORD_MAX     8   /* letters */
#define P2P_CODE_PREFIX       3   /* letters that tell each word from all the others */
#define P2P_CODE_NUMBER_MAX   999999u
#define P2P_CODE_REGISTRY_MAX 300

struct p2p_code {
    uint32_t number; /* from 1 on */
    uint8_t words[2];
    char registry[P2P_CODE_REGISTRY_MAX]; /* its URL; empty: none was named */
};

/* Word `i` of the list, which is sorted. */
const char *p2p_code_word(uint8_t i);

/*
 * The words of a peer's id, which people compare on two screens: those of its first 64
 * bits, so that a key with the same words cannot be found by trying. Returns out.
 */
#define P2P_CODE_ID_WORDS 8
#define P2P_CODE_ID_TEXT  (P2P_CODE_ID_WORDS * (P2P_CODE_WORD_MAX + 1))
const char *p2p_code_id_words(const struct p2p_id *id, char out[P2P_CODE_ID_TEXT]);

/* A new code with this number and random words, without a registry. CRYPTO. */
P2P_MUST_CHECK enum p2p_err p2p_code_make(uint32_t number, struct p2p_code *out);
/* Writes the code, with its registry if it has one. Returns out. */
#define P2P_CODE_TEXT (6 + 2 * (P2P_CODE_WORD_MAX + 1) + 1 + P2P_CODE_REGISTRY_MAX + 1)
const char *p2p_code_format(const struct p2p_code *code, char out[P2P_CODE_TEXT]);
/* What the two sides must both know: the words, without the rest. */
#define P2P_CODE_SECRET (2 * (P2P_CODE_WORD_MAX + 1))
const char *p2p_code_secret(const struct p2p_code *code, char out[P2P_CODE_SECRET]);
/*
 * Reads a code as people write it: capital letters, and spaces for hyphens, are the
 * same, and the first three letters of a word are enough. USAGE; then `why` is a
 * sentence about what is wrong, with a proposal for a word that is nearly right.
 */
P2P_MUST_CHECK enum p2p_err p2p_code_parse(const char *text, struct p2p_code *out,
                                           char *why, size_t cap);
/* True if the text may be meant as a code: it begins with a number and a word. */
bool p2p_code_is_meant(const char *text);

/* Calls `visit` for each way to complete the last word of the text that a person has
 * begun to type ("7-gu" gives "7-guitar-"). */
typedef void p2p_code_visit(void *arg, const char *text);
void p2p_code_complete(const char *text, p2p_code_visit *visit, void *arg);

/* A registry's URL as in a code ("https://p2p.example.org" is "p2p.example.org", and
 * "http://192.168.1.5:8000" is "192.168.1.5:8000"), and back. USAGE: it is none, or too
 * long. */
P2P_MUST_CHECK enum p2p_err p2p_code_registry_text(const char *url, char *out,
                                                   size_t cap);
/* See p2p_code_registry_text. */
P2P_MUST_CHECK enum p2p_err p2p_code_registry_url(const char *text, char *out,
                                                  size_t cap);

#ifdef __cplusplus
}
#endif
#pragma GCC visibility pop

#endif
