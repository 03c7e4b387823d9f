/* The four functions that GCC may call even in freestanding code. Their bytes count as the model's support code when
   the linker keeps them, so they are small, yet move words where they can, as a microcontroller's C library would. */
#include <stddef.h>
#include <stdint.h>

typedef uint32_t __attribute__((may_alias)) word;

static int aligned(const void *a, const void *b)
{
    return (((uintptr_t)a | (uintptr_t)b) & 3u) == 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
    char *t = to;
    const char *f = from;
    if (aligned(t, f))
        for (; size >= 4; size -= 4, t += 4, f += 4)
            *(word *)t = *(const word *)f;
    while (size-- != 0)
        *t++ = *f++;
    return to;
}

void *memmove(void *to, const void *from, size_t size)
{
    char *t = to;
    const char *f = from;
    if ((uintptr_t)t - (uintptr_t)f >= size)
        return memcpy(to, from, size);
    while (size-- != 0)
        t[size] = f[size];
    return to;
}

void *memset(void *to, int value, size_t size)
{
    char *t = to;
    const uint32_t pattern = (uint8_t)value * 0x01010101u;
    if (aligned(t, t))
        for (; size >= 4; size -= 4, t += 4)
            *(word *)t = pattern;
    while (size-- != 0)
        *t++ = (char)value;
    return to;
}

int memcmp(const void *a, const void *b, size_t size)
{
    const unsigned char *p = a, *q = b;
    for (; size != 0; size--, p++, q++)
        if (*p != *q)
            return *p - *q;
    return 0;
}
