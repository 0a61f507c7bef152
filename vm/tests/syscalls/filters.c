// Programs that say what a socket receives: SO_ATTACH_FILTER and its relatives.
#include "messages.h"
#include <linux/filter.h>
#include <sys/un.h>

static int attach_to(int s, struct sock_filter *code, int len) {
    struct sock_fprog p = {len, code};
    return setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p);
}
#define FILTER(...) (struct sock_filter[]){__VA_ARGS__}, sizeof((struct sock_filter[]){__VA_ARGS__}) / sizeof(struct sock_filter)
#define ATTACH(s, ...) TRY(attach_to(s, FILTER(__VA_ARGS__)))
#define S BPF_STMT
#define J BPF_JUMP
#define RET(k) S(BPF_RET | BPF_K, k)

static int receiver, sender;

static void pair(int family, int kind, int port) {
    int s[2];
    if (family == AF_UNIX) { socketpair(AF_UNIX, kind, 0, s), receiver = s[1], sender = s[0]; return; }
    receiver = socket(family, kind, 0), sender = socket(family, kind, 0);
    if (family == AF_INET) BIND4(receiver, "127.0.0.1", port), BIND4(sender, "127.0.0.1", 9), CONNECT4(sender, "127.0.0.1", port);
    else BIND6(receiver, "::1", port), BIND6(sender, "::1", 9), CONNECT6(sender, "::1", port);
}

// Sends something, and shows how much of it arrives: what the program returned, as long as that is less.
static void probe(const char *what, struct sock_filter *code, int len) {
    printf("%s: ", what);
    if (attach_to(receiver, code, len) < 0) { printf("%s\n", strerrorname_np(errno)); return; }
    static const char message[201] = "abcdefgh0123456789";
    ok("sent", send(sender, message, 200, 0) - 200);
    show_message(receiver, 300, 0);
}
#define PROBE(...) probe(#__VA_ARGS__, FILTER(__VA_ARGS__))

static void values(const char *name) {
    printf("-- values of %s\n", name);
    PROBE(RET(0));
    PROBE(RET(1));
    PROBE(RET(12));
    PROBE(RET(100));
    PROBE(RET(-1u));
    PROBE(S(BPF_LD | BPF_W | BPF_LEN, 0), S(BPF_ALU | BPF_SUB | BPF_K, 100), S(BPF_RET | BPF_A, 0));
    // What is where.
    for (int at = 0; at < 12; at++) PROBE(S(BPF_LD | BPF_B | BPF_ABS, at), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_H | BPF_ABS, 4), S(BPF_ALU | BPF_AND | BPF_K, 0xff), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, 190), S(BPF_RET | BPF_K, 50));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, 204), S(BPF_RET | BPF_K, 50));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, 205), S(BPF_RET | BPF_K, 50));
    PROBE(S(BPF_LDX | BPF_IMM, 3), S(BPF_LD | BPF_B | BPF_IND, 6), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LDX | BPF_IMM, -1), S(BPF_LD | BPF_B | BPF_IND, 9), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LDX | BPF_B | BPF_MSH, 9), S(BPF_MISC | BPF_TXA, 0), S(BPF_ALU | BPF_ADD | BPF_K, 10), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_IMM, 77), S(BPF_ALU | BPF_MOD | BPF_K, 50), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_IMM, 77), S(BPF_ALU | BPF_DIV | BPF_X, 0), S(BPF_RET | BPF_K, 20));
    PROBE(S(BPF_LD | BPF_IMM, 77), S(BPF_LDX | BPF_IMM, 3), S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_ALU_XOR_X), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PROTOCOL), S(BPF_ALU | BPF_RSH | BPF_K, 8), S(BPF_ALU | BPF_ADD | BPF_K, 10), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX), S(BPF_ALU | BPF_ADD | BPF_K, 10), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_PKTTYPE), S(BPF_ALU | BPF_ADD | BPF_K, 10), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_MARK), S(BPF_ALU | BPF_ADD | BPF_K, 10), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT), S(BPF_ALU | BPF_ADD | BPF_K, 10), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + SKF_AD_RANDOM), S(BPF_RET | BPF_K, 10));
    PROBE(S(BPF_LD | BPF_B | BPF_ABS, SKF_NET_OFF + 9), S(BPF_ALU | BPF_ADD | BPF_K, 10), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_ST, 0), S(BPF_LD | BPF_IMM, 60), S(BPF_ST, 3), S(BPF_LDX | BPF_MEM, 3), S(BPF_MISC | BPF_TXA, 0), S(BPF_RET | BPF_A, 0));
    PROBE(S(BPF_LD | BPF_IMM, 5), J(BPF_JMP | BPF_JGT | BPF_K, 4, 1, 0), RET(20), RET(30));
    PROBE(S(BPF_LD | BPF_IMM, 5), J(BPF_JMP | BPF_JSET | BPF_K, 2, 1, 0), RET(20), RET(30));
    PROBE(J(BPF_JMP | BPF_JA, 1, 9, 9), RET(20), RET(30));
    PROBE(S(BPF_LD | BPF_IMM, 5), S(BPF_ALU | BPF_NEG, 0), S(BPF_ALU | BPF_AND | BPF_K, 0x1f), S(BPF_RET | BPF_A, 0));
    close(receiver), close(sender);
}

static void refused(void) {
    printf("-- refused\n");
    int s = socket(AF_INET, SOCK_DGRAM, 0);
    struct sock_filter all[4097];
    for (int i = 0; i < 4097; i++) all[i] = (struct sock_filter)RET(1);
    int lens[] = {0, 1, 4096, 4097};
    for (int i = 0; i < 4; i++) TRY(attach_to(s, all, lens[i]));
    struct sock_fprog p = {1, NULL}, good = {1, all};
    TRY(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p));
    p.filter = (void *)8;
    TRY(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p));
    TRY(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &good, 4));
    TRY(setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &good, sizeof good + 4));
    ATTACH(s, S(BPF_LD | BPF_IMM, 1));
    ATTACH(s, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + 64), RET(1));
    ATTACH(s, S(BPF_LD | BPF_W | BPF_ABS, SKF_AD_OFF + 3), RET(1));
    ATTACH(s, S(BPF_LD | BPF_W | BPF_ABS, -1), RET(1));
    ATTACH(s, S(BPF_LD | BPF_W | BPF_ABS, SKF_LL_OFF), RET(1));
    ATTACH(s, S(BPF_LD | BPF_MEM, 16), RET(1));
    ATTACH(s, S(BPF_LD | BPF_MEM, 0), RET(1));
    ATTACH(s, S(BPF_ST, 16), RET(1));
    ATTACH(s, S(BPF_ALU | BPF_MOD | BPF_K, 0), RET(1));
    ATTACH(s, S(BPF_ALU | BPF_LSH | BPF_K, 32), RET(1));
    ATTACH(s, S(BPF_ALU | BPF_LSH | BPF_K, 31), RET(1));
    ATTACH(s, J(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0), RET(1));
    ATTACH(s, J(BPF_JMP | BPF_JA, 1, 0, 0), RET(1));
    ATTACH(s, S(0xffff, 0), RET(1));
    ATTACH(s, S(BPF_LDX | BPF_B | BPF_ABS, 0), RET(1));
    for (int code = 0; code < 256; code++) {
        struct sock_filter one[] = {{code, 0, 0, 1}, RET(1), RET(1)};
        if (attach_to(s, one, 3) == 0) printf(" %02x", code);
    }
    printf("\n");
    close(s);
}

static void kept(void) {
    printf("-- kept\n");
    int s = socket(AF_INET, SOCK_DGRAM, 0), zero = 0, one = 1;
    struct sock_filter got[4] = {0};
    socklen_t len = 4;
    TRY(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, got, &len));
    printf("%d\n", len);
    TRY(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
    ATTACH(s, S(BPF_LD | BPF_IMM, 7), RET(1));
    for (int room = 0; room < 4; room++) {
        len = room;
        TRY(getsockopt(s, SOL_SOCKET, SO_GET_FILTER, got, &len));
        printf("%d: %x %x\n", len, got[0].k, got[1].code);
    }
    TRY(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &zero, 0));
    TRY(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
    TRY(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
    ATTACH(s, RET(1));
    TRY(option(s, SOL_SOCKET, SO_LOCK_FILTER));
    TRY(set(s, SOL_SOCKET, SO_LOCK_FILTER, 0));
    TRY(set(s, SOL_SOCKET, SO_LOCK_FILTER, 1));
    TRY(set(s, SOL_SOCKET, SO_LOCK_FILTER, 1));
    TRY(set(s, SOL_SOCKET, SO_LOCK_FILTER, 0));
    TRY(option(s, SOL_SOCKET, SO_LOCK_FILTER));
    ATTACH(s, RET(2));
    TRY(setsockopt(s, SOL_SOCKET, SO_DETACH_FILTER, &zero, sizeof zero));
    close(s);
    s = socket(AF_INET, SOCK_STREAM, 0);
    ATTACH(s, RET(-1));
    close(s);
    int p[2];
    socketpair(AF_UNIX, SOCK_STREAM, 0, p);
    ATTACH(p[1], RET(0));
    TRY(send(p[0], "streams have none", 17, 0));
    show_message(p[1], 30, 0);
}

int main(void) {
    pair(AF_INET, SOCK_DGRAM, 7600), values("udp");
    pair(AF_INET6, SOCK_DGRAM, 7600), values("udp of six");
    pair(AF_UNIX, SOCK_DGRAM, 0), values("unix");
    pair(AF_UNIX, SOCK_SEQPACKET, 0), values("packets of unix");
    refused();
    kept();
    return 0;
}
