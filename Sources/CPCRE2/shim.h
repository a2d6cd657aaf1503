/* PCRE2 is one library a code unit width; bytes, that is UTF-8, are ours. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
