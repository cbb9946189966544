/*
 * Valid names made of invalid ones (name/name_usable.c) against their contracts: `make prove`. What
 * is proven: a part stays in the memory that it has, a name in what is promised for it, no function
 * reads beyond the bytes of the name, there is no run-time error, and every loop ends.
 *
 * prove: append,is_space,stand_in,copy_characters,trim,break_escapes,leave_devices,shorten,
 * prove: is_usable,make_part,p2p_name_usable
 */
#include "name.h"

#include "core/name/name_usable.c"

/*@ requires \valid(p) && p->len <= 1024 && len <= 1024 && READABLE(text, len);
    requires \separated(p, text + (0 .. len - 1));
    assigns *p;
    ensures p->len <= 1024 && \old(p->len) <= p->len;
*/
static void append(struct part *p, const char *text, size_t len);
/*@ assigns \nothing; */
static bool is_space(uint32_t cp);
/*@ assigns \nothing; */
static char stand_in(uint32_t cp, uint32_t after);
/*@ requires \valid(p) && p->len <= 1024 && len <= 1024 && READABLE(text, len);
    requires \separated(p, text + (0 .. len - 1));
    assigns *p;
    ensures p->len <= 1024;
*/
static void copy_characters(struct part *p, const char *text, size_t len);
/*@ requires \valid(p) && p->len <= 1024; assigns *p; ensures p->len <= \old(p->len); */
static void trim(struct part *p);
/*@ requires \valid(p) && p->len <= 1024; assigns p->text[0 .. 1023]; */
static void break_escapes(struct part *p);
/*@ requires \valid(p) && p->len <= 1024; assigns *p; ensures p->len <= 1024; */
static void leave_devices(struct part *p);
/*@ requires \valid(p) && p->len <= 1024; assigns *p; ensures p->len <= P2P_NAME_PART_MAX; */
static void shorten(struct part *p);
/*@ requires \valid_read(p) && p->len <= 1024; assigns \nothing; */
static bool is_usable(const struct part *p);
/*@ requires READABLE(text, len) && \valid(out);
    requires \separated(out, text + (0 .. len - 1));
    assigns *out;
    ensures out->len <= 1024;
*/
static bool make_part(const char *text, size_t len, struct part *out);

/*@ requires READABLE(name, len) && \valid(out + (0 .. P2P_NAME_MAX));
    requires \separated(name + (0 .. len - 1), out + (0 .. P2P_NAME_MAX));
    assigns out[0 .. P2P_NAME_MAX];
*/
enum p2p_err p2p_name_usable(const char *name, size_t len, bool allow_folders, char *out);

