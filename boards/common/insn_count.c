/* QEMU TCG plugin: counts executed guest instructions between two marker functions, exactly.

   Arguments: begin=ADDRESS, end=ADDRESS    first instructions of the markers
              counts=FILE                   one line for each region, in order: its count
              hist=FILE,low=ADDRESS,high=ADDRESS
                                            optional: for each region a line "region N", then lines "ADDRESS COUNT" in
                                            hexadecimal and decimal for the instructions in low <= address < high

   An empty region counts 2, the return of the begin marker and the call of the end marker;
   hmdc/boards.py takes them off.
   A conditional instruction counts whether its condition holds or not, as it takes its slot in the pipeline either way.

   The few declarations used of plugin API version 1 are repeated here, so that no header of QEMU is needed; tried with
   QEMU 7.2. The host's C compiler builds this file; it is no part of the firmware. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t qemu_plugin_id_t;
struct qemu_info;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum qemu_plugin_cb_flags { QEMU_PLUGIN_CB_NO_REGS = 0 };
enum qemu_plugin_op { QEMU_PLUGIN_INLINE_ADD_U64 = 0 };
typedef void (*translation_callback)(qemu_plugin_id_t, struct qemu_plugin_tb *);
typedef void (*execution_callback)(unsigned int, void *);
typedef void (*exit_callback)(qemu_plugin_id_t, void *);

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, translation_callback);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, execution_callback, enum qemu_plugin_cb_flags,
                                            void *);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *, enum qemu_plugin_op, void *, uint64_t);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, exit_callback, void *);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv);

static uint64_t begin_address, end_address;
static FILE *counts_file;
static uint64_t executed;        /* instructions since QEMU started: the generated code adds to it directly */
static uint64_t executed_before; /* its value at the region's begin marker */
static bool inside;
static unsigned region;

static FILE *hist_file;
static uint64_t hist_low, hist_high;
static uint64_t *hist; /* one counter for each halfword of hist_low..hist_high */

static size_t hist_size(void)
{
    return (size_t)(hist_high - hist_low) / 2;
}

static void on_begin(unsigned int cpu, void *unused)
{
    (void)cpu;
    (void)unused;
    inside = true;
    executed_before = executed;
    if (hist != NULL)
        memset(hist, 0, hist_size() * sizeof *hist);
}

static void on_end(unsigned int cpu, void *unused)
{
    (void)cpu;
    (void)unused;
    if (!inside)
        return;
    inside = false;
    fprintf(counts_file, "%llu\n", (unsigned long long)(executed - executed_before));
    if (hist != NULL) {
        fprintf(hist_file, "region %u\n", region);
        for (size_t i = 0; i < hist_size(); i++)
            if (hist[i] != 0)
                fprintf(hist_file, "%llx %llu\n", (unsigned long long)(hist_low + 2 * i), (unsigned long long)hist[i]);
    }
    region++;
}

/* QEMU calls this once for each block of guest code that it translates, before the block runs. */
static void on_translation(qemu_plugin_id_t id, struct qemu_plugin_tb *block)
{
    (void)id;
    const size_t count = qemu_plugin_tb_n_insns(block);
    for (size_t i = 0; i < count; i++) {
        struct qemu_plugin_insn *instruction = qemu_plugin_tb_get_insn(block, i);
        const uint64_t address = qemu_plugin_insn_vaddr(instruction);
        if (address == begin_address)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_begin, QEMU_PLUGIN_CB_NO_REGS, NULL);
        if (address == end_address)
            qemu_plugin_register_vcpu_insn_exec_cb(instruction, on_end, QEMU_PLUGIN_CB_NO_REGS, NULL);
        qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64, &executed, 1);
        if (hist != NULL && address >= hist_low && address < hist_high)
            qemu_plugin_register_vcpu_insn_exec_inline(instruction, QEMU_PLUGIN_INLINE_ADD_U64,
                                                       &hist[(address - hist_low) / 2], 1);
    }
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *unused)
{
    (void)id;
    (void)unused;
    fclose(counts_file);
    if (hist_file != NULL)
        fclose(hist_file);
}

/* The text after "name=" when `argument` starts with it, else NULL. */
static const char *value_of(const char *argument, const char *name)
{
    const size_t length = strlen(name);
    return strncmp(argument, name, length) == 0 && argument[length] == '=' ? argument + length + 1 : NULL;
}

static bool parse(const char *argument)
{
    const char *value;
    if ((value = value_of(argument, "begin")) != NULL)
        begin_address = strtoull(value, NULL, 0);
    else if ((value = value_of(argument, "end")) != NULL)
        end_address = strtoull(value, NULL, 0);
    else if ((value = value_of(argument, "low")) != NULL)
        hist_low = strtoull(value, NULL, 0);
    else if ((value = value_of(argument, "high")) != NULL)
        hist_high = strtoull(value, NULL, 0);
    else if ((value = value_of(argument, "counts")) != NULL)
        return (counts_file = fopen(value, "w")) != NULL;
    else if ((value = value_of(argument, "hist")) != NULL)
        return (hist_file = fopen(value, "w")) != NULL;
    else
        return false;
    return true;
}

EXPORT int qemu_plugin_install(qemu_plugin_id_t id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    for (int i = 0; i < argc; i++)
        if (!parse(argv[i])) {
            fprintf(stderr, "insn_count: bad argument or file %s\n", argv[i]);
            return -1;
        }
    if (counts_file == NULL)
        return -1;
    if (hist_file != NULL && (hist_high <= hist_low || (hist = calloc(hist_size(), sizeof *hist)) == NULL))
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translation);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, NULL);
    return 0;
}
