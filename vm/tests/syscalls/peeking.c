// SO_PEEK_OFF: looking on from where the last look ended.
#include "messages.h"

static void look(int s, int len, int flags) {
    char buf[100] = "";
    int n = recv(s, buf, len, MSG_DONTWAIT | flags);
    if (n < 0) printf("  %s", strerrorname_np(errno));
    else printf("  %d \"%.*s\"", n, n > len ? len : n, buf);
    printf(" then %d\n", option(s, SOL_SOCKET, SO_PEEK_OFF));
}

static void unix_pair(int kind) {
    printf("-- unix %d\n", kind);
    int s[2];
    socketpair(AF_UNIX, kind, 0, s);
    printf("offset %d\n", option(s[1], SOL_SOCKET, SO_PEEK_OFF));
    TRY(send(s[0], "hello", 5, 0));
    TRY(send(s[0], "world!", 6, 0));
    look(s[1], 3, MSG_PEEK);
    look(s[1], 3, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 0));
    for (int i = 0; i < 6; i++) look(s[1], 3, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 4));
    look(s[1], 4, MSG_PEEK | MSG_TRUNC);
    look(s[1], 2, 0);
    look(s[1], 2, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 1));
    look(s[1], 20, MSG_PEEK);
    look(s[1], 20, MSG_PEEK);
    look(s[1], 20, 0);
    look(s[1], 20, 0);
    look(s[1], 20, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, -5));
    printf("offset %d\n", option(s[1], SOL_SOCKET, SO_PEEK_OFF));
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 100));
    TRY(send(s[0], "abc", 3, 0));
    look(s[1], 20, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, -1));
    look(s[1], 20, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 2));
    close(s[0]);
    look(s[1], 20, MSG_PEEK);
    look(s[1], 20, MSG_PEEK);
    close(s[1]);
}

static void internet(int family, int kind) {
    printf("-- internet %d %d\n", family, kind);
    int s[2];
    if (kind == SOCK_STREAM) connection(s);
    else {
        s[0] = socket(family, kind, 0), s[1] = socket(family, kind, 0);
        if (family == AF_INET) BIND4(s[1], "127.0.0.1", 7100), CONNECT4(s[0], "127.0.0.1", 7100);
        else BIND6(s[1], "::1", 7100), CONNECT6(s[0], "::1", 7100);
    }
    printf("offset %d\n", option(s[1], SOL_SOCKET, SO_PEEK_OFF));
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 0));
    TRY(send(s[0], "hello", 5, 0));
    TRY(send(s[0], "world!", 6, 0));
    for (int i = 0; i < 6; i++) look(s[1], 3, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 7));
    look(s[1], 2, MSG_PEEK | MSG_TRUNC);
    look(s[1], 2, 0);
    look(s[1], 9, MSG_PEEK);
    TRY(set(s[1], SOL_SOCKET, SO_PEEK_OFF, 1));
    look(s[1], 9, MSG_PEEK);
    look(s[1], 20, 0);
    look(s[1], 20, MSG_PEEK);
    close(s[0]);
    close(s[1]);
}

int main(void) {
    unix_pair(SOCK_STREAM);
    unix_pair(SOCK_DGRAM);
    unix_pair(SOCK_SEQPACKET);
    internet(AF_INET, SOCK_DGRAM);
    internet(AF_INET6, SOCK_DGRAM);
    internet(AF_INET, SOCK_STREAM);
    return 0;
}
