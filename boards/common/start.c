/* Start-up, faults, marks and the stack's depth for every Cortex-M, from M0 to M55. Instructions written out here are
   the ones that all of them have; ".syntax unified" because GCC assembles inline code for M0 in the old syntax. */
#include "semihost.h"

#define PAINT 0xA5C3965A
#define TEXT(macro) TEXT_OF(macro)
#define TEXT_OF(value) #value

extern uint32_t __stack_limit[], __stack_top[], __data_start[], __data_end[], __data_load[], __bss_start[], __bss_end[];
int main(void);
void board_reset(void);
void board_start(void);
void board_fault(const uint32_t *frame);

/* Assembly, because the compiler may use FPU or MVE registers in any C function and they fault until CP10 and CP11 are
   enabled in CPACR. */
__attribute__((naked)) void board_reset(void)
{
    __asm volatile(
        ".syntax unified\n"
#if defined(__ARM_FP) || defined(__ARM_FEATURE_MVE)
        "ldr  r0, =0xE000ED88\n" /* CPACR */
        "ldr  r1, [r0]\n"
        "ldr  r2, =0x00F00000\n" /* full access to CP10 and CP11 */
        "orrs r1, r2\n"
        "str  r1, [r0]\n"
        "dsb\n"
        "isb\n"
#endif
        "bl   board_start\n"
        ".ltorg\n");
}

/* Some boards fault below the stack, others ignore what is written there: the last word of paint tells on all. */
static void check_stack(const uint32_t *sp)
{
    if (sp >= __stack_limit && __stack_limit[0] == PAINT)
        return;
    board_print("fault: stack overflow, all of 0x");
    board_print_hex((uint32_t)__stack_top - (uint32_t)__stack_limit);
    board_print(" bytes used (__stack_size in link.ld)\n");
    board_exit(3);
}

__attribute__((used)) void board_start(void)
{
    board_stack_paint();
    const uint32_t *from = __data_load;
    for (uint32_t *to = __data_start; to < __data_end;)
        *to++ = *from++;
    for (uint32_t *to = __bss_start; to < __bss_end;)
        *to++ = 0;
    const int status = main();
    check_stack(__stack_top);
    board_exit(status);
}

/* The stack may be what broke: report on another one. */
uint64_t board_fault_stack[32]; /* 256 bytes */
__attribute__((naked)) static void fault(void)
{
    __asm volatile(
        ".syntax unified\n"
        "mov r0, sp\n"
        "ldr r1, =board_fault_stack + 256\n"
        "mov sp, r1\n"
        "bl  board_fault\n"
        ".ltorg\n");
}

/* `frame`: r0-r3, r12, lr, pc, xpsr as the core stacked them. */
__attribute__((used)) void board_fault(const uint32_t *frame)
{
    uint32_t exception;
    __asm volatile("mrs %0, ipsr" : "=r"(exception));
    check_stack(frame);
    board_print("fault: exception 0x");
    board_print_hex(exception);
    board_print(" at pc 0x");
    board_print_hex(frame[6]);
#if __ARM_ARCH_ISA_THUMB > 1
    board_print(", CFSR 0x");
    board_print_hex(*(volatile uint32_t *)0xE000ED28);
#endif
    board_print("\n");
    board_exit(3);
}

typedef void (*handler)(void);
__attribute__((section(".vectors"), used)) static const struct {
    uint32_t *stack;
    handler reset, faults[14];
} vectors = {__stack_top,
             board_reset,
             {fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault, fault}};

/* One instruction each at any optimization level: the counter subtracts them. */
__attribute__((naked)) void board_mark_begin(void)
{
    __asm volatile("bx lr");
}

__attribute__((naked)) void board_mark_end(void)
{
    __asm volatile("bx lr");
}

/* Without a frame of their own, sp is the caller's: everything below is painted, and only the callees change it. */
__attribute__((naked)) void board_stack_paint(void)
{
    __asm volatile(
        ".syntax unified\n"
        "ldr  r0, =__stack_limit\n"
        "ldr  r1, =" TEXT(PAINT) "\n"
        "mov  r2, sp\n"
        "b    2f\n"
        "1:\n"
        "str  r1, [r0]\n"
        "adds r0, #4\n"
        "2:\n"
        "cmp  r0, r2\n"
        "blo  1b\n"
        "bx   lr\n"
        ".ltorg\n");
}

__attribute__((naked)) uint32_t board_stack_used(void)
{
    __asm volatile(
        ".syntax unified\n"
        "ldr  r1, =__stack_limit\n"
        "ldr  r2, =" TEXT(PAINT) "\n"
        "mov  r0, sp\n"
        "b    2f\n"
        "1:\n"
        "ldr  r3, [r1]\n"
        "cmp  r3, r2\n"
        "bne  3f\n"
        "adds r1, #4\n"
        "2:\n"
        "cmp  r1, r0\n"
        "blo  1b\n"
        "3:\n"
        "subs r0, r0, r1\n"
        "bx   lr\n"
        ".ltorg\n");
}
