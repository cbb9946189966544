/*
 * upgrades - newer versions of the libraries that the programs use, as the package
 * manager of Debian and its relatives knows them. Only looks: nothing is downloaded or
 * installed. One thread.
 */
#ifndef CLI_UPGRADES_H
#define CLI_UPGRADES_H

#include <stdbool.h>
#include <stddef.h>

#define CLI_VERSION_MAX 80
struct cli_upgrade {
    char package[CLI_VERSION_MAX], installed[CLI_VERSION_MAX], newer[CLI_VERSION_MAX];
};

/* The packages of the libraries of all programs beside this one that could be newer:
 * the first `max` of them to `out`, and how many there are to `count`. False: there is
 * no ldd, dpkg-query or apt-cache, or it did not answer. */
bool cli_find_upgrades(struct cli_upgrade *out, size_t max, size_t *count);

/* ---- The parts of it: what the commands print ---- */

/* A list of texts in one block of memory, ready for execvp: at[count] is NULL. */
struct cli_words {
    char **at;
    size_t count;
};
/* Copies the text if it is new. False: out of memory. */
bool cli_words_add(struct cli_words *words, const char *text, size_t len);
void cli_words_clear(struct cli_words *words);

/* Each path of a library in what ldd prints, as it stands there and with or without
 * /usr before it, since the database of packages knows one of the two. */
bool cli_parse_ldd(const char *text, struct cli_words *paths);
/* Each package in what "dpkg-query -S" prints. */
bool cli_parse_owners(const char *text, struct cli_words *packages);
/* As cli_find_upgrades, from what "apt-cache policy" prints. Returns the count. */
size_t cli_parse_policy(const char *text, struct cli_upgrade *out, size_t max);

#endif
