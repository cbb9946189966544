/*
 * The rules for names (name/name.c, name/name_hidden.c) against their contracts: `make prove`. What
 * is proven: a check reads the bytes of the name and no other, a numbered name fits into the memory
 * that is promised for it, there is no run-time error, and every loop ends.
 *
 * prove: p2p_name_is_slash_lookalike,p2p_name_is_dot_lookalike,is_dots,is_control,p2p_name_character_problem,has_escape,
 * prove: is_numbered_device,p2p_name_is_reserved,characters_problem,part_problem,p2p_name_problem,
 * prove: p2p_name_check,p2p_name_extension,keep_in_room,join,p2p_name_numbered,p2p_name_hidden,
 * prove: is_in_place,is_joined,is_keycap,is_emoji_base,is_overlay,is_foreign_space,is_blank_or_nothing
 */
#include "core/name/name_hidden.h"
#include "name.h"

/*@ assigns \nothing; */
static bool is_blank_or_nothing(uint32_t cp);
/*@ assigns \nothing; */
static bool is_foreign_space(uint32_t cp);
/*@ assigns \nothing; */
static bool is_overlay(uint32_t cp);
/*@ assigns \nothing; */
static bool is_emoji_base(uint32_t cp);
/*@ assigns \nothing; */
static bool is_keycap(uint32_t cp);
/*@ assigns \nothing; */
static bool is_joined(uint32_t cp);
/*@ requires \valid_read(n); assigns \nothing; */
static bool is_in_place(uint32_t cp, const struct p2p_name_neighbors *n);
/*@ requires \valid_read(neighbors); assigns \nothing; */
const char *p2p_name_hidden(uint32_t cp, const struct p2p_name_neighbors *neighbors);

/*@ assigns \nothing; */
static bool is_dots(uint32_t cp);
/*@ assigns \nothing; */
static bool is_control(uint32_t cp);

/*@ requires READABLE(part, len) && len <= P2P_NAME_PART_MAX; assigns \nothing; */
static bool has_escape(const char *part, size_t len);
/*@ requires READABLE(stem, len); assigns \nothing; */
static bool is_numbered_device(const char *stem, size_t len);
/*@ requires READABLE(part, len); assigns \nothing; */
static const char *characters_problem(const char *part, size_t len);
/*@ requires READABLE(part, len); assigns \nothing; */
static const char *part_problem(const char *part, size_t len);

/*@ requires READABLE(name, len); assigns \nothing; */
const char *p2p_name_problem(const char *name, size_t len, bool allow_folders);

/*@ requires READABLE(text, len); assigns \nothing; ensures \result <= len; */
static size_t keep_in_room(const char *text, size_t len, size_t room);

/*@
  requires READABLE(head, head_len) && READABLE(digits, digits_len) && READABLE(tail, tail_len);
  requires \valid(out + (0 .. P2P_NAME_MAX));
  requires \separated(out + (0 .. P2P_NAME_MAX), head + (0 .. head_len - 1));
  requires \separated(out + (0 .. P2P_NAME_MAX), digits + (0 .. digits_len - 1));
  requires \separated(out + (0 .. P2P_NAME_MAX), tail + (0 .. tail_len - 1));
  assigns out[0 .. P2P_NAME_MAX];
  ensures \result <= P2P_NAME_MAX && out[\result] == 0;
*/
static size_t join(char *out, const char *head, size_t head_len, const char *digits,
                   size_t digits_len, const char *tail, size_t tail_len);

/*@
  requires valid_read_string(name);
  requires \valid(out + (0 .. P2P_NAME_MAX));
  requires \separated(name + (0 .. strlen(name)), out + (0 .. P2P_NAME_MAX));
  assigns out[0 .. P2P_NAME_MAX];
*/
enum p2p_err p2p_name_numbered(const char *name, unsigned number, char *out);

#include "core/name/name.c"
#include "core/name/name_hidden.c"
