// Scalar conversions that other kernels inline (private to the core).
#ifndef CK_CONVERT_PRIVATE_H
#define CK_CONVERT_PRIVATE_H

#include "ck_convert.h"
#include "ck_types.h"
#include "isa.h"

// Bytes of an element.
CK_INLINE size_t ck_size(ck_type type) { return type == CK_F32 ? sizeof(float) : sizeof(uint16_t); }

CK_INLINE float ck_float_from_bits(uint32_t bits) {
    union {
        uint32_t u;
        float f;
    } pun = {.u = bits};
    return pun.f;
}

CK_INLINE uint32_t ck_bits_from_float(float value) {
    union {
        float f;
        uint32_t u;
    } pun = {.f = value};
    return pun.u;
}

CK_INLINE float ck_bf16(uint16_t bits) { return ck_float_from_bits((uint32_t)bits << 16); }

CK_INLINE uint16_t ck_to_bf16(float value) {
    uint32_t bits = ck_bits_from_float(value);
    uint32_t rounded = (bits + 0x7FFFu + ((bits >> 16) & 1u)) >> 16;
    uint32_t quiet = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7FFFFFFFu) > 0x7F800000u ? quiet : rounded);
}

CK_INLINE float ck_f16(uint16_t bits) {
    uint32_t sign = (uint32_t)(bits & 0x8000u) << 16, magnitude = (uint32_t)(bits & 0x7FFFu) << 13;
    // Rebias the exponent by a product, which also normalises subnormals; infinities and NaNs need theirs set to 255.
    float scaled = ck_float_from_bits(magnitude) * 0x1p112f;
    uint32_t result = ck_bits_from_float(scaled);
    if ((bits & 0x7C00u) == 0x7C00u) result = magnitude | 0x7F800000u;
    return ck_float_from_bits(result | sign);
}

CK_INLINE uint16_t ck_to_f16(float value) {
    uint32_t bits = ck_bits_from_float(value), sign = (bits >> 16) & 0x8000u, magnitude = bits & 0x7FFFFFFFu;
    if (magnitude > 0x7F800000u) return (uint16_t)(sign | 0x7E00u);
    if (magnitude >= 0x477FF000u) return (uint16_t)(sign | 0x7C00u);  // rounds past 65504
    if (magnitude < 0x38800000u) {                                    // subnormal or zero: let an FP32 addition round
        float shifted = ck_float_from_bits(magnitude) + 0.5f;
        return (uint16_t)(sign | (ck_bits_from_float(shifted) - 0x3F000000u));
    }
    uint32_t rounded = magnitude + 0xFFFu + ((magnitude >> 13) & 1u) - 0x38000000u;
    return (uint16_t)(sign | (rounded >> 13));
}

#endif
