/*
 * What the proofs assume of the C library where Frama-C's own contracts say too little (memchr,
 * strrchr and strnlen: where the result lies) or ask for what WP cannot see (memcmp, strncasecmp).
 * Nothing here is proven: each contract restates the C standard or POSIX.
 */
#ifndef CONTRACTS_LIBC_H
#define CONTRACTS_LIBC_H

#include <string.h>
#include <strings.h>

#define memchr      assumed_memchr
#define memcmp      assumed_memcmp
#define strncasecmp assumed_strncasecmp
#define strnlen     assumed_strnlen
#define strrchr     assumed_strrchr

/* Macros: behind a predicate, WP does not see that a constant text or table is readable. */
#define READABLE(s, n)         \valid_read((s) + (0 .. (n) - 1))
#define READABLE_STRING(s, n) (READABLE(s, n) || valid_read_string(s))

/*@
  requires READABLE((char *)s, n);
  assigns \result \from s, c, ((char *)s)[0 .. n - 1];
  ensures \result == \null || \subset((char *)\result, (char *)s + (0 .. n - 1));
*/
void *assumed_memchr(const void *s, int c, size_t n);

/*@
  requires READABLE((char *)a, n) && READABLE((char *)b, n);
  assigns \result \from ((char *)a)[0 .. n - 1], ((char *)b)[0 .. n - 1];
*/
int assumed_memcmp(const void *a, const void *b, size_t n);

/*@
  requires READABLE(a, n) && READABLE(b, n);
  assigns \result \from a[0 .. n - 1], b[0 .. n - 1];
*/
int assumed_strncasecmp(const char *a, const char *b, size_t n);

/*@
  requires READABLE_STRING(s, n);
  assigns \result \from s[0 .. n - 1];
  ensures \result <= n && READABLE(s, \result);
*/
size_t assumed_strnlen(const char *s, size_t n);

/*@
  requires valid_read_string(s);
  assigns \result \from s, c, s[0 .. strlen(s)];
  ensures \result == \null || \subset(\result, s + (0 .. strlen(s) - 1));
*/
char *assumed_strrchr(const char *s, int c);

#endif
