/* A plugin of QEMU that samples a riscv64 Linux every so many instructions, exactly, and
 * without the machine's knowing: same machine, same samples.
 * https://www.qemu.org/docs/master/devel/tcg-plugins.html
 *
 * Arguments: out=FILE, every=INSTRUCTIONS, comm=OFFSET, that of the name in Linux' struct
 * task_struct. FILE gets a line for each sample, addresses innermost first:
 *
 *	MODE NAME ADDRESS...    MODE is u, s or m; NAME is the process, in hexadecimal digits
 *
 * and at its end "end INSTRUCTIONS". */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

/* Version 4 of the API, of QEMU 10.0. Debian has no package with its header. */
EXPORT int qemu_plugin_version = 4;
typedef uint64_t plugin_id;
typedef struct { void *score; size_t offset; } counter;
typedef struct { uint8_t *data; unsigned len; } bytes; /* GByteArray */
typedef struct { char *data; unsigned len; } list;     /* GArray */
typedef struct { void *handle; const char *name, *feature; } reg;
enum { INLINE_ADD = 0 };
enum { READS_REGISTERS = 1 };
enum { GREATER_OR_EQUAL = 7 };

void qemu_plugin_register_vcpu_init_cb(plugin_id, void (*)(plugin_id, unsigned));
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, void *));
void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
size_t qemu_plugin_tb_n_insns(const void *tb);
void *qemu_plugin_tb_get_insn(const void *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const void *insn);
void *qemu_plugin_scoreboard_new(size_t);
void qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(void *insn, int op, counter, uint64_t);
void qemu_plugin_register_vcpu_insn_exec_cond_cb(void *insn, void (*)(unsigned, void *), int flags,
                                                 int condition, counter, uint64_t, void *);
void qemu_plugin_u64_set(counter, unsigned, uint64_t);
uint64_t qemu_plugin_u64_get(counter, unsigned);
list *qemu_plugin_get_registers(void);
int qemu_plugin_read_register(void *handle, bytes *);
bool qemu_plugin_read_memory_vaddr(uint64_t, bytes *, size_t);
bytes *g_byte_array_new(void);
bytes *g_byte_array_set_size(bytes *, unsigned);

enum { FRAMES = 64, NAME = 16 /* TASK_COMM_LEN */ };
enum which { FP, TP, SCRATCH, PRIV, REGISTERS };
static const char *const names[REGISTERS] = {"fp", "tp", "sscratch", "priv"};
static void *handles[REGISTERS];
static counter since; /* instructions since the last sample */
static uint64_t every, comm, samples;
static FILE *out;
static bytes *buffer;

static uint64_t number(enum which which) {
  uint64_t value = 0;
  g_byte_array_set_size(buffer, 0);
  if (handles[which] && qemu_plugin_read_register(handles[which], buffer) > 0)
    memcpy(&value, buffer->data, buffer->len < 8 ? buffer->len : 8);
  return value;
}

static bool memory(uint64_t address, void *into, size_t size) {
  if (!qemu_plugin_read_memory_vaddr(address, buffer, size))
    return false;
  memcpy(into, buffer->data, size);
  return true;
}

static bool is_kernel(uint64_t address) { return address >> 63; }

/* Names of processes are only to be read while the kernel's memory is to be seen. */
static struct known { uint64_t task; char name[NAME + 1]; } known[512];

static const char *process(uint64_t task) {
  struct known *found = &known[task / 64 % 512];
  char name[NAME + 1] = "";
  if (!is_kernel(task))
    return "";
  if (memory(task + comm, name, NAME)) {
    found->task = task;
    memcpy(found->name, name, sizeof name);
  }
  return found->task == task ? found->name : "";
}

static void sample(unsigned cpu, void *address) {
  uint64_t fp = number(FP), priv = number(PRIV), mode = priv & 3;
  uint64_t task = mode == 0 ? number(SCRATCH) : number(TP);
  qemu_plugin_u64_set(since, cpu, 0);
  samples++;
  fprintf(out, "%c ", "us?m"[mode]);
  for (const char *at = mode == 3 ? "" : process(task); *at; at++)
    fprintf(out, "%02x", (unsigned char)*at);
  fprintf(out, " %" PRIx64, (uint64_t)(uintptr_t)address);
  /* https://github.com/riscv-non-isa/riscv-elf-psabi-doc, "Frame Pointer Convention" */
  for (int n = 1; n < FRAMES && mode != 3 && fp && fp % 8 == 0; n++) {
    uint64_t frame[2]; /* of the caller, and where it goes on */
    if (is_kernel(fp) != (mode == 1) || !memory(fp - 16, frame, sizeof frame) || frame[1] == 0)
      break;
    fprintf(out, " %" PRIx64, frame[1]);
    if (frame[0] <= fp)
      break;
    fp = frame[0];
  }
  fputc('\n', out);
}

static void translated(plugin_id id, void *block) {
  (void)id;
  for (size_t i = 0; i < qemu_plugin_tb_n_insns(block); i++) {
    void *insn = qemu_plugin_tb_get_insn(block, i);
    void *address = (void *)(uintptr_t)qemu_plugin_insn_vaddr(insn);
    qemu_plugin_register_vcpu_insn_exec_inline_per_vcpu(insn, INLINE_ADD, since, 1);
    qemu_plugin_register_vcpu_insn_exec_cond_cb(insn, sample, READS_REGISTERS, GREATER_OR_EQUAL,
                                                since, every, address);
  }
}

static void started(plugin_id id, unsigned cpu) {
  (void)id, (void)cpu;
  list *all = qemu_plugin_get_registers();
  for (unsigned i = 0; i < all->len; i++) {
    const reg *one = (const reg *)all->data + i;
    for (int which = 0; which < REGISTERS; which++)
      if (strcmp(one->name, names[which]) == 0)
        handles[which] = one->handle;
  }
}

static void ended(plugin_id id, void *nothing) {
  (void)id, (void)nothing;
  fprintf(out, "end %" PRIu64 "\n", samples * every + qemu_plugin_u64_get(since, 0));
  if (fclose(out))
    abort();
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
  (void)info;
  for (int i = 0; i < argc; i++) {
    char *value = strchr(argv[i], '=');
    if (!value)
      return -1;
    value++;
    if (strncmp(argv[i], "out=", 4) == 0)
      out = fopen(value, "w");
    else if (strncmp(argv[i], "every=", 6) == 0)
      every = strtoull(value, NULL, 10);
    else if (strncmp(argv[i], "comm=", 5) == 0)
      comm = strtoull(value, NULL, 10);
    else
      return -1;
  }
  if (!out || !every)
    return -1;
  buffer = g_byte_array_new();
  since.score = qemu_plugin_scoreboard_new(sizeof(uint64_t));
  qemu_plugin_register_vcpu_init_cb(id, started);
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  qemu_plugin_register_atexit_cb(id, ended, NULL);
  return 0;
}
