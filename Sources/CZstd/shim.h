// The literal-compression mode that the packed format needs is in libzstd's static-only section.
#define ZSTD_STATIC_LINKING_ONLY
#include <zstd.h>
