/* What a harness may ask of the board: text, files and exit through Arm semihosting, marks for the instruction counter,
   and the depth of the stack. Nothing here divides, so that division found in the linked file is the model's. */
#ifndef BOARD_SEMIHOST_H
#define BOARD_SEMIHOST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Ends the program; `status` becomes QEMU's exit status (0..255, anything else is 255). */
void board_exit(int status) __attribute__((noreturn));

void board_print(const char *text);      /* to QEMU's stderr */
void board_print_hex(uint32_t value);    /* 8 digits, no prefix */

/* Files of the host, relative to the directory in which QEMU runs. */
enum { BOARD_READ = 1, BOARD_WRITE = 5 };                       /* fopen's "rb" and "wb" */
int board_open(const char *name, int mode);                     /* a handle, or -1 */
size_t board_read(int file, void *data, size_t size);           /* bytes read; fewer than `size` at the end */
size_t board_write(int file, const void *data, size_t size);    /* bytes written */
int board_close(int file);                                      /* 0, or -1 */

/* Instructions executed between the two are counted: the call in between, with the loading of its arguments. */
void board_mark_begin(void);
void board_mark_end(void);

/* Bytes of stack touched below the frame of the caller since it called board_stack_paint(): call both from one
   function. Exact to the word as long as the deepest word was written (an array that is never written is not seen). */
void board_stack_paint(void);
uint32_t board_stack_used(void);

#ifdef __cplusplus
}
#endif
#endif
