/* Arm semihosting: a BKPT 0xAB with the operation in r0 and its parameter block in r1, answered by QEMU on the host. */
#include "semihost.h"

enum {
    SYS_OPEN = 0x01,
    SYS_CLOSE = 0x02,
    SYS_WRITE0 = 0x04,
    SYS_WRITE = 0x05,
    SYS_READ = 0x06,
    SYS_EXIT_EXTENDED = 0x20 /* SYS_EXIT carries no status on 32-bit cores */
};
enum { ADP_STOPPED_APPLICATION_EXIT = 0x20026 };

static int call(int operation, const void *parameters)
{
    register int r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = parameters;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void board_exit(int status)
{
    const uint32_t parameters[2] = {ADP_STOPPED_APPLICATION_EXIT, status < 0 || status > 255 ? 255u : (uint32_t)status};
    for (;;)
        call(SYS_EXIT_EXTENDED, parameters);
}

void board_print(const char *text)
{
    call(SYS_WRITE0, text);
}

void board_print_hex(uint32_t value)
{
    char text[9];
    for (int i = 7; i >= 0; i--) {
        text[i] = "0123456789abcdef"[value & 15u];
        value >>= 4;
    }
    text[8] = '\0';
    board_print(text);
}

int board_open(const char *name, int mode)
{
    uint32_t length = 0;
    while (name[length] != '\0')
        length++;
    const uint32_t parameters[3] = {(uint32_t)name, (uint32_t)mode, length};
    return call(SYS_OPEN, parameters);
}

/* SYS_READ and SYS_WRITE answer with the number of bytes that were *not* moved, or -1. */
static size_t transfer(int operation, int file, const void *data, size_t size)
{
    const uint32_t parameters[3] = {(uint32_t)file, (uint32_t)data, size};
    const uint32_t left = (uint32_t)call(operation, parameters);
    return left <= size ? size - left : 0;
}

size_t board_read(int file, void *data, size_t size)
{
    return transfer(SYS_READ, file, data, size);
}

size_t board_write(int file, const void *data, size_t size)
{
    return transfer(SYS_WRITE, file, data, size);
}

int board_close(int file)
{
    const uint32_t parameters[1] = {(uint32_t)file};
    return call(SYS_CLOSE, parameters);
}
