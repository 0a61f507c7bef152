// What may be loaded into segment registers, what is said of selectors, and the error codes of what is refused.
#include "report.h"
#include <asm/ldt.h>
#include <setjmp.h>
#include <sys/syscall.h>
#include <ucontext.h>

static sigjmp_buf back;

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    printf(" signal %d code %d trap %d error %x address %lx\n", signal, info->si_code,
           (int)uc->uc_mcontext.gregs[REG_TRAPNO], (unsigned)uc->uc_mcontext.gregs[REG_ERR], (long)info->si_addr);
    siglongjmp(back, 1);
}

#define LOAD(what, text)                                                                                               \
    do {                                                                                                               \
        printf(what " %x:", selector);                                                                                 \
        if (sigsetjmp(back, 1) == 0) {                                                                                 \
            __asm__ volatile(text : : "r"(selector) : "memory", "esi");                                                \
            puts(" loaded");                                                                                           \
        }                                                                                                              \
    } while (0)

static void load(unsigned selector) {
    LOAD("ds", "mov %%ds, %%esi\n\tmov %0, %%ds\n\tmov %%esi, %%ds");
    LOAD("es", "mov %%es, %%esi\n\tmov %0, %%es\n\tmov %%esi, %%es");
    LOAD("ss", "mov %0, %%ss");
#ifndef __i386__
    LOAD("gs", "mov %0, %%gs\n\tmov %%gs, %%esi\n\txor %%esi, %%esi\n\tmov %%esi, %%gs");
#endif
}

// LAR, LSL, VERR and VERW.
static void describe(unsigned selector) {
    unsigned rights = 1, limit = 1;
    uint8_t known, limited, readable, writable;
    __asm__("lar %2, %0\n\tsetz %1" : "+r"(rights), "=q"(known) : "r"(selector) : "cc");
    __asm__("lsl %2, %0\n\tsetz %1" : "+r"(limit), "=q"(limited) : "r"(selector) : "cc");
    __asm__("verr %w1\n\tsetz %0" : "=q"(readable) : "r"(selector) : "cc");
    __asm__("verw %w1\n\tsetz %0" : "=q"(writable) : "r"(selector) : "cc");
    // The limit of this one is the processor's number; what of limits is among the rights is undefined.
    if ((selector | 3) == 0x7b) limit = 0;
    printf("%x: %d %x %d %x %d %d\n", selector, known, rights & 0xf0ff00, limited, limit, readable, writable);
}

static void refused(void) {
    unsigned selector = 0;
    LOAD("int", "int $0x81");
    LOAD("hlt", "hlt");
    static const struct { uint32_t offset; uint16_t selector; } gate = {0, 0x1b};
    printf("far:");
    if (sigsetjmp(back, 1) == 0) __asm__ volatile("lcall *%0" : : "m"(gate));
}

#ifdef __i386__
static void entries(void) {
    struct user_desc kinds[] = {
        {.base_addr = 0x1000, .limit = 0xfffff, .seg_32bit = 1, .limit_in_pages = 1, .useable = 1},
        {.base_addr = 0x2000, .limit = 0x1234, .seg_32bit = 1},
        {.base_addr = 0x3000, .limit = 0xabcde, .seg_32bit = 1, .read_exec_only = 1, .contents = 1},
    };
    for (int i = 0; i < 3; i++) {
        kinds[i].entry_number = -1;
        if (TRY(syscall(SYS_set_thread_area, &kinds[i])) < 0) break;
        unsigned selector = kinds[i].entry_number << 3 | 3;
        describe(selector);
        describe(selector & ~3u);
        kinds[i] = (struct user_desc){.entry_number = kinds[i].entry_number, .read_exec_only = 1, .seg_not_present = 1};
        TRY(syscall(SYS_set_thread_area, &kinds[i]));
        describe(selector);
    }
}
#endif

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, NULL);
    sigaction(SIGBUS, &action, NULL);
    sigaction(SIGILL, &action, NULL);
    for (int round = 0; round < 2; round++) {
        unsigned selectors[] = {0, 3, 8, 0x10, 0x1b, 0x23, 0x28, 0x2b, 0x33, 0x3b, 0x47, 0x73, 0x7b, 0x83, 0x1234, 0xfff7};
        for (unsigned i = 0; i < sizeof selectors / sizeof *selectors; i++) {
            load(selectors[i]);
            describe(selectors[i]);
        }
        refused();
#ifdef __i386__
        entries();
#endif
    }
    return 0;
}
