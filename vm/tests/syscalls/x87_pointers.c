// Where the x87 unit says the last instruction, and the last exception's operand and opcode, were: to FNSTENV, to a
// handler of SIGFPE, and back. Operands and opcodes are looked at after exceptions only, and segments never, since
// processors differ there.
#include "report.h"
#include <setjmp.h>
#include <ucontext.h>

struct environment {
    uint16_t control, reserved0, status, reserved1, tags, reserved2;
    uint32_t instruction;
    uint16_t code, opcode;
    uint32_t operand, data;
} __attribute__((packed));

static double one = 1, zero;
static struct environment stored;
static sigjmp_buf back;

// Runs instructions, "1:" being where the last is said to be afterwards.
#define LAST(what, text)                                                                                               \
    do {                                                                                                               \
        uintptr_t at;                                                                                                  \
        __asm__ volatile("fninit\n\tcall 9f\n\t9: pop %0\n\tadd $1f-9b, %0\n\t" text "\n\tfnstenv %1\n\tfninit\n\temms"                           \
                         : "=&r"(at), "=m"(stored)                                                                     \
                         : "m"(one)                                                                                    \
                         : "memory", "cc", "eax");                                                                     \
        printf(what ": %d\n", (int)(stored.instruction - (uint32_t)at));                                               \
    } while (0)

static void last(void) {
    LAST("constant", "1: fld1");
    LAST("memory", "1: fldl %2");
    LAST("register", "fldl %2\n\t1: fxch");
    LAST("control word", "1: fldl %2\n\tfnstcw %1\n\tfldcw %1");
    LAST("status word", "1: fldl %2\n\tfnstsw %%ax\n\tfnclex");
    LAST("wait", "1: fldl %2\n\tfwait");
    LAST("nop", "fldl %2\n\t1: fnop");
    LAST("free", "fldl %2\n\t1: ffree %%st(0)");
    LAST("top", "fldl %2\n\t1: fincstp");
    LAST("prefix", "fldl %2\n\t1: ds fldl %2");
    LAST("store", "fldl %2\n\t1: fstl %2");
    LAST("comparison", "fldl %2\n\t1: fcomi");
    LAST("mmx", "1: fldl %2\n\tmovd %%eax, %%mm0\n\temms");
    LAST("branches", "fldl %2\n\tmov $3, %%eax\n\t0: 1: fadd %%st\n\tdec %%eax\n\tjnz 0b");
    LAST("masked", "fldz\n\tfldz\n\t1: fdivp");
    __asm__ volatile("fld1\n\tfninit\n\tfnstenv %0" : "=m"(stored));
    printf("initialised: %x %x %x\n", stored.instruction, stored.operand, stored.opcode);
}

// The same after an exception that is not masked.
#define EXCEPTION(what, text)                                                                                          \
    do {                                                                                                               \
        uintptr_t at;                                                                                                  \
        uint16_t control = 0x340;                                                                                      \
        __asm__ volatile("fninit\n\tfldcw %3\n\tcall 9f\n\t9: pop %0\n\tadd $1f-9b, %0\n\t" text "\n\tfnstenv %1\n\tfninit"                       \
                         : "=&r"(at), "=m"(stored)                                                                     \
                         : "m"(zero), "m"(control)                                                                     \
                         : "memory", "cc");                                                                            \
        printf(what ": %d opcode %x operand %s\n", (int)(stored.instruction - (uint32_t)at), stored.opcode,            \
               stored.operand == (uint32_t)(uintptr_t)&zero ? "zero" : "none");                                        \
    } while (0)

static void exceptions(void) {
    EXCEPTION("memory", "fld1\n\t1: fdivl %2");
    EXCEPTION("registers", "fldz\n\tfldz\n\t1: fdivp");
    EXCEPTION("root", "fld1\n\tfchs\n\t1: fsqrt");
    EXCEPTION("stack", "1: fstpl %2");
}

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal, (void)info;
#ifdef __i386__
    uint32_t *unit = (uint32_t *)uc->uc_mcontext.fpregs;
    uintptr_t pointers[] = {unit[3], unit[5]};
    unsigned opcode = ((uint16_t *)(unit + 28))[3];
#else
    uintptr_t pointers[] = {uc->uc_mcontext.fpregs->rip, uc->uc_mcontext.fpregs->rdp};
    unsigned opcode = uc->uc_mcontext.fpregs->fop;
#endif
    const uint8_t *code = (const uint8_t *)pointers[0];
    printf("handler: code %02x %02x operand %s opcode %x\n", code[0], code[1],
           pointers[1] == (uintptr_t)&zero ? "zero" : "none", opcode);
    siglongjmp(back, 1);
}

static void change(int signal, siginfo_t *info, void *context) {
    ucontext_t *uc = context;
    (void)signal, (void)info;
#ifdef __i386__
    uint32_t *unit = (uint32_t *)uc->uc_mcontext.fpregs;
    unit[3] = 0x12345678;
#else
    uc->uc_mcontext.fpregs->rip = 0x12345678;
    uc->uc_mcontext.fpregs->rdp = 0x9abcdef0;
#endif
}

static void signals(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGFPE, &action, NULL);
    uint16_t control = 0x340;
    if (sigsetjmp(back, 1) == 0)
        __asm__ volatile("fninit\n\tfldcw %1\n\tfld1\n\tfdivl %0\n\tnop\n\tfwait" : : "m"(zero), "m"(control));
    __asm__ volatile("fninit");
    action.sa_sigaction = change;
    sigaction(SIGUSR1, &action, NULL);
    // With an exception pending, what was restored is also kept by processors that otherwise don't.
    pid_t self = getpid();
    int number = SIGUSR1;
#ifdef __i386__
    __asm__ volatile("fninit\n\tfldcw %2\n\tfld1\n\tfdivl %1\n\tint $0x80\n\tfnstenv %0\n\tfninit"
                     : "=m"(stored) : "m"(zero), "m"(control), "a"(37), "b"(self), "c"(number) : "memory");
#else
    __asm__ volatile("fninit\n\tfldcw %2\n\tfld1\n\tfdivl %1\n\tsyscall\n\tfnstenv %0\n\tfninit"
                     : "=m"(stored) : "m"(zero), "m"(control), "a"(62), "D"(self), "S"(number)
                     : "memory", "rcx", "r11");
#endif
    printf("restored: %x %x\n", stored.instruction, stored.operand == (uint32_t)(uintptr_t)&zero ? 0 : stored.operand);
}

// What was loaded is stored again, in both layouts.
static void loaded(void) {
    struct environment made = {.control = 0x340, .status = 0x8084, .tags = 0xffff, .instruction = 0x11223344,
                               .opcode = 0x123, .operand = 0x55667788};
    __asm__ volatile("fldenv %1\n\tfnstenv %0\n\tfninit" : "=m"(stored) : "m"(made));
    printf("environment: %x %x %x\n", stored.instruction, stored.opcode, stored.operand);
    struct { struct environment environment; uint8_t registers[80]; } all = {made, {0}}, again;
    __asm__ volatile("frstor %1\n\tfnsave %0" : "=m"(again) : "m"(all));
    printf("state: %x %x %x\n", again.environment.instruction, again.environment.opcode, again.environment.operand);
    uint16_t narrow[7];
    __asm__ volatile("fldenv %1\n\tdata16 fnstenv %0\n\tfninit" : "=m"(narrow) : "m"(made));
    printf("narrow: %x %x\n", narrow[3], narrow[5]);
    static uint8_t image[512] __attribute__((aligned(16))), other[512] __attribute__((aligned(16)));
    __asm__ volatile("fldenv %1\n\tfxsave %0\n\tfxrstor %0\n\tfnstenv %2\n\tfninit" : "+m"(image) : "m"(made), "m"(stored) : "memory");
    uint64_t pointers[2];
    uint16_t opcode;
    memcpy(&opcode, image + 6, 2);
    memcpy(pointers, image + 8, 16);
    printf("image: %x %x %x; %x\n", (unsigned)pointers[0], (unsigned)pointers[1], opcode, stored.instruction);
#ifdef __x86_64__
    pointers[0] = 0x112233445566, pointers[1] = 0xffff887766554433;
    memcpy(image + 8, pointers, 16);
    __asm__ volatile("fxrstor64 %1\n\tfxsave64 %0\n\tfninit" : "=m"(other) : "m"(image));
    memcpy(pointers, other + 8, 16);
    printf("wide image: %lx %lx\n", pointers[0], pointers[1]);
#endif
}

int main(void) {
    for (int round = 0; round < 2; round++) {
        last();
        exceptions();
        signals();
        loaded();
    }
    return 0;
}
