/* Declarations shared by the files of the options module. */
#ifndef P2P_OPTIONS_INTERNAL_H
#define P2P_OPTIONS_INTERNAL_H

#include "p2p/log.h"
#include "p2p/options.h"

/* The source of a value, from strong to weak: a weaker source never replaces a stronger
 * one. */
enum p2p_option_source {
    P2P_FROM_DEFAULT = 0,
    P2P_FROM_FLAG,
    P2P_FROM_ENVIRONMENT,
    P2P_FROM_FILE,
};

/* What the options keep while they are used; options_text.c. */
struct p2p_options_text {
    struct p2p_options_kept *kept;
    struct p2p_options_place *places;
    enum p2p_log_level level;
    enum p2p_log_format format;
    const char *config; /* the file that was read; NULL: none */
};

/* The state of parsing: the program's table and the options that all programs have. */
struct p2p_option_parse {
    const struct p2p_option_set *set;
    void *target;
    struct {
        bool help, version, verbose;
        const char *config, *log_level, *log_format;
    } common;
    enum p2p_option_source *sources; /* one for each option, common ones last */
    struct p2p_options_text *text;
    const char *home_config; /* p2p.conf of the home; NULL: there is none */
    bool is_in_folder;       /* the home is the current folder */
};

#define P2P_COMMON_OPTIONS 6
extern const struct p2p_option p2p_common_options[P2P_COMMON_OPTIONS];

/* The option with index i (the program's own options come first), and the location of
 * its value. */
const struct p2p_option *p2p_option_at(const struct p2p_option_parse *parse, size_t i,
                                       void **field);
/* The index of the option with this name, or SIZE_MAX. */
size_t p2p_option_index(const struct p2p_option_parse *parse, const char *name,
                        size_t len);

/* The same, but also finds the flag NAME for `no-NAME`; then *negated is true. */
size_t p2p_option_find(const struct p2p_option_parse *parse, const char *name,
                       size_t len, bool *negated);
/* The index of the option with this letter, or SIZE_MAX. */
size_t p2p_option_of_letter(const struct p2p_option_parse *parse, char letter);
/* The letter of an option that has a short form ("-o"), or NUL. */
char p2p_option_letter(const char *name);
/* Exchanges "yes" and "no"; other texts stay unchanged. */
const char *p2p_option_negate(const char *value);

/* ---- options_home.c ---- */

/* Sets the folders that have no other value, and home_config. Before the parse. */
P2P_MUST_CHECK enum p2p_err p2p_options_use_home(struct p2p_option_parse *parse);
/* A line on stderr when the identity is one of the current folder only. */
void p2p_options_tell_of_folder(const struct p2p_option_parse *parse);

/* ---- options_known.c: the settings of all programs ---- */

/* The names in the order of the alphabet; NULL after the last. */
const char *p2p_option_known_at(size_t index);
/* True if one of the programs (or one of p2p's commands) has this option or flag. */
bool p2p_option_is_known(const char *name, bool commands_only);
bool p2p_option_is_section(const char *section);
/* The known name that is most similar to this one, or NULL. */
const char *p2p_option_near(const struct p2p_option_parse *parse, const char *name);
const char *p2p_option_near_section(const char *name);

/* Sets option i from text that outlives the target, unless a stronger source has.
 * `shown` is what a message calls it ("--port", "P2P_PORT", "file:3: port"). */
P2P_MUST_CHECK enum p2p_err p2p_option_set_value(struct p2p_option_parse *parse,
                                                 size_t i,
                                                 enum p2p_option_source source,
                                                 const char *shown, const char *value);
/* Parses one value into its field. USAGE and a message if it is invalid. */
P2P_MUST_CHECK enum p2p_err p2p_option_assign(const struct p2p_option_parse *parse,
                                              const struct p2p_option *option,
                                              void *field, const char *shown,
                                              const char *value);
/* Prints "<program>: <format>" to stderr and returns USAGE. */
enum p2p_err p2p_option_complain(const struct p2p_option_parse *parse,
                                 const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Messages about wrong options go to the log. */
bool p2p_options_are_refused_in_log(void);

/* ---- options_text.c ---- */

/* Remembers where this value was given; p2p_options_place tells it. */
P2P_MUST_CHECK enum p2p_err p2p_options_remember_place(struct p2p_options_text *text,
                                                       const char *value,
                                                       const char *shown);
/* Copies text that lives as long as the options; NULL when out of memory. */
char *p2p_options_keep(struct p2p_options_text *text, const char *from, size_t len);

/* Reads the settings for this program from a configuration file. */
P2P_MUST_CHECK enum p2p_err p2p_options_read_file(struct p2p_option_parse *parse,
                                                  const char *file);
/* "yes", "off", "1" and the like. USAGE: none of them. */
P2P_MUST_CHECK enum p2p_err p2p_option_parse_flag(const char *text, bool *out);
void p2p_options_print_help(const struct p2p_option_parse *parse);
void p2p_option_format_value(const struct p2p_option *option, uint64_t value, char *out,
                             size_t cap);

#endif
